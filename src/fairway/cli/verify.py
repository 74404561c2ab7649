"""`fairway verify`: is every byte the one that was packed, and who has signed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import moment, print_facts, print_json
from fairway.errors import EXIT_REFUSED

if TYPE_CHECKING:
    from fairway.bundle.signing import Seal


@verb("verify", example="fairway verify coffee@production\nfairway verify coffee.fairway")
@click.argument("reference", metavar="MODEL")
def command(face: Face, /, *, reference: str) -> int:
    """Check every hash of a model, and tell who has signed it.

    Nothing is loaded and no network is used. Ends with 1 if a byte differs, and with 3 unless keys that are
    trusted here have signed all of it.
    """
    from fairway import api

    found = api.verify(reference, home=face.home)
    if face.as_json:
        print_json(found)
    else:
        print_facts(
            [
                ("Digest", found.digest),
                ("Files", f"{found.files}, every hash is right"),
                ("Made", "by this home" if found.known else "elsewhere"),
                *(("Signed", describe(seal)) for seal in found.seals),
                ("Verdict", _verdict(found.signed, found.seals)),
            ]
        )
    return 0 if found.signed else EXIT_REFUSED


def describe(seal: Seal) -> str:
    """Return one line about a seal: whose it is, when it was made, what it does not cover."""
    if seal.state == "unknown_key":
        return f"by the key {seal.key_id}, which is not trusted here"
    if seal.state == "forged":
        return f"FORGED: {seal.key_name} ({seal.key_id}) has not signed this"
    rest = ", ".join(repr(name) for name in seal.uncovered)
    missing = f"; made or changed later and not covered: {rest}" if rest else ""
    return f"by {seal.key_name} ({seal.key_id}), {moment(seal.created)}{missing}"


def _verdict(signed: bool, seals: list[Seal]) -> str:  # noqa: FBT001 - the one fact that it is about
    if signed:
        return "signed by a trusted key"
    return "no trusted key has signed all of it" if seals else "not signed"
