"""Where the models of the contract suite register: by flavor and name, made when they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass
class Case:
    """A fitted model, the example to pack it with, and what it says of that example."""

    model: Any
    example: Any
    answers: Any = None
    probabilities: Any = None
    target: str | None = None
    code: Sequence[Path] = ()


CASES: dict[str, dict[str, Callable[[], Case]]] = {}


def case_of(flavor: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    """Return a decorator that adds a case to a flavor's suite, under the name of the function."""

    def register(make: Callable[[], Case]) -> Callable[[], Case]:
        CASES.setdefault(flavor, {})[make.__name__] = make
        return make

    return register
