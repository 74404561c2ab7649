"""The proof: a packed model has to stand on its own in a fresh process, or says what it lacks."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest

from fairway.bundle.bundle import Bundle
from fairway.errors import ArtifactImport, BundleError, PackedModelDiffers, UntrustedBundle
from fairway.inference.proof import Ended, _judge, judge, main, prove
from fairway.lifecycle.pack import Facts, Wishes, make_bundle

Make = Callable[..., Any]
HEADER = "from sklearn.linear_model import Ridge\n\n\nclass Mine(Ridge):\n"
NOTHING = "    pass\n"


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


def test_a_model_that_stands_alone_passes(bundles: Make, own_class: Make, tmp_path: Path) -> None:
    """Its own module along; several bundles in one process, two of which have a module of one name."""
    model = own_class(NOTHING)
    prove(bundle_of(model, tmp_path / "mine_of_this_test.py"), bundles(2.0))


def test_a_module_that_stayed_behind_is_named(own_class: Make) -> None:
    """The one that lies beside the training script."""
    with pytest.raises(ArtifactImport, match="the model file needs the module 'mine_of_this_test'") as caught:
        prove(bundle_of(own_class(NOTHING)))
    assert "--code mine_of_this_test.py" in caught.value.hint


def test_a_file_of_the_user_is_kept_byte_for_byte(tmp_path: Path, bundles: Make) -> None:
    """What was hashed is what was trained."""
    from sklearn.linear_model import Ridge

    joblib.dump(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "m.joblib", compress=3)
    assert bundle_of(tmp_path / "m.joblib").read("model/model.joblib") == (tmp_path / "m.joblib").read_bytes()


def test_a_process_that_hangs_is_given_up(bundles: Make) -> None:
    """The verdict is then that there is none."""
    with pytest.raises(PackedModelDiffers, match=r"did not answer within 0\.01 s"):
        prove(bundles(), timeout_s=0.01)


def test_the_new_process_prints_its_verdict(
    bundles: Make, own_class: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one line, for whoever started it: fine, an error of ours, or what the model raised."""
    code = tmp_path / "mine_of_this_test.py"
    model = own_class(NOTHING)
    paths = {
        "": bundles().save(tmp_path / "fine"),
        "artifact_import": bundle_of(model).save(tmp_path / "alone"),
    }
    code.write_text(HEADER + "    def predict(self, X):\n        raise KeyError('lost')\n")
    paths["packed_model_differs"] = bundle_of(model, code).save(tmp_path / "raises")
    del sys.modules["mine_of_this_test"]
    code.unlink()
    for verdict, path in paths.items():
        main([str(path)])
        output = capsys.readouterr().out
        assert f'"code": "{verdict}"' in output
        if not verdict:
            _judge(0, output.encode(), b"")
        else:
            with pytest.raises(BundleError):
                _judge(0, output.encode(), b"")
    assert "raised KeyError in a new process" in output


@pytest.mark.parametrize(
    ("output", "errors", "message"),
    [
        (b"", b"", "exit status -9"),
        (b"3\n{}\n", b"Traceback\nSegmentation fault\n", "Segmentation fault"),
        (b"fairway", b"\xff", "\ufffd"),
    ],
)
def test_a_process_without_a_verdict_is_judged_by_what_it_left(
    output: bytes, errors: bytes, message: str
) -> None:
    """Killed, crashed, or talking of something else."""
    with pytest.raises(PackedModelDiffers, match=f"cannot be loaded in a new process: {message}"):
        _judge(-9, output, errors)


def test_a_verdict_becomes_its_error() -> None:
    """Of its own class, with detail and hint, whatever is printed around it."""
    verdict = b'noise\nfairway-verdict {"code":"bundle_untrusted","detail":"d","hint":"h"}\nbye\n'
    with pytest.raises(UntrustedBundle, match="d") as caught:
        _judge(0, verdict, b"")
    assert caught.value.hint == "h"
    with pytest.raises(PackedModelDiffers, match="d"):
        _judge(0, b'fairway-verdict {"code":"model_contract","detail":"d","hint":"h"}', b"")
    _judge(0, b'fairway-verdict {"code":"","detail":"","hint":""}', b"warnings")


def test_a_verdict_counts_although_the_process_hung_later() -> None:
    """The packed copy has passed; what the process was to do after that is told by its last words."""
    ended = Ended(None, b'fairway-verdict {"code":"","detail":"","hint":""}', b"", timeout_s=7)
    judge(ended)
    assert ended.last_words == "it took longer than 7 s"
    with pytest.raises(PackedModelDiffers, match="did not answer within 7 s"):
        judge(Ended(None, b"", b"", timeout_s=7))
    assert Ended(1, b"", b"Traceback\nMemoryError\n", timeout_s=7).last_words == "MemoryError"
    assert Ended(-9, b"", b"", timeout_s=7).last_words == "exit status -9"
