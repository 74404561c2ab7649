"""What models and aliases may be called, and how a reference to a version is written.

Names end up in paths, URLs, SQL and shell commands on three operating systems, so the grammar holds only what
is harmless in all of them. Whether a name exists is for the registry to say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fairway.errors import NameInvalid

_GRAMMAR = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
# Windows opens a device for these, whatever stands after the first dot.
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10)))
)


class Reference(NamedTuple):
    """Which version is meant: by number, by alias, or (both None) the one that a bare name stands for.

    Attributes:
        model: Name of the model.
        version: Number of the version, or None.
        alias: Name of the alias, or None.
    """

    model: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        """Write the reference as a person would type it; `parse_reference` reads it back."""
        if self.version is not None:
            return f"{self.model}:{self.version}"
        return f"{self.model}@{self.alias}" if self.alias is not None else self.model


def check_name(kind: str, name: str) -> str:
    """Return *name* unchanged if it may name a model, an alias or the like.

    Args:
        kind: What the name is for, as the message shall say it, such as `model`.
        name: 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning and ending with a letter or digit.

    Raises:
        NameInvalid: The name is outside the grammar, holds `..`, or is a Windows device such as `con`.

    Example:
        >>> check_name("model", "coffee-ratings")
        'coffee-ratings'
    """
    if not _GRAMMAR.fullmatch(name) or ".." in name:
        raise NameInvalid(kind, name)
    device = name.split(".", 1)[0]
    if device in _DEVICES:
        error = NameInvalid(kind, name)
        error.hint = f"Windows keeps {device!r} for a device; choose another name"
        raise error
    return name


def parse_reference(text: str) -> Reference:
    """Read a reference: `coffee`, `coffee:3` or `coffee@challenger`.

    Raises:
        NameInvalid: A name is outside the grammar, or the version is not a number.

    Example:
        >>> parse_reference("coffee@challenger")
        Reference(model='coffee', version=None, alias='challenger')
    """
    model, colon, number = text.partition(":")
    if colon:
        check_name("model", model)
        if not _NUMBER.fullmatch(number):
            error = NameInvalid("version", number)
            error.hint = f"a version is a number, such as {model}:3; an alias is written {model}@production"
            raise error
        return Reference(model, version=int(number))
    model, at, alias = text.partition("@")
    check_name("model", model)
    return Reference(model, alias=check_name("alias", alias)) if at else Reference(model)
