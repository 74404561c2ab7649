"""Modules that travel with a model: each bundle has its own, and the process sees none of them."""

from __future__ import annotations

import pickle
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.code import CodeSpace, collect_code
from fairway.errors import ArtifactImport, UsageError


def space(**sources: str) -> CodeSpace:
    """Return the space of modules whose paths are written with `__` for `/`."""
    files = {name.replace("__", "/") + ".py": text.encode() for name, text in sources.items()}
    return CodeSpace(
        {path.replace("/init.py", "/__init__.py"): text for path, text in files.items()}, label="m"
    )


def module(code: CodeSpace, name: str) -> types.ModuleType:
    """Return a module of a space."""
    with code.active():
        return sys.modules[name]


@pytest.fixture(autouse=True)
def modules_stay_clean() -> Iterator[None]:
    """Prove after each test that nothing of a space is left in `sys.modules`."""
    before = dict(sys.modules)
    yield
    after = dict(sys.modules)
    roots = ("features", "tools", "mine", "json")
    for name in after.keys() | before.keys():
        if name.split(".")[0] in roots:
            assert before.get(name) is after.get(name), name


def test_two_versions_of_one_module_live_in_one_process() -> None:
    """Each model keeps the functions that it was packed with, also after the other was loaded."""
    old = module(space(features="def f(): return 'old'"), "features")
    new = module(space(features="def f(): return 'new'"), "features")
    assert (old.f(), new.f(), old.f()) == ("old", "new", "old")


def test_siblings_find_each_other_at_once_and_later() -> None:
    """Absolute and relative, at the top and inside a function that is called when all is over."""
    code = space(
        features="import tools.text\nfrom tools import text as t\n"
        "def f():\n import tools.numbers as n\n return n.N, t.T",
        tools__init="",
        tools__text="from .numbers import N\nfrom . import numbers\nT = 'text' * N",
        tools__numbers="N = 2",
    )
    features = module(code, "features")
    assert features.f() == (2, "texttext")
    assert features.tools.text.numbers.N == 2
    assert code.roots == {"features", "tools"}


def test_a_folder_without_init_is_a_package() -> None:
    """As Python itself has it."""
    assert module(space(tools__deep__text="T = 1"), "tools.deep.text").T == 1


def test_a_package_that_imports_its_own_parts_has_each_of_them_once() -> None:
    """A class is one class, from wherever it is imported."""
    code = space(
        tools__init="from .text import Text\nfrom . import text",
        tools__text="class Text: pass",
        features="from tools import Text\nfrom tools.text import Text as Same\nassert Text is Same",
    )
    for name in ("tools.text", "tools", "features"):
        assert module(code, name).Text is module(code, "tools.text").Text


def test_modules_may_import_each_other_in_a_circle() -> None:
    """As long as Python could."""
    code = space(features="import tools\nX = 1", tools="import features\ndef f(): return features.X")
    assert module(code, "tools").f() == 1


def test_what_looks_its_module_up_works() -> None:
    """Dataclasses with texts for annotations, enumerations and named tuples find their module."""
    source = (
        "from __future__ import annotations\n"
        "import dataclasses, enum, typing\n"
        "@dataclasses.dataclass\nclass A:\n n: 'typing.ClassVar[int]' = 1\n m: int = 2\n"
        "class B(enum.Enum):\n X = 1\n"
        "class C(typing.NamedTuple):\n n: int\n"
    )
    found = module(space(mine=source), "mine")
    assert (found.A().m, found.B.X.value, found.C(3).n) == (2, 1, 3)
    assert found.__file__ == "<m>/mine.py"


def test_pickles_find_the_classes_of_their_own_space() -> None:
    """An object is made of the class that travelled with it, not of another version's."""
    spaces = [space(features=f"class F:\n def f(self): return {n}") for n in (1, 2)]
    with spaces[0].active():
        data = pickle.dumps(sys.modules["features"].F())
    for n, code in enumerate(spaces, 1):
        with code.active():
            loaded: Any = pickle.loads(data)  # noqa: S301, TID251 - made above
        assert loaded.f() == n


