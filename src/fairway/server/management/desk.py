"""Where the work of management requests is done: a few threads of its own, so that predictions never wait.

A registry that does not answer must not keep its caller waiting, nor a thread for every caller: what takes
too long is given up, and what would wait behind too much is refused at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fairway.errors import FairwayError, Overloaded, RegistryBusy, StoreUnavailable

Result = TypeVar("Result")

PATIENCE_S = 4.8
"""How long a look-up or a change may take: callers are told within five seconds that the registry is away."""

FILE_S = 600.0
"""How long a file may be read or written."""

WORK_S = 1_800.0
"""How long a bundle may be taken in, or a version be checked."""


class Desk:
    """A bounded number of threads with a bounded queue before them.

    Args:
        name: What its threads are called.
        threads: How many work at a time.
        max_waiting: Most calls that wait beside those.
        patience_s: How long a call may take, its time in the queue included.
    """

    def __init__(self, name: str, *, threads: int, max_waiting: int, patience_s: float) -> None:
        self._name = name
        self._threads = threads
        self._most = threads + max_waiting
        self._patience_s = patience_s
        self._under_way = 0
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], Result], *, is_change: bool = False) -> Result:
        """Return what *work* returns, called in a thread of this desk.

        Args:
            work: What to do.
            is_change: Whether it changes the registry. What was given up may still happen, then.

        Raises:
            Overloaded: Too many calls wait.
            StoreUnavailable: It took too long.
        """
        if self._under_way >= self._most:
            raise Overloaded("too many management calls wait", hint="try again in a few seconds")
        if self._pool is None:  # not before a fork, which threads do not survive
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=f"fairway-{self._name}")
        self._under_way += 1
        try:
            return await asyncio.wait_for(
                asyncio.get_running_loop().run_in_executor(self._pool, work), self._patience_s
            )
        except TimeoutError:
            raise self._late(is_change=is_change) from None
        finally:
            self._under_way -= 1

    def _late(self, *, is_change: bool) -> FairwayError:
        if is_change:
            return RegistryBusy(
                f"the registry did not take the change within {self._patience_s:g} s",
                hint="it may still happen: look before you try again",
            )
        return StoreUnavailable(
            f"the registry did not answer within {self._patience_s:g} s", hint="try again in a few seconds"
        )
