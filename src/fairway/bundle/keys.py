"""Keys that bundles are signed with: the file of a signing key, and the public keys that a home trusts.

A signing key is an Ed25519 key in a PEM file (PKCS #8), which nothing of ours ever copies. A key is known by
its id, a hash of the public key. The trust store is a folder of public keys, one PEM file each, named by
whoever added them: `<home>/trusted/<name>.pem`. What lies there is believed, so whoever can write in the home
folder decides whose models run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.bundle.names import check_name
from fairway.errors import KeyInvalid, KeyNotTrusted, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FOLDER = "trusted"
PUBLIC_SUFFIX = ".pub"

_ID_CHARS = 32
_SHORTEST_ID = 8
_MAX_KEY_BYTES = 10_000  # an Ed25519 key in PEM has about 120


@dataclasses.dataclass(frozen=True)
class PublicKey:
    """The public half of a signing key.

    Attributes:
        raw: The 32 bytes of the key.
        name: What the home that trusts it calls it; empty for a key that stands alone.
    """

    raw: bytes
    name: str = ""

    @property
    def id(self) -> str:
        """First 32 hex digits of the SHA-256 of the key."""
        return hashlib.sha256(self.raw).hexdigest()[:_ID_CHARS]

    @property
    def pem(self) -> str:
        """The key as other programs read it."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = Ed25519PublicKey.from_public_bytes(self.raw)
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return key.public_bytes(serialization.Encoding.PEM, kind).decode()

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Tell whether the other half of this key has signed *data*."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The private half of a key; it signs, and it is never written anywhere but to its own file."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public(self) -> PublicKey:
        """The other half."""
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of *data*, 64 bytes."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.id})"


def create_key(path: Path, *, passphrase: str = "") -> SigningKey:
    """Write a new signing key to *path*, readable by its owner alone, and the public key beside it.

    Args:
        path: Where the signing key goes. The public key goes to the same name with `.pub` behind it.
        passphrase: What the file is encrypted with; empty leaves it in the clear.

    Raises:
        UsageError: One of the two files is there already; it is never overwritten.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = path.with_name(path.name + PUBLIC_SUFFIX)
    if os.path.lexists(public):
        raise _exists(public)
    key = Ed25519PrivateKey.generate()
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        protection = serialization.BestAvailableEncryption(passphrase.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
    _write_new(path, pem, mode=0o600)
    made = SigningKey(key)
    _write_new(public, made.public.pem.encode(), mode=0o644)
    return made


def read_signing_key(path: Path, *, passphrase: str = "") -> SigningKey:
    """Read a signing key.

    Raises:
        KeyInvalid: The file cannot be read, is not an Ed25519 signing key, or the passphrase is not the right
            one.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read_key_file(path)
    try:
        key = load_pem_private_key(data, passphrase.encode() or None)
    except TypeError as cause:  # the library tells a missing and an unneeded passphrase by their type
        hint = "give its passphrase" if "not given" in str(cause) else "leave the passphrase out"
        raise KeyInvalid(f"the signing key {path} cannot be read: {cause}", hint=hint) from cause
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise KeyInvalid(
            f"{path} is no signing key in PEM, or the passphrase is wrong",
            hint="fairway signing-key create FILE makes one",
        ) from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyInvalid(f"{path} holds another kind of key than Ed25519", hint="fairway signing-key create")
    return SigningKey(key)


def read_public_key(path: Path) -> PublicKey:
    """Read a public key in PEM.

    Raises:
        KeyInvalid: The file cannot be read or is not an Ed25519 public key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read_key_file(path)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as cause:
        if b"PRIVATE KEY" in data:
            raise KeyInvalid(
                f"{path} is a signing key, which must stay with its owner",
                hint=f"use the public key, which was written beside it: {path}{PUBLIC_SUFFIX}",
            ) from cause
        raise KeyInvalid(f"{path} is no public key in PEM") from cause
    if not isinstance(key, Ed25519PublicKey):
        raise KeyInvalid(f"{path} holds another kind of key than Ed25519")
    return PublicKey(key.public_bytes_raw())


class TrustStore:
    """The public keys that a home trusts; read anew whenever it is asked.

    Args:
        home: The home folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def entries(self) -> list[PublicKey]:
        """Return the keys, sorted by name.

        Raises:
            KeyInvalid: A file of the store is not a public key: what it stood for is not known any more.
        """
        paths = sorted(self._folder.glob("*.pem"))
        return [dataclasses.replace(read_public_key(path), name=path.stem) for path in paths]

    def find(self, wanted: str) -> PublicKey:
        """Return the key of a name, of an id, or of the beginning of an id.

        Raises:
            KeyNotTrusted: There is none, or more than one begins so.
        """
        keys = self.entries()
        found = [key for key in keys if wanted == key.name]
        if not found and re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_ID},{_ID_CHARS}}}", wanted):
            found = [key for key in keys if key.id.startswith(wanted)]
        if len({key.raw for key in found}) != 1:
            names = ", ".join(f"{key.name} ({key.id[:_SHORTEST_ID]})" for key in keys)
            raise KeyNotTrusted(
                f"no key {wanted[:64]!a} is trusted here",
                hint=f"trusted are: {names}" if names else "fairway trust add FILE.pub",
            )
        return found[0]

    def add(self, key: PublicKey, *, name: str) -> PublicKey:
        """Trust a key from now on.

        Raises:
            NameInvalid: The name is outside the grammar of names.
            UsageError: Another key has the name, or the key is there under another one.
        """
        check_name("key", name)
        for other in self.entries():
            if other.raw == key.raw and other.name == name:
                return other
            if other.raw == key.raw or other.name == name:
                raise UsageError(
                    f"the key {other.id} is trusted already, under the name {other.name!r}",
                    hint=f"fairway trust remove {other.name}",
                )
        self._folder.mkdir(parents=True, exist_ok=True)
        _write_new(self._folder / f"{name}.pem", key.pem.encode(), mode=0o644)
        return dataclasses.replace(key, name=name)

    def remove(self, wanted: str) -> PublicKey:
        """Trust a key no longer, and return it.

        Raises:
            KeyNotTrusted: It is not trusted.
        """
        key = self.find(wanted)
        (self._folder / f"{key.name}.pem").unlink()
        return key


def _read_key_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_KEY_BYTES + 1)
    except OSError as cause:
        raise KeyInvalid(f"the key {path} cannot be read: {cause.strerror}") from cause
    if len(data) > _MAX_KEY_BYTES:
        raise KeyInvalid(f"{path} is too long for a key")
    return data


def _write_new(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file that is not there yet, durable when this returns; nothing is left of a failure."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as cause:
        raise _exists(path) from cause
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} exists and is not overwritten", hint="choose another path or remove it")
