"""API keys: how one is written, what is kept of it, and which roles there are.

A key reads `fw_<env>_<id>_<secret><checksum>`: a word that says where it belongs, an id of 8 characters that
may be shown, 32 random bytes in base 62 (43 characters), and the CRC-32 of all before (6 characters), so that
a typing error is found without asking anybody and a scanner of leaked secrets knows what it has found. Of the
secret only the SHA-256 is kept: it has 256 random bits, so a slow hash would guard nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from fairway.errors import UsageError
from fairway.registry.records import KeyRecord

READ, PREDICT, DEPLOY, ADMIN = "read", "predict", "deploy", "admin"

ROLES: dict[str, frozenset[str]] = {
    READ: frozenset({READ}),
    PREDICT: frozenset({PREDICT}),
    DEPLOY: frozenset({READ, PREDICT, DEPLOY}),
    ADMIN: frozenset({READ, PREDICT, DEPLOY, ADMIN}),
}
"""What each role allows. `predict` is a branch of its own: such keys sit in other people's programs, so they
learn nothing of what else there is."""

DEFAULT_ENVIRONMENT = "live"
MAX_NAME_CHARS = 64
MAX_PATTERNS = 32

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_CHARS, _SECRET_CHARS, _SUM_CHARS = 8, 43, 6
_SECRET_BYTES = 32
_KEY = re.compile(r"fw_[a-z0-9]{1,12}_([a-z0-9]{8})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_ENVIRONMENT = re.compile(r"[a-z0-9]{1,12}")
_PATTERN = re.compile(r"[a-z0-9._*?-]{1,64}")
_DURATION = re.compile(r"([0-9]{1,6})([mhdwy])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_NOBODYS = bytes(32)


@dataclasses.dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; the only moment at which its secret is known.

    Attributes:
        text: The key itself.
        record: What is kept of it.
    """

    text: str = dataclasses.field(repr=False)
    record: KeyRecord


def make_key(
    name: str,
    *,
    role: str,
    models: Sequence[str] = (),
    expires_at: str | None = None,
    created_by: str,
    created_at: str,
    environment: str = DEFAULT_ENVIRONMENT,
) -> NewKey:
    """Return a new key.

    Args:
        name: What it is for.
        role: One of `ROLES`.
        models: Patterns of names of models, such as `coffee*`; empty for all.
        expires_at: From when on it is void, ISO 8601 in UTC.
        created_by: Who makes it.
        created_at: Now, ISO 8601 in UTC.
        environment: Word in the key that says where it belongs.

    Raises:
        UsageError: One of these is not what it must be.
    """
    _check(name, role, models, environment)
    key_id = "".join(secrets.choice(_ID_DIGITS) for _ in range(_ID_CHARS))
    secret = _base62(int.from_bytes(secrets.token_bytes(_SECRET_BYTES)), _SECRET_CHARS)
    text = f"fw_{environment}_{key_id}_{secret}"
    record = KeyRecord(
        id=key_id,
        name=name,
        secret_hash=_hash(secret).hex(),
        role=role,
        models=tuple(models),
        created_at=created_at,
        created_by=created_by,
        expires_at=expires_at,
    )
    return NewKey(text + _checksum(text), record)


def split_key(text: str) -> tuple[str, str] | None:
    """Return id and secret of a key, or None if the text is none: another form, or a wrong checksum."""
    found = _KEY.fullmatch(text)
    if found is None or _checksum(text[:-_SUM_CHARS]) != found[3]:
        return None
    return found[1], found[2]


def is_secret_of(secret: str, secret_hash: bytes | None) -> bool:
    """Tell whether a hash is that of a secret, in a time that does not depend on where they differ.

    Args:
        secret: The secret that was sent; any text.
        secret_hash: SHA-256 of the right one, or None if there is none: the comparison is made all the same.
    """
    is_equal = hmac.compare_digest(_hash(secret), _NOBODYS if secret_hash is None else secret_hash)
    return is_equal and secret_hash is not None


def covers(patterns: Sequence[str], model: str) -> bool:
    """Tell whether a key with these patterns is for a model."""
    return not patterns or any(fnmatchcase(model, pattern) for pattern in patterns)


def expiry(given: str, now: datetime.datetime) -> str:
    """Return the moment that a time or a duration from now names, ISO 8601 in UTC.

    Args:
        given: `90d` (m, h, d, w, y), or an ISO 8601 date or time; without an offset it is UTC.
        now: The present, in UTC.

    Raises:
        UsageError: It is neither, or it has passed.
    """
    found = _DURATION.fullmatch(given.strip().lower())
    try:
        if found:
            moment = now + datetime.timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
        else:
            moment = datetime.datetime.fromisoformat(given.strip())
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
            moment = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{given[:60]!a} is neither a duration nor a time", hint="such as 90d, 12h or 2027-01-31"
        ) from None
    if moment <= now:
        raise UsageError(f"{given[:60]!a} has passed already", hint="such as 90d, 12h or 2027-01-31")
    return as_text(moment)


def as_text(moment: datetime.datetime) -> str:
    """Return a time as records hold it."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def state_of(record: KeyRecord, now: datetime.datetime) -> str:
    """Return `active`, `expired` or `revoked`."""
    if record.revoked_at is not None:
        return "revoked"
    is_over = record.expires_at is not None and datetime.datetime.fromisoformat(record.expires_at) <= now
    return "expired" if is_over else "active"


def _check(name: str, role: str, models: Sequence[str], environment: str) -> None:
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise UsageError(
            f"{name[:80]!a} is no name for a key", hint=f"1 to {MAX_NAME_CHARS} printable characters"
        )
    if role not in ROLES:
        raise UsageError(f"there is no role {role[:80]!a}", hint=f"one of {', '.join(ROLES)}")
    if len(models) > MAX_PATTERNS:
        raise UsageError(
            f"a key has at most {MAX_PATTERNS} patterns", hint="use a wider one, such as 'coffee*'"
        )
    for pattern in models:
        if not _PATTERN.fullmatch(pattern):
            raise UsageError(
                f"{pattern[:80]!a} is no pattern of names of models",
                hint="a name in which * stands for any text and ? for any character, such as 'coffee*'",
            )
    if not _ENVIRONMENT.fullmatch(environment):
        raise UsageError(
            f"{environment[:80]!a} is no environment", hint="1 to 12 of a-z and 0-9, such as live or test"
        )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode("ascii", "replace")), _SUM_CHARS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
