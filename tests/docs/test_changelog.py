"""The version is one number, in the project file and in the changelog."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ORDER = ["Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"]


def releases() -> list[tuple[str, str]]:
    """Return (version, text) of every release in the changelog, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = re.split(r"^## +\[?(\d+\.\d+\.\d+)\]?.*$", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_the_newest_release_is_the_version_of_the_project() -> None:
    """Raising the version without saying what changed is not possible, nor the other way round."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert releases()[0][0] == project["version"]


def test_every_release_opens_with_a_sentence_and_keeps_the_order() -> None:
    """Who upgrades reads first what the release is about, then what may break."""
    for version, text in releases():
        opening = text.strip().splitlines()[0]
        sections = re.findall(r"^### +(\w+)", text, re.MULTILINE)

        assert not opening.startswith(("#", "-")), f"{version} has no opening sentence"
        assert sections == sorted(sections, key=ORDER.index), f"{version}: the order is {ORDER}"


def test_versions_fall_from_the_top_to_the_bottom() -> None:
    """The newest release stands first, and none stands twice."""
    numbers = [tuple(map(int, version.split("."))) for version, _ in releases()]

    assert numbers == sorted(set(numbers), reverse=True)
