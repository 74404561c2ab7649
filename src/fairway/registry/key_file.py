"""A file of API keys for servers without a registry: their records as JSON, without any secret."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairway.errors import KeyNotFound, SettingsError
from fairway.registry.api_keys import ROLES
from fairway.registry.records import KeyRecord

FORMAT = 1
MAX_BYTES = 10 * 2**20


class KeyFile:
    """The keys in one file; a change replaces the whole file at once.

    Args:
        path: The file; it need not exist to be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def token(self) -> object:
        """Return a value that differs after any change of the file.

        Raises:
            SettingsError: It is not there.
        """
        try:
            found = self.path.stat()
        except OSError as cause:
            raise SettingsError(f"the key file {self.path} cannot be read: {cause.strerror}") from cause
        return found.st_mtime_ns, found.st_size, found.st_ino

    def keys(self) -> list[KeyRecord]:
        """Return the records, in the order in which they were added.

        Raises:
            SettingsError: The file is not there, or is no key file.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as cause:
            raise SettingsError(f"the key file {self.path} cannot be read: {cause.strerror}") from cause
        try:
            if len(data) > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES} bytes")  # noqa: TRY301 - told with the others
            return _read(json.loads(data))
        except (ValueError, TypeError, KeyError, RecursionError) as cause:
            raise SettingsError(
                f"{self.path} is no key file: {cause}",
                hint="make one with: fairway keys create NAME --role predict --file keys.json",
            ) from cause

    def add(self, record: KeyRecord) -> None:
        """Add a key; make the file if there is none.

        Raises:
            SettingsError: The file is no key file.
        """
        known = self.keys() if self.path.exists() else []
        self._write([*known, record])

    def revoke(self, key_id: str, *, at: str) -> KeyRecord:
        """Revoke a key and return its record; one that is revoked already stays as it is.

        Raises:
            KeyNotFound: The file has no such key.
        """
        found = self.key(key_id)
        return found if found.revoked_at is not None else self._replace(found, revoked_at=at)

    def expire(self, key_id: str, *, at: str) -> KeyRecord:
        """Let a key expire at a time, unless it expires before, and return its record.

        Raises:
            KeyNotFound: The file has no such key.
        """
        found = self.key(key_id)
        if found.expires_at is not None and found.expires_at <= at:
            return found
        return self._replace(found, expires_at=at)

    def key(self, key_id: str) -> KeyRecord:
        """Return one record.

        Raises:
            KeyNotFound: The file has no such key.
        """
        found = next((record for record in self.keys() if record.id == key_id), None)
        if found is None:
            raise KeyNotFound(key_id, hint=f"see which there are: fairway keys list --file {self.path}")
        return found

    def _replace(self, record: KeyRecord, **changes: str) -> KeyRecord:
        changed = dataclasses.replace(record, **changes)  # type: ignore[arg-type]  # texts, all of them
        self._write([changed if known.id == record.id else known for known in self.keys()])
        return changed

    def _write(self, records: Sequence[KeyRecord]) -> None:
        document = {"format": FORMAT, "keys": [_document(record) for record in records]}
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            # Hashes of random secrets guard themselves, and the server may be another user in a container.
            Path(name).chmod(0o644)
            Path(name).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


_TEXTS = ("id", "name", "secret_hash", "role", "created_at", "created_by")
_MOMENTS = ("expires_at", "revoked_at")


def _document(record: KeyRecord) -> dict[str, Any]:
    return {
        **{name: getattr(record, name) for name in _TEXTS},
        "models": list(record.models),
        **{name: getattr(record, name) for name in _MOMENTS},
    }


def _read(document: Any) -> list[KeyRecord]:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    entries = document["keys"]
    if not isinstance(entries, list):
        raise TypeError("its keys are no list")
    return [_record(entry) for entry in entries]


def _record(entry: Any) -> KeyRecord:
    texts = {name: _text(entry, name) for name in _TEXTS}
    moments = {name: entry.get(name) and _text(entry, name) for name in _MOMENTS}
    models = entry.get("models", [])
    if texts["role"] not in ROLES:
        raise ValueError(f"there is no role {texts['role']!a}")
    if not isinstance(models, list) or not all(isinstance(pattern, str) for pattern in models):
        raise TypeError("models is no list of texts")
    if len(bytes.fromhex(texts["secret_hash"])) != 32:
        raise ValueError("a secret_hash is no SHA-256")
    for moment in filter(None, moments.values()):
        if datetime.datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError(f"{moment!a} has no offset")
    return KeyRecord(**texts, **moments, models=tuple(models))


def _text(entry: Any, name: str) -> str:
    value = entry[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value
