"""The proof of models with accidents, each in a process of its own: what is only there while training."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.bundle import Bundle
from fairway.errors import ArtifactImport, PackedModelDiffers
from fairway.inference.proof import prove
from fairway.lifecycle.pack import Facts, Wishes, make_bundle

Make = Callable[..., Any]
HEADER = "from sklearn.linear_model import Ridge\n\n\nclass Mine(Ridge):\n"
NOTHING = "    pass\n"
READS_A_FILE = (
    "    def predict(self, X):\n        from pathlib import Path\n"
    "        print('noise')\n        return super().predict(X) + float(Path('offset.txt').read_text())\n"
)
REMEMBERS = "    def predict(self, X):\n        return super().predict(X) + OFFSET\n\n\nOFFSET = 0.0\n"
ENDS = "    def predict(self, X):\n        import os\n        if OFFSET == 0:\n            os._exit(9)\n        return [1.0] * len(X)\n\n\nOFFSET = 0.0\n"  # noqa: E501


@pytest.fixture
def own_class(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Give a function that fits a class of one's own, in a module that lies in a folder of this process."""

    def make(body: str) -> Any:
        (tmp_path / "mine_of_this_test.py").write_text(HEADER + body)
        module = importlib.import_module("mine_of_this_test")
        return module.Mine().fit([[0.0], [1.0]], [0.0, 1.0])

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        yield make
    sys.modules.pop("mine_of_this_test", None)


def bundle_of(model: Any, *code: Path) -> Bundle:
    """Pack without the proof."""
    return make_bundle(model, name="mine", example=[[0.0], [1.0]], code=code, facts=Facts(), wishes=Wishes())


def test_a_file_that_stayed_behind_is_told_in_the_models_words(
    own_class: Make, own_folder: Path, tmp_path: Path
) -> None:
    """There is no log to look into; and what the model prints does no harm."""
    (own_folder / "offset.txt").write_text("1.0")
    packed = bundle_of(own_class(READS_A_FILE), tmp_path / "mine_of_this_test.py")
    with pytest.raises(PackedModelDiffers, match=r"raised FileNotFoundError in a new process: .*offset\.txt"):
        prove(packed)


def test_a_model_that_was_changed_beside_its_code_differs(own_class: Make, tmp_path: Path) -> None:
    """State of the training process is not in the bundle."""
    model = own_class(REMEMBERS)
    sys.modules["mine_of_this_test"].OFFSET = 5.0  # type: ignore[attr-defined]
    with pytest.raises(PackedModelDiffers, match="mine fails its golden examples: golden example 0"):
        prove(bundle_of(model, tmp_path / "mine_of_this_test.py"))


def test_a_model_that_ends_its_process_is_refused(own_class: Make, tmp_path: Path) -> None:
    """With what the process left behind."""
    model = own_class(ENDS)
    sys.modules["mine_of_this_test"].OFFSET = 1.0  # type: ignore[attr-defined]
    with pytest.raises(PackedModelDiffers, match="cannot be loaded in a new process: exit status 9"):
        prove(bundle_of(model, tmp_path / "mine_of_this_test.py"))


def test_a_class_of_a_script_is_explained(tmp_path: Path) -> None:
    """`__main__` is another file in every process: the usual accident of notebooks."""
    script = tmp_path / "train.py"
    script.write_text(
        HEADER + NOTHING + "\n\nimport joblib\njoblib.dump(Mine().fit([[0],[1]], [0, 1]), 'm.joblib')\n"
    )
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True)
    data = (tmp_path / "m.joblib").read_bytes()
    assert b"__main__" in data
    with pytest.raises(
        ArtifactImport, match=r"needs __main__\.Mine, which was defined in a script"
    ) as caught:
        bundle_of(tmp_path / "m.joblib")
    assert "move it to a .py file, save the model again, and give that file with --code" in caught.value.hint
