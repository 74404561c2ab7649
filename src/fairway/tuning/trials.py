"""Servers with one setting after the other, each under load, and what follows from the figures."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairway.errors import FairwayError
from fairway.settings import child_environment, describe_settings
from fairway.tuning.load import Load, put_load

CALLERS = (1, 8, 32)
MARGIN = 1.1
"""A setting is recommended against the default only if it makes this difference: less is noise."""

_START_S = 60.0
_WARM_UP_S = 0.2
_ADDRESS = re.compile(rb"on http://127\.0\.0\.1:(\d+)\r?$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """One server under load.

    Attributes:
        settings: What was set, by key.
        loads: What callers saw, with ever more of them; empty if the server did not start.
        failure: Why it did not.
    """

    settings: dict[str, str]
    loads: tuple[Load, ...] = ()
    failure: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Advice:
    """A recommended setting.

    Attributes:
        key: Its key.
        value: Its value.
        reason: Why, with the figures, in a sentence.
    """

    key: str
    value: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured and what is recommended.

    Attributes:
        reference: The model.
        trials: Every server that was tried.
        advice: The recommended settings.
        written: The file that holds them now; empty if they were not written.
        replaced: What that file said before, by key, where it said something else.
    """

    reference: str
    trials: tuple[Trial, ...]
    advice: tuple[Advice, ...]
    written: str = ""
    replaced: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Tuner:
    """Tries settings on one model.

    Args:
        reference: What is served.
        home: Folder of the registry.
        seconds: Time for all loads together; servers take theirs to start, too.
        tell: Gets what is being tried.
    """

    def __init__(self, reference: str, *, home: Path, seconds: float, tell: Callable[[str], object]) -> None:
        self._reference = reference
        self._home = home
        self._tell = tell
        self._kept: dict[str, str] = {}
        self._trials: list[Trial] = []
        self._advice: list[Advice] = []
        self._plan = _plan()
        count = 1 + sum(len(values) - 1 for _, values in self._plan)
        self._load_s = max(0.1, seconds / (count * len(CALLERS)) - _WARM_UP_S)

    def run(self) -> Tuning:
        """Try one setting after the other; the best value of each is kept for the next.

        Raises:
            FairwayError: The model cannot be served, or does not answer.
        """
        for key, values in self._plan:
            trials = [self._try({**self._kept, key: value}) for value in values]
            fit = [trial for trial in trials if trial.loads]
            if not fit:
                raise FairwayError(f"no server could be tried: {trials[0].failure}")
            advice = advise(key, fit)
            if advice.value != fit[0].settings[key]:  # the default may have met the machine in a bad mood
                fit[0] = max(fit[0], self._measure(fit[0].settings), key=_rate)
                advice = advise(key, fit)
            self._advice.append(advice)
            self._kept[key] = advice.value
        return Tuning(self._reference, tuple(self._trials), tuple(self._advice))

    def _try(self, settings: dict[str, str]) -> Trial:
        defaults = {key: values[0] for key, values in self._plan}
        known = (
            trial for trial in self._trials if {**defaults, **trial.settings} == {**defaults, **settings}
        )
        if same := next(known, None):
            return dataclasses.replace(same, settings=settings)
        return self._measure(settings)

    def _measure(self, settings: dict[str, str]) -> Trial:
        self._tell(", ".join(f"{key} = {value}" for key, value in settings.items()))
        try:
            with _server(self._reference, home=self._home, settings=settings) as port:
                tried = Trial(settings, tuple(_run(_measure(port, self._load_s))))
        except FairwayError as error:
            tried = Trial(settings, failure=error.detail)
        self._trials.append(tried)
        return tried


def _plan() -> list[tuple[str, list[str]]]:
    """Return what is tried: keys and their values, the default first."""
    known = {entry.key for entry in describe_settings()}
    cores = (os.cpu_count() or 1) if hasattr(os, "fork") else 1
    plan = [
        ("server.predictor", ["auto", "native", "numpy", "onnx"]),
        ("batching.mode", ["auto", "off"]),
        ("server.workers", [str(n) for n in range(1, cores + 1)]),
    ]
    return [(key, values) for key, values in plan if key in known and len(values) > 1]


def _rate(trial: Trial) -> float:
    """Return the calls per second under the heaviest load."""
    return trial.loads[-1].calls_per_s if trial.loads else 0.0


def advise(key: str, trials: Sequence[Trial]) -> Advice:
    """Return the value of *key* that answered most calls under the heaviest load, and why.

    The first trial has the default, which stays unless another is better by more than noise.
    """
    default = trials[0]
    best = max(trials, key=_rate)
    value, before = best.settings[key], default.settings[key]
    rate, rate_before = _rate(best), _rate(default)
    callers = best.loads[-1].callers
    if value != before and rate > MARGIN * rate_before:
        reason = (
            f"{rate:,.0f} calls/s with {callers} callers against {rate_before:,.0f} with {before}, "
            f"p99 {best.loads[-1].p99_ms:.3g} ms against {default.loads[-1].p99_ms:.3g}"
        )
        return Advice(key, value, reason)
    others = ", ".join(f"{t.settings[key]} {_rate(t):,.0f}" for t in trials[1:])
    reason = (
        f"{rate_before:,.0f} calls/s with {callers} callers; nothing else is better by a tenth ({others})"
    )
    return Advice(key, before, reason if others else f"{rate_before:,.0f} calls/s; nothing else can serve it")


def _run(work: Coroutine[Any, Any, list[Load]]) -> list[Load]:
    try:
        import uvloop  # the callers are not to be slower than the server
    except ImportError:  # Windows has none
        return asyncio.run(work)
    return uvloop.run(work)


async def _measure(port: int, seconds: float) -> list[Load]:
    request = _request(port)
    await put_load(port, request, callers=CALLERS[-1], seconds=_WARM_UP_S)
    return [await put_load(port, request, callers=callers, seconds=seconds) for callers in CALLERS]


def _request(port: int) -> bytes:
    """Return a call with one typical row of the model that the server serves."""
    listed = _get(port, "/models")["models"][0]["reference"]
    row = _get(port, f"/models/{listed}")["typical_row"]
    body = json.dumps(row).encode()
    head = (
        "POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
        return json.load(reply)


@contextlib.contextmanager
def _server(reference: str, *, home: Path, settings: Mapping[str, str]) -> Iterator[int]:
    """Serve in a process of its own; yield the port."""
    quiet = {**settings, "log.access": "false", "server.host": "127.0.0.1", "server.auth": "off"}
    with tempfile.TemporaryFile(prefix="fairway-tune-") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-m", "fairway", "--home", str(home), "serve", reference, "--port", "0"],
            env=child_environment(quiet),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
        try:
            yield _port_of(process, output)
        finally:
            process.terminate()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port_of(process: subprocess.Popen[bytes], output: Any) -> int:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        written = os.pread(output.fileno(), 2**20, 0)
        if found := _ADDRESS.search(written):
            return int(found[1])
        if process.poll() is not None:
            said = re.findall(rb"^Error: (.+)$", written, re.MULTILINE)
            raise FairwayError(said[-1].decode(errors="replace") if said else "the server ended")
        time.sleep(0.01)
    raise FairwayError(f"the server did not start within {_START_S:g} s")
