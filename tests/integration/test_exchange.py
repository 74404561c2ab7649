"""Versions go from one home to another in a file: signed, unsigned, damaged, and twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fairway as fw
from fairway.bundle.attachment import build_attachment
from fairway.cli.main import main
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactDigest,
    UntrustedBundle,
    UsageError,
    VersionNotFound,
)
from fairway.registry.registry import open_registry

from .conftest import MODELS, iris_model, iris_table, own_module

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a home, a key, and four exported files.

    `one.zip` holds iris:1, `unsigned.zip` iris:1 and iris:2, `signed.zip` the same signed and a report that
    nobody signed, `code.zip` a signed version and one that brings code and is not signed.
    """
    folder = tmp_path_factory.mktemp("maker")
    home = folder / "home"
    fw.push(iris_model(), name="iris", example=iris_table(), home=home)
    fw.push(iris_model(C=0.5), name="iris", example=iris_table(), compile="off", home=home)
    moody, example = own_module("moody").Moody().fit(None), {"x": [0.0, 0.5, 1.0]}
    code = [MODELS / "moody.py"]
    fw.push(moody, name="moody", example=example, code=code, compile="off", home=home)
    fw.export_versions("iris:1", "iris:2", "iris", path=folder / "unsigned.zip", home=home)
    fw.export_versions("iris:1", path=folder / "one.zip", home=home)
    fw.create_signing_key(folder / "release.key")
    for reference in ("iris:1", "iris:2"):
        fw.sign(reference, key=folder / "release.key", home=home)
    with open_registry(home) as registry:
        subject = registry.resolve("iris:1").digest
        registry.attach(build_attachment(subject, "report", {"report.json": b"{}"}), actor="ada")
    fw.export_versions("iris:1", "iris:2", path=folder / "signed.zip", home=home)
    fw.export_versions("iris:1", "moody:1", path=folder / "code.zip", home=home)
    return folder


@pytest.fixture
def trusting(maker: Path, home: Path) -> Path:
    """Give an empty home that trusts the key."""
    fw.trust_key(maker / "release.key.pub", home=home)
    return home


def test_signed_versions_come_as_they_are(maker: Path, trusting: Path) -> None:
    """Signature and compiled predictor included; only what nobody has signed is left out."""
    first, second = fw.import_versions(maker / "signed.zip", reason="new", home=trusting)

    assert (first.source, first.version.reference, first.is_new) == ("iris:1", "iris:1", True)
    assert first.left_out == ("report",)
    assert second.version.reference == "iris:2"
    found = fw.verify("iris:1", home=trusting)
    assert (found.signed, found.known) == (True, False)
    with open_registry(maker / "home") as theirs, open_registry(trusting) as ours:
        assert ours.verify_audit() is None
        sent, come = theirs.open(theirs.resolve("iris:1")), ours.open(ours.resolve("iris:1"))
        assert come.digest == sent.digest
        assert come.attachments["compiled"].digest == sent.attachments["compiled"].digest
        event = next(event for event in ours.audit() if event.kind == "import")
        registered = next(event for event in ours.audit() if event.kind == "register")
        exported = next(event for event in theirs.audit() if event.subject == "signed.zip")
    assert (event.model, event.version, event.subject, event.reason) == ("iris", 1, "signed.zip", "new")
    assert event.details["source"] == "iris:1"
    assert event.details["file"] == exported.details["file"]
    assert registered.details["imported"]["registered_at"] == event.details["registered_at"]
    assert (exported.kind, exported.model, exported.version) == ("export", "iris", 1)


def test_what_nobody_has_signed_is_checked_and_compiled_here(maker: Path, home: Path) -> None:
    """As a pushed bundle of others is; it answers, and its attachments are our own."""
    (imported,) = fw.import_versions(maker / "one.zip", home=home)

    assert (imported.is_new, imported.left_out) == (True, ())
    with open_registry(maker / "home") as theirs, open_registry(home) as ours:
        sent, come = theirs.open(theirs.resolve("iris:1")), ours.open(ours.resolve("iris:1"))
    assert come.digest == sent.digest
    assert come.attachments["compiled"].digest != sent.attachments["compiled"].digest
    assert fw.load("iris:1", home=home).predictor_name != "native"


