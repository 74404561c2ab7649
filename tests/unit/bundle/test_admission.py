"""Which bundles are loaded: all of it known here or signed by a trusted key; and what a required key asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.bundle.admission import check_admitted, check_signed
from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle
from fairway.bundle.keys import SigningKey, TrustStore, create_key
from fairway.bundle.known import remember
from fairway.bundle.signing import is_seal, seal
from fairway.errors import KeyNotTrusted, NotSigned, UntrustedBundle

Build = Callable[..., Bundle]


@pytest.fixture
def key(home: Path, tmp_path: Path) -> SigningKey:
    """Give a key that the home trusts under the name release."""
    made = create_key(tmp_path / "release.key")
    TrustStore(home).add(made.public, name="release")
    return made


def compiled(bundle: Bundle, text: bytes = b"ours") -> Bundle:
    return bundle.with_attachments([build_attachment(bundle.digest, "compiled", {"report.json": text})])


def sealed(bundle: Bundle, key: SigningKey) -> Bundle:
    return bundle.with_attachments([*bundle.attachments.values(), seal(bundle, key)])


def swapped(bundle: Bundle, text: bytes) -> Bundle:
    """Return a sealed bundle with another compiled predictor than it was sealed with."""
    seals = [attachment for attachment in bundle.attachments.values() if is_seal(attachment)]
    return bundle.with_attachments([*compiled(bundle, text).attachments.values(), *seals])


def test_what_nobody_vouches_for_is_refused(home: Path, small_bundle: Build) -> None:
    """A bundle that this home did not make; a home that does not exist is not made by asking."""
    with pytest.raises(UntrustedBundle, match=r"the bundle 'coffee' \([0-9a-f]{12}\) was packed elsewhere"):
        check_admitted(home, small_bundle())
    assert not home.exists()


def test_what_was_made_here_is_admitted_with_its_own_attachments_only(
    home: Path, small_bundle: Build
) -> None:
    """The hashes of a foreign attachment are right, and it would decide what is answered."""
    bundle = small_bundle()
    remember(home, compiled(bundle))
    check_admitted(home, compiled(bundle))
    check_admitted(home, bundle)
    with pytest.raises(UntrustedBundle, match="the attachment 'compiled' of the bundle 'coffee'") as caught:
        check_admitted(home, compiled(bundle, b"theirs"))
    assert caught.value.hint == "compile the bundle here: fairway compile PATH"


def test_what_a_trusted_key_has_signed_is_admitted(home: Path, small_bundle: Build, key: SigningKey) -> None:
    """All of it; an attachment that came later is refused as before."""
    bundle = sealed(compiled(small_bundle()), key)
    check_admitted(home, bundle)
    check_admitted(home, sealed(small_bundle(), key))
    with pytest.raises(UntrustedBundle, match="the attachment 'compiled'"):
        check_admitted(home, swapped(bundle, b"theirs"))


def test_parts_may_have_different_guarantors(home: Path, small_bundle: Build, key: SigningKey) -> None:
    """Signed there and compiled here."""
    bundle = sealed(small_bundle(), key)
    made_here = compiled(bundle)
    remember(home, made_here.with_attachments(made_here.attachments.values()))
    check_admitted(home, swapped(bundle, b"ours"))


def test_a_key_that_is_not_trusted_or_not_any_more_admits_nothing(
    home: Path, tmp_path: Path, small_bundle: Build, key: SigningKey
) -> None:
    """And the refusal names the key, so that its owner can be asked."""
    stranger = create_key(tmp_path / "stranger.key")
    with pytest.raises(UntrustedBundle, match=f"not trusted here \\({stranger.public.id}\\)") as caught:
        check_admitted(home, sealed(small_bundle(), stranger))
    assert caught.value.hint == "if you know whose key it is: fairway trust add FILE.pub"
    check_admitted(home, sealed(small_bundle(), key))
    TrustStore(home).remove("release")
    with pytest.raises(UntrustedBundle):
        check_admitted(home, sealed(small_bundle(), key))


def test_a_seal_on_what_was_made_here_changes_nothing(
    home: Path, tmp_path: Path, small_bundle: Build
) -> None:
    """Anybody may lay one beside it."""
    remember(home, small_bundle())
    check_admitted(home, sealed(small_bundle(), create_key(tmp_path / "stranger.key")))


def test_a_required_key_must_have_signed_every_part(home: Path, small_bundle: Build, key: SigningKey) -> None:
    """That a home made it itself does not help; nor does a signature that an attachment came after."""
    bundle = compiled(small_bundle())
    remember(home, bundle)
    with pytest.raises(NotSigned, match="is not signed; release must have signed it") as caught:
        check_signed(home, bundle, ["release"])
    assert caught.value.hint == "sign it: fairway sign MODEL --key FILE"
    signed = sealed(bundle, key)
    for name in ("release", key.public.id, key.public.id[:8]):
        check_signed(home, signed, [name])
    with pytest.raises(NotSigned, match="its attachment 'compiled' is not covered") as caught:
        check_signed(home, swapped(signed, b"theirs"), ["release"])
    assert caught.value.hint == "sign it again: fairway sign MODEL --key FILE"


def test_another_trusted_key_is_not_the_required_one(
    home: Path, tmp_path: Path, small_bundle: Build, key: SigningKey
) -> None:
    """Any of those that are named does; the trust store at large does not."""
    nightly = create_key(tmp_path / "nightly.key")
    TrustStore(home).add(nightly.public, name="nightly")
    bundle = sealed(small_bundle(), nightly)
    with pytest.raises(NotSigned, match=f"is signed by {nightly.public.id[:12]}, not by release"):
        check_signed(home, bundle, ["release"])
    check_signed(home, bundle, ["release", "nightly"])


def test_a_required_key_that_is_not_trusted_closes_the_door(
    home: Path, tmp_path: Path, small_bundle: Build, key: SigningKey
) -> None:
    """Also where it was removed a moment ago, and also beside one that is trusted."""
    bundle = sealed(small_bundle(), key)
    check_signed(home, bundle, ["release"])
    with pytest.raises(KeyNotTrusted):
        check_signed(home, bundle, ["release", "nightly"])
    TrustStore(home).remove("release")
    for wanted in ("release", key.public.id):
        with pytest.raises(KeyNotTrusted):
            check_signed(home, bundle, [wanted])


def test_a_forged_seal_is_called_one(home: Path, small_bundle: Build, key: SigningKey) -> None:
    """It names the required key, and the key has not signed this."""
    other = small_bundle({"code/features.py": b"X = 666\n"})
    files = {"seal.json": seal(small_bundle(), key).read("seal.json")}
    forged = other.with_attachments([build_attachment(other.digest, f"seal-{key.public.id}", files)])
    with pytest.raises(NotSigned, match="bears a forged signature of release"):
        check_signed(home, forged, ["release"])
    with pytest.raises(UntrustedBundle):
        check_admitted(home, forged)
