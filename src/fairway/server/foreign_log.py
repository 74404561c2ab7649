"""What uvicorn and asyncio would print by themselves, passed on as events, so that every log line is JSON."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def foreign_lines(tell: Callable[[str, str], None]) -> Iterator[None]:
    """Pass on what uvicorn and asyncio would print, until the block ends.

    Args:
        tell: Takes a level and a text.
    """
    handler = _ForeignLines(tell)
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate


class _ForeignLines(logging.Handler):
    def __init__(self, tell: Callable[[str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell("error" if record.levelno >= logging.ERROR else "warning", self.format(record))
