"""Every operation below `/api/v1` as one flat list: where it is, who may, what it takes, what it answers.

The routes, the OpenAPI document and the page of the reference are made from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairway.server.management import aliases, journal, keys, models, promotions, uploads
from fairway.server.management.fields import Field
from fairway.server.management.office import CHUNK_BYTES, JSON_BYTES, TABLE_BYTES, UPLOAD_BYTES, Answer, Asked

BINARY = "application/octet-stream"
JSON = "application/json"
BODY_HINT = "split it: /docs tells how much each management route takes"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        method: HTTP method.
        path: Path with its placeholders.
        id: Name of the operation.
        handle: What answers it; called in a thread.
        role: What the caller's role must allow: `read`, `deploy` or `admin`.
        every_model: Whether it speaks of all models at once, so that the caller's key must be for all.
        summary: What it does, in a sentence.
        query: Parameters of the query.
        body: Fields of the JSON body; None if there is no such body.
        takes: Media types of a body that is not JSON.
        max_body_bytes: Largest body.
        conditions: Whether it reads `If-Match` and `If-None-Match`.
        lane: Where it is done: `quick` in seconds, `file` for large files, `work` for what takes minutes.
        example: An example of the body.
        status: Status of its success.
        answer: An example of what it answers; None for a file.
        problems: Statuses of what may go wrong, beside those that hold for all.
    """

    method: str
    path: str
    id: str
    handle: Callable[[Asked], Answer]
    role: str
    summary: str
    every_model: bool = False
    query: Sequence[Field] = ()
    body: Sequence[Field] | None = None
    takes: Sequence[str] = ()
    max_body_bytes: int = JSON_BYTES
    conditions: bool = False
    lane: str = "quick"
    example: Mapping[str, Any] | None = None
    status: int = 200
    answer: Any = None
    problems: Sequence[int] = ()

    @property
    def is_change(self) -> bool:
        """Whether it changes the registry."""
        return self.method != "GET"

    @property
    def placeholders(self) -> list[str]:
        """Names of the values in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


REASON = Field(name="reason", kind="text", default="", doc="Why; kept in the history.")
ALIAS = Field(name="alias", kind="text", default="production", doc="Name of the alias.")
EXPECTED = Field(
    name="expected",
    kind="integer",
    nullable=True,
    least=1,
    default=aliases.UNSAID,
    doc="Version that the alias is believed to point to, null for none; 409 if it does not.",
)

_DIGEST = "9c5e1f2fbb2c1f3a6d0e8f4b7a9d3c5e1f2fbb2c1f3a6d0e8f4b7a9d3c5e1f2f"
_VERSION: Mapping[str, Any] = {
    "model": "coffee",
    "version": 3,
    "digest": _DIGEST,
    "flavor": "sklearn",
    "model_type": "Ridge",
    "created_at": "2026-05-03T12:00:00.000Z",
    "actor": "ada",
    "size": 48211,
    "tags": {"team": "beans"},
    "metrics": {"rmse": 1.42},
    "aliases": ["production"],
    "deleted_at": None,
}
_MOVE: Mapping[str, Any] = {
    "model": "coffee",
    "alias": "production",
    "from_version": 2,
    "to_version": 3,
    "seq": 17,
}
_EVENT: Mapping[str, Any] = {
    "kind": "alias",
    "model": "coffee",
    "at": "2026-05-03T12:00:00.000Z",
    "actor": "ada",
    "reason": "better on the March data",
    "alias": "production",
    "from_version": 2,
    "to_version": 3,
    "seq": 17,
}

_KEY: Mapping[str, Any] = {
    "id": "3kq81xza",
    "name": "shop",
    "secret_hash": "",
    "role": "predict",
    "models": ["coffee*"],
    "created_at": "2026-05-03T12:00:00.000Z",
    "created_by": "ada",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/api/v1/models",
        id="list_models",
        handle=models.list_models,
        role="read",
        summary="Every model with its latest version and its aliases",
        answer={
            "models": [
                {
                    "name": "coffee",
                    "latest": 3,
                    "aliases": {"production": 3},
                    "n_versions": 3,
                    "created_at": "2026-05-01T09:30:00.000Z",
                }
            ]
        },
    ),
    Operation(
        method="GET",
        path="/api/v1/models/{ref}",
        id="show_model",
        handle=models.show,
        role="read",
        summary="Everything about one version and its model: manifest, signature, card, predictor, history",
        answer={
            "version": _VERSION,
            "manifest": {"name": "coffee", "flavor": "sklearn", "format": 1},
            "signature": {"inputs": [], "outputs": []},
            "card": "# coffee\n",
            "predictor": "numpy",
            "reason": "proven equal on 1,000 rows",
            "compilation": None,
            "differences": [],
            "versions": [_VERSION],
            "aliases": {"production": 3},
            "history": [_EVENT],
        },
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/api/v1/models/{ref}/version",
        id="resolve_reference",
        handle=models.resolve,
        role="read",
        summary="The version that a reference stands for: `coffee`, `coffee:3` or `coffee@challenger`",
        answer=_VERSION,
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/api/v1/models/{ref}/bundle",
        id="download_bundle",
        handle=models.download,
        role="read",
        summary="The bundle of a version as one `.fairway` file; takes `Range` and `If-None-Match`",
        conditions=True,
        lane="file",
        problems=(404, 416),
    ),
    Operation(
        method="GET",
        path="/api/v1/models/{name}/versions",
        id="list_versions",
        handle=models.list_versions,
        role="read",
        summary="The versions of a model, oldest first",
        answer={"versions": [_VERSION]},
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/api/v1/models/{name}/versions",
        id="register_version",
        handle=uploads.register,
        role="deploy",
        summary="Put the chunks of an uploaded bundle together and register it as the next version",
        body=(
            Field(name="chunks", kind="digests", required=True, doc="SHA-256 of every chunk, in order."),
            Field(name="sha256", kind="digest", required=True, doc="SHA-256 of the whole file."),
            Field(
                name="size",
                kind="integer",
                required=True,
                least=1,
                most=UPLOAD_BYTES,
                doc="Bytes of the whole file.",
            ),
            Field(
                name="compile",
                kind="text",
                default="auto",
                choices=("auto", "off", "require"),
                doc="What to do about a compiled predictor; see `fairway push`.",
            ),
            Field(
                name="upload",
                kind="text",
                default="",
                doc="A word of the caller's own: sent again with the same one, it makes no second version.",
            ),
            REASON,
        ),
        example={"chunks": [_DIGEST], "sha256": _DIGEST, "size": 48211, "reason": "March data"},
        lane="work",
        status=201,
        answer=_VERSION,
        problems=(403, 409, 413, 422, 507),
    ),
    Operation(
        method="POST",
        path="/api/v1/uploads/missing",
        id="find_missing_chunks",
        handle=uploads.find_missing,
        role="deploy",
        summary="Which chunks of an upload are still to be sent; nothing is changed",
        body=(
            Field(name="chunks", kind="digests", required=True, doc="SHA-256 of every chunk of the upload."),
        ),
        example={"chunks": [_DIGEST]},
        answer={"missing": [_DIGEST]},
        problems=(422,),
    ),
    Operation(
        method="PUT",
        path="/api/v1/chunks/{sha256}",
        id="put_chunk",
        handle=uploads.put_chunk,
        role="deploy",
        summary="Store one chunk of an upload, at most 16 MiB; sending it again changes nothing",
        takes=(BINARY,),
        max_body_bytes=CHUNK_BYTES,
        lane="file",
        answer={"sha256": _DIGEST, "size": 48211},
        problems=(400, 413, 415, 422, 507),
    ),
    Operation(
        method="GET",
        path="/api/v1/models/{name}/aliases",
        id="list_aliases",
        handle=aliases.list_aliases,
        role="read",
        summary="The version number by alias",
        answer={"aliases": {"production": 3}},
        problems=(404,),
    ),
    Operation(
        method="PUT",
        path="/api/v1/models/{name}/aliases/{alias}",
        id="set_alias",
        handle=aliases.set_alias,
        role="deploy",
        summary="Point an alias to a version; servers follow within a second",
        body=(
            Field(name="version", kind="integer", required=True, least=1, doc="Number of the version."),
            REASON,
            EXPECTED,
        ),
        conditions=True,
        example={"version": 3, "reason": "better on the March data", "expected": 2},
        answer=_MOVE,
        problems=(404, 409, 422),
    ),
    Operation(
        method="DELETE",
        path="/api/v1/models/{name}/aliases/{alias}",
        id="remove_alias",
        handle=aliases.remove_alias,
        role="deploy",
        summary="Take an alias away; a rollback brings it back",
        query=(REASON,),
        answer={**_MOVE, "to_version": None},
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/api/v1/models/{name}/rollback",
        id="roll_back",
        handle=aliases.roll_back,
        role="deploy",
        summary="Point an alias to what it pointed to before; done again, it goes further back",
        body=(
            Field(name="alias", kind="text", default="production", doc="The alias to step back."),
            Field(
                name="to",
                kind="integer",
                nullable=True,
                least=1,
                doc="How far back: a version that it pointed to before. Default: one step.",
            ),
            REASON,
        ),
        example={"alias": "production", "reason": "ratings too low since noon"},
        answer={**_MOVE, "from_version": 3, "to_version": 2},
        problems=(404, 409, 422),
    ),
    Operation(
        method="GET",
        path="/api/v1/models/{name}/history",
        id="model_history",
        handle=journal.history,
        role="read",
        summary="What happened to a model, oldest first",
        query=(
            Field(name="alias", kind="text", doc="Only the moves of this alias."),
            Field(name="at", kind="text", doc="A time: the answer says where the aliases pointed then."),
        ),
        answer={"events": [_EVENT], "aliases": {"production": 3}},
        problems=(404,),
    ),
    Operation(
        method="DELETE",
        path="/api/v1/models/{name}/versions/{version}",
        id="delete_version",
        handle=models.delete,
        role="admin",
        summary="Delete a version that no alias points to; its number is never given again",
        query=(REASON,),
        answer={**_VERSION, "aliases": []},
        problems=(404, 409),
    ),
    Operation(
        method="POST",
        path="/api/v1/models/{ref}/promote",
        id="promote_version",
        handle=promotions.promote,
        role="deploy",
        summary="Point an alias to a version that passes its gate; 409 says everything that is in the way",
        body=(
            ALIAS,
            REASON,
            Field(name="dry_run", kind="boolean", default=False, doc="Tell what would happen, and no more."),
            Field(
                name="allow_schema_change",
                kind="boolean",
                default=False,
                doc="Promote although clients of what is live break.",
            ),
        ),
        example={"alias": "production", "reason": "better on the March data"},
        lane="file",
        answer={"move": _MOVE, "dry_run": False, "gate": ["its last check was passed"]},
        problems=(404, 409),
    ),
    Operation(
        method="POST",
        path="/api/v1/models/{ref}/approve",
        id="approve_version",
        handle=promotions.approve,
        role="deploy",
        summary="Approve that a version becomes what an alias points to; somebody else has to promote it",
        body=(ALIAS, REASON),
        example={"alias": "production", "reason": "looked at the report"},
        answer={
            "reference": "coffee:3",
            "alias": "production",
            "actor": "grace",
            "approvals": ["grace"],
            "seq": 16,
        },
        problems=(404,),
    ),
    Operation(
        method="PUT",
        path="/api/v1/models/{name}/aliases/{alias}/protection",
        id="protect_alias",
        handle=promotions.protect,
        role="admin",
        summary="Protect an alias, so that promotions and rollbacks alone move it, or end that",
        body=(
            Field(name="protected", kind="boolean", default=True, doc="Whether it is from now on."),
            Field(
                name="approvals",
                kind="integer",
                default=0,
                most=10,
                doc="How many others have to approve a version before it is promoted.",
            ),
            REASON,
        ),
        example={"protected": True, "approvals": 1, "reason": "customers rely on it"},
        answer={"protection": {"approvals": 1, "since": "2026-05-03T12:00:00.000Z", "actor": "ada"}},
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/api/v1/models/{ref}/checks",
        id="check_version",
        handle=promotions.check,
        role="deploy",
        summary="Prove a version on the table of the body, judge it by its gate, and keep the report with it",
        query=(
            Field(name="against", kind="text", default="", doc="Reference of a version to compare with."),
            Field(name="target", kind="text", default="", doc="Column that holds the truth."),
            Field(name="by", kind="text", default="", doc="Columns to look at apart, separated by commas."),
            Field(name="data", kind="text", default="", doc="What to call the table in the report."),
            Field(name="seed", kind="integer", default=0, most=2**31, doc="Which resamples are drawn."),
            REASON,
        ),
        takes=tuple(promotions.ENDINGS),
        max_body_bytes=TABLE_BYTES,
        lane="work",
        answer={"passed": True, "rules": [], "subject": {"reference": "coffee:3"}},
        problems=(400, 404, 413, 415, 422),
    ),
    Operation(
        method="GET",
        path="/api/v1/keys",
        id="list_keys",
        handle=keys.list_keys,
        role="admin",
        every_model=True,
        summary="The API keys without their secrets, with those that are void",
        answer={"keys": [_KEY]},
    ),
    Operation(
        method="POST",
        path="/api/v1/keys",
        id="create_key",
        handle=keys.create,
        role="admin",
        every_model=True,
        summary="Keep an API key that the caller has made; its secret never travels, only the hash of it",
        body=(
            Field(name="id", kind="text", required=True, doc="The part of the key that may be shown."),
            Field(name="secret_hash", kind="digest", required=True, doc="SHA-256 of the secret."),
            Field(name="name", kind="text", required=True, doc="What the key is for."),
            Field(
                name="role",
                kind="text",
                required=True,
                choices=("read", "predict", "deploy", "admin"),
                doc="What it allows.",
            ),
            Field(name="models", kind="texts", default=(), doc="Patterns of models; none for all of them."),
            Field(name="expires_at", kind="text", nullable=True, doc="When it ends; null for never."),
            REASON,
        ),
        example={"id": "3kq81xza", "secret_hash": _DIGEST, "name": "shop", "role": "predict"},
        status=201,
        answer=_KEY,
        problems=(409,),
    ),
    Operation(
        method="GET",
        path="/api/v1/keys/{id}",
        id="show_key",
        handle=keys.show,
        role="admin",
        every_model=True,
        summary="One API key without its secret",
        answer=_KEY,
        problems=(404,),
    ),
    Operation(
        method="PATCH",
        path="/api/v1/keys/{id}",
        id="expire_key",
        handle=keys.expire,
        role="admin",
        every_model=True,
        summary="Let an API key end at a time, unless it ends before",
        body=(Field(name="expires_at", kind="text", required=True, doc="When it ends."), REASON),
        example={"expires_at": "2026-06-01T00:00:00Z", "reason": "replaced by another key"},
        answer=_KEY,
        problems=(404,),
    ),
    Operation(
        method="DELETE",
        path="/api/v1/keys/{id}",
        id="revoke_key",
        handle=keys.revoke,
        role="admin",
        every_model=True,
        summary="Revoke an API key for good, within five seconds on all servers",
        query=(REASON,),
        answer=_KEY,
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/api/v1/audit",
        id="read_audit",
        handle=journal.read,
        role="admin",
        every_model=True,
        summary="Every change of the registry, oldest first, in pages",
        query=(
            Field(name="after", kind="integer", default=0, doc="Only events with a higher number."),
            Field(
                name="limit",
                kind="integer",
                default=journal.PAGE,
                least=1,
                most=10 * journal.PAGE,
                doc="Most events of a page.",
            ),
            Field(name="model", kind="text", doc="Only events of this model."),
        ),
        answer={"events": [_EVENT], "next": None},
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/api/v1/audit/head",
        id="audit_head",
        handle=journal.head,
        role="admin",
        every_model=True,
        summary="Number and hash of the newest event; kept elsewhere, it proves all before it",
        answer={"seq": 17, "hash": _DIGEST},
    ),
    Operation(
        method="GET",
        path="/api/v1/audit/verify",
        id="verify_audit",
        handle=journal.verify,
        role="admin",
        every_model=True,
        summary="The first event that is not as it was recorded, if there is one",
        lane="work",
        answer={"head": {"seq": 17, "hash": _DIGEST}, "broken": None},
    ),
)


def body_limit(method: str, path: str) -> int:
    """Return how many bytes the body of a management request may have."""
    if method == "PUT" and path.startswith("/api/v1/chunks/"):
        return CHUNK_BYTES
    return max(
        (op.max_body_bytes for op in OPERATIONS if op.takes and op.method == method and _fits(op.path, path)),
        default=JSON_BYTES,
    )


def _fits(pattern: str, path: str) -> bool:
    parts, given = pattern.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part == found or part.startswith("{") for part, found in zip(parts, given, strict=True)
    )
