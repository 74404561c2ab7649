"""Keys: their files are guarded, and what is no Ed25519 key is told from one."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fairway.bundle.keys import (
    PublicKey,
    TrustStore,
    create_key,
    read_public_key,
    read_signing_key,
)
from fairway.errors import KeyInvalid, KeyNotTrusted, NameInvalid, UsageError

WORDS = "öffne dich"


def test_a_new_key_is_its_owners_alone_and_is_never_overwritten(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask says; a second call leaves the first key as it is."""
    before = os.umask(0)
    try:
        made = create_key(tmp_path / "release.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "release.key").stat().st_mode) == 0o600
    whole = (tmp_path / "release.key").read_bytes()
    for there in ("release.key", "release.key.pub"):
        with pytest.raises(UsageError, match="is not overwritten"):
            create_key(tmp_path / "release.key")
        (tmp_path / there).rename(tmp_path / f"{there}.kept")
    assert (tmp_path / "release.key.kept").read_bytes() == whole
    (tmp_path / "release.key.kept").rename(tmp_path / "release.key")
    assert read_signing_key(tmp_path / "release.key").public == made.public


def test_the_two_files_belong_together(tmp_path: Path) -> None:
    """What one half signs the other verifies, and nothing else; the id is that of the public key."""
    made = create_key(tmp_path / "a.key")
    public = read_public_key(tmp_path / "a.key.pub")
    assert public.id == made.public.id
    assert len(public.id) == 32
    assert public.verifies(made.sign(b"this"), b"this")
    assert not public.verifies(made.sign(b"this"), b"that")
    assert not public.verifies(b"short", b"this")
    assert "PRIVATE" not in repr(made)


def test_a_passphrase_guards_the_file(tmp_path: Path) -> None:
    """Without it, with a wrong one, and with one too many, the key cannot be read; each is told."""
    made = create_key(tmp_path / "a.key", passphrase=WORDS)
    assert b"ENCRYPTED" in (tmp_path / "a.key").read_bytes()
    assert read_signing_key(tmp_path / "a.key", passphrase=WORDS).public == made.public
    with pytest.raises(KeyInvalid) as caught:
        read_signing_key(tmp_path / "a.key")
    assert caught.value.hint == "give its passphrase"
    with pytest.raises(KeyInvalid, match="or the passphrase is wrong"):
        read_signing_key(tmp_path / "a.key", passphrase=WORDS[1:])
    create_key(tmp_path / "b.key")
    with pytest.raises(KeyInvalid) as caught:
        read_signing_key(tmp_path / "b.key", passphrase=WORDS[1:])
    assert caught.value.hint == "leave the passphrase out"


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    """Other texts, other kinds of keys, and the wrong half, which is told apart."""
    create_key(tmp_path / "a.key")
    (tmp_path / "text").write_bytes(b"this is no key")
    (tmp_path / "long").write_bytes(b"-" * 20_000)
    other = ec.generate_private_key(ec.SECP256R1())
    encoding, public_format = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "ec.pub").write_bytes(other.public_key().public_bytes(encoding, public_format))
    (tmp_path / "ec.key").write_bytes(
        other.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    for name in ("text", "long", "nowhere", "ec.pub", "ec.key", "a.key"):
        with pytest.raises(KeyInvalid):
            read_public_key(tmp_path / name)
    for name in ("text", "long", "nowhere", "ec.pub", "ec.key", "a.key.pub"):
        with pytest.raises(KeyInvalid):
            read_signing_key(tmp_path / name)
    with pytest.raises(KeyInvalid, match="must stay with its owner"):
        read_public_key(tmp_path / "a.key")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_openssl_reads_the_key_and_agrees_on_a_signature(tmp_path: Path) -> None:
    """The files are what other programs call PKCS #8 and SubjectPublicKeyInfo."""
    made = create_key(tmp_path / "a.key")
    (tmp_path / "data").write_bytes(b"some bytes")
    (tmp_path / "signature").write_bytes(made.sign(b"some bytes"))
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", "a.key.pub"]
    told = subprocess.run(
        [*verify, "-sigfile", "signature", "-in", "data"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr


def test_a_trust_store_finds_keys_by_name_and_id(home: Path, tmp_path: Path) -> None:
    """Also by the beginning of an id; a key that is not there is an error that names those that are."""
    first, second = (create_key(tmp_path / f"{n}.key").public for n in range(2))
    store = TrustStore(home)
    assert store.entries() == []
    with pytest.raises(KeyNotTrusted) as caught:
        store.find("release")
    assert caught.value.hint == "fairway trust add FILE.pub"
    assert not home.exists()
    store.add(first, name="release")
    store.add(second, name="nightly")
    assert store.add(first, name="release") == store.find("release")
    assert [key.name for key in store.entries()] == ["nightly", "release"]
    assert store.find(first.id) == store.find(first.id[:8]) == PublicKey(first.raw, "release")
    for unknown in (first.id[:7], "Release", "../release", "", "\0"):
        with pytest.raises(KeyNotTrusted, match="no key"):
            store.find(unknown)
    assert store.remove(first.id[:8]).name == "release"
    with pytest.raises(KeyNotTrusted):
        store.find(first.id)


def test_a_name_stands_for_one_key_and_never_for_a_path(home: Path, tmp_path: Path) -> None:
    """Neither is the name reused, nor does the same key get two."""
    first, second = (create_key(tmp_path / f"{n}.key").public for n in range(2))
    store = TrustStore(home)
    store.add(first, name="release")
    with pytest.raises(UsageError, match="under the name 'release'"):
        store.add(second, name="release")
    with pytest.raises(UsageError, match="under the name 'release'"):
        store.add(first, name="other")
    for name in ("../other", "a/b", "", "A"):
        with pytest.raises(NameInvalid):
            store.add(second, name=name)
    assert store.entries() == [PublicKey(first.raw, "release")]


def test_a_damaged_store_vouches_for_nothing(home: Path, tmp_path: Path) -> None:
    """A file of it that is no key is an error, not a key less: nobody can tell what it stood for."""
    TrustStore(home).add(create_key(tmp_path / "a.key").public, name="release")
    (home / "trusted" / "other.pem").write_bytes(b"no key")
    with pytest.raises(KeyInvalid):
        TrustStore(home).find("release")
