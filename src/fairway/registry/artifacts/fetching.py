"""How a blob comes out of a bucket: read by this process, or by a child for one that must not do so itself.

The threads of obstore do not survive a fork, and whoever was forked waits for them for ever. The master of
several workers loads the models before it forks: it asks this child, which is gone when the fork comes.

The child gets a digest per line, and answers with a line of JSON: how many bytes follow, or an error.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import BinaryIO

from fairway.errors import ArtifactDigest, FairwayError, InternalError, StoreUnavailable, error_of
from fairway.registry.artifacts.bucket import CHUNK_BYTES, Bucket, Interrupted, Patience
from fairway.registry.artifacts.files import key_of

_MAX_DIFFERENT = 3
"""How often whole but wrong bytes may come before the object itself counts as altered."""


def download(bucket: Bucket, digest: str) -> bytes:
    """Return the verified bytes of a blob, going on where an attempt broke off.

    Raises:
        ArtifactDigest: It is not there, or it is altered.
        ArtifactStoreFailed: The store did not give it.
    """
    patience = Patience(bucket.patience_s)
    held, different = bytearray(), 0
    while True:
        progress = 0
        try:
            for piece in bucket.read(key_of(digest), start=len(held)):
                held += piece
                progress += len(piece)
            if hashlib.sha256(held).hexdigest() == digest:
                return bytes(held)
            # Cut off where the answer said that it would end, or altered: nothing of it can be trusted.
            held.clear()
            different += 1
            altered = _refusal(bucket, digest, "is not what was stored")
            if different == _MAX_DIFFERENT:
                raise altered
            patience.wait_after(Interrupted(altered))
        except FileNotFoundError:
            raise _refusal(bucket, digest, "is missing") from None
        except Interrupted as interrupted:
            if progress >= CHUNK_BYTES:
                patience.renew()
            patience.wait_after(interrupted)


def _refusal(bucket: Bucket, digest: str, what: str) -> ArtifactDigest:
    return ArtifactDigest(
        f"the artifact {digest} in {bucket.name} {what}",
        hint="put the object back from a backup, or push the same model file again",
    )


class Fetcher:
    """The parent's end: starts the child when it is first asked.

    Args:
        url: `s3://bucket/prefix`.
        patience_s: How long one operation goes on failing before it is given up.
    """

    def __init__(self, url: str, *, patience_s: float) -> None:
        self._arguments = [url, str(patience_s)]
        self._child: subprocess.Popen[bytes] | None = None

    def read(self, digest: str) -> bytes:
        """Return the verified bytes of a blob.

        Raises:
            FairwayError: What the child says.
        """
        child = self._running()
        if child.stdin is None or child.stdout is None:
            raise InternalError
        try:
            child.stdin.write(f"{digest}\n".encode())
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
            data = child.stdout.read(answer.get("size", 0))
        except (OSError, ValueError) as cause:
            self.close()
            raise StoreUnavailable(
                "the process that reads from the object store has ended", hint="try again"
            ) from cause
        if "code" in answer:
            raise error_of(**answer, below=FairwayError, otherwise=StoreUnavailable)
        if hashlib.sha256(data).hexdigest() != digest:
            raise ArtifactDigest(f"the artifact {digest} was changed on its way here")
        return data

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-P", "-m", "fairway.registry.artifacts.fetching", *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        return self._child


def answer_all(url: str, patience_s: float, asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer every digest that is asked for; the child's end."""
    bucket = Bucket(url, patience_s=patience_s)
    for line in asked:
        try:
            data = download(bucket, line.decode().strip())
        except FairwayError as error:
            answer = {"code": error.code, "detail": error.detail, "hint": error.hint}
            answers.write(json.dumps(answer).encode() + b"\n")
        else:
            answers.write(json.dumps({"size": len(data)}).encode() + b"\n" + data)
        answers.flush()


if __name__ == "__main__":
    try:
        answer_all(sys.argv[1], float(sys.argv[2]), sys.stdin.buffer, sys.stdout.buffer)
    except (BrokenPipeError, KeyboardInterrupt):  # the parent is gone, or about to be
        sys.exit(1)
