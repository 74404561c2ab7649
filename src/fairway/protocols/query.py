"""What a call asks for in its query: beside the outputs, and of an explanation."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import parse_qsl

from fairway.errors import MalformedRequest
from fairway.messages import ExplainWish

INCLUDES = frozenset({"probabilities", "flags", "explanation"})
METHODS = ("auto", "shapley", "words")
_EXPLAIN_NAMES = ("include", "method", "of", "seed")
_MAX_PARAMETERS = 100
_MAX_SEED_DIGITS = 9


def _pairs(query: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    if query.count("&") >= _MAX_PARAMETERS:
        raise MalformedRequest("query_invalid", f"the query has more than {_MAX_PARAMETERS} parameters")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise MalformedRequest(
                "query_invalid",
                f"there is no query parameter {name[:80]!a}",
                hint=f"known: {', '.join(sorted(known))}",
            )
        yield name, value


def read_include(query: str) -> frozenset[str]:
    """Return what a prediction is to be accompanied by.

    Raises:
        MalformedRequest: The query asks for something else.
    """
    return _included(value for _, value in _pairs(query, ("include",)))


def _included(values: Iterator[str]) -> frozenset[str]:
    wanted = {item for value in values for item in value.split(",") if item}
    if unknown := sorted(wanted - INCLUDES):
        raise MalformedRequest(
            "query_invalid",
            f"include does not know {unknown[0][:80]!a}",
            hint=f"known: {', '.join(sorted(INCLUDES))}",
        )
    return frozenset(wanted)


def read_wish(query: str) -> tuple[frozenset[str], ExplainWish]:
    """Return what an explanation is to be accompanied by, and what is to be explained how.

    Raises:
        MalformedRequest: The query asks for something else.
    """
    pairs = list(_pairs(query, _EXPLAIN_NAMES))
    include = _included(value for name, value in pairs if name == "include")
    given = dict(pairs)
    method, seed = given.get("method", "auto"), given.get("seed", "0")
    if method not in METHODS:
        raise MalformedRequest(
            "query_invalid", f"there is no method {method[:80]!a}", hint=f"known: {', '.join(METHODS)}"
        )
    if not (seed.isascii() and seed.isdigit() and len(seed) <= _MAX_SEED_DIGITS):
        raise MalformedRequest(
            "query_invalid", f"seed is {seed[:80]!a}", hint="give a whole number of at most 9 digits"
        )
    return include, ExplainWish(given.get("of", ""), method, int(seed), is_required=True)