def test_what_is_here_already_is_not_registered_twice(maker: Path, trusting: Path) -> None:
    """So the same file can be taken in again and again; other versions count on."""
    fw.import_versions(maker / "signed.zip", home=trusting)

    again = fw.import_versions(maker / "unsigned.zip", home=trusting)

    assert [(imported.version.reference, imported.is_new) for imported in again] == [
        ("iris:1", False),
        ("iris:2", False),
    ]
    assert fw.list_models(home=trusting)[0].n_versions == 2
    assert fw.import_versions(maker / "signed.zip", home=maker / "home")[0].is_new is False


def test_where_one_is_refused_none_comes_in(maker: Path, trusting: Path) -> None:
    """A version that brings code of somebody whom nobody here trusts."""
    with pytest.raises(UntrustedBundle, match="brings Python modules"):
        fw.import_versions(maker / "code.zip", home=trusting)

    assert fw.list_models(home=trusting) == []


def test_a_damaged_file_is_refused(maker: Path, trusting: Path, tmp_path: Path) -> None:
    """Cut off, changed at any place, of another kind, or none at all."""
    whole = (maker / "signed.zip").read_bytes()
    fw.backup(tmp_path / "backup.zip", home=maker / "home")
    places = range(40, len(whole), len(whole) // 12)
    damaged = [b"", b"PK", whole[:-1], whole[: len(whole) // 2], (tmp_path / "backup.zip").read_bytes()]
    damaged += [whole[:n] + bytes([whole[n] ^ 0x10]) + whole[n + 1 :] for n in places]
    for number, data in enumerate(damaged):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        try:
            found = fw.import_versions(path, home=trusting)
        except (ArtifactCorrupt, ArtifactDigest):
            continue
        # A bit that means nothing, such as one of a time in the zip: then everything came.
        assert [imported.version.reference for imported in found] == ["iris:1", "iris:2"]
        assert number >= 5
    with pytest.raises(ArtifactCorrupt):
        fw.import_versions(tmp_path / "nothing.zip", home=trusting)
    with pytest.raises(ArtifactCorrupt):
        fw.restore(maker / "signed.zip", home=tmp_path / "other")


def test_nothing_is_exported_over_something_and_nothing_that_is_not_there(
    maker: Path, tmp_path: Path
) -> None:
    """No file is left behind by an export that fails."""
    (tmp_path / "mine.zip").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is not overwritten"):
        fw.export_versions("iris:1", path=tmp_path / "mine.zip", home=maker / "home")
    with pytest.raises(VersionNotFound):
        fw.export_versions("iris:1", "iris:9", path=tmp_path / "new.zip", home=maker / "home")
    with pytest.raises(UsageError, match="nothing to export"):
        fw.export_versions(path=tmp_path / "new.zip", home=maker / "home")

    assert [path.name for path in tmp_path.iterdir()] == ["mine.zip"]


def test_the_command_line_does_all_of_it(
    maker: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every verb prints what was done, for people and for programs, and says no in its own words."""

    def run(*arguments: str, home: Path = home) -> tuple[int, str, str]:
        code = main(["--home", str(home), *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    theirs = maker / "home"
    file, saved = str(tmp_path / "v.zip"), str(tmp_path / "b.zip")
    fw.trust_key(maker / "release.key.pub", home=home)
    assert run("export", "iris:2", "-o", file, home=theirs)[1].startswith("Exported iris:2 (")
    assert run("import", file)[:2] == (0, "Imported iris:2 as iris:1.\n")
    assert run("import", file)[:2] == (0, "iris:2 is here already, as iris:1.\n")
    assert json.loads(run("import", file, "--json")[1])[0]["is_new"] is False
    code, out, _ = run("backup", saved)
    assert code == 0
    assert "Versions  1\n" in out
    assert "restore" in out
    code, out, _ = run("restore", saved, home=tmp_path / "again")
    assert (code, "record of events holds" in out) == (0, True)
    code, _, err = run("restore", saved)
    assert code == 1
    assert "the registry is not empty" in err
    assert run("gc")[:2] == (0, "Removed 0 files (0 bytes) that nothing refers to.\n")
    with open_registry(home) as registry:
        registry.delete("iris", 1, actor="ada")
    planned = json.loads(run("gc", "--older-than", "0", "--dry-run", "--json")[1])
    assert planned["files"] > 5
    assert f"Removed {planned['files']} files" in run("gc", "--older-than", "0")[1]
    assert run("gc", "--older-than", "-1")[0] == 2
