"""Tests of the frameworks that have an environment of their own; elsewhere there is nothing to collect."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MODELS = Path(__file__).parent / "models"

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def own_modules() -> Iterator[None]:
    """Let the tests import the modules in `models` as a user's training script does."""
    sys.path.insert(0, str(MODELS))
    yield
    sys.path.remove(str(MODELS))
