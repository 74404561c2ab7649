"""What every test gets: an environment of its own, and an honest answer about the services it needs.

A test that needs a real program or data set says so with `@pytest.mark.service("browser")`. Where that is
absent the test skips and says what was looked for; under `--require browser` the same test fails instead.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine is slow, not wrong: what a property costs is no part of it.
settings.register_profile("fairway", deadline=None)
settings.load_profile("fairway")

ROOT = Path(__file__).resolve().parent.parent

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_AXE_PLACES = (ROOT / ".make" / "node_modules", ROOT / "node_modules")
_KEPT_VARIABLES = ("FAIRWAY_DATA", "FAIRWAY_TEST_")
_LOOPBACK = ("127.", "::1", "localhost")

# Long files whose tests share nothing: workers take them test by test. All others stay with one worker, which
# starts a file's servers and trains its models once.
_SPLIT_FILES = frozenset({"tests/docs/test_readme.py", "tests/docs/test_examples.py"})
# Folders whose tests start no server, as a rule.
_QUICK_FOLDERS = frozenset({ROOT / "tests" / "unit", ROOT / "tests" / "property"})
_MAKING_DEADLINE_S = 300.0


def _find_browser() -> Path | None:
    """Return the path of a Chromium, `FAIRWAY_TEST_CHROMIUM` first."""
    named = os.environ.get("FAIRWAY_TEST_CHROMIUM")
    found = (named, *map(shutil.which, _CHROMIUM_NAMES))
    return next((Path(path) for path in found if path and Path(path).is_file()), None)


def _find_axe() -> Path | None:
    """Return the accessibility checker's script, `FAIRWAY_TEST_AXE` first."""
    named = os.environ.get("FAIRWAY_TEST_AXE")
    places = [ROOT / named] if named else [place / "axe-core" / "axe.min.js" for place in _AXE_PLACES]
    return next((path for path in places if path.is_file()), None)


def _find_moto() -> Path | None:
    """Return the place of moto, if what asks its S3 server is installed, too."""
    found = [importlib.util.find_spec(name) for name in ("moto", "flask_cors", "obstore")]
    return Path(found[0].origin or "") if all(found) and found[0] is not None else None


def _find_nginx() -> Path | None:
    """Return the path of nginx; Debian keeps it where only root looks."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    return Path(found) if found else None


def _find_promtool() -> Path | None:
    """Return the path of Prometheus' promtool."""
    found = shutil.which("promtool")
    return Path(found) if found else None


def _find_data() -> Path | None:
    """Return the folder of real data sets, `FAIRWAY_DATA` first."""
    named = os.environ.get("FAIRWAY_DATA")
    path = ROOT / named if named else ROOT.parent / "shared" / "data"
    return path.resolve() if path.is_dir() else None


def _find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian keeps off the PATH."""
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return Path(found).resolve().parent if found else next(reversed(places), None)


def _find_models() -> Path | None:
    """Return the folder of models that others made, `FAIRWAY_TEST_MODELS` first."""
    named = os.environ.get("FAIRWAY_TEST_MODELS")
    path = ROOT / named if named else ROOT.parent / "shared" / "models"
    return path.resolve() if path.is_dir() else None


# What each service is, and what to do about it when it is not there.
SERVICES: dict[str, tuple[Callable[[], Path | None], str]] = {
    "axe": (_find_axe, "axe-core was not found; run: npm install --prefix .make axe-core"),
    "browser": (_find_browser, "no Chromium was found on the PATH; on Debian: apt-get install chromium"),
    "data": (
        _find_data,
        "no data sets at ../shared/data; FAIRWAY_DATA may name another folder",
    ),
    "models": (
        _find_models,
        "no models of others at ../shared/models; FAIRWAY_TEST_MODELS may name another folder",
    ),
    "postgres": (
        _find_postgres,
        "PostgreSQL's initdb was not found; on Debian: apt-get install postgresql",
    ),
    "moto": (
        _find_moto,
        "moto and obstore are not installed; run: pip install 'moto[s3]' flask flask-cors obstore",
    ),
    "nginx": (_find_nginx, "nginx was not found; on Debian: apt-get install nginx-light"),
    "promtool": (_find_promtool, "promtool was not found on the PATH; on Debian: apt-get install prometheus"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--require`."""
    parser.addoption(
        "--require",
        default="",
        metavar="NAMES",
        help=f"services that must be there, separated by commas: {', '.join(sorted(SERVICES))}; or all",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse unknown names, and keep Hypothesis' examples where they are found again."""
    unknown = _required(config) - SERVICES.keys()
    if unknown:
        known = ", ".join(sorted(SERVICES))
        raise pytest.UsageError(
            f"--require: no service is named {', '.join(sorted(unknown))}; known: {known}"
        )
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".hypothesis"))


