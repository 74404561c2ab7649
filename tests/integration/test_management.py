"""The management interface on real servers: the same verbs as at home, and nothing for the hostile."""

from __future__ import annotations

import contextlib
import csv
import getpass
import hashlib
import re
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.integration.conftest import (
    IRIS_ROW,
    MIXED_ROWS,
    MODELS,
    Watch,
    iris_model,
    iris_table,
    own_module,
    problem_of,
    snapshot,
    wait_until,
)

import fairway as fw
from fairway.cli.main import main
from fairway.client.management import RemoteRegistry
from fairway.errors import Conflict, FairwayError, ModelNotFound, RoleDenied, UntrustedBundle
from fairway.registry.registry import open_registry
from fairway.testing import Answer, RunningServer, running_server

JSON = {"content-type": "application/json"}
BINARY = {"content-type": "application/octet-stream"}
CHUNK = 1_000


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home folder with three versions of iris, of which the first is live."""
    pytest.importorskip("sklearn")
    home = tmp_path_factory.mktemp("origin") / "home"
    fw.push(iris_model(), name="iris", example=iris_table(), compile="off", home=home)
    with open_registry(home) as registry:
        packed = registry.open(registry.resolve("iris"))
        for _ in range(2):
            registry.register(packed, actor="ada", reason="the same again")
    fw.alias("iris:1", "production", reason="the first", home=home)
    return home


@pytest.fixture(scope="module")
def managed(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a server with two workers on a copy of that home, with a folder of its own for temporary files."""
    folder = tmp_path_factory.mktemp("managed")
    shutil.copytree(origin, folder / "home")
    (folder / "tmp").mkdir()
    environ = {"TMPDIR": str(folder / "tmp"), "FAIRWAY_SERVER_WORKERS": "2"}
    with running_server(home=folder / "home", folder=folder, environ=environ) as server:
        yield server


@pytest.fixture(scope="module")
def known(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle file that the servers' homes have packed themselves."""
    path = tmp_path_factory.mktemp("known") / "iris.fairway"
    fw.pull("iris:1", path, home=origin)
    return path


@pytest.fixture
def remote(managed: RunningServer) -> Iterator[RemoteRegistry]:
    """Give a client whose chunks are small."""
    with RemoteRegistry(managed.url, chunk_bytes=CHUNK) as registry:
        yield registry


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle file that the servers' homes do not know."""
    folder = tmp_path_factory.mktemp("elsewhere")
    path = folder / "iris.fairway"
    fw.pack(iris_model(C=2.0), path, example=iris_table(), compile="off", home=folder / "home")
    return path


def folder_of(server: RunningServer) -> Path:
    return server.log.parent


def versions_of(server: RunningServer) -> list[int]:
    found = server.ask("/api/v1/models/iris/versions").json()["versions"]
    return [version["version"] for version in found]


def cleaned(text: str, *, names: dict[str, str]) -> str:
    """Return what a verb printed without times, hashes of events and the names of places."""
    for name, word in names.items():
        text = text.replace(name, word)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "TIME", text)
    text = re.sub(r',\s+"upload": "[0-9a-f]*"', "", text)
    return re.sub(r"[0-9a-f]{64}", "HASH", text)


