"""Aliases: where they point, and how they move."""

from __future__ import annotations

import re
from typing import Any

from fairway.errors import Fault, FieldsInvalid, MalformedRequest
from fairway.server.management.fields import pointer_to
from fairway.server.management.office import Answer, Asked

_TAG = re.compile(r'"([1-9][0-9]{0,8})"')


def list_aliases(asked: Asked) -> Answer:
    """Answer the version number by alias."""
    return Answer(document={"aliases": aliases_of(asked)})


def set_alias(asked: Asked) -> Answer:
    """Point an alias to a version."""
    move = asked.registry.move_alias(
        asked.path["name"],
        asked.path["alias"],
        asked.body["version"],
        actor=asked.actor,
        reason=asked.body["reason"],
        **expectation(asked),
    )
    return Answer(document=move, headers={"etag": f'"{move.to_version}"'})


def remove_alias(asked: Asked) -> Answer:
    """Take an alias away."""
    return Answer(
        document=asked.registry.remove_alias(
            asked.path["name"], asked.path["alias"], actor=asked.actor, reason=asked.query["reason"]
        )
    )


def roll_back(asked: Asked) -> Answer:
    """Point an alias to what it pointed to before."""
    return Answer(
        document=asked.registry.rollback(
            asked.path["name"],
            asked.body["alias"],
            to=asked.body["to"],
            actor=asked.actor,
            reason=asked.body["reason"],
        )
    )


def aliases_of(asked: Asked) -> dict[str, int]:
    """Return the version number by alias of the model that the path names."""
    name = asked.path["name"]
    asked.registry.versions(name)  # says that there is no such model
    return next((model.aliases for model in asked.registry.models() if model.name == name), {})


def expectation(asked: Asked) -> dict[str, Any]:
    """Return what the caller believes that the alias points to, as an argument; none if it does not say.

    The field `expected` says it, or as HTTP does, `If-Match: "2"` and `If-None-Match: *`.

    Raises:
        MalformedRequest: A header holds something else.
        FieldsInvalid: Field and header say it both.
    """
    headers = {name: asked.headers[name] for name in ("if-match", "if-none-match") if name in asked.headers}
    said = asked.body.get("expected", UNSAID)
    if not headers:
        return {} if said == UNSAID else {"expected": said}
    if said != UNSAID or len(headers) > 1:
        fault = Fault(pointer_to("expected"), "value_format", "a header says already what is expected")
        raise FieldsInvalid([fault])
    if headers.get("if-none-match") == "*":
        return {"expected": None}
    tag = _TAG.fullmatch(headers.get("if-match", ""))
    if tag is None:
        raise MalformedRequest(
            "header_invalid",
            "the condition cannot be read",
            hint='If-Match: "2" for an alias that points to version 2, If-None-Match: * for none',
        )
    return {"expected": int(tag[1])}


UNSAID = -1
"""Default of the field `expected`: null means that the alias is not there."""
