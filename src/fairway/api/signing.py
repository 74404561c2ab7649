"""Sign bundles, verify them, and say whose signatures count."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.api._common import actor, open_registry, settings_of

if TYPE_CHECKING:
    from fairway.bundle.bundle import Bundle
    from fairway.bundle.keys import PublicKey
    from fairway.bundle.signing import Seal


@dataclasses.dataclass(frozen=True)
class Verification:
    """What `verify` found; every hash was right, or it would have raised.

    Attributes:
        subject: The reference or path.
        digest: Digest of the bundle.
        files: How many files were compared with their hashes, attachments included.
        known: Whether this home made all of it itself.
        seals: The signatures that it bears.
        signed: Whether keys that are trusted here have signed all of it.
    """

    subject: str
    digest: str
    files: int
    known: bool
    seals: list[Seal]
    signed: bool


def create_signing_key(path: str | Path, *, passphrase: str = "") -> PublicKey:
    """Write a new Ed25519 signing key, which its owner alone can read, and its public key beside it.

    Args:
        path: File of the signing key. The public key gets the same name with `.pub` behind it.
        passphrase: What the file is encrypted with; empty leaves it in the clear.

    Returns:
        The public key: its `id` and its `pem`.

    Raises:
        UsageError: One of the files is there already.
    """
    from fairway.bundle.keys import create_key

    return create_key(Path(path), passphrase=passphrase).public


def sign(
    reference: str | Path, *, key: str | Path, passphrase: str = "", home: str | Path | None = None
) -> str:
    """Sign a version, or a bundle file or folder, with all that is attached to it.

    A signature of the same key that is there already is replaced. Attachments that are made later are not
    covered: sign again after `compile`.

    Args:
        reference: A reference, or the path of a bundle.
        key: File of the signing key.
        passphrase: What it is encrypted with.
        home: Folder of the registry.

    Returns:
        The id of the key.

    Raises:
        KeyInvalid: The key cannot be used.
        UntrustedBundle: The bundle was made elsewhere, and no trusted key has signed it.
    """
    from fairway.assemble import open_trusted
    from fairway.bundle.bundle import looks_like_path
    from fairway.bundle.keys import read_signing_key
    from fairway.bundle.signing import seal

    signing_key = read_signing_key(Path(key), passphrase=passphrase)
    settings = settings_of(home)
    if looks_like_path(str(reference)):
        bundle = open_trusted(Path(reference), settings.home)
        made = seal(bundle, signing_key)
        attached = {**bundle.attachments, made.name: made}
        bundle.with_attachments(attached.values()).save_attachments(Path(reference))
    else:
        with open_registry(settings) as registry:
            bundle = registry.open(registry.resolve(str(reference)))
            registry.attach(seal(bundle, signing_key), actor=actor())
    return signing_key.public.id


def verify(reference: str | Path, *, home: str | Path | None = None) -> Verification:
    """Compare every file with its hash, and look at who has signed; nothing is loaded, no network is used.

    Args:
        reference: A reference, or the path of a bundle.
        home: Folder of the registry, and of the keys that are trusted.

    Raises:
        ArtifactDigest: A byte differs.
    """
    from fairway.bundle.bundle import looks_like_path, open_bundle
    from fairway.bundle.keys import TrustStore
    from fairway.bundle.known import is_known
    from fairway.bundle.signing import covered_by, examine, parts_of

    settings = settings_of(home)
    if looks_like_path(str(reference)):
        bundle = open_bundle(reference)
    else:
        with open_registry(settings) as registry:
            bundle = registry.open(registry.resolve(str(reference)))
    seals = examine(bundle, TrustStore(settings.home).entries())
    digests = set(parts_of(bundle).values())
    return Verification(
        subject=str(reference),
        digest=bundle.digest,
        files=_count(bundle),
        known=all(is_known(settings.home, digest) for digest in digests),
        seals=seals,
        signed=digests <= covered_by(seals),
    )


def trust_key(path: str | Path, *, name: str = "", home: str | Path | None = None) -> PublicKey:
    """Let what a key has signed be loaded from now on.

    Args:
        path: File of the public key, in PEM.
        name: What to call it. Default: the beginning of the file's name.
        home: Folder of the registry.

    Raises:
        KeyInvalid: The file is no Ed25519 public key.
        UsageError: Another key has this name.
    """
    from fairway.bundle.keys import TrustStore, read_public_key

    store = TrustStore(settings_of(home).home)
    return store.add(read_public_key(Path(path)), name=name or Path(path).name.partition(".")[0].lower())


def trusted_keys(*, home: str | Path | None = None) -> list[PublicKey]:
    """Return the keys that are trusted, by name."""
    from fairway.bundle.keys import TrustStore

    return TrustStore(settings_of(home).home).entries()


def distrust_key(key: str, *, home: str | Path | None = None) -> PublicKey:
    """Trust a key no longer; what a server has loaded goes on serving until it is restarted.

    Args:
        key: Its name, its id, or the beginning of its id.
        home: Folder of the registry.

    Raises:
        KeyNotTrusted: It is not trusted.
    """
    from fairway.bundle.keys import TrustStore

    return TrustStore(settings_of(home).home).remove(key)


def _count(bundle: Bundle) -> int:
    return len(bundle.manifest.files) + sum(len(a.manifest.files) for a in bundle.attachments.values())
