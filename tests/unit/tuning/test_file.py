"""Settings are written into a file that somebody may have written by hand, and nothing else in it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairway.errors import SettingsError
from fairway.settings import load_settings
from fairway.tuning.file import set_in_file

WANTED = {"batching.mode": "off", "limits.max_queue": "12"}


@pytest.mark.parametrize(
    ("before", "after", "replaced"),
    [
        ("", '[batching]\nmode = "off"\n\n[limits]\nmax_queue = 12\n', {}),
        (
            '# ours\n[batching]\nmode = "auto"  # for now\nmax_rows = 9\n[limits]\nmax_rows = 5\n',
            (
                '# ours\n[batching]\nmode = "off"  # for now\nmax_rows = 9\n'
                "[limits]\nmax_queue = 12\nmax_rows = 5\n"
            ),
            {"batching.mode": "auto"},
        ),
        (
            '[limits]\nmax_queue=12\n\n[batching]\n mode = "off"',
            '[limits]\nmax_queue=12\n\n[batching]\n mode = "off"',
            {},
        ),
        (
            'home = "x"\n',
            'home = "x"\n\n[batching]\nmode = "off"\n\n[limits]\nmax_queue = 12\n',
            {},
        ),
    ],
    ids=["new", "changed", "as it was", "other settings"],
)
def test_only_the_lines_of_the_settings_change(
    tmp_path: Path, before: str, after: str, replaced: dict[str, str]
) -> None:
    """What was replaced is told; the file is read back as it was meant."""
    path = tmp_path / "fairway.toml"
    if before:
        path.write_text(before)
    assert set_in_file(path, WANTED) == replaced
    assert path.read_text() == after
    settings, _ = load_settings(environ={}, cwd=tmp_path)
    assert (settings.batching.mode, settings.limits.max_queue) == ("off", 12)


@pytest.mark.parametrize("text", ['batching.mode = "auto"\n', 'batching = {mode = "auto"}\n', "[batching\n"])
def test_a_file_that_is_written_otherwise_is_left_alone(tmp_path: Path, text: str) -> None:
    """The error says what to write by hand."""
    path = tmp_path / "fairway.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"fairway\.toml cannot be changed line by line") as caught:
        set_in_file(path, WANTED)
    assert caught.value.hint == "set it by hand: batching.mode = off, limits.max_queue = 12"
    assert path.read_text() == text
