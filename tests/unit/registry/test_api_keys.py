"""API keys: what one looks like, what is kept of it, when it is void."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.errors import KeyNotFound, SettingsError, UsageError
from fairway.registry.api_keys import (
    ROLES,
    NewKey,
    covers,
    expiry,
    is_secret_of,
    make_key,
    split_key,
    state_of,
)
from fairway.registry.key_file import KeyFile

NOW = datetime.datetime(2026, 5, 3, 12, tzinfo=datetime.UTC)
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_key(name: str = "shop", *, role: str = "predict", **facts: object) -> NewKey:
    return make_key(name, role=role, created_by="ada", created_at="2026-05-03T12:00:00.000Z", **facts)  # type: ignore[arg-type]


def test_a_key_is_made_of_what_the_form_says() -> None:
    """A scanner of leaked secrets can look for it, and nothing but a hash of its secret is kept."""
    key = new_key(environment="test")
    assert re.fullmatch(r"fw_test_[a-z0-9]{8}_[0-9A-Za-z]{49}", key.text)
    key_id, secret = split_key(key.text) or ("", "")
    assert key_id == key.record.id
    assert key.record.secret_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert is_secret_of(secret, bytes.fromhex(key.record.secret_hash))
    assert secret not in repr(key)


@given(st.integers(0, 60), st.sampled_from(DIGITS))
def test_no_typing_error_passes_the_checksum(place: int, digit: str) -> None:
    """A character that is another one is found without asking the server's keys."""
    key = new_key().text
    place = min(place + 8, len(key) - 1)
    mistyped = key[:place] + digit + key[place + 1 :]
    assert (split_key(mistyped) is None) == (mistyped != key)


@given(st.text(max_size=90))
def test_no_other_text_is_a_key(text: str) -> None:
    """Whatever comes in the header is looked at without an error."""
    assert split_key(text) is None
    assert not is_secret_of(text, None)


def test_no_two_keys_are_alike() -> None:
    """Ids and secrets are drawn anew."""
    keys = [new_key() for _ in range(200)]
    assert len({key.text for key in keys}) == len({key.record.id for key in keys}) == 200


def test_roles_allow_what_the_page_says() -> None:
    """`predict` is a branch of its own: such a key cannot list."""
    assert {
        "read": {"read"},
        "predict": {"predict"},
        "deploy": {"read", "predict", "deploy"},
        "admin": {"read", "predict", "deploy", "admin"},
    } == ROLES


@pytest.mark.parametrize(
    ("patterns", "model", "expected"),
    [
        ((), "coffee", True),
        (("coffee*",), "coffee-v2", True),
        (("coffee*",), "tea", False),
        (("coffee",), "coffee-v2", False),
        (("t?a", "coffee"), "tea", True),
    ],
)
def test_patterns_choose_models(patterns: tuple[str, ...], model: str, expected: bool) -> None:
    """Without a pattern a key is for all models."""
    assert covers(patterns, model) is expected


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("90d", "2026-08-01T12:00:00.000Z"),
        ("12h", "2026-05-04T00:00:00.000Z"),
        ("2026-12-31", "2026-12-31T00:00:00.000Z"),
        ("2026-12-31T00:00:00+02:00", "2026-12-30T22:00:00.000Z"),
    ],
)
def test_an_expiry_is_a_duration_or_a_time(given_: str, expected: str) -> None:
    """Without an offset a time is UTC."""
    assert expiry(given_, NOW) == expected


@pytest.mark.parametrize("given_", ["soon", "0d", "2026-05-03", "999999y", "-1d", ""])
def test_an_expiry_that_cannot_be_is_refused(given_: str) -> None:
    """A key is never made void, or for good, by a slip."""
    with pytest.raises(UsageError):
        expiry(given_, NOW)


@pytest.mark.parametrize(
    "facts",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 65},
        {"role": "root"},
        {"models": ["../x"]},
        {"models": ["[a-z]"]},
        {"models": ["a"] * 33},
        {"environment": "Live!"},
    ],
)
def test_what_no_key_can_have_is_refused(facts: dict[str, object]) -> None:
    """Names go to logs and tables, patterns are compared with every name."""
    with pytest.raises(UsageError):
        new_key(**facts)  # type: ignore[arg-type]


def test_a_key_is_active_until_it_expires_or_is_revoked() -> None:
    """What is revoked stays so, whatever its expiry."""
    record = new_key(expires_at="2026-06-01T00:00:00.000Z").record
    assert state_of(record, NOW) == "active"
    assert state_of(record, NOW + datetime.timedelta(days=60)) == "expired"
    revoked = dataclasses.replace(record, revoked_at="2026-05-01T00:00:00.000Z")
    assert state_of(revoked, NOW) == "revoked"


def test_a_key_file_keeps_records_and_no_secret(tmp_path: Path) -> None:
    """What was added is read back, and a revoked key stays in the file."""
    file = KeyFile(tmp_path / "keys.json")
    keys = [
        new_key("shop", models=["coffee*"]),
        new_key("ops", role="read", expires_at="2027-01-01T00:00:00Z"),
    ]
    for key in keys:
        file.add(key.record)
    before = file.token()
    assert file.keys() == [key.record for key in keys]
    file.revoke(keys[0].record.id, at="2026-05-03T13:00:00.000Z")
    file.expire(keys[1].record.id, at="2026-06-01T00:00:00.000Z")
    assert file.token() != before
    assert file.key(keys[0].record.id).revoked_at == "2026-05-03T13:00:00.000Z"
    assert file.key(keys[1].record.id).expires_at == "2026-06-01T00:00:00.000Z"
    written = file.path.read_text(encoding="utf-8")
    assert not any((split_key(key.text) or ("", "?"))[1] in written for key in keys)
    assert list(tmp_path.iterdir()) == [file.path], "no other file is left"
    with pytest.raises(KeyNotFound):
        file.revoke("nothing", at="2026-05-03T13:00:00.000Z")


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{}]}', "[" * 100_000],
)
def test_what_is_no_key_file_is_refused(tmp_path: Path, text: str) -> None:
    """A damaged file opens nothing, and says so."""
    file = KeyFile(tmp_path / "keys.json")
    file.path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="is no key file"):
        file.keys()


@pytest.mark.parametrize(
    "change", [{"role": "root"}, {"secret_hash": "00"}, {"models": "all"}, {"expires_at": "2026-05-03"}]
)
def test_a_record_that_says_something_else_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    """A key file that somebody has edited is either right or refused."""
    file = KeyFile(tmp_path / "keys.json")
    file.add(new_key().record)
    document = json.loads(file.path.read_text(encoding="utf-8"))
    document["keys"][0] |= change
    file.path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SettingsError, match="is no key file"):
        file.keys()
