"""Uploads in chunks: stored by their hashes, put together where the version is registered.

No server keeps anything of an upload but the chunks, in the artifact store that all of them share: each
chunk may come to another server, and what was sent once need not be sent again. An upload that ends half
way leaves chunks that nothing refers to, which `fairway gc` removes; it never makes a version.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.names import check_name
from fairway.errors import ArtifactDigest, FairwayError, Fault, MalformedRequest, UploadIncomplete
from fairway.lifecycle.compiling import check_mode
from fairway.lifecycle.taking import take_in
from fairway.server.management.fields import is_digest, pointer_to
from fairway.server.management.office import UPLOAD_BYTES, Answer, Asked

if TYPE_CHECKING:
    from fairway.registry.artifacts.base import Artifacts


def find_missing(asked: Asked) -> Answer:
    """Answer which chunks are still to be sent."""
    wanted = dict.fromkeys(asked.body["chunks"])
    missing = asked.registry.artifacts.missing(wanted)
    return Answer(document={"missing": [digest for digest in wanted if digest in missing]})


def check_chunk(digest: str) -> None:
    """Refuse the name of a chunk that is no hash.

    Raises:
        MalformedRequest: It is none.
    """
    if not is_digest(digest):
        raise MalformedRequest(
            "path_invalid", "a chunk is named by its SHA-256", hint="64 hex digits in lower case"
        )


def put_chunk(asked: Asked) -> Answer:
    """Store one chunk, if it is the one that its name says."""
    digest = asked.path["sha256"]
    check_chunk(digest)
    if hashlib.sha256(asked.raw).hexdigest() != digest:
        raise ArtifactDigest("the chunk is not the one that its name says", hint="send it again")
    asked.registry.artifacts.put(asked.raw)
    return Answer(document={"sha256": digest, "size": len(asked.raw)})


def register(asked: Asked) -> Answer:
    """Put an upload together, take it in as a foreign bundle, and register it as the next version."""
    name = check_name("model", asked.path["name"])
    mode = check_mode(asked.body["compile"])
    registry = asked.registry
    with tempfile.TemporaryDirectory(prefix="fairway-upload-") as temporary:
        path = Path(temporary) / "upload.fairway"
        assemble(
            registry.artifacts,
            path,
            chunks=asked.body["chunks"],
            sha256=asked.body["sha256"],
            size=asked.body["size"],
        )
        bundle = take_in(_opened(path), asked.office.home, mode=mode, policy=asked.office.policy)
        version = registry.register(
            bundle,
            name=name,
            actor=asked.actor,
            reason=asked.body["reason"],
            upload=asked.body["upload"],
        )
    return Answer(document=version, status=201)


def assemble(artifacts: Artifacts, path: Path, *, chunks: Sequence[str], sha256: str, size: int) -> None:
    """Write the chunks of an upload to *path*, one after the other.

    Raises:
        UploadIncomplete: A chunk was not sent; all that are missing are named.
        ArtifactDigest: What came together is not what was announced.
    """
    missing = artifacts.missing(set(chunks))
    if missing:
        raise UploadIncomplete(
            [
                Fault(pointer_to(f"chunks/{place}"), "chunk_missing", "this chunk was not sent")
                for place, digest in enumerate(chunks)
                if digest in missing
            ]
        )
    whole, written = hashlib.sha256(), 0
    with path.open("xb") as file:
        for digest in chunks:
            data = artifacts.read(digest)
            if hashlib.sha256(data).hexdigest() != digest:
                raise ArtifactDigest(f"the chunk {digest} was damaged in the store", hint="send it again")
            written += len(data)
            if written > min(size, UPLOAD_BYTES):
                break
            whole.update(data)
            file.write(data)
    if written != size or whole.hexdigest() != sha256:
        raise ArtifactDigest(
            "the chunks together are not the file that was announced", hint="upload the file again"
        )


def _opened(path: Path) -> Bundle:
    """Open the upload; what is wrong with it is told without where it lies."""
    try:
        return open_bundle(path)
    except FairwayError as error:
        error.detail = error.detail.replace(str(path), "the upload")
        raise
