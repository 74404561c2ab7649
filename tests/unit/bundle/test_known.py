"""What this home made is known to it, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fairway.bundle.bundle import Bundle
from fairway.bundle.known import is_known, remember


def test_what_was_packed_here_is_known_here(home: Path, small_bundle: Callable[..., Bundle]) -> None:
    """By its digest, so that not a byte may differ; a home that does not exist is not made by asking."""
    assert not is_known(home, small_bundle().digest)
    assert not home.exists()
    remember(home, small_bundle())
    remember(home, small_bundle())
    assert is_known(home, small_bundle().digest)
    assert not is_known(home, small_bundle({"code/features.py": b"X = 2\n"}).digest)