def _required(config: pytest.Config) -> set[str]:
    """Return the names given with `--require`."""
    names = {name.strip() for name in config.getoption("--require").split(",") if name.strip()}
    return set(SERVICES) if names == {"all"} else names


def needs(config: pytest.Config, name: str, path: Path | None, reason: str) -> Path:
    """Return *path*; where it is None skip with the reason, or fail if `--require` names the service."""
    if path is not None:
        return path
    if name in _required(config):
        pytest.fail(f"service {name!r} is required (--require): {reason}", pytrace=False)
    pytest.skip(f"service {name!r}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with the files that are slow, so that none is left with one at the end."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: (item.path not in slow, not _QUICK_FOLDERS.isdisjoint(item.path.parents)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests by file, and those of some files one by one."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return nodeid if file in _SPLIT_FILES else file

    return Scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test marked `service(name)` before its fixtures start anything."""
    for mark in item.iter_markers("service"):
        for name in mark.args:
            if name not in SERVICES:
                pytest.fail(
                    f"service({name!r}): there is no such name in SERVICES of conftest.py", pytrace=False
                )
            find, reason = SERVICES[name]
            needs(item.config, name, find(), reason)


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Give the path of a service by name; skips or fails as the marker does."""

    def path_of(name: str) -> Path:
        find, reason = SERVICES[name]
        return needs(request.config, name, find(), reason)

    return path_of


@pytest.fixture(scope="session")
def shared_data(service: Callable[[str], Path]) -> Path:
    """Give the folder of real data sets, such as `shared_data / "coffee"`."""
    return service("data")


@pytest.fixture(scope="session")
def chromium(service: Callable[[str], Path]) -> Path:
    """Give the path of the Chromium to drive."""
    return service("browser")


@pytest.fixture(scope="session")
def axe_script(service: Callable[[str], Path]) -> str:
    """Give the source of axe-core, to be run inside a page."""
    return service("axe").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def promtool(service: Callable[[str], Path]) -> Path:
    """Give the path of promtool."""
    return service("promtool")


class Postgres:
    """A PostgreSQL server of our own, on loopback, with everything that makes a commit durable.

    Its words sort as people sort them, so that nothing passes that relies on the order of bytes; the role
    `guarded` needs its password, `s3cret/word`.
    """

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.data = folder / "data"
        # The server refuses to run as root, and who is not root cannot be anybody else.
        is_root = hasattr(os, "geteuid") and os.geteuid() == 0
        self._as: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if is_root else {}
        )
        if is_root:
            shutil.chown(folder, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._schemas = itertools.count(1)
        self._frozen: list[int] = []
        options = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", "--no-locale")
        self._run("initdb", *options, "--locale-provider=icu", "--icu-locale=en-US", "-D", str(self.data))
        hba = self.data / "pg_hba.conf"
        hba.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
        self.start()
        self.execute("CREATE ROLE guarded LOGIN PASSWORD 's3cret/word'")

    def url(self, schema: str = "", *, user: str = "postgres") -> str:
        """Return the address of a schema of its own, made unless it is named."""
        if not schema:
            schema = f"s{next(self._schemas)}"
            self.execute(f"CREATE SCHEMA {schema}; GRANT ALL ON SCHEMA {schema} TO PUBLIC")
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres?options=-csearch_path%3D{schema}"

    def execute(self, statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser."""
        import psycopg

        address = f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statements)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = (
            f"-c listen_addresses=127.0.0.1 -p {self.port} -c unix_socket_directories= -c shared_buffers=16MB"
        )
        log = str(self.data / "server.log")
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server as a crash would, unless another mode of pg_ctl is asked for."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-m", mode, "stop")

    def freeze(self) -> None:
        """Stop its processes without ending them: connections are accepted and never answered."""
        import psycopg

        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres") as connection:
            self._frozen = [
                pid for (pid,) in connection.execute("SELECT pid FROM pg_stat_activity").fetchall()
            ]
            own = connection.info.backend_pid
        self._frozen.remove(own)
        self._frozen.append(int((self.data / "postmaster.pid").read_text().splitlines()[0]))
        for pid in self._frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its processes go on."""
        for pid in self._frozen:
            os.kill(pid, signal.SIGCONT)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would be kept open by the server
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
            **self._as,
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}"


@pytest.fixture(scope="session")
def postgres(service: Callable[[str], Path]) -> Iterator[Postgres]:
    """Give a running PostgreSQL; `postgres.url()` is the address of an empty registry of one's own."""
    programs = service("postgres")
    with tempfile.TemporaryDirectory(prefix="fairway-postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(programs, Path(folder))
        try:
            yield server
        finally:
            server.stop("fast")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Give a function that returns a folder of this worker's own with what *make* puts there.

    Only one worker makes it; the others get a copy.
    """

    def folder_of(name: str, make: Callable[[Path], None]) -> Path:
        folder = tmp_path_factory.mktemp(name) / "home"
        if "PYTEST_XDIST_WORKER" not in os.environ:
            make(folder)
            return folder
        place = tmp_path_factory.getbasetemp().parent / f"made-{name}"
        try:
            place.mkdir()
        except FileExistsError:
            _wait_for(place / "home")
            return Path(shutil.copytree(place / "home", folder))
        make(folder)
        shutil.copytree(folder, place / "half").rename(place / "home")
        return folder

    return folder_of


def _wait_for(folder: Path) -> None:
    """Wait until another worker has made *folder*."""
    deadline = time.monotonic() + _MAKING_DEADLINE_S
    while not folder.exists():
        assert time.monotonic() < deadline, f"no other worker has made {folder}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def moto_endpoint(service: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a private S3 server that stands until the last test."""
    service("moto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (tmp_path_factory.mktemp("moto") / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not _is_listening(port):
            assert server.poll() is None, "moto has ended"
            assert time.monotonic() < deadline, "moto does not listen"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _is_listening(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def moto_bucket(moto_endpoint: str) -> dict[str, str]:
    """Give the variables that lead to a prefix in a new bucket; for servers that outlive a test."""
    bucket = f"fairway-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{moto_endpoint}/{bucket}", method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    return {
        "FAIRWAY_ARTIFACTS": f"s3://{bucket}/models",
        "AWS_ENDPOINT_URL": moto_endpoint,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "not-to-be-seen-anywhere",
    }


@pytest.fixture
def s3_url(moto_endpoint: str, own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the address of a prefix in a new bucket, with the variables set that lead there."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-seen-anywhere")
    bucket = f"fairway-{uuid.uuid4().hex[:12]}"
    request = urllib.request.Request(f"{moto_endpoint}/{bucket}", method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    return f"s3://{bucket}/models"


@pytest.fixture(autouse=True, scope="session")
def no_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the machine out: no FAIRWAY_* variable, an empty home folder, no network but loopback."""
    home = tmp_path_factory.mktemp("user")
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(("AWS_", "FAIRWAY_"))]:
            if not variable.startswith(_KEPT_VARIABLES):
                patch.delenv(variable)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))
        patch.setattr(socket.socket, "connect", _loopback_only(socket.socket.connect))
        yield


@pytest.fixture(autouse=True)
def own_folder(no_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start each test in an empty working directory and undo what it did to the environment."""
    before = dict(os.environ)
    folder = tmp_path_factory.mktemp("cwd")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a home folder that does not exist yet, as `FAIRWAY_HOME` would name it."""
    return tmp_path / "home"


def _loopback_only(connect: Callable[..., None]) -> Callable[..., None]:
    """Return *connect* of a socket, refusing every host but this machine."""

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if isinstance(host, str) and host and not host.startswith(_LOOPBACK):
            raise OSError(f"tests stay on this machine, but one connects to {address}")
        connect(self, address)

    return guarded
