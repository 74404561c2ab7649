"""What a store of artifacts far away does to whoever uses it, when it or the way to it fails."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairway.errors import ArtifactDigest, ArtifactStoreFailed, MissingExtra, SettingsError, StorageFull
from fairway.registry.artifacts.object_store import ObjectArtifacts

from .faults import Proxy, faulty_proxy

pytestmark = pytest.mark.service("moto")

SECRETS = ("not-to-be-seen-anywhere", "AKIATESTTESTTEST")
BLOB = random.Random(5).randbytes(3_000_000)  # noqa: S311 - the same bytes each time
DIGEST = hashlib.sha256(BLOB).hexdigest()


@pytest.fixture
def proxy(s3_url: str, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Give a proxy before the store; what is opened from now on goes through it."""
    with faulty_proxy(moto_endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        yield proxy


@pytest.fixture
def store(proxy: Proxy, s3_url: str, tmp_path: Path) -> ObjectArtifacts:
    """Give a store that holds one blob, with an empty cache."""
    ObjectArtifacts(s3_url, tmp_path / "cache-of-another").put(BLOB)
    proxy.requests.clear()
    return ObjectArtifacts(s3_url, tmp_path / "cache")


@pytest.mark.parametrize("fault", ["500", "503", "drop", "reset", "cut", "cut-short"])
def test_a_store_that_recovers_is_not_noticed(store: ObjectArtifacts, proxy: Proxy, fault: str) -> None:
    """A few failures of any kind are waited out; what comes is whole."""
    times = 2 if fault == "cut-short" else 3
    proxy.plan(fault, times=times)

    assert store.read(DIGEST) == BLOB

    assert proxy.count("GET") >= times
    assert store.read(DIGEST) == BLOB  # the copy


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_a_download_goes_on_where_it_broke_off(store: ObjectArtifacts, proxy: Proxy, fault: str) -> None:
    """The second request asks for the rest only."""
    proxy.plan(fault, times=1)

    assert store.read(DIGEST) == BLOB

    ranges = [request.range for request in proxy.requests if request.method == "GET"]
    assert ranges[0] == ""
    assert ranges[1].startswith("bytes=")
    assert ranges[1] != "bytes=0-"


@pytest.mark.parametrize(("fault", "method"), [("500", "PUT"), ("drop", "PUT"), ("503", "HEAD")])
def test_a_put_outlasts_a_few_failures(
    store: ObjectArtifacts, proxy: Proxy, s3_url: str, tmp_path: Path, fault: str, method: str
) -> None:
    """The object is there afterwards, whole."""
    proxy.plan(fault, times=3, method=method)

    digest = store.put(b"coffee")

    assert ObjectArtifacts(s3_url, tmp_path / "new").read(digest) == b"coffee"


def test_a_part_of_a_large_blob_is_sent_again_alone(
    store: ObjectArtifacts, proxy: Proxy, s3_url: str, tmp_path: Path
) -> None:
    """Three parts that fail once each cost three more requests, not three more uploads."""
    large = BLOB * 7
    proxy.plan("500", times=3, method="PUT")

    digest = store.put(large)

    assert proxy.count("PUT") == 6
    assert ObjectArtifacts(s3_url, tmp_path / "new").read(digest) == large


@pytest.mark.parametrize("fault", ["500", "hang"])
def test_a_store_that_stays_away_is_given_up_in_time(
    store: ObjectArtifacts, proxy: Proxy, s3_url: str, tmp_path: Path, fault: str
) -> None:
    """The error has a code of its own and a hint, and tells nothing that is secret."""
    impatient = ObjectArtifacts(s3_url, tmp_path / "cache-2", patience_s=0.9)
    for method in ("GET", "PUT", "HEAD", "POST"):
        proxy.plan(fault, method=method)
    started = time.monotonic()

    for act in (
        lambda: impatient.read(DIGEST),
        lambda: impatient.put(b"tea"),
        lambda: impatient.missing([DIGEST]),
        lambda: list(impatient.list()),
        lambda: impatient.remove([DIGEST]),
    ):
        with pytest.raises(ArtifactStoreFailed) as failed:
            act()
        told = f"{failed.value.detail} {failed.value.hint} {failed.value.__cause__}"
        assert (failed.value.code, failed.value.status) == ("artifact_store", 502)
        assert not [secret for secret in SECRETS if secret in told]
        assert "Try" not in told
        assert failed.value.hint
    assert time.monotonic() - started < 5 * 0.9 + 10
    proxy.heal()
    assert impatient.read(DIGEST) == BLOB
    assert not list(tmp_path.rglob(".write-*"))


def test_a_store_that_refuses_is_not_asked_again(store: ObjectArtifacts, proxy: Proxy) -> None:
    """Wrong credentials do not become right by waiting; the error names the variables to look at."""
    proxy.plan("403")

    with pytest.raises(ArtifactStoreFailed, match="403 InvalidAccessKeyId") as refused:
        store.read(DIGEST)

    assert "AWS_SECRET_ACCESS_KEY" in refused.value.hint
    assert not [secret for secret in SECRETS if secret in str(refused.value)]
    assert proxy.count("GET") == 1


def test_a_bucket_that_is_not_there_is_said(store: ObjectArtifacts, tmp_path: Path) -> None:
    """Reading and writing fail at once."""
    nowhere = ObjectArtifacts("s3://no-such-bucket-here", tmp_path / "none")

    for act in (lambda: nowhere.put(b"coffee"), lambda: nowhere.read(DIGEST)):
        with pytest.raises(ArtifactStoreFailed, match="there is no such bucket"):
            act()


def test_a_full_store_is_a_full_store(store: ObjectArtifacts, proxy: Proxy) -> None:
    """It has the same error as a full disk."""
    proxy.plan("507", method="PUT")

    with pytest.raises(StorageFull):
        store.put(b"coffee")


def test_an_altered_object_is_never_given_out_and_is_replaced_by_a_put(
    store: ObjectArtifacts, proxy: Proxy, s3_url: str, tmp_path: Path
) -> None:
    """Neither what somebody wrote over it nor half of it counts; the right bytes heal it."""
    import obstore
    from obstore.store import S3Store

    bucket, _, prefix = s3_url.removeprefix("s3://").partition("/")
    raw = S3Store(bucket, prefix=prefix, client_options={"allow_http": True})
    key = f"sha256/{DIGEST[:2]}/{DIGEST}"
    for altered in (BLOB[:-1] + bytes([BLOB[-1] ^ 1]), BLOB[:1000], b""):
        obstore.put(raw, key, altered)
        with pytest.raises(ArtifactDigest, match="is not what was stored"):
            store.read(DIGEST)
        assert not list((tmp_path / "cache").rglob(DIGEST))

        store.put(BLOB)

        assert ObjectArtifacts(s3_url, tmp_path / f"new-{len(altered)}").read(DIGEST) == BLOB


def test_a_damaged_copy_is_found_and_fetched_again(
    store: ObjectArtifacts, proxy: Proxy, tmp_path: Path
) -> None:
    """A copy that was altered, cut off or emptied counts as none."""
    store.read(DIGEST)
    (copy,) = (tmp_path / "cache").rglob(DIGEST)
    for damaged in (BLOB[:-1] + bytes([BLOB[-1] ^ 1]), BLOB[:1000], b""):
        copy.write_bytes(damaged)
        before = proxy.count("GET")

        assert store.read(DIGEST) == BLOB

        assert proxy.count("GET") == before + 1
        assert copy.read_bytes() == BLOB


def test_the_copies_stay_below_their_limit(store: ObjectArtifacts, s3_url: str, tmp_path: Path) -> None:
    """What was not used for longest goes; a blob that is larger than all of them may be is not kept."""
    small = ObjectArtifacts(s3_url, tmp_path / "small", cache_bytes=2_500)
    digests = [store.put(bytes([number]) * 1000) for number in range(3)]
    small.read(digests[0])
    small.read(digests[1])
    for number, digest in enumerate(digests[:2]):
        (copy,) = (tmp_path / "small").rglob(digest)
        os.utime(copy, (1_000 + number, 1_000 + number))
    small.read(digests[0])  # used again: the other one is older now

    small.read(digests[2])
    small.read(DIGEST)

    kept = {path.name for path in (tmp_path / "small").rglob("*") if path.is_file()}
    assert kept == {digests[0], digests[2]}


def test_an_old_object_is_written_again_by_a_put_and_a_young_one_is_not(
    store: ObjectArtifacts, proxy: Proxy, s3_url: str, tmp_path: Path
) -> None:
    """So that it looks new, and no clean-up takes it for forgotten while the push goes on."""
    store.put(BLOB)
    assert proxy.count("PUT") == 0

    ObjectArtifacts(s3_url, tmp_path / "another", refresh_s=-1e6).put(BLOB)

    assert proxy.count("PUT") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_a_process_that_will_fork_reads_through_a_child(store: ObjectArtifacts, s3_url: str) -> None:
    """Its forked children read for themselves; what went wrong in its child is told as it is."""
    program = """
import os, sys
from pathlib import Path
from fairway.errors import ArtifactDigest
from fairway.registry.artifacts.object_store import ObjectArtifacts
url, digest, folder = sys.argv[1:]
store = ObjectArtifacts(url, Path(folder), forking=os.getpid())
assert len(store.read(digest)) == 3_000_000
try:
    store.read("0" * 64)
except ArtifactDigest as error:
    assert "is missing" in error.detail, error.detail
store.close()
assert "obstore.store" not in sys.modules
store = ObjectArtifacts(url, Path(folder, "b"))
if os.fork() == 0:
    os._exit(0 if len(store.read(digest)) == 3_000_000 and store.missing([digest]) == set() else 1)
assert os.wait()[1] == 0
# Whoever has asked itself and forks all the same: its child asks through one of its own.
assert store.missing([digest]) == set()
if os.fork() == 0:
    store = ObjectArtifacts(url, Path(folder, "c"))
    os._exit(0 if len(store.read(digest)) == 3_000_000 else 1)
assert os.wait()[1] == 0
"""
    command = [sys.executable, "-c", program, s3_url, DIGEST, "copies"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "url", ["s3://", "s3://a", "s3://UPPER/x", "s3://bucket/../x", "s3://key:secret@bucket/x", "s3://b b/x"]
)
def test_an_address_of_another_form_is_refused(url: str, tmp_path: Path) -> None:
    """What may be secret in it is not repeated."""
    with pytest.raises(SettingsError) as refused:
        ObjectArtifacts(url, tmp_path)

    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize(
    ("endpoint", "allowed", "fine"),
    [
        ("http://127.0.0.1:9000", "", True),
        ("http://store.example.com", "", False),
        ("http://store.example.com", "true", True),
        ("https://store.example.com", "", True),
        ("not an address", "", False),
        ("http://[::1", "", False),
    ],
)
def test_plain_http_is_for_this_machine_or_by_consent(
    endpoint: str, allowed: str, fine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models and credentials go over a network encrypted, unless somebody says otherwise."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", allowed)

    if fine:
        ObjectArtifacts("s3://bucket", tmp_path)
        return
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL"):
        ObjectArtifacts("s3://bucket", tmp_path)


def test_without_the_package_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command can be pasted."""
    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(MissingExtra) as missing:
        ObjectArtifacts("s3://bucket", tmp_path)

    assert missing.value.hint == "pip install 'fairway[s3]'"
