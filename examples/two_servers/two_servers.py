"""Two fairway servers behind nginx that share PostgreSQL and an S3-compatible store, on one machine.

Starts all of it on loopback, pushes a model, sends calls without a pause, and meanwhile promotes a second
version, rolls it back, and kills one of the servers. Says what the callers saw, and ends everything again.

Nothing is left behind but the folder that `--folder` names; without it a temporary one is used. `--stay` goes
on serving until Ctrl+C. moto, which stands in for S3 here, keeps files in memory: it is for trying, not for
keeping anything.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

BUCKET = "models"
CALLERS = 4
DEADLINE_S = 120
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}

NGINX = """
pid {folder}/nginx.pid;
worker_processes 1;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;

    upstream fairway {{
        # A server that fails is left alone for two seconds, and then tried with a single call.
        server 127.0.0.1:{ports[0]} max_fails=1 fail_timeout=2s;
        server 127.0.0.1:{ports[1]} max_fails=1 fail_timeout=2s;
        keepalive 16;
    }}

    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 10m;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_connect_timeout 2s;
        proxy_read_timeout 70s;

        # By default nginx sends a POST only once: it might change something. A prediction changes nothing.
        location ~ ^/(predict|explain|models/[^/]+/(predict|explain))$ {{
            proxy_pass http://fairway;
            proxy_next_upstream error timeout non_idempotent http_502 http_503;
            proxy_next_upstream_tries 2;
        }}

        location / {{
            proxy_pass http://fairway;
            proxy_next_upstream error timeout http_502 http_503;
        }}
    }}
}}
"""


class Machines:
    """Every process that was started, with what it needs; ends them in the opposite order.

    Args:
        folder: Gets logs, the database and a home folder for each machine.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.sql_port, self.s3_port, *self.ports = free_ports(5)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FAIRWAY_")},
            "FAIRWAY_REGISTRY": f"postgresql://postgres@127.0.0.1:{self.sql_port}/postgres",
            "FAIRWAY_ARTIFACTS": f"s3://{BUCKET}/fairway",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.s3_port}",
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *command: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program in a process group of its own, with a log in the folder."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                list(map(str, command)),
                **{"env": self.environment, **options},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def start_postgres(self) -> None:
        """Make an empty database and start it; PostgreSQL refuses to run as root."""
        programs = find_postgres()
        # Its folder must be one that the user postgres can reach, which another's build folder may not be.
        data = Path(tempfile.mkdtemp(prefix="fairway-two-servers-sql-"))
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(data, "postgres", "postgres")
            owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
        initdb = [programs / "initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-D", data]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **owner)  # noqa: S603
        settings = {"listen_addresses": "127.0.0.1", "port": self.sql_port, "unix_socket_directories": ""}
        chosen = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.start("postgres", programs / "postgres", "-D", data, *chosen, cwd="/", **owner)
        self._data = data
        wait_until(lambda: is_listening(self.sql_port), "PostgreSQL")

    def start_store(self) -> None:
        """Start moto's S3 server and make a bucket."""
        self.start("store", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.s3_port))
        wait_until(lambda: is_listening(self.s3_port), "the S3 server")
        request = urllib.request.Request(f"http://127.0.0.1:{self.s3_port}/{BUCKET}", method="PUT")
        urllib.request.urlopen(request, timeout=30).close()

    def start_server(self, number: int) -> subprocess.Popen[bytes]:
        """Start a fairway server with two workers and a home folder of its own, as on another machine."""
        port, home = self.ports[number], self.folder / f"machine-{number + 1}"
        command = ["serve", "iris", "--workers", "2", "--port", str(port), "--home", str(home)]
        server = self.start(f"server-{number + 1}", sys.executable, "-m", "fairway", *command)
        wait_until(lambda: is_ready(port, server), f"server {number + 1}")
        return server

    def start_nginx(self) -> None:
        """Start nginx in front of both."""
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        config = self.folder / "nginx.conf"
        config.write_text(NGINX.format(folder=self.folder, port=self.port, ports=self.ports, user=user))
        log = self.folder / "nginx-error.log"
        self.start("nginx", find_nginx(), "-c", config, "-e", log, "-g", "daemon off;")
        wait_until(lambda: is_listening(self.port), "nginx")

    def fairway(self, *arguments: str | Path) -> str:
        """Run a verb of fairway, as somebody at a third machine would."""
        home = str(self.folder / "laptop")
        command = [sys.executable, "-m", "fairway", *map(str, arguments), "--home", home]
        done = subprocess.run(  # noqa: S603 - our own program
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"fairway {arguments[0]} failed:\n{done.stderr}")
        return done.stdout

    def end(self) -> None:
        """End everything that was started, each with its own children."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if hasattr(self, "_data"):
            shutil.rmtree(self._data, ignore_errors=True)


class Calls:
    """Calls without a pause, from several clients that keep their connections to nginx."""

    def __init__(self, port: int) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: list[str] = []
        self.last = ""
        self._port = port
        self._is_over = False
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for the last answers."""
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def until(self, version: str, calls: int = 200) -> float:
        """Return how long it took until the calls were answered by *version* alone."""
        started = time.monotonic()
        last_other, since = started, sum(self.answered.values())
        before = self.answered.copy()
        while sum(self.answered.values()) - since < calls:
            time.sleep(0.005)
            others = {name for name in self.answered if self.answered[name] != before[name]} - {version}
            if others:
                last_other, since = time.monotonic(), sum(self.answered.values())
            before = self.answered.copy()
            if time.monotonic() - started > DEADLINE_S:
                raise SystemExit(f"{version} does not answer; see the logs")
        return last_other - started

    def _call(self) -> None:
        body = json.dumps(FLOWER).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._is_over:
            try:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                reply = connection.getresponse()
                text = reply.read()
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
                continue
            if reply.status == 200 and json.loads(text) == {"prediction": 0}:
                self.answered[reply.headers["fairway-model"]] += 1
            else:
                self.failed.append(f"{reply.status} {text[:200]!r}")


