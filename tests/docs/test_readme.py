"""The README and the walk-throughs do what they say: every command and program on them runs here."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WALKS = [
    ROOT / "README.md",
    ROOT / "docs" / "tutorial" / "first-model.md",
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the pages call the server with curl"),
]


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.stem)
def test_every_block_of_the_page_runs_and_prints_what_is_shown(page: Path, reader: Any) -> None:
    """A reader who copies the blocks from top to bottom sees what the page shows."""
    named = re.search(r"^<!-- needs: (\w+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    if named and importlib.util.find_spec(named[1]) is None:
        pytest.skip(f"the page needs {named[1]}; make test-frameworks runs it")
    reader.run_page(page)


def test_the_readme_shows_the_first_thirty_seconds() -> None:
    """Install, a short program, a call with its reply and a picture come before anything else."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)

    assert program is not None
    assert len([line for line in program[1].splitlines() if line.strip()]) <= 6
    order = [text.index(mark) for mark in ("pip install", "```python", "$ curl", "docs/images/form.png")]
    assert order == sorted(order)
    assert (ROOT / "docs" / "images" / "form.png").is_file()
