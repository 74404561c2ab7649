"""Does a call with very many rows hold up the small ones?

A server answers one-row calls on a few connections, each asking again as soon as it is answered; then a call
with 300,000 rows of 30 features comes beside them. Printed are the waiting times of the one-row calls without
it and while it was in flight. The model is a forest on the breast cancer data, as it is pushed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import fairway as fw
from fairway.testing import running_server

LIMITS = {"FAIRWAY_LIMITS_MAX_ROWS": "400000", "FAIRWAY_LIMITS_MAX_BODY_BYTES": str(2**30)}


def main() -> None:
    """Push the model, start the server, measure, print."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="fairway-bench-") as folder:
        home = Path(folder) / "home"
        rows = prepare(home)
        large = large_body(rows, options.rows, records=options.records)
        environ = {**LIMITS, "FAIRWAY_LOG_ACCESS": "false"}
        with running_server("cancer", home=home, environ=environ, folder=Path(folder)) as server:
            asyncio.run(measure(server.port, one_row(rows), large, options))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=300_000, help="rows of the large call")
    parser.add_argument("--records", action="store_true", help="send them as objects, not as arrays")
    parser.add_argument("--connections", type=int, default=2, help="connections with one-row calls")
    parser.add_argument("--times", type=int, default=2, help="how often the large call is made")
    return parser.parse_args()


def prepare(home: Path) -> list[list[float]]:
    """Train and register the forest; return the rows of its data."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    data, labels = load_breast_cancer(return_X_y=True)
    model = RandomForestClassifier(n_estimators=100, random_state=0).fit(data, labels)
    columns = {f"x{n}": data[:, n].tolist() for n in range(data.shape[1])}
    fw.push(model, name="cancer", example=columns, home=home)
    return data.tolist()


def one_row(rows: list[list[float]]) -> bytes:
    """Return the body of a one-row call."""
    return json.dumps({"features": rows[0]}).encode()


def large_body(rows: list[list[float]], count: int, *, records: bool) -> bytes:
    """Return the body of a call with many rows."""
    names = [f"x{n}" for n in range(len(rows[0]))]
    texts = [json.dumps(dict(zip(names, row, strict=True)) if records else row) for row in rows]
    return ('{"instances":[' + ",".join(texts[n % len(texts)] for n in range(count)) + "]}").encode()


async def measure(port: int, small: bytes, large: bytes, options: argparse.Namespace) -> None:
    """Load the server without and with the large call."""
    stop = asyncio.Event()
    waits: list[tuple[float, float]] = []
    callers = [asyncio.create_task(keep_asking(port, small, waits, stop)) for _ in range(options.connections)]
    await asyncio.sleep(3.0)
    print(f"{'without it':<28}{summary([s for _, s in waits])}")
    for number in range(options.times):
        began = time.perf_counter()
        status, size = await ask(port, large)
        ended = time.perf_counter()
        if status != 200:
            raise SystemExit(f"the large call was answered with {status}")
        beside = [seconds for at, seconds in waits if began <= at <= ended or began <= at - seconds <= ended]
        name = f"call {number + 1}: {len(large) / 1e6:.0f} MB, {ended - began:.1f} s"
        print(f"{name:<28}{summary(beside)}  ({size / 1e6:.1f} MB answered)")
        await asyncio.sleep(1.0)
    stop.set()
    await asyncio.gather(*callers)


async def keep_asking(port: int, body: bytes, waits: list[tuple[float, float]], stop: asyncio.Event) -> None:
    """Ask again and again on one connection; note when each answer came and how long it took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = head(len(body)) + body
    while not stop.is_set():
        began = time.perf_counter()
        writer.write(request)
        status, _ = await read_reply(reader)
        now = time.perf_counter()
        if status != 200:
            raise SystemExit(f"a one-row call was answered with {status}")
        waits.append((now, now - began))
        await asyncio.sleep(0.002)  # the load is not to be a load of its own
    writer.close()


async def ask(port: int, body: bytes) -> tuple[int, int]:
    """Make one call; return status and size of the reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(len(body)))
    for start in range(0, len(body), 2**18):
        writer.write(body[start : start + 2**18])
        await writer.drain()
    status, size = await read_reply(reader)
    writer.close()
    return status, size


def head(length: int) -> bytes:
    """Return the head of a call."""
    return (
        b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % length
    )


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Read one reply; return its status and the size of its body."""
    lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    left = length
    while left:
        left -= len(await reader.read(min(left, 2**18)))
    return int(lines[0].split()[1]), length


def summary(seconds: list[float]) -> str:
    """Return the quantiles of waiting times."""
    ordered = sorted(seconds)
    p50 = statistics.median(ordered)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    return (
        f"{len(ordered):>6} calls  p50 {p50 * 1e3:7.2f} ms  p99 {p99 * 1e3:7.2f} ms  "
        f"max {ordered[-1] * 1e3:7.2f} ms"
    )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