def main() -> None:
    """Start everything, change it under load, and say what the callers saw."""
    parser = argparse.ArgumentParser(description="Two fairway servers behind nginx.")
    parser.add_argument("--folder", type=Path, help="where logs and homes go; it must be empty or new")
    parser.add_argument("--stay", action="store_true", help="serve on until Ctrl+C")
    options = parser.parse_args()
    need_programs()
    # Ended by a signal, too, this ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with folder_of(options.folder) as folder:
        machines = Machines(folder)
        try:
            run(machines, stay=options.stay)
        except KeyboardInterrupt:
            say("ended by Ctrl+C")
        finally:
            machines.end()


def run(machines: Machines, *, stay: bool) -> None:
    """Do it, step by step."""
    machines.start_postgres()
    say("PostgreSQL holds the registry")
    machines.start_store()
    say("moto stands in for S3 and holds the files")
    first, second = train(machines.folder, 0.1), train(machines.folder, 10.0)
    push(machines, first)
    machines.fairway("alias", "iris:1", "production", "--reason", "the first one")
    say("pushed iris:1 and set iris@production to it")
    machines.start_server(0)
    doomed = machines.start_server(1)
    machines.start_nginx()
    say("two servers of two workers each are ready behind nginx")
    with Calls(machines.port) as calls:
        calls.until("iris:1")
        push(machines, second)
        machines.fairway("alias", "iris:2", "production", "--reason", "better regularised")
        say(f"promoted iris:2: every call is answered by it after {calls.until('iris:2'):.1f} s")
        machines.fairway("rollback", "iris", "--reason", "too sure of itself")
        say(f"rolled back: every call is answered by iris:1 after {calls.until('iris:1'):.1f} s")
        os.killpg(doomed.pid, signal.SIGKILL)
        doomed.wait()
        calls.until("iris:1", calls=1000)
        say("killed server 2 with SIGKILL: the other one answers")
        machines.start_server(1)
        calls.until("iris:1", calls=1000)
        say("started server 2 again")
    for version, count in sorted(calls.answered.items()):
        say(f"{version} answered {count} calls")
    say(f"{len(calls.failed)} calls failed")
    if calls.failed:
        raise SystemExit("\n".join(calls.failed[:10]))
    if stay:
        say(f"serving on http://127.0.0.1:{machines.port} until Ctrl+C; logs in {machines.folder}")
        signal.pause()


def train(folder: Path, strength: float) -> Path:
    """Fit a small model and return where it was written; the example for its signature lies beside it."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    path = folder / f"iris-{strength:g}.joblib"
    joblib.dump(LogisticRegression(C=strength, max_iter=1000).fit(x, y), path)
    rows = "\n".join(",".join(map(str, row)) for row in x[::5])
    (folder / "example.csv").write_text(f"{','.join(FLOWER)}\n{rows}\n", encoding="utf-8")
    return path


def push(machines: Machines, model: Path) -> None:
    """Register a version of iris."""
    machines.fairway("push", model, "--name", "iris", "--example", machines.folder / "example.csv")


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's programs; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found is not None and (Path(found).parent / "postgres").exists():
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not places:
        raise SystemExit("PostgreSQL was not found; on Debian: apt-get install postgresql")
    return places[-1]


def find_nginx() -> str:
    """Return the path of nginx; Debian keeps it where only root looks."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        raise SystemExit("nginx was not found; on Debian: apt-get install nginx-light")
    return found


def need_programs() -> None:
    """Say what is missing before anything is started."""
    find_postgres()
    find_nginx()
    needed = {"moto": "moto[server]", "obstore": "fairway[s3]", "psycopg": "fairway[postgres]"}
    for module, package in needed.items():
        if importlib.util.find_spec(module) is None:
            raise SystemExit(f"{module} is not installed; run: pip install '{package}'")


@contextlib.contextmanager
def folder_of(given: Path | None) -> Iterator[Path]:
    """Give the folder that was asked for, or a temporary one."""
    if given is None:
        with tempfile.TemporaryDirectory(prefix="fairway-two-servers-") as name:
            yield Path(name)
        return
    given.mkdir(parents=True, exist_ok=True)
    if any(given.iterdir()):
        raise SystemExit(f"{given} is not empty")
    yield given.resolve()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses at the moment."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def is_listening(port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_ready(port: int, server: subprocess.Popen[bytes]) -> bool:
    """Tell whether a fairway server has loaded and proven its models."""
    if server.poll() is not None:
        raise SystemExit("a server has ended; see its log")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:  # it does not listen yet, or says that it is not ready
        return False


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, but not for ever."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} does not answer; see the logs")
        time.sleep(0.05)


def say(text: str) -> None:
    """Print a line now."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
