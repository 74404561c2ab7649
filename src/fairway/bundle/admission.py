"""Which bundles may be loaded: every part is known here, or a key that this home trusts has signed it.

The parts are what was packed, and each attachment. Loading a pickle runs code, and a compiled predictor
decides what is answered, so a part that nobody vouches for is refused, not left out: somebody has put it
there, and whoever serves the bundle would wonder why it answers otherwise.

A bundle that nobody vouches for comes in by `push` alone, after the same checks as a foreign model file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairway.bundle.bundle import Bundle
from fairway.bundle.keys import TrustStore
from fairway.bundle.known import is_known
from fairway.bundle.safety import Trust, check_files
from fairway.bundle.signing import Seal, covered_by, examine, parts_of
from fairway.errors import ArtifactUnsafe, NotSigned, UntrustedBundle

_FUNCTION = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*")
_DESCRIPTIONS = frozenset(
    [
        *("author", "created", "description", "fairway", "files", "flavor", "format", "framework"),
        *("hyperparameters", "lineage", "metrics", "model_type", "name", "python", "tags", "trusted"),
    ]
)


def check_admitted(home: Path, bundle: Bundle) -> None:
    """Refuse a bundle of which a part was made elsewhere and is not signed by a trusted key.

    Raises:
        UntrustedBundle: Nobody whom this home trusts vouches for a part.
    """
    parts, seals = _unvouched(home, bundle)
    for name in parts:
        raise _refusal(bundle, name, seals)


def without_unvouched(home: Path, bundle: Bundle) -> Bundle:
    """Return a bundle without the attachments that nobody vouches for; they can be made anew."""
    names = _unvouched(home, bundle)[0]
    return bundle.with_attachments(a for name, a in bundle.attachments.items() if name not in names)


def is_foreign(home: Path, bundle: Bundle) -> bool:
    """Tell whether nobody vouches for what was packed, its attachments aside."""
    return "" in _unvouched(home, bundle)[0]


def check_foreign(bundle: Bundle, *, policy: str = "allowlist") -> None:
    """Refuse a bundle that nobody vouches for unless its model would be taken as a bare file.

    Types that its author has trusted count for nothing here; it may bring no module and name no function.

    Args:
        bundle: The bundle.
        policy: Setting `trust.policy`.

    Raises:
        UntrustedBundle: It brings code, or its model could run some.
    """
    shown = f"the bundle {bundle.manifest.name!r} ({bundle.digest[:12]})"
    if bundle.code:
        raise UntrustedBundle(
            f"{shown} was packed elsewhere and brings Python modules of its own: {', '.join(bundle.code)}",
            hint="have it signed by a key that you trust, or read the modules and push the model with --code",
        )
    if called := sorted(_named_functions(bundle)):
        raise UntrustedBundle(
            f"{shown} was packed elsewhere and has the function {called[0][:80]!a} called",
            hint="have it signed by a key that you trust, or push the model with functions that you know",
        )
    try:
        check_files({path: bundle.read(path) for path in bundle.model_paths}, Trust.naming((), policy=policy))
    except ArtifactUnsafe as unsafe:
        raise UntrustedBundle(
            f"{shown} was packed elsewhere, and {unsafe.detail}",
            hint="have it signed by a key that you trust, or look at the model file and push that",
        ) from unsafe


def _named_functions(bundle: Bundle) -> set[str]:
    """Return what reads like the name of a function in the parts of a manifest that decide what is called.

    Whatever a manifest may come to hold is looked at; only what is known to be mere description is not.
    """
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                look(key)
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)
        elif isinstance(value, str) and _FUNCTION.fullmatch(value):
            found.add(value)

    manifest = msgspec.to_builtins(bundle.manifest)
    look({key: value for key, value in manifest.items() if key not in _DESCRIPTIONS})
    return found


def _unvouched(home: Path, bundle: Bundle) -> tuple[list[str], list[Seal]]:
    """Return the names of the parts that nobody vouches for, and the seals if they had to be looked at."""
    foreign = {name: digest for name, digest in parts_of(bundle).items() if not is_known(home, digest)}
    if not foreign:
        return [], []
    seals = examine(bundle, TrustStore(home).entries())
    covered = covered_by(seals)
    return [name for name, digest in foreign.items() if digest not in covered], seals


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
        else "push it, which checks it as a foreign file, or have it signed: fairway sign",
    )
