"""Load models in a process that forks afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def load_aside(load: Callable[[], Result], *, timeout_s: float | None = None) -> Result:
    """Return what *load* returns, having called it in a thread that ends before a fork.

    OpenMP keeps threads for every thread that has used it. Those of a main thread would be missed, and waited
    for without end, by the first call in a forked process.

    Args:
        load: What to call.
        timeout_s: How long to wait for it. A thread that is late goes on, and nobody gets what it returns.

    Raises:
        BaseException: Whatever *load* raises.
        TimeoutError: It did not return in time.
    """
    found: list[Result] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(load())
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            raised.append(error)

    thread = threading.Thread(target=run, name="fairway-load", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise TimeoutError
    if raised:
        raise raised[0]
    return found[0]
