"""What is found out once per model: the rows to compare with, and whether its library explains it exactly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from fairway.bundle.bundle import Bundle
from fairway.errors import FairwayError
from fairway.flavors.base import Predictor, flavor_named
from fairway.flavors.contributions import Contributions
from fairway.inference.explain.background import Background, background_of
from fairway.inference.predictors import load_native
from fairway.messages import Columns

Tell = Callable[[Columns], Contributions | None]


class Knowledge:
    """Keeps what explanations of one model need; refers to its bundle, not to the loaded model.

    Args:
        bundle: The model's bundle.
        predictor: What serves it.
    """

    def __init__(self, bundle: Bundle, predictor: Predictor) -> None:
        self._bundle = bundle
        self._predictor: Any = predictor
        self._lock = threading.Lock()
        self._background: Background | None = None
        self._tell: Tell | None = None
        self._has_looked = False

    def background(self) -> Background:
        """Return the rows to compare with."""
        with self._lock:
            if self._background is None:
                self._background = background_of(self._bundle)
            return self._background

    def contributions(self, columns: Columns) -> Contributions | None:
        """Return what the model's library says of its trees; None where it says nothing."""
        with self._lock:
            if not self._has_looked:
                self._tell, self._has_looked = self._find(), True
        return self._tell(columns) if self._tell is not None else None

    def _find(self) -> Tell | None:
        if not getattr(flavor_named(self._bundle.manifest.flavor), "has_contributions", False):
            return None
        if hasattr(self._predictor, "contributions"):
            tell: Tell = self._predictor.contributions
            return tell
        try:  # what serves is a compiled predictor, which knows of no contributions
            native: Any = load_native(self._bundle)[1]
        except FairwayError:  # the library is not installed here
            return None
        return getattr(native, "contributions", None)
