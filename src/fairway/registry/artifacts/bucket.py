"""One bucket of an S3-compatible store, through obstore: single requests, and what their failures mean.

Where the store is and who asks is read from the AWS_* variables by obstore itself. What it says of a failure
holds addresses and whole answers of the server; none of that is passed on, only the status and S3's own code.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from fairway.errors import (
    ArtifactStoreFailed,
    FairwayError,
    MissingExtra,
    SettingsError,
    StorageFull,
    StoreUnavailable,
)
from fairway.settings import handed_on

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

Result = TypeVar("Result")

PATIENCE_S = 30.0
"""How long one operation goes on failing before it is given up."""

RETRIES = 5
"""How many more attempts it gets in that time."""

PART_BYTES = 8 * 2**20
"""Above this a blob goes up in parts of this size, each of which is repeated by itself."""

CHUNK_BYTES = 2**20
"""What is read at once. An attempt that brought as much has made progress: the patience begins anew."""

_FIRST_DELAY_S, _MAX_DELAY_S = 0.2, 8.0
_PARTS_AT_ONCE = 4
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(?:/[A-Za-z0-9!_.*'()-]+)*")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_PASSING_CODES = frozenset({"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"})
_PASSING_STATUS = frozenset({408, 425, 429})
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CREDENTIALS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and what this key may do"
_OUTAGE = "try again; if it stays so, check the store, and the variables AWS_ENDPOINT_URL and AWS_REGION"

_user = 0  # the process that has used obstore: its threads do not survive a fork, a child would wait for ever


def is_usable() -> bool:
    """Tell whether this process may ask a bucket, as one that was forked from a user of obstore may not."""
    return _user in {0, os.getpid()}


class Interrupted(Exception):
    """A failure that may be gone at the next attempt; `error` says what it was."""

    def __init__(self, error: FairwayError) -> None:
        super().__init__(str(error))
        self.error = error


class Patience:
    """How long one operation may go on failing: a few more attempts, within a time, with full jitter.

    Args:
        seconds: Longest time in all without any progress.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin anew: the operation has come further."""
        self._failures = 0
        # One attempt lasts up to a third of the time; none is begun that could last beyond the end.
        self._latest_start = time.monotonic() + self._seconds * 2 / 3

    def wait_after(self, interrupted: Interrupted) -> None:
        """Wait for the next attempt.

        Raises:
            FairwayError: There is none; what went wrong at the last one.
        """
        longest = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0**self._failures)
        delay_s = random.uniform(0, longest)  # noqa: S311 - spreads callers; nobody need be kept from guessing
        self._failures += 1
        if self._failures > RETRIES or time.monotonic() + delay_s > self._latest_start:
            raise interrupted.error from None
        time.sleep(delay_s)


def insist(ask: Callable[[], Result], seconds: float) -> Result:
    """Return what *ask* returns, asked again while it is interrupted and patience lasts."""
    patience = Patience(seconds)
    while True:
        try:
            return ask()
        except Interrupted as interrupted:
            patience.wait_after(interrupted)


class Bucket:
    """The objects below one prefix of a bucket. Every method is one attempt and may raise `Interrupted`.

    Args:
        url: `s3://bucket/prefix`.
        patience_s: How long an operation goes on failing; a third of it is what one attempt may take without
            a byte from the store.

    Raises:
        SettingsError: The address is not of this form, or the endpoint cannot be used.
        MissingExtra: obstore is not installed.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        _check_installed()
        self._bucket, self._prefix = _parse(url)
        self.name = "s3://" + "/".join(filter(None, [self._bucket, self._prefix]))
        self.patience_s = patience_s
        self._allow_http = _may_use_http()
        self._stores: dict[int, S3Store] = {}

    def head(self, key: str) -> ObjectMeta | None:
        """Return what the store knows of an object, or None if it is not there."""
        import obstore

        with self._translated(f"looking for {key}"):
            try:
                return obstore.head(self._store(), key)
            except FileNotFoundError:
                return None

    def put(self, key: str, content: bytes | Path, *, size: int) -> str | None:
        """Store an object, whole or not at all, and return its ETag."""
        import obstore

        in_parts = size > PART_BYTES
        try:
            with self._translated(f"storing {key}"):
                done = obstore.put(
                    self._store(retries=RETRIES if in_parts else 0),
                    key,
                    content,
                    use_multipart=in_parts,
                    chunk_size=PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
                return done["e_tag"]
        except Interrupted as interrupted:
            if not in_parts:
                raise
            raise interrupted.error from None  # each part has had its attempts

    def read(self, key: str, *, start: int) -> Iterator[bytes]:
        """Return the bytes of an object from a place on, piece by piece; nothing if there is no such object.

        Raises:
            FileNotFoundError: There is no such object.
        """
        import obstore

        with self._translated(f"reading {key}"):
            options: Any = {"range": {"offset": start}} if start else None
            answer = obstore.get(self._store(), key, options=options)
            yield from answer.stream(CHUNK_BYTES)

    def list(self, prefix: str, *, after: str) -> Iterator[Sequence[ObjectMeta]]:
        """Return the objects below a prefix whose keys come after one, by rising key, many at once."""
        import obstore

        with self._translated(f"listing {prefix}"):
            yield from obstore.list(self._store(), prefix, offset=after or None, chunk_size=1000)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects; those that are not there count as removed."""
        import obstore

        with self._translated(f"removing {len(keys)} objects"), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store(), keys)

    def _store(self, *, retries: int = 0) -> S3Store:
        """Return a client, made at its first use; never in a process that was forked from a user."""
        global _user  # noqa: PLW0603 - a fact about this process
        from obstore.store import S3Store

        if not is_usable():
            raise StoreUnavailable(
                f"{self.name} cannot be asked here: this process was forked from one that has asked it",
                hint="start a new process instead of forking",
            )
        _user = os.getpid()
        if retries not in self._stores:
            attempt_s = self.patience_s / 3
            self._stores[retries] = S3Store(
                self._bucket,
                prefix=self._prefix or None,
                checksum_algorithm="sha256",  # the server compares what arrives
                client_options={
                    "allow_http": self._allow_http,
                    "connect_timeout": _milliseconds(min(5.0, attempt_s)),
                    "read_timeout": _milliseconds(attempt_s),
                    "timeout": "1day",  # a large blob may take its time while bytes arrive
                },
                retry_config={"max_retries": retries, "retry_timeout": _delta(self.patience_s * 2 / 3)},
            )
        return self._stores[retries]

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Turn errors of obstore into those of fairway, and into `Interrupted` where another try may help."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError, ValueError) as cause:
            told = str(cause)
            if isinstance(cause, FileNotFoundError) and "NoSuchBucket" not in told:
                raise FileNotFoundError(doing) from None
            # Without its cause, whose text may hold what nobody but the store and we should know.
            raise self._meaning(doing, told) from None

    def _meaning(self, doing: str, told: str) -> Exception:
        status = int((_STATUS.findall(told) or ["0"])[0])
        code = (_CODE.findall(told) or [""])[0]
        answer = f"it answered {status or ''} {code}".replace("  ", " ").strip()
        if status == 507:
            return StorageFull(f"no space is left in {self.name} for {doing}", hint="free some space there")
        if code == "NoSuchBucket":
            return self._failed(doing, "there is no such bucket", hint="create it, or correct the name")
        if not status and ("169.254." in told or "credential" in told.lower()):
            return self._failed(doing, "there are no credentials", hint=_CREDENTIALS)
        if status in {401, 403}:
            return self._failed(doing, answer, hint=_CREDENTIALS)
        if 400 <= status < 500 and status not in _PASSING_STATUS and code not in _PASSING_CODES:
            return self._failed(doing, answer)
        return Interrupted(self._failed(doing, answer if status else _outage(told)))

    def _failed(self, doing: str, what: str, *, hint: str = _OUTAGE) -> ArtifactStoreFailed:
        return ArtifactStoreFailed(f"{doing} in {self.name} failed: {what}", hint=hint)


def _outage(told: str) -> str:
    """Say in our words why no answer came."""
    told = told.lower()
    if "timedout" in told or "timed out" in told:
        return "it did not answer in time"
    if "kind: connect" in told:
        return "no connection could be made"
    return "the connection broke"


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1e3))}ms"


def _delta(seconds: float) -> Any:
    from datetime import timedelta

    return timedelta(seconds=seconds)


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        raise MissingExtra("obstore", "s3", purpose="keeping artifacts in an object store")


def _parse(url: str) -> tuple[str, str]:
    """Return the bucket and the prefix of an address; what it holds is not repeated if it may be secret."""
    hint = "write it like s3://bucket/prefix; who asks is told by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    rest = url.removeprefix("s3://")
    if rest == url or "@" in url:
        raise SettingsError("the address of the artifacts is not of the form s3://bucket/prefix", hint=hint)
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    names = prefix.split("/")
    if not _BUCKET.fullmatch(bucket) or (prefix and not _PREFIX.fullmatch(prefix)) or {".", ".."} & {*names}:
        raise SettingsError(f"{url[:200]!a} names no bucket and prefix", hint=hint)
    return bucket, prefix


def _may_use_http() -> bool:
    """Tell whether requests may go without TLS: to this machine, or where AWS_ALLOW_HTTP says so.

    Raises:
        SettingsError: The endpoint is no address, or asks for it without being allowed to.
    """
    given = handed_on((*_ENDPOINTS, "AWS_ALLOW_HTTP"))
    allowed = given.get("AWS_ALLOW_HTTP", "").strip().lower() in {"true", "yes", "on", "1"}
    for variable in _ENDPOINTS:
        if not given.get(variable):
            continue
        try:
            parts = urlsplit(given[variable])
            host, _ = parts.hostname, parts.port
        except ValueError:
            parts, host = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not host or any(c.isspace() for c in given[variable]):
            raise SettingsError(f"{variable} is not an address such as https://s3.example.com")
        if parts.scheme == "http" and not allowed and host not in _LOOPBACK:
            raise SettingsError(
                f"{variable} asks for http, which sends everything in the clear",
                hint="use https, or set AWS_ALLOW_HTTP=true if the network is your own",
            )
        return parts.scheme == "http"
    return allowed
