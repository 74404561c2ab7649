"""A small bundle without any framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.bundle.signature import Input, Output, Signature

FACTS = {
    "name": "coffee",
    "flavor": "sklearn",
    "created": "2026-02-28T12:00:00.000+00:00",
    "model_type": "Ridge",
    "python": "3.11.7",
    "fairway": "0.1.0",
}
SIGNATURE = Signature((Input("size", "number", typical=1.0),), (Output("rating", "score", "number"),))


@pytest.fixture
def small_bundle() -> Callable[..., Bundle]:
    """Give a function that builds a bundle: extra files by path, other facts by name."""

    def build(files: dict[str, bytes] | None = None, **facts: Any) -> Bundle:
        contents = {
            "model/model.bin": b"the model",
            "signature.json": msgspec.json.encode(SIGNATURE.to_dict(), order="sorted"),
            "card.md": "# Kaffee für Ada\n".encode(),
            "code/features.py": b"X = 1\n",
        }
        return build_bundle(contents | (files or {}), **(FACTS | facts))

    return build
