"""Seals: signatures of keys over a bundle and what is attached to it.

The word is seal because a signature, here, is the typed inputs and outputs of a model. A seal states the
digest of the bundle and the digests of its attachments at the time of signing: together they cover every byte
that decides what is answered. It is an attachment itself, so folders, files and registries carry it without
knowing what it is, and it is the one kind that no seal covers.

A seal says who vouched for these bytes, not that they do no harm.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from fairway.bundle.attachment import REPORTS, Attachment, build_attachment
from fairway.bundle.attachment import SEAL_PREFIX as PREFIX
from fairway.bundle.bundle import Bundle
from fairway.bundle.keys import PublicKey, SigningKey
from fairway.errors import ArtifactCorrupt, BundleTooNew

FORMAT = 1
FILE = "seal.json"
PAYLOAD_TYPE = "application/vnd.fairway.seal+json"

State = Literal["valid", "unknown_key", "forged"]


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key signs.

    Attributes:
        format: Number of the format of statements.
        subject: Digest of the bundle.
        attachments: Digests of its attachments, seals left out, by name.
        created: When it was signed, ISO 8601 in UTC, by the clock of whoever signed.
    """

    subject: str
    attachments: dict[str, str]
    created: str
    format: int = FORMAT


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The envelope of DSSE 1.0, with one signature."""

    payload: str
    payloadType: str  # noqa: N815 - the name that DSSE gives it
    signatures: tuple[_Signed]


@dataclasses.dataclass(frozen=True)
class Seal:
    """A seal that was looked at.

    Attributes:
        key_id: Id of the key that it names.
        key_name: What this home calls that key; empty if it does not trust it.
        state: `valid`; `unknown_key` where nobody here can tell; `forged` if the named key did not sign this.
        created: When it was made, as its maker says; empty unless it is valid.
        covered: Digests that it vouches for; none unless it is valid.
        uncovered: Names of the attachments that were not there, or were others, when it was made.
    """

    key_id: str
    key_name: str
    state: State
    created: str = ""
    covered: frozenset[str] = frozenset()
    uncovered: tuple[str, ...] = ()


def is_seal(attachment: Attachment) -> bool:
    """Tell whether an attachment is a seal."""
    return attachment.name.startswith(PREFIX)


def seals_of(bundle: Bundle) -> list[Attachment]:
    """Return the attachments of a bundle that are seals."""
    return [attachment for attachment in bundle.attachments.values() if is_seal(attachment)]


def parts_of(bundle: Bundle) -> dict[str, str]:
    """Return the digests that must be vouched for: the bundle's under the empty name, its attachments'.

    A report that is made after the bundle was sealed does not undo the seal.
    """
    decisive = [a for a in bundle.attachments.values() if not is_seal(a) and a.name not in REPORTS]
    attached = {a.name: a.digest for a in decisive}
    return {"": bundle.digest, **attached}


def seal(bundle: Bundle, key: SigningKey) -> Attachment:
    """Return the seal of a key over a bundle and its attachments as they are now."""
    attached = parts_of(bundle)
    subject = attached.pop("")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    payload = _canonical(Statement(subject=subject, attachments=attached, created=now))
    signed = _Signed(keyid=key.public.id, sig=_to_text(key.sign(encoding(payload))))
    envelope = _Envelope(payload=_to_text(payload), payloadType=PAYLOAD_TYPE, signatures=(signed,))
    return build_attachment(bundle.digest, PREFIX + key.public.id, {FILE: _canonical(envelope)})


def examine(bundle: Bundle, keys: Iterable[PublicKey]) -> list[Seal]:
    """Return what the seals of a bundle are worth to somebody who trusts *keys*.

    Raises:
        ArtifactCorrupt: A seal cannot be read.
        BundleTooNew: A newer fairway made one that a trusted key has signed.
    """
    by_id = {key.id: key for key in keys}
    return [_examine_one(attachment, bundle, by_id) for attachment in seals_of(bundle)]


def covered_by(seals: Iterable[Seal]) -> frozenset[str]:
    """Return the digests that valid seals vouch for."""
    return frozenset[str]().union(*(seal.covered for seal in seals))


def encoding(payload: bytes) -> bytes:
    """Return the bytes that are signed: the pre-authentication encoding of DSSE 1.0.

    It holds the type of the payload, so that what a key signed for another purpose is no seal.
    """
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _examine_one(attachment: Attachment, bundle: Bundle, keys: Mapping[str, PublicKey]) -> Seal:
    envelope, payload, signature = _open_envelope(attachment)
    key_id = envelope.signatures[0].keyid
    key = keys.get(key_id)
    if key is None:
        return Seal(key_id, "", "unknown_key")
    # Nothing of the payload is looked at before the signature holds.
    if attachment.name != PREFIX + key_id or not key.verifies(signature, encoding(payload)):
        return Seal(key_id, key.name, "forged")
    statement = _read_statement(payload)
    if statement.subject != bundle.digest:
        return Seal(key_id, key.name, "forged")
    covered = {"": statement.subject, **statement.attachments}
    uncovered = tuple(name for name, digest in parts_of(bundle).items() if covered.get(name) != digest)
    return Seal(
        key_id,
        key.name,
        "valid",
        created=statement.created,
        covered=frozenset(covered.values()),
        uncovered=uncovered,
    )


def _open_envelope(attachment: Attachment) -> tuple[_Envelope, bytes, bytes]:
    try:
        envelope = msgspec.json.decode(attachment.read(FILE), type=_Envelope)
        payload = base64.b64decode(envelope.payload, validate=True)
        signature = base64.b64decode(envelope.signatures[0].sig, validate=True)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, RecursionError, ValueError) as cause:
        raise ArtifactCorrupt(f"the seal {attachment.name!r} cannot be read: {cause}") from cause
    if envelope.payloadType != PAYLOAD_TYPE:
        raise ArtifactCorrupt(f"the seal {attachment.name!r} holds {envelope.payloadType[:80]!a}")
    return envelope, payload, signature


def _read_statement(payload: bytes) -> Statement:
    try:
        number = msgspec.json.decode(payload)["format"]
        if isinstance(number, int) and number > FORMAT:
            raise BundleTooNew(
                f"the seal has format {number}; this release reads up to {FORMAT}",
                hint="pip install --upgrade fairway",
            )
        return msgspec.json.decode(payload, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError) as cause:
        raise ArtifactCorrupt(f"this is not the statement of a seal: {cause}") from cause


def _canonical(document: Statement | _Envelope) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(document), order="sorted")


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode()
