"""From the start of the process to the first answer: a bundle file and a registry, compiled and original.

Run: `python benchmarks/bench_start.py`. Medians of ten starts, taken in turn, so that a busy machine slows
all of them alike; the last column is the ratio to the first row. Processor time stands beside it, because it
depends less on what else the machine does.
"""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fairway as fw

STARTS = 10
DEADLINE_S = 60
BODY = b'{"features":[5.1,3.5,1.4,0.2]}'


def make_home(folder: Path) -> Path:
    """Return a home folder with iris:1, and write the same to `iris.fairway`."""
    iris = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(iris.data, iris.target)
    home = folder / "home"
    fw.push(model, name="iris", example=iris.data, home=home)
    fw.pull("iris", folder / "iris.fairway", home=home)
    return home


def start(*arguments: str | Path, home: Path) -> tuple[float, float]:
    """Return seconds from the start to the first answer, and processor seconds until then."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "fairway", "serve", *map(str, arguments), "--home", str(home)]
    began = time.perf_counter()
    server = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        while not answers(port):
            if server.poll() is not None or time.perf_counter() - began > DEADLINE_S:
                raise SystemExit(f"{' '.join(command)} does not answer")
            time.sleep(0.002)
        took = time.perf_counter() - began
    finally:
        server.terminate()
        _, _, usage = os.wait4(server.pid, 0)
    return took, usage.ru_utime + usage.ru_stime


def answers(port: int) -> bool:
    """Tell whether the server answers a prediction."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request("POST", "/predict", BODY, {"content-type": "application/json"})
        return connection.getresponse().read() == b'{"prediction":[0]}'
    except OSError:
        return False
    finally:
        connection.close()


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory(prefix="fairway-start-") as temporary:
        folder = Path(temporary)
        home, bundle = make_home(folder), folder / "iris.fairway"
        cases = {
            "bundle file, compiled": (bundle,),
            "bundle file, original": (bundle, "--predictor", "native"),
            "registry, compiled": ("iris",),
            "registry, original": ("iris", "--predictor", "native"),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(STARTS):
            for name, arguments in cases.items():
                taken[name].append(start(*arguments, home=home))
    first = None
    print("| start | first answer, s | processor, s | ratio |")
    print("|---|---|---|---|")
    for name, pairs in taken.items():
        median, processor = (statistics.median(times) for times in zip(*pairs, strict=True))
        first = first or median
        print(f"| {name} | {median:.2f} | {processor:.2f} | {median / first:.1f} |")


if __name__ == "__main__":
    main()
