"""What the tests of the registry share: small real bundles and an open registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.registry.registry import Registry, open_registry

MakeBundle = Callable[..., Bundle]


def tiny_bundle(content: object = 0, *, name: str = "coffee", **facts: Any) -> Bundle:
    """Return a bundle of two small files, told from others by *content*."""
    files = {"model/model.bin": f"weights {content}".encode(), "signature.json": b"{}"}
    written = {"flavor": "sklearn", "created": "2026-01-01T00:00:00Z", "model_type": "Ridge"}
    return build_bundle(files, name=name, python="3.11.7", fairway="0.1.0", **written | facts)


@pytest.fixture
def make_bundle() -> MakeBundle:
    """Give the function that makes a small bundle."""
    return tiny_bundle


@pytest.fixture
def registry(home: Path) -> Iterator[Registry]:
    """Give an empty registry, closed at the end."""
    with open_registry(home) as opened:
        yield opened
