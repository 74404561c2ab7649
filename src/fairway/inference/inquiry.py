"""Asking a registry beside the event loop, and what to think of it when it does not answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from fairway.errors import Overloaded, PredictionTimeout, StoreUnavailable
from fairway.inference.lane import Lane
from fairway.log import timestamp
from fairway.messages import Timing

Answer = TypeVar("Answer")

ANSWER_S = 3.0
"""Longest wait for an answer that needs a row or two."""

_LONG_ANSWER_S = 20.0
_THREADS = 4
_MAX_QUEUE = 1024
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.5, 4.0
_TELL_AGAIN_S = 60.0


class Inquiry:
    """Asks in threads, within limits of time, and keeps in mind since when there is no answer.

    Args:
        notify: Gets an event name and its fields, for the log.

    Attributes:
        away_since: Since when the source cannot be asked, ISO 8601 in UTC; empty if it can.
    """

    def __init__(self, notify: Callable[..., None]) -> None:
        self._notify = notify
        self._short = Lane("registry", timeout_s=ANSWER_S, max_queue=_MAX_QUEUE, threads=_THREADS)
        self._long = Lane("registry", timeout_s=_LONG_ANSWER_S, max_queue=_MAX_QUEUE, threads=1)
        self._failures = 0
        self._began = self._told = 0.0
        self.away_since = ""

    @property
    def is_away(self) -> bool:
        """Whether the last question of all was left without an answer."""
        return self._failures > 0

    @property
    def pause_s(self) -> float:
        """How long to wait before the next question; 0 while all is well.

        Servers that have lost the same registry do not ask all at once when it is back.
        """
        if not self._failures:
            return 0.0
        pause_s: float = min(_FIRST_PAUSE_S * 2 ** (self._failures - 1), _MAX_PAUSE_S)
        return pause_s * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing

    async def ask(self, question: Callable[[], Answer], *, is_long: bool = False) -> Answer:
        """Return what *question* returns.

        Raises:
            StoreUnavailable: There was no answer in time.
        """
        lane = self._long if is_long else self._short
        try:
            answer: Answer = await lane.run(question, Timing(0.0))
        except (PredictionTimeout, Overloaded) as error:
            raise StoreUnavailable(
                f"the registry did not answer within {lane.timeout_s:g} s",
                hint="models that are loaded answer on; look at the registry's database",
            ) from error
        return answer

    def note_failure(self, error: BaseException) -> None:
        """Take note that there was no answer, or a useless one; tell it at first, and then each minute."""
        now = time.monotonic()
        if not self._failures:
            self._began, self.away_since = now, timestamp()
        if not self._failures or now - self._told > _TELL_AGAIN_S:
            self._told = now
            self._notify("registry.failed", level="error", since=self.away_since, cause=error)
        self._failures += 1

    def note_answer(self) -> None:
        """Take note that there was an answer."""
        if self._failures:
            seconds = round(time.monotonic() - self._began, 3)
            self._failures, self.away_since = 0, ""
            self._notify("registry.recovered", seconds=seconds)