STEPS = (
    ["list"],
    ["list", "--json"],
    ["show", "iris"],
    ["show", "iris:2", "--json"],
    ["show", "iris@production", "--card"],
    ["show", "iris", "--history"],
    ["show", "nothing"],
    ["show", "iris:99"],
    ["show", "iris@nothing"],
    ["show", "../etc/passwd"],
    ["alias", "iris:2", "production", "--reason", "better"],
    ["alias", "iris:2", "production"],
    ["alias", "iris@production", "challenger", "--json"],
    ["alias", "iris:3", "UPPER"],
    ["alias", "iris:99", "production"],
    ["alias", "iris@challenger", "--remove", "--reason", "no longer needed"],
    ["alias", "iris@challenger", "--remove"],
    ["rollback", "iris", "--reason", "worse after all"],
    ["rollback", "iris"],
    ["rollback", "iris", "--alias", "nothing"],
    ["push", "{BUNDLE}", "--name", "flowers", "--compile", "off", "--reason", "from elsewhere"],
    ["push", "{KNOWN}", "--compile", "off", "--json"],
    ["push", "nothing.joblib"],
    ["pull", "iris:3", "{FOLDER}/three.fairway"],
    ["pull", "iris:3", "{FOLDER}/three.fairway"],
    ["pull", "flowers", "{FOLDER}/flowers"],
    ["pull", "nothing", "{FOLDER}/nothing"],
    ["show", "flowers", "--json"],
    ["promote", "iris:2", "--dry-run"],
    ["promote", "iris:2", "--reason", "passed", "--json"],
    ["promote", "iris:99"],
    ["protect", "iris@production", "--approvals", "1"],
    ["alias", "iris:3", "production"],
    ["promote", "iris:3"],
    ["approve", "iris:3", "--reason", "looked at it"],
    ["promote", "iris:3"],
    ["rollback", "iris", "--to", "1"],
    ["delete", "iris:1", "--yes"],
    ["delete", "iris:3", "--yes", "--reason", "not needed"],
    ["show", "iris:3"],
    ["diff", "iris:1", "iris:2"],
    ["diff", "iris:1", "flowers", "--json"],
    ["show", "iris", "--at", "2020-01-01"],
    ["audit", "iris"],
    ["audit", "--json", "--kind", "promote"],
    ["audit", "verify"],
    ["audit", "verify", "--head", "1:" + "0" * 64],
    ["keys", "list"],
    ["keys", "revoke", "00000000"],
    ["check", "iris:2", "--data", "{TABLE}", "--target", "nothing"],
    ["list"],
)


