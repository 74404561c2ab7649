"""One model per class, per pair of classes, or per output."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import (
    ANY_KIND,
    Array,
    Model,
    Source,
    read_model,
    reads_model,
)
from fairway.compilers.steps.kernels import one_vs_rest_scores


@dataclasses.dataclass
class AgainstRest(Model):
    """One classifier of two classes per class.

    Attributes:
        members: Classifiers; with two classes there is only one.
        by_decision: Whether decision values are compared, else the probabilities.
        has_chances: Whether there are probabilities.
    """

    is_classifier: ClassVar[bool] = True
    members: list[Model]
    by_decision: bool
    has_chances: bool

    def raw(self, value: Any) -> list[Any]:
        return [member.raw(value) for member in self.members]

    def decision(self, raw: list[Any]) -> Array:
        found = [
            m.decision(r) if self.by_decision else m.chances(r)[:, 1]
            for m, r in zip(self.members, raw, strict=True)
        ]
        return found[0] if len(found) == 1 else np.stack(found, axis=1)

    def answers(self, raw: list[Any]) -> NDArray[Any]:
        scores = self.decision(raw)
        if scores.ndim == 1:
            return scores > (0.0 if self.by_decision else 0.5)
        return scores.argmax(axis=1)

    def chances(self, raw: list[Any]) -> Array:
        if not self.has_chances:
            return super().chances(raw)
        upper = [m.chances(r)[:, 1] for m, r in zip(self.members, raw, strict=True)]
        if len(upper) == 1:
            return np.stack([1.0 - upper[0], upper[0]], axis=1)
        found = np.stack(upper, axis=1)
        total = found.sum(axis=1, keepdims=True)
        return np.divide(found, total, out=np.zeros_like(found), where=total != 0.0)


@dataclasses.dataclass
class AgainstEach(Model):
    """One classifier of two classes per pair of classes."""

    is_classifier: ClassVar[bool] = True
    members: list[Model]
    by_decision: list[bool]
    classes: int

    def raw(self, value: Any) -> Array:
        found = []
        for member, by_decision in zip(self.members, self.by_decision, strict=True):
            raw = member.raw(value)
            # Above zero (or one half) is the second class of the pair.
            found.append(-(member.decision(raw) if by_decision else member.chances(raw)[:, 1] - 0.5))
        return np.stack(found, axis=1)

    def decision(self, raw: Array) -> Array:
        scores = one_vs_rest_scores(raw, self.classes)
        return scores[:, 1] if self.classes == 2 else scores

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw[:, 0] < 0 if self.classes == 2 else self.decision(raw).argmax(axis=1)


@dataclasses.dataclass
class SideBySide(Model):
    """One regressor per output."""

    members: list[Model]

    def raw(self, value: Any) -> Array:
        return np.stack([member.answers(member.raw(value)) for member in self.members], axis=1)

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


@reads_model("OneVsRestClassifier", takes=ANY_KIND, missing="kept")
def read_one_vs_rest(est: Any, source: Source) -> Model:
    """Read a OneVsRestClassifier."""
    if est.multilabel_:
        raise NotConvertible("OneVsRestClassifier for several labels at once has no compiled form")
    members = [read_model(member, source) for member in est.estimators_]
    first = est.estimators_[0]
    return AgainstRest(members, hasattr(first, "decision_function"), hasattr(first, "predict_proba"))


@reads_model("OneVsOneClassifier", takes=ANY_KIND, missing="kept")
def read_one_vs_one(est: Any, source: Source) -> Model:
    """Read a OneVsOneClassifier."""
    if est.pairwise_indices_ is not None:
        raise NotConvertible("OneVsOneClassifier over pairwise data has no compiled form")
    members = [read_model(member, source) for member in est.estimators_]
    by_decision = [hasattr(member, "decision_function") for member in est.estimators_]
    return AgainstEach(members, by_decision, len(est.classes_))


@reads_model("MultiOutputRegressor", takes=ANY_KIND, missing="kept")
def read_multi_output(est: Any, source: Source) -> Model:
    """Read a MultiOutputRegressor."""
    return SideBySide([read_model(member, source) for member in est.estimators_])
