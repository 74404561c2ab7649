"""What each input added to a prediction, exactly, where a model's library tells.

A flavor that can has the attribute `has_contributions = True`, and its predictors the method
`contributions(columns: Columns) -> Contributions | None`; None says that there are none for this model.
Everything else is explained by asking the model (`inference/explain`). What is told is believed only where it
adds up to what the model answered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from fairway.flavors.base import Predictor
from fairway.messages import Columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Link = Literal["identity", "exp", "logistic", "softmax"]


@dataclasses.dataclass(frozen=True)
class Contributions:
    """Exact contributions to the sums that a model adds up, such as those of its trees.

    The sums are `base + values.sum(axis=2)`; the model's answer is their image under the link.

    Attributes:
        base: What the sums are without any input (sums).
        values: Contributions (rows x sums x inputs).
        link: `identity` and `exp` for one number; `logistic` for the probability of the second of two
            classes, of one sum; `softmax` for probabilities of one sum per class.
    """

    base: NDArray[np.float64]
    values: NDArray[np.float64]
    link: Link


def split_bias(found: NDArray[np.float64], *, sums: int, link: Link) -> Contributions:
    """Return contributions from the layout of the boosters: those of the inputs, then the bias, sum by sum.

    Args:
        found: Rows x (sums x (inputs + 1)), or rows x sums x (inputs + 1).
        sums: How many sums there are.
        link: How the answer follows from them.
    """
    import numpy as np

    parts = np.asarray(found, dtype=np.float64).reshape(len(found), sums, -1)
    return Contributions(parts[0, :, -1], parts[:, :, :-1], link)


class TellingPredictor:
    """A predictor of a library that tells what each input adds.

    Args:
        predictor: Predicts; called without a detour.
        feed: Makes of columns what the library takes.
        tell: Gives the contributions for what was fed.
    """

    def __init__(
        self,
        predictor: Predictor,
        feed: Callable[[Columns], Any],
        tell: Callable[[Any], Contributions | None],
    ) -> None:
        self.predict = predictor.predict
        self._feed = feed
        self._tell = tell

    def contributions(self, columns: Columns) -> Contributions | None:
        """Return the contributions to the prediction of every row, or None if there are none to be had."""
        return self._tell(self._feed(columns))
