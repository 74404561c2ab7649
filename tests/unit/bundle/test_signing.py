"""Seals: what they cover, and what a seal is worth that was changed, moved or made by another key."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairway.bundle.attachment import Attachment, build_attachment
from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.keys import SigningKey, create_key
from fairway.bundle.signing import FILE, PAYLOAD_TYPE, encoding, examine, is_seal, parts_of, seal
from fairway.errors import ArtifactCorrupt, BundleTooNew

Build = Callable[..., Bundle]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[SigningKey, SigningKey]:
    """Give two keys."""
    return create_key(tmp_path / "first.key"), create_key(tmp_path / "second.key")


@pytest.fixture
def compiled(small_bundle: Build) -> Bundle:
    """Give a bundle with an attachment."""
    bundle = small_bundle()
    return bundle.with_attachments([build_attachment(bundle.digest, "compiled", {"report.json": b"{}"})])


def sealed(bundle: Bundle, *keys: SigningKey) -> Bundle:
    return bundle.with_attachments([*bundle.attachments.values(), *(seal(bundle, key) for key in keys)])


def envelope_of(attachment: Attachment) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(attachment.read(FILE))
    return found


def with_envelope(bundle: Bundle, key: SigningKey, envelope: dict[str, Any]) -> Bundle:
    files = {FILE: json.dumps(envelope).encode()}
    return bundle.with_attachments([build_attachment(bundle.digest, f"seal-{key.public.id}", files)])


def signed_by(key: SigningKey, payload: bytes) -> dict[str, Any]:
    """Return an envelope of any payload, rightly signed."""
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": key.public.id, "sig": base64.b64encode(key.sign(encoding(payload))).decode()}
        ],
    }


@pytest.mark.parametrize("name", ["coffee", "coffee.fairway"])
def test_a_seal_covers_the_bundle_and_what_is_attached(
    tmp_path: Path, compiled: Bundle, keys: tuple[SigningKey, SigningKey], name: str
) -> None:
    """It travels in folders and files, changes no digest, and every part is covered."""
    opened = open_bundle(sealed(compiled, keys[0]).save(tmp_path / name))
    (found,) = examine(opened, [keys[0].public, keys[1].public])
    assert (found.state, found.key_id, found.uncovered) == ("valid", keys[0].public.id, ())
    assert found.covered == set(parts_of(compiled).values())
    assert opened.digest == compiled.digest
    assert found.created.endswith("Z")


def test_what_is_attached_later_is_not_covered(compiled: Bundle, keys: tuple[SigningKey, SigningKey]) -> None:
    """Another compiled predictor, or one that was not there, is named; one that is gone is no harm."""
    bundle = sealed(compiled, keys[0])
    (made,) = (a for a in bundle.attachments.values() if is_seal(a))
    other = build_attachment(bundle.digest, "compiled", {"report.json": b"[]"})
    assert examine(bundle.with_attachments([made, other]), [keys[0].public])[0].uncovered == ("compiled",)
    more = build_attachment(bundle.digest, "notes", {"a.txt": b"a"})
    again = bundle.with_attachments([*bundle.attachments.values(), more])
    assert examine(again, [keys[0].public])[0].uncovered == ("notes",)
    assert examine(bundle.with_attachments([made]), [keys[0].public])[0].uncovered == ()


def test_seals_of_several_keys_stand_side_by_side(
    compiled: Bundle, keys: tuple[SigningKey, SigningKey]
) -> None:
    """None covers the others, and a key that is not trusted vouches for nothing."""
    bundle = sealed(sealed(compiled, keys[0]), keys[1])
    assert {found.state for found in examine(bundle, [key.public for key in keys])} == {"valid"}
    states = {found.key_id: found for found in examine(bundle, [keys[1].public])}
    assert states[keys[0].public.id].state == "unknown_key"
    assert states[keys[0].public.id].covered == frozenset()
    assert states[keys[1].public.id].covered == set(parts_of(compiled).values())


def test_a_seal_counts_for_its_own_bundle_only(
    small_bundle: Build, keys: tuple[SigningKey, SigningKey]
) -> None:
    """A true envelope, laid beside another bundle, is a forgery there."""
    ours = small_bundle()
    theirs = small_bundle({"code/features.py": b"X = 666\n"})
    moved = with_envelope(theirs, keys[0], envelope_of(seal(ours, keys[0])))
    assert examine(moved, [keys[0].public])[0].state == "forged"


def test_every_changed_bit_of_payload_and_signature_is_a_forgery(
    compiled: Bundle, keys: tuple[SigningKey, SigningKey]
) -> None:
    """Whichever it is; nothing of the payload counts then."""
    envelope = envelope_of(seal(compiled, keys[0]))
    for place, text in (("payload", envelope["payload"]), ("sig", envelope["signatures"][0]["sig"])):
        raw = base64.b64decode(text)
        for bit in range(0, len(raw) * 8, 3):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            spoilt = json.loads(json.dumps(envelope))
            target = spoilt if place == "payload" else spoilt["signatures"][0]
            target[place] = base64.b64encode(changed).decode()
            (found,) = examine(with_envelope(compiled, keys[0], spoilt), [keys[0].public])
            assert (found.state, found.covered) == ("forged", frozenset())


def test_a_key_cannot_speak_in_the_name_of_another(
    compiled: Bundle, keys: tuple[SigningKey, SigningKey]
) -> None:
    """The id in the envelope chooses the key that must fit; a second one cannot take its file, either."""
    envelope = envelope_of(seal(compiled, keys[1]))
    envelope["signatures"][0]["keyid"] = keys[0].public.id
    assert examine(with_envelope(compiled, keys[0], envelope), [keys[0].public])[0].state == "forged"
    envelope["signatures"][0]["keyid"] = keys[1].public.id
    both = [keys[0].public, keys[1].public]
    assert examine(with_envelope(compiled, keys[0], envelope), both)[0].state == "forged"


def test_what_was_signed_for_another_purpose_is_no_seal(
    compiled: Bundle, keys: tuple[SigningKey, SigningKey]
) -> None:
    """The signature covers the type of the payload, so bare bytes do not do."""
    envelope = envelope_of(seal(compiled, keys[0]))
    payload = base64.b64decode(envelope["payload"])
    envelope["signatures"][0]["sig"] = base64.b64encode(keys[0].sign(payload)).decode()
    assert examine(with_envelope(compiled, keys[0], envelope), [keys[0].public])[0].state == "forged"


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "%%%"},
        {"payloadType": "text/plain"},
        {"signatures": []},
        {"signatures": [{"keyid": "a", "sig": "b", "more": 1}]},
        {"signatures": [{"keyid": "a", "sig": "b"}, {"keyid": "a", "sig": "b"}]},
        {"more": 1},
    ],
)
def test_an_envelope_of_another_shape_is_refused(
    compiled: Bundle, keys: tuple[SigningKey, SigningKey], change: dict[str, Any]
) -> None:
    """Nothing of it is guessed."""
    envelope = envelope_of(seal(compiled, keys[0])) | change
    with pytest.raises(ArtifactCorrupt):
        examine(with_envelope(compiled, keys[0], envelope), [keys[0].public])


def test_a_statement_of_a_newer_release_is_told_from_a_damaged_one(
    compiled: Bundle, keys: tuple[SigningKey, SigningKey]
) -> None:
    """Both are refused."""
    for payload, error in (
        (b'{"format":2}', BundleTooNew),
        (b'{"format":1}', ArtifactCorrupt),
        (b"[]", ArtifactCorrupt),
        (b"\xff", ArtifactCorrupt),
    ):
        bundle = with_envelope(compiled, keys[0], signed_by(keys[0], payload))
        with pytest.raises(error):
            examine(bundle, [keys[0].public])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_another_program_verifies_a_seal(
    tmp_path: Path, compiled: Bundle, keys: tuple[SigningKey, SigningKey]
) -> None:
    """By the words of the format alone: the envelope of DSSE, its encoding, and Ed25519."""
    envelope = envelope_of(seal(compiled, keys[0]))
    payload = base64.b64decode(envelope["payload"])
    head = f"DSSEv1 {len(envelope['payloadType'])} {envelope['payloadType']} {len(payload)} "
    (tmp_path / "data").write_bytes(head.encode() + payload)
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", "first.key.pub"]
    done = subprocess.run(
        [*verify, "-sigfile", "signature", "-in", "data"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    statement = msgspec.json.decode(payload)
    assert statement["subject"] == compiled.digest
    assert statement["attachments"] == {"compiled": compiled.attachments["compiled"].digest}
