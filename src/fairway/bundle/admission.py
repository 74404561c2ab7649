"""Which bundles may be loaded: every part is known here, or a key that this home trusts has signed it.

The parts are what was packed, and each attachment. Loading a pickle runs code, and a compiled predictor
decides what is answered, so a part that nobody vouches for is refused, not left out: somebody has put it
there, and whoever serves the bundle would wonder why it answers otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairway.bundle.bundle import Bundle
from fairway.bundle.keys import TrustStore
from fairway.bundle.known import is_known
from fairway.bundle.signing import Seal, covered_by, examine, parts_of
from fairway.errors import NotSigned, UntrustedBundle


def check_admitted(home: Path, bundle: Bundle) -> None:
    """Refuse a bundle of which a part was made elsewhere and is not signed by a trusted key.

    Raises:
        UntrustedBundle: Nobody whom this home trusts vouches for a part.
    """
    foreign = {name: digest for name, digest in parts_of(bundle).items() if not is_known(home, digest)}
    if not foreign:
        return
    seals = examine(bundle, TrustStore(home).entries())
    covered = covered_by(seals)
    for name, digest in foreign.items():
        if digest not in covered:
            raise _refusal(bundle, name, seals)


def check_signed(home: Path, bundle: Bundle, required: Sequence[str]) -> None:
    """Refuse a bundle of which a part is not signed by one of the *required* keys.

    The keys are looked up anew each time: one that was removed from the trust store counts no longer.

    Args:
        home: The home folder, whose trust store holds the keys.
        bundle: The bundle; that it is known here does not help it.
        required: Names or ids of trusted keys; any of them will do.

    Raises:
        KeyNotTrusted: A required key is not in the trust store.
        NotSigned: A part is not covered.
    """
    store = TrustStore(home)
    keys = [store.find(wanted) for wanted in required]
    seals = examine(bundle, keys)
    covered = covered_by(seals)
    for name, digest in parts_of(bundle).items():
        if digest not in covered:
            raise NotSigned(_unsigned(bundle, name, seals, required), hint=_sign_again(name))


def _unsigned(bundle: Bundle, name: str, seals: Sequence[Seal], required: Sequence[str]) -> str:
    wanted = " or ".join(required)
    shown = f"the bundle {bundle.manifest.name!r} ({bundle.digest[:12]})"
    if name:
        return (
            f"the attachment {name!r} of {shown} is not signed by {wanted}; it decides what is answered"
            if not _valid(seals)
            else f"{shown} is signed by {_valid(seals)}, but its attachment {name!r} is not covered: it was "
            "made or changed later"
        )
    others = [found.key_id[:12] for found in seals if found.state == "unknown_key"]
    forged = [found.key_name for found in seals if found.state == "forged"]
    if forged:
        return f"{shown} bears a forged signature of {forged[0]}"
    if others:
        return f"{shown} is signed by {', '.join(others)}, not by {wanted}"
    return f"{shown} is not signed; {wanted} must have signed it"


def _valid(seals: Sequence[Seal]) -> str:
    return ", ".join(found.key_name for found in seals if found.state == "valid")


def _sign_again(name: str) -> str:
    return (
        "sign it again: fairway sign MODEL --key FILE" if name else "sign it: fairway sign MODEL --key FILE"
    )


def _refusal(bundle: Bundle, name: str, seals: Sequence[Seal]) -> UntrustedBundle:
    shown = f"the bundle {bundle.manifest.name!r}"
    if name:
        return UntrustedBundle(
            f"the attachment {name!r} of {shown} ({bundle.digest[:12]}) was made elsewhere; "
            "it could change what is answered",
            hint="compile the bundle here: fairway compile PATH",
        )
    unknown = [found.key_id for found in seals if found.state == "unknown_key"]
    signed = f" and signed by a key that is not trusted here ({unknown[0]})" if unknown else ""
    return UntrustedBundle(
        f"{shown} ({bundle.digest[:12]}) was packed elsewhere{signed}; loading it could run code",
        hint="if you know whose key it is: fairway trust add FILE.pub"
        if unknown
        else "push the model file itself, pack it here, or have it signed: fairway sign",
    )
