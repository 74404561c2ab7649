"""Only bundles that this home made are loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.bundle import trust
from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle
from fairway.errors import UntrustedBundle


def test_what_was_packed_here_is_known_here(home: Path, small_bundle: Callable[..., Bundle]) -> None:
    """By its digest, so that not a byte may differ."""
    trust.remember(home, small_bundle())
    trust.remember(home, small_bundle())
    trust.check_known(home, small_bundle())
    with pytest.raises(UntrustedBundle, match=r"the bundle 'coffee' \([0-9a-f]{12}\) was packed elsewhere"):
        trust.check_known(home, small_bundle({"code/features.py": b"X = 2\n"}))


def test_a_home_that_does_not_exist_knows_nothing(home: Path, small_bundle: Callable[..., Bundle]) -> None:
    """And is not made by asking."""
    with pytest.raises(UntrustedBundle) as caught:
        trust.check_known(home, small_bundle())
    assert caught.value.hint == "push the model file itself, or pack it here"
    assert not home.exists()


def test_an_attachment_that_this_home_did_not_make_is_refused(
    home: Path, small_bundle: Callable[..., Bundle]
) -> None:
    """Its hashes are right, and it would decide what is answered."""
    bundle = small_bundle()
    own, foreign = (
        bundle.with_attachments([build_attachment(bundle.digest, "compiled", {"report.json": text})])
        for text in (b"ours", b"theirs")
    )
    trust.remember(home, own)
    trust.check_known(home, own)
    trust.check_known(home, bundle)
    with pytest.raises(UntrustedBundle, match="the attachment 'compiled' of the bundle 'coffee'") as caught:
        trust.check_known(home, foreign)
    assert caught.value.hint == "compile the bundle here: fairway compile PATH"