def test_a_module_of_the_process_is_back_afterwards() -> None:
    """Also one with the same name as a module of the space, and also after an error."""
    import json

    code = space(json="dumps = 'mine'")
    with code.active():
        assert sys.modules["json"].dumps == "mine"
    assert sys.modules["json"] is json
    with pytest.raises(RuntimeError), code.active():
        raise RuntimeError
    assert sys.modules["json"] is json
    assert module(code, "json").dumps == "mine"


def test_nothing_comes_from_the_working_directory(tmp_path: Path) -> None:
    """A file of the same name that lies there, or beside it, is not seen."""
    (tmp_path / "features.py").write_text("X = 'from the folder'")
    (tmp_path / "beside.py").write_text("")
    program = (
        "import sys\nfrom fairway.bundle.code import CodeSpace\n"
        "from fairway.errors import ArtifactImport\n"
        "with CodeSpace({'features.py': b\"X = 'mine'\"}, label='m').active():\n"
        "    import features\n    assert features.X == 'mine'\n"
        "try:\n    with CodeSpace({'pkg/a.py': b'from . import beside'}, label='m').active(): pass\n"
        "except ArtifactImport: sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == 7, done.stderr


def test_a_missing_module_is_named_with_the_file_that_needs_it() -> None:
    """And how it would come along."""
    with pytest.raises(ArtifactImport) as caught, space(features="import no_such_thing.deep").active():
        pass
    assert str(caught.value) == "features.py needs the module 'no_such_thing', which cannot be imported here"
    assert "--code no_such_thing.py" in caught.value.hint
    assert "pip install no_such_thing" in caught.value.hint


def test_a_missing_part_of_an_own_package_is_named() -> None:
    """The package is there, the part is not."""
    with pytest.raises(ArtifactImport, match=r"features\.py needs the module 'tools'"):
        module(space(features="import tools.gone", tools__init=""), "features")


def test_a_name_that_a_module_lacks_is_no_missing_module() -> None:
    """The module is there in another version."""
    with pytest.raises(
        ArtifactImport, match=r"features\.py cannot be imported here: cannot import name 'gone'"
    ):
        module(space(features="from json.decoder import gone"), "features")


def test_an_optional_module_stays_optional() -> None:
    """A module that copes with what is missing copes here, also when a sibling needs it."""
    code = space(
        features="try:\n from fast import X\nexcept ImportError:\n X = 'slow'",
        fast="import no_such_thing\nX = 'fast'",
    )
    with pytest.raises(ArtifactImport, match=r"fast\.py needs the module 'no_such_thing'"):
        module(code, "features")
    assert (
        module(space(features="try:\n import fast\nexcept ImportError:\n fast = None"), "features").fast
        is None
    )


@pytest.mark.parametrize(
    ("source", "message"), [("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError"), ("\0", "null bytes")]
)
def test_a_module_that_fails_is_named(source: str, message: str) -> None:
    """With what it raised; it can be tried again and fails again."""
    code = space(features=source)
    for _ in range(2):
        with pytest.raises(ArtifactImport, match=rf"features\.py raised .*{message}"):
            module(code, "features")


def test_files_and_folders_are_collected(tmp_path: Path) -> None:
    """A file under its name, a folder under its name with everything below it that is Python."""
    (tmp_path / "features.py").write_text("X = 1")
    package = tmp_path / "tools"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "a.py").write_text("A = 1")
    (package / "notes.txt").write_text("no code")
    found = collect_code([tmp_path / "features.py", str(package)])
    assert found == {"features.py": b"X = 1", "tools/__init__.py": b"", "tools/deep/a.py": b"A = 1"}


def test_what_is_no_code_is_refused(tmp_path: Path) -> None:
    """A file of another kind, nothing at all, and two files of one name."""
    (tmp_path / "a").mkdir()
    (tmp_path / "notes.txt").write_text("")
    for folder in (tmp_path, tmp_path / "a"):
        (folder / "features.py").write_text("")
    for path in (tmp_path / "notes.txt", tmp_path / "gone.py"):
        with pytest.raises(UsageError, match="is no Python file or folder"):
            collect_code([path])
    with pytest.raises(UsageError, match=r"two code files are called 'features\.py'"):
        collect_code([tmp_path / "features.py", tmp_path / "a" / "features.py"])
