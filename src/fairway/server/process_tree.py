"""`process_*` for a server of several processes, under the names that prometheus-client uses for one."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_PROC = Path("/proc")
_ATTEMPTS = 3


class ProcessTree(Collector):
    """Reads what the kernel knows of a master and its workers; without `/proc` there is nothing.

    Args:
        master: Process id of the master.
        workers: Returns the process ids of the workers that run.
    """

    def __init__(self, master: int, workers: Callable[[], Iterable[int]]) -> None:
        self._master = master
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        for _ in range(_ATTEMPTS):
            try:
                return iter(_read([self._master, *self._workers()]))
            except (FileNotFoundError, ProcessLookupError):
                continue  # a worker has just ended: what it took is the master's from now on
            except OSError:
                break
        return iter(())


def _read(pids: Sequence[int]) -> list[Metric]:
    """Return the metrics of processes, the master first."""
    stats = [_stat(pid) for pid in pids]
    ticks = os.sysconf("SC_CLK_TCK")
    # Counted from the name on: time in user mode, in the kernel, and both of children that have ended.
    cpu = sum(sum(map(int, stat[11:13])) for stat in stats) + sum(map(int, stats[0][13:15]))
    virtual = sum(int(stat[20]) for stat in stats)
    resident = sum(_resident_bytes(pid, stat) for pid, stat in zip(pids, stats, strict=True))
    started = _boot_time_s() + int(stats[0][19]) / ticks
    open_files = sum(len(list((_PROC / str(pid) / "fd").iterdir())) for pid in pids)
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * len(pids)
    return [
        _gauge("virtual_memory_bytes", "Virtual memory of all processes.", virtual),
        _gauge("resident_memory_bytes", "Memory of all processes; a shared page counts once.", resident),
        _gauge("start_time_seconds", "When the master started.", started),
        CounterMetricFamily(
            "process_cpu_seconds_total",
            "Processor time of all processes, ended ones included.",
            value=cpu / ticks,
        ),
        _gauge("open_fds", "Open files of all processes.", open_files),
        _gauge("max_fds", "Most open files of all processes.", most_files),
    ]


def _stat(pid: int) -> list[bytes]:
    # The name, in parentheses, may hold anything.
    return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()


def _resident_bytes(pid: int, stat: Sequence[bytes]) -> int:
    """Return the memory of a process with its share of what it shares, or all of it where that is secret."""
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_bytes().splitlines()
    except PermissionError:
        return int(stat[21]) * resource.getpagesize()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:")), 0)


def _boot_time_s() -> float:
    lines = (_PROC / "stat").read_bytes().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), 0.0)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"process_{name}", text, value=value)
