"""Models and versions: what there is, what one is made of, and its bundle."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fairway.bundle.names import parse_reference
from fairway.errors import MalformedRequest
from fairway.lifecycle.viewing import ModelView, view_of
from fairway.server.management.office import Answer, Asked

if TYPE_CHECKING:
    from fairway.bundle.bundle import Bundle


_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def list_models(asked: Asked) -> Answer:
    """Answer a summary of every model."""
    return Answer(document={"models": [m for m in asked.registry.models() if asked.caller.sees(m.name)]})


def show(asked: Asked) -> Answer:
    """Answer everything about the version that a reference stands for, and about its model."""
    return Answer(document=document_of(view_of(asked.registry, asked.path["ref"])))


def resolve(asked: Asked) -> Answer:
    """Answer the version that a reference stands for."""
    return Answer(document=asked.registry.resolve(asked.path["ref"]))


def list_versions(asked: Asked) -> Answer:
    """Answer the versions of a model."""
    return Answer(document={"versions": asked.registry.versions(asked.path["name"])})


def delete(asked: Asked) -> Answer:
    """Delete a version that no alias points to."""
    number = read_number(asked.path["version"])
    return Answer(
        document=asked.registry.delete(
            asked.path["name"], number, actor=asked.actor, reason=asked.query["reason"]
        )
    )


def read_number(text: str) -> int:
    """Return the number of a version.

    Raises:
        MalformedRequest: It is none.
    """
    if not _NUMBER.fullmatch(text):
        raise MalformedRequest("path_invalid", f"{text[:80]!a} is no version", hint="a version is a number")
    return int(text)


def download(asked: Asked) -> Answer:
    """Answer the bundle of a version as one file, or that the caller has it already."""
    registry = asked.registry
    version = registry.resolve(parse_reference(asked.path["ref"]))
    bundle = registry.open(version)
    tag = f'"{tag_of(bundle)}"'
    headers = {
        "etag": tag,
        "fairway-digest": version.digest,
        "fairway-model": version.reference,
        "cache-control": "no-cache",
    }
    known = [given.strip() for given in asked.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Answer(status=304, headers=headers)
    descriptor, name = tempfile.mkstemp(prefix="fairway-download-", suffix=".fairway")
    os.close(descriptor)
    path = Path(name)
    try:
        path.unlink()
        bundle.save(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Answer(file=path, headers=headers)


def tag_of(bundle: Bundle) -> str:
    """Return the digest of what was packed, with one of the attachments where there are any."""
    if not bundle.attachments:
        return bundle.digest
    names = "".join(attachment.digest for _, attachment in sorted(bundle.attachments.items()))
    return f"{bundle.digest}-{hashlib.sha256(names.encode()).hexdigest()[:16]}"


def document_of(view: ModelView) -> dict[str, Any]:
    """Return a view as a client puts it together again."""
    found = {field.name: getattr(view, field.name) for field in dataclasses.fields(view)}
    return found | {
        "manifest": msgspec.to_builtins(view.manifest),
        "signature": view.signature.to_dict(),
    }