def test_every_verb_does_the_same_here_and_there(
    origin: Path, bundle: Path, known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A verb with `--server` prints what it prints on the server's machine, and ends with the same code."""
    homes = {name: shutil.copytree(origin, tmp_path / name) for name in ("here", "there")}
    for name in homes:
        (tmp_path / f"{name}-out").mkdir()

    table = unseen(tmp_path)

    def run(step: list[str], place: list[str], out: Path) -> tuple[int, str, str]:
        places = {"BUNDLE": bundle, "KNOWN": known, "FOLDER": out, "TABLE": table}
        given = [part.format(**places) for part in step]
        code = main([*given, *place])
        printed = capsys.readouterr()
        names = {
            str(out): "OUT",
            "fairway push OUT": "fairway NEXT OUT",
            "fairway serve OUT": "fairway NEXT OUT",
        }
        return code, cleaned(printed.out, names=names), cleaned(printed.err, names=names)

    with running_server(home=homes["there"]) as server:
        for step in STEPS:
            here = run(step, ["--home", str(homes["here"])], tmp_path / "here-out")
            there = run(step, ["--server", server.url], tmp_path / "there-out")

            assert there == here, step

    left, right = (open_registry(home) for home in homes.values())
    with left, right:
        assert told(left) == told(right)
        assert right.verify_audit() is None


def unseen(folder: Path) -> Path:
    """Write a table with the truth beside the inputs, as somebody keeps it."""
    from sklearn.datasets import load_iris

    columns = iris_table() | {"species": load_iris().target.tolist()}
    path = folder / "unseen.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def told(registry: fw.Registry) -> list[tuple[object, ...]]:
    """Return the record of a registry without times and hashes."""
    return [
        (event.kind, event.model, event.actor, event.reason, event.version, event.alias, event.to_version)
        for event in registry.audit()
    ]


def test_the_functions_take_a_server_and_so_does_the_environment(
    origin: Path, managed: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`server=` and FAIRWAY_SERVER name the registry; a home that is stated outweighs the variable."""
    assert fw.show("iris:1", server=managed.url).version.reference == "iris:1"

    monkeypatch.setenv("FAIRWAY_SERVER", managed.url)
    move = fw.alias("iris:3", "by-variable")

    assert move.to_version == 3
    assert "by-variable" in fw.list_models()[0].aliases
    assert "by-variable" not in fw.list_models(home=origin)[0].aliases


def test_a_verb_that_cannot_be_remote_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """`--server` is refused with a sentence, wherever it stands."""
    for given in (["doctor", "--server", "http://x"], ["--server", "http://x", "doctor"]):
        assert main(given) == 2
        assert "fairway doctor works on this machine" in capsys.readouterr().err


def test_changes_bear_the_name_of_who_made_them(managed: RunningServer, remote: RemoteRegistry) -> None:
    """The actor is who calls, never what the body says."""
    answer = managed.ask(
        "/api/v1/models/iris/aliases/mine",
        {"version": 1, "actor": "mallory"},
        method="PUT",
        headers=JSON,
    )

    assert problem_of(answer)["errors"][0]["pointer"] == "/actor"
    remote.move_alias("iris", "mine", 1, actor="mallory", reason="see who")
    assert remote.history("iris")[-1].actor == getpass.getuser()


def test_of_many_who_move_an_alias_at_once_one_wins(managed: RunningServer, remote: RemoteRegistry) -> None:
    """Whoever expects what is no longer so is told, and nothing of theirs happens."""
    remote.move_alias("iris", "contested", 1)

    def move(version: int) -> str:
        with RemoteRegistry(managed.url) as own:
            try:
                own.move_alias("iris", "contested", version, expected=1)
            except Conflict:
                return "conflict"
            return "moved"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(move, [2, 3] * 4))

    assert sorted(outcomes) == ["conflict"] * 7 + ["moved"]
    moves = [event for event in remote.history("iris") if event.alias == "contested"]
    assert len(moves) == 2


def test_conditions_are_also_read_from_headers(managed: RunningServer) -> None:
    """`If-Match` and `If-None-Match` say what is expected, as HTTP has it."""
    place = "/api/v1/models/iris/aliases/guarded"

    def put(version: int, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return managed.ask(place, {"version": version}, method="PUT", headers=JSON | named)

    assert put(1, if_none_match="*").headers["etag"] == '"1"'
    assert problem_of(put(2, if_none_match="*"))["code"] == "conflict"
    assert put(2, if_match='"1"').status == 200
    assert problem_of(put(3, if_match='"1"'))["status"] == 409
    assert problem_of(put(3, if_match="nonsense"))["code"] == "header_invalid"


def test_the_record_is_read_in_pages_and_proven(remote: RemoteRegistry, managed: RunningServer) -> None:
    """The audit of a server is that of its registry, whole and in order."""
    events = remote.audit()

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert remote.audit(after=2, limit=3) == events[2:5]
    assert remote.head().hash == events[-1].hash
    assert remote.verify_audit() is None
    page = managed.ask("/api/v1/audit?limit=2").json()
    assert page["next"] == 2


def test_a_deleted_version_is_gone_and_a_live_one_stays(
    managed: RunningServer, remote: RemoteRegistry, known: Path
) -> None:
    """What an alias points to cannot be deleted; a number is never given again."""
    made = remote.upload(known, "passing", mode="off")
    remote.upload(known, "passing", mode="off")
    remote.move_alias("passing", "production", 1)

    with pytest.raises(FairwayError, match="points to it"):
        remote.delete("passing", 1)
    assert remote.delete("passing", 2).version == 2
    assert [version.version for version in remote.versions("passing")] == [made.version]
    assert remote.upload(known, "passing", mode="off").version == 3


def test_a_check_on_a_server_is_the_check_at_home(
    origin: Path, managed: RunningServer, remote: RemoteRegistry, tmp_path: Path
) -> None:
    """The table goes up, the report comes back and stays with the version."""
    table = unseen(tmp_path)

    here = fw.check("iris:1", table, target="species", home=shutil.copytree(origin, tmp_path / "home"))
    there = fw.check("iris:1", table, target="species", server=managed.url)

    assert (there.passed, there.metrics, there.data) == (here.passed, here.metrics, here.data)
    assert remote.history("iris")[-1].kind == "check"
    refused = managed.ask("/api/v1/models/iris/checks", b"a,b", headers={"content-type": "text/csv"})
    assert problem_of(refused)["status"] == 422


def test_keys_are_made_here_and_kept_there(origin: Path, tmp_path: Path) -> None:
    """A key that was made over HTTP opens the server, up to its role and its models; no secret was sent."""
    home = shutil.copytree(origin, tmp_path / "home")
    with open_registry(home) as registry:
        registry.register(registry.open(registry.resolve("iris:1")), name="secret", actor="ada")
    with running_server(home=home) as server:
        admin = fw.create_key("root", role="admin", server=server.url)
        wait_until(lambda: server.ask("/api/v1/models").status == 401)
        own = {"server": server.url, "key": admin.text}
        deploy = fw.create_key("ci", role="deploy", models=["iris"], **own)
        reader = fw.create_key("eyes", role="read", **own)
        wait_until(lambda: _allowed(server, deploy.text) and _allowed(server, reader.text))
        mine = {"server": server.url, "key": deploy.text}

        assert fw.alias("iris:2", "production", **mine).to_version == 2
        assert [model.name for model in fw.list_models(**mine)] == ["iris"]
        assert deploy.record.id in fw.show("iris", **mine).history[-1].actor
        for verb in (
            lambda: fw.alias("secret:1", "production", **mine),
            lambda: fw.pull("secret", tmp_path / "secret.fairway", **mine),
            lambda: fw.check("iris:1", unseen(tmp_path), target="species", against="secret:1", **mine),
        ):
            with pytest.raises(ModelNotFound) as hidden:
                verb()
            assert "secret" not in hidden.value.hint
        for verb in (
            lambda: fw.delete("iris:3", **mine),
            lambda: fw.audit(**mine),
            lambda: fw.alias("iris:1", "production", server=server.url, key=reader.text),
            lambda: fw.create_key("more", role="admin", **mine),
        ):
            with pytest.raises(RoleDenied):
                verb()
        assert [record.secret_hash for record in fw.list_keys(**own)] == [""] * 3
        assert fw.revoke_key(reader.record.id, **own).revoked_at
        wait_until(lambda: not _allowed(server, reader.text))
        log = server.log.read_text()
    assert not [key.text for key in (admin, deploy, reader) if key.text in log]
    with open_registry(home) as registry:
        assert registry.verify_audit() is None
        assert registry.keys()[1].created_by != getpass.getuser()


def _allowed(server: RunningServer, key: str) -> bool:
    return server.ask("/api/v1/models", headers={"authorization": f"Bearer {key}"}).status == 200


def test_where_an_alias_pointed_at_a_time_is_told(remote: RemoteRegistry, managed: RunningServer) -> None:
    """Time travel is a parameter of the history."""
    first = remote.audit()[0].at

    answer = managed.ask(f"/api/v1/models/iris/history?alias=production&at={first}")

    assert answer.json()["aliases"] == {}
    assert all(event["alias"] == "production" for event in answer.json()["events"])
    refused = managed.ask("/api/v1/models/iris/history?at=yesterday")
    assert problem_of(refused)["code"] == "query_invalid"


# -- uploads ----------------------------------------


def test_an_interrupted_upload_goes_on_where_it_was(
    managed: RunningServer, remote: RemoteRegistry, bundle: Path
) -> None:
    """The same push again sends what is missing and nothing else, and only then is there a version."""
    before = versions_of(managed)
    watch = Watch(managed)

    def stop_half_way(done: int, whole: int) -> None:
        if done > whole // 2:
            raise KeyboardInterrupt

    total = -(-bundle.stat().st_size // CHUNK)
    with pytest.raises(KeyboardInterrupt):
        remote.upload(bundle, "iris", mode="off", tell=stop_half_way)
    assert versions_of(managed) == before

    version = remote.upload(bundle, "iris", mode="off")

    sent = [
        line
        for line in watch.access_lines(total + 4)
        if line["route"] == "/api/v1/chunks/{sha256}" and line["status"] == 200
    ]
    assert len(sent) == total
    assert versions_of(managed) == [*before, version.version]
    assert not list((folder_of(managed) / "tmp").iterdir())


def test_an_upload_that_is_not_whole_makes_no_version(managed: RunningServer) -> None:
    """Missing chunks are named, and nothing is left behind."""
    before, chunk = versions_of(managed), b"only one of two"
    there = hashlib.sha256(chunk).hexdigest()
    absent = hashlib.sha256(b"never sent").hexdigest()
    assert managed.ask(f"/api/v1/chunks/{there}", chunk, method="PUT", headers=BINARY).status == 200

    answer = managed.ask(
        "/api/v1/models/iris/versions",
        {"chunks": [there, absent], "sha256": absent, "size": 25},
        headers=JSON,
    )

    assert problem_of(answer)["code"] == "upload_incomplete"
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/chunks/1"]
    assert versions_of(managed) == before
    assert not list((folder_of(managed) / "tmp").iterdir())


def test_a_chunk_that_was_cut_off_is_not_there(managed: RunningServer) -> None:
    """Half a chunk is no chunk."""
    chunk = b"x" * 100_000
    digest = hashlib.sha256(chunk).hexdigest()
    head = f"PUT /api/v1/chunks/{digest} HTTP/1.1\r\nhost: localhost\r\n"
    head += f"content-type: application/octet-stream\r\ncontent-length: {len(chunk)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", managed.port)) as connection:
        connection.sendall(head.encode() + chunk[:50_000])

    answer = managed.ask("/api/v1/uploads/missing", {"chunks": [digest]}, headers=JSON)

    assert answer.json() == {"missing": [digest]}


@pytest.mark.parametrize(
    ("data", "declared", "code"),
    [
        (b"PK\x03\x04 is no bundle", None, "artifact_corrupt"),
        (b"some bytes", "0" * 64, "artifact_digest"),
    ],
)
def test_what_is_no_bundle_is_refused(
    managed: RunningServer, data: bytes, declared: str | None, code: str
) -> None:
    """Neither a wrong hash of the whole nor other bytes make a version; no path of the server is told."""
    before, digest = versions_of(managed), hashlib.sha256(data).hexdigest()
    managed.ask(f"/api/v1/chunks/{digest}", data, method="PUT", headers=BINARY)

    answer = managed.ask(
        "/api/v1/models/iris/versions",
        {"chunks": [digest], "sha256": declared or digest, "size": len(data)},
        headers=JSON,
    )

    assert (answer.status, problem_of(answer)["code"]) == (422, code)
    assert versions_of(managed) == before
    assert not list((folder_of(managed) / "tmp").iterdir())


def test_a_chunk_with_another_hash_is_refused(managed: RunningServer) -> None:
    """What a chunk is called is what it holds."""
    answer = managed.ask(f"/api/v1/chunks/{'0' * 64}", b"data", method="PUT", headers=BINARY)

    assert (answer.status, problem_of(answer)["code"]) == (422, "artifact_digest")


@pytest.mark.parametrize("field", ["source", "url", "uri", "source_uri", "path"])
def test_a_server_fetches_nothing_for_its_callers(managed: RunningServer, field: str) -> None:
    """An address in place of an upload is refused, whatever it is called."""
    answer = managed.ask(
        "/api/v1/models/iris/versions", {field: "file:///etc/passwd", "size": 1}, headers=JSON
    )

    assert (answer.status, problem_of(answer)["code"]) == (422, "source_not_allowed")


def test_a_foreign_bundle_with_code_is_refused(
    managed: RunningServer, remote: RemoteRegistry, tmp_path: Path
) -> None:
    """Nobody who may upload may run code here: modules come in by signature alone."""
    path = tmp_path / "mixed.fairway"
    fw.pack(
        own_module("mixed").Mixed().fit(None),
        path,
        code=[MODELS / "mixed.py"],
        feed="records",
        example=MIXED_ROWS,
        kinds={"since": "datetime"},
        compile="off",
        home=tmp_path / "home",
    )

    with pytest.raises(UntrustedBundle, match="brings Python modules") as refused:
        remote.upload(path, "mixed")
    assert refused.value.exit_code == UntrustedBundle.exit_code
    assert "mixed" not in [model.name for model in remote.models()]


def test_the_same_upload_makes_one_version(managed: RunningServer, known: Path) -> None:
    """Whoever did not hear the answer may ask again."""
    data = known.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    managed.ask(f"/api/v1/chunks/{digest}", data, method="PUT", headers=BINARY)
    body = {
        "chunks": [digest],
        "sha256": digest,
        "size": len(data),
        "compile": "off",
        "upload": "one and the same",
    }

    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda _: managed.ask("/api/v1/models/twice/versions", body, headers=JSON), range(2))
        )

    assert [answer.status for answer in answers] == [201, 201]
    assert [answer.json()["version"] for answer in answers] == [1, 1]


def test_predictions_go_on_while_others_upload(managed: RunningServer, remote: RemoteRegistry) -> None:
    """Uploads and registrations have threads of their own; no prediction fails or waits behind them."""
    stop, statuses = threading.Event(), []

    def predict() -> None:
        while not stop.is_set():
            statuses.append(managed.ask("/models/iris/predict", IRIS_ROW, headers=JSON).status)

    def upload(n: int) -> None:
        for piece in range(3):
            data = bytes([n, piece]) * 2_000_000
            digest = hashlib.sha256(data).hexdigest()
            answer = managed.ask(f"/api/v1/chunks/{digest}", data, method="PUT", headers=BINARY)
            assert answer.status == 200
            body = {"chunks": [digest], "sha256": digest, "size": len(data)}
            assert managed.ask("/api/v1/models/iris/versions", body, headers=JSON).status == 422

    caller = threading.Thread(target=predict)
    caller.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(upload, range(4)))
    finally:
        stop.set()
        caller.join()

    assert len(statuses) > 10
    assert set(statuses) == {200}


# -- downloads ----------------------------------------


def test_a_download_has_a_tag_and_ranges(managed: RunningServer) -> None:
    """The bytes of a version never change, so any part of them can be asked for."""
    whole = managed.ask("/api/v1/models/iris:1/bundle")
    part = managed.ask("/api/v1/models/iris:1/bundle", headers={"range": "bytes=10-19"})
    known = managed.ask("/api/v1/models/iris:1/bundle", headers={"if-none-match": whole.headers["etag"]})
    beyond = managed.ask("/api/v1/models/iris:1/bundle", headers={"range": "bytes=99999999-"})

    assert whole.headers["fairway-digest"] in whole.headers["etag"]
    assert (part.status, part.body) == (206, whole.body[10:20])
    assert (known.status, known.body) == (304, b"")
    assert beyond.status == 416
    assert managed.ask("/api/v1/models/iris:1/bundle", method="HEAD").headers["etag"] == whole.headers["etag"]
    wait_until(lambda: not list((folder_of(managed) / "tmp").iterdir()))


def test_a_download_that_breaks_goes_on(managed: RunningServer, tmp_path: Path) -> None:
    """A pull survives a connection that ends half way, and gets the very same bundle."""
    with cutting_proxy(managed.port, after=2_000) as (port, n_connections):
        pulled = fw.pull("iris:1", tmp_path / "iris.fairway", server=f"http://127.0.0.1:{port}")

    assert pulled.digest == fw.show("iris:1", server=managed.url).version.digest
    assert n_connections() > 1


@contextlib.contextmanager
def cutting_proxy(target: int, *, after: int) -> Iterator[tuple[int, Callable[[], int]]]:
    """Run a proxy that ends the first connection after some bytes of the reply."""
    seen: list[int] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                seen.append(after if not seen else 2**40)
                threading.Thread(target=relay, args=(client, seen[-1]), daemon=True).start()

    def relay(client: socket.socket, left: int) -> None:
        with client, socket.create_connection(("127.0.0.1", target)) as server:
            up = threading.Thread(target=pump, args=(client, server, 2**40), daemon=True)
            up.start()
            pump(server, client, left)

    def pump(source: socket.socket, sink: socket.socket, left: int) -> None:
        with contextlib.suppress(OSError):
            while left > 0 and (data := source.recv(min(65_536, left))):
                sink.sendall(data)
                left -= len(data)
            sink.shutdown(socket.SHUT_RDWR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1], lambda: len(seen)


# -- the hostile ----------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/models/..%2f..%2fetc%2fpasswd", 400),
        ("GET", "/api/v1/models/%252e%252e%252fetc", 400),
        ("GET", "/api/v1/models/iris;x=1", 400),
        ("GET", "/api/v1/models/iris%00", 400),
        ("GET", "/api/v1/models/../../etc/passwd", 400),
        ("GET", "/api/v1/models/CON", 422),
        ("GET", f"/api/v1/models/{'a' * 65}", 422),
        ("GET", "/api/v1/models/%F0%9F%92%A9", 422),
        ("GET", "/api/v1/models/iris:abc/bundle", 422),
        ("GET", "/api/v1/models/iris:99999999999/bundle", 422),
        ("PUT", "/api/v1/models/iris/aliases/a..b", 422),
        ("PUT", "/api/v1/chunks/not-a-hash", 400),
        ("DELETE", "/api/v1/models/iris/versions/0", 400),
        ("DELETE", "/api/v1/models/iris/versions/1e3", 400),
        ("GET", "/api/v1/models/iris/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PATCH", "/api/v1/models", 405),
        ("GET", "/api/v1/models?unknown=1", 400),
        ("GET", "/api/v1/audit?limit=0", 400),
        ("GET", "/api/v1/audit?limit=999999999999999999999999", 400),
        ("GET", "/api/v1/audit?after=1&after=2", 400),
        ("GET", "/api/v1/audit?model=nothing", 404),
    ],
)
def test_paths_and_queries_that_mean_nothing_are_refused(
    managed: RunningServer, method: str, path: str, status: int
) -> None:
    """No text of a caller becomes a path, and what is not understood is not guessed."""
    body = {"PUT": {"version": 1}}.get(method) if "aliases" in path else b"x" if method == "PUT" else None
    headers = BINARY if "chunks" in path else JSON

    answer = managed.ask(path, body, method=method, headers=headers)

    assert answer.status == status, answer.body
    problem_of(answer)


@pytest.mark.parametrize(
    ("body", "code", "pointers"),
    [
        (b"", "body_empty", []),
        (b"{", "json_invalid", []),
        (b"[]", "body_shape", [""]),
        (b'"text"', "body_shape", [""]),
        (b'{"version":1,"version":2}', "json_duplicate_key", ["/version"]),
        (b'{"version":NaN}', "json_nonfinite", ["/version"]),
        (b'{"version":"1"}', "fields_invalid", ["/version"]),
        (b'{"version":true}', "fields_invalid", ["/version"]),
        (b'{"version":1.0}', "fields_invalid", ["/version"]),
        (b'{"version":0}', "fields_invalid", ["/version"]),
        (b'{"version":1e400}', "json_nonfinite", ["/version"]),
        (b'{"version":null,"reason":7,"extra":1}', "fields_invalid", ["/extra", "/version", "/reason"]),
        (b'{"version":1,"reason":"' + b"x" * 2_001 + b'"}', "fields_invalid", ["/reason"]),
        (b'{"version":1,"reason":"\\u0000"}', "fields_invalid", ["/reason"]),
        (b'{"version":1,"expected":"1"}', "fields_invalid", ["/expected"]),
        (b'{"version":' + b"[" * 50 + b"]" * 50 + b"}", "json_too_deep", []),
    ],
)
def test_bodies_that_do_not_fit_are_refused_with_every_fault(
    managed: RunningServer, body: bytes, code: str, pointers: list[str]
) -> None:
    """Wrong types, unknown fields and broken JSON change nothing and say where they are wrong."""
    answer = managed.ask("/api/v1/models/iris/aliases/hostile", body, method="PUT", headers=JSON)

    problem = problem_of(answer)
    assert problem["code"] == code
    assert [fault["pointer"] for fault in problem.get("errors", [])] == pointers
    assert "hostile" not in managed.ask("/api/v1/models/iris/aliases").json()["aliases"]


def test_bodies_have_limits_of_their_own(managed: RunningServer) -> None:
    """Fields are small and chunks are large, whatever a prediction may be."""
    fields = managed.ask("/api/v1/uploads/missing", b"[" * (2**20 + 1), headers=JSON)
    chunk = managed.ask(f"/api/v1/chunks/{'0' * 64}", b"x" * (2**24 + 1), method="PUT", headers=BINARY)
    most = b"y" * 2**24
    largest = managed.ask(
        f"/api/v1/chunks/{hashlib.sha256(most).hexdigest()}", most, method="PUT", headers=BINARY
    )

    assert (fields.status, problem_of(fields)["code"]) == (413, "body_too_large")
    assert (chunk.status, problem_of(chunk)["code"]) == (413, "body_too_large")
    assert largest.status == 200


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_what_a_web_page_can_send_unasked_is_not_read(managed: RunningServer, content_type: str) -> None:
    """A page in somebody's browser cannot change the registry of a server on their machine."""
    answer = managed.ask(
        "/api/v1/models/iris/rollback", b'{"alias":"production"}', headers={"content-type": content_type}
    )

    assert (answer.status, problem_of(answer)["code"]) in {(403, "csrf"), (415, "media_type")}


def test_a_call_through_a_proxy_is_not_the_local_user(managed: RunningServer) -> None:
    """Behind a proxy on this machine anybody may stand."""
    answer = managed.ask("/api/v1/models", headers={"x-forwarded-for": "203.0.113.9"})

    assert (answer.status, problem_of(answer)["code"]) == (401, "auth_required")


# -- faults ----------------------------------------


def test_a_registry_that_is_held_is_told_in_time(origin: Path, tmp_path: Path) -> None:
    """A change that cannot be made is refused within seconds; predictions and questions go on meanwhile."""
    home = shutil.copytree(origin, tmp_path / "home")
    with running_server("iris", home=home) as server:
        server.ask("/api/v1/models")
        with contextlib.closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            answers: list[Answer] = []
            change = threading.Thread(
                target=lambda: answers.append(
                    server.ask("/api/v1/models/iris/rollback", {}, headers=JSON, timeout_s=60)
                )
            )
            change.start()
            while change.is_alive():
                assert server.ask("/predict", IRIS_ROW, headers=JSON).status == 200
                assert server.ask("/api/v1/models/iris/versions").status == 200
            seconds = time.monotonic() - started
            holder.execute("ROLLBACK")
        after = server.ask("/api/v1/models/iris/aliases/free", {"version": 1}, method="PUT", headers=JSON)

    assert (answers[0].status, problem_of(answers[0])["code"]) == (503, "registry_busy")
    assert seconds < 15  # five, on a machine that has nothing else to do
    assert after.status == 200


def test_a_file_that_was_altered_is_not_handed_out(origin: Path, tmp_path: Path) -> None:
    """What is damaged in the store is refused with its code, and without the store's path."""
    home = shutil.copytree(origin, tmp_path / "home")
    with running_server("iris:1", home=home) as server:
        digest = server.ask("/api/v1/models/iris:3/version").json()["digest"]
        path = home / "artifacts" / "sha256" / digest[:2] / digest
        path.write_bytes(path.read_bytes()[:-1] + b" ")

        answer = server.ask("/api/v1/models/iris:3/bundle")
        path.unlink()
        missing = server.ask("/api/v1/models/iris:3/bundle")

    assert problem_of(answer)["code"] == "artifact_digest"
    assert problem_of(missing)["code"] == "artifact_digest"


def test_a_server_of_bundle_files_manages_nothing(bundle: Path) -> None:
    """An image with one model in it has no registry, and does not make one."""
    home = bundle.parent / "home"
    before = snapshot(home)
    with running_server(bundle, home=home) as server:
        answer = server.ask("/api/v1/models")
        document = server.ask("/openapi.json").json()

    assert problem_of(answer)["code"] == "not_found"
    assert not [path for path in document["paths"] if path.startswith("/api/")]
    assert snapshot(home) == before


def test_a_server_that_is_away_is_tried_again(origin: Path, tmp_path: Path) -> None:
    """A question survives a server that answers 503 for a moment; a change is not sent twice."""
    asked: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    asked.append(client.recv(65_536).split(b" ")[0])
                    body = b'{"models":[]}' if len(asked) > 2 else b'{"detail":"away","code":"overloaded"}'
                    status = b"200 OK" if len(asked) > 2 else b"503 Away"
                    client.sendall(
                        b"HTTP/1.1 %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                        % (status, len(body), body)
                    )

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with RemoteRegistry(url) as remote:
            assert remote.models() == []
            assert asked == [b"GET"] * 3
            asked.clear()
            with pytest.raises(FairwayError, match="away"):
                remote.rollback("iris")
    assert asked == [b"POST"]
