"""Answer a number of calls in this process, for a program that counts what the process does.

Run: `python hot_path_calls.py HOME REFERENCE ROWS CALLS`; `bench_hot_path.py --instructions` does.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from fairway.assemble import build_app, build_pool
from fairway.inference.stopwatch import Stopwatch
from fairway.log import Log
from fairway.server.bench import InProcess, bodies_of, request_of
from fairway.server.guard import open_guard
from fairway.settings import load_settings


async def answer(log: Log, home: str, reference: str, *, rows: int, calls: int) -> None:
    """Build what a server is built of, and use it."""
    settings, _ = load_settings(flags={"home": home})
    pool = build_pool(settings, [reference], log=log)
    (model,) = pool.served()
    connection = InProcess(build_app(settings, pool, guard=open_guard(), log=log), Stopwatch())
    requests = [request_of(body) for body in bodies_of(model, rows)]
    for request in itertools.islice(itertools.cycle(requests), calls):
        await connection.call(request)


def main() -> None:
    """Answer, with a log that nobody reads."""
    home, reference, rows, calls = sys.argv[1:]
    with Path(os.devnull).open("wb") as nowhere:
        log = Log(nowhere)
        asyncio.run(answer(log, home, reference, rows=int(rows), calls=int(calls)))
        log.close()


if __name__ == "__main__":
    main()
