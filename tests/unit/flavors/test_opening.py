"""What a user brings: a folder is read whole, within limits, and nothing outside of it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairway.errors import ArtifactCorrupt, ArtifactEmpty, ArtifactPath
from fairway.flavors import opening
from fairway.flavors.opening import read_files


def test_a_folder_is_read_by_relative_path(tmp_path: Path) -> None:
    """A file goes by its own name."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.bin").write_bytes(b"c")
    (tmp_path / "a" / "d").write_bytes(b"")
    assert read_files(tmp_path / "a") == {"b/c.bin": b"c", "d": b""}
    assert read_files(tmp_path / "a" / "b" / "c.bin") == {"c.bin": b"c"}


def test_what_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    """Also a folder that holds nothing but empty files."""
    with pytest.raises(ArtifactCorrupt, match="cannot be read: No such file"):
        read_files(tmp_path / "missing")
    with pytest.raises(ArtifactEmpty):
        read_files(tmp_path)
    (tmp_path / "void").touch()
    with pytest.raises(ArtifactEmpty):
        read_files(tmp_path)


def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    """It could lead to a file that nobody meant to pack; a link to a folder as well."""
    (tmp_path / "secret").write_bytes(b"secret")
    for target in ("secret", "."):
        folder = tmp_path / f"model-{target.strip('.')}"
        folder.mkdir()
        (folder / "weights").symlink_to(tmp_path / target)
        with pytest.raises(ArtifactPath, match="'weights' in the model folder is a link"):
            read_files(folder)


def test_a_folder_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of files and of bytes."""
    (tmp_path / "one").write_bytes(b"12345")
    (tmp_path / "two").write_bytes(b"12345")
    monkeypatch.setattr(opening, "MAX_BYTES", 9)
    with pytest.raises(ArtifactCorrupt, match="more than 9 bytes"):
        read_files(tmp_path)
    monkeypatch.setattr(opening, "MAX_FILES", 1)
    with pytest.raises(ArtifactCorrupt, match="holds more than 1 files"):
        read_files(tmp_path)
