"""API keys on real servers: several workers, kept connections, key files, other machines, the log."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import IRIS_ROW, iris_model, iris_table, wait_until

import fairway as fw
from fairway.cli.main import main
from fairway.errors import SettingsError
from fairway.testing import RunningServer, running_server

REVOKED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def iris_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home with the models iris and iris-b."""
    pytest.importorskip("sklearn")
    home = tmp_path_factory.mktemp("keys") / "home"
    for name in ("iris", "iris-b"):
        fw.push(iris_model(), name=name, example=iris_table(), home=home)
    return home


@pytest.fixture(scope="module")
def guarded(iris_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a server with two workers, of a registry with a key."""
    fw.create_key("first", role="admin", home=iris_home)
    folder = tmp_path_factory.mktemp("guarded")
    with running_server(
        "iris", "iris-b", home=iris_home, environ={"FAIRWAY_SERVER_WORKERS": "2"}, folder=folder
    ) as s:
        yield s


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


class Kept:
    """A connection that stays open, as a program's does."""

    def __init__(self, server: RunningServer) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def predict(self, headers: Mapping[str, str], path: str = "/predict") -> tuple[int, Any]:
        self._connection.request("POST", path, json.dumps(IRIS_ROW), dict(headers))
        reply = self._connection.getresponse()
        return reply.status, json.loads(reply.read())

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def kept(server: RunningServer, count: int) -> Iterator[list[Kept]]:
    connections = [Kept(server) for _ in range(count)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def wait_until_known(server: RunningServer, key: str) -> None:
    """Wait until every worker knows a key: eight connections reach both, each of which learns by itself."""
    with kept(server, 8) as connections:
        wait_until(lambda: {c.predict(bearer(key))[0] for c in connections} == {200}, deadline_s=30)


def test_a_revoked_key_is_void_on_every_worker(guarded: RunningServer, iris_home: Path) -> None:
    """E3: also on connections whose head was let through a moment ago; other keys are not disturbed."""
    key, other = (fw.create_key(name, role="predict", home=iris_home) for name in ("shop", "other"))
    with kept(guarded, 8) as connections:  # eight connections reach both workers
        wait_until(lambda: {c.predict(bearer(key.text))[0] for c in connections} == {200}, deadline_s=30)
        assert {c.predict(bearer(key.text))[0] for c in connections} == {200}, "the heads are known now"
        fw.revoke_key(key.record.id, reason="test", home=iris_home)
        revoked = time.monotonic()
        wait_until(lambda: {c.predict(bearer(key.text))[0] for c in connections} <= {401, 429})
        assert time.monotonic() - revoked < REVOKED_WITHIN_S
        wait_until(lambda: {c.predict(bearer(other.text))[0] for c in connections} == {200}, deadline_s=30)


def test_a_new_key_and_its_patterns_hold_on_both_ways(guarded: RunningServer, iris_home: Path) -> None:
    """The short way from the parser and the way through the application say the same."""
    key = fw.create_key("some", role="predict", models=["iris-*"], home=iris_home).text
    with kept(
        guarded, 8
    ) as connections:  # they reach both workers, each of which learns of it in its own time
        path = "/models/iris-b/predict"
        wait_until(lambda: {c.predict(bearer(key), path)[0] for c in connections} == {200}, deadline_s=30)
        for connection in connections:
            assert connection.predict(bearer(key), path)[0] == 200
            status, problem = connection.predict(bearer(key), "/models/iris/predict")
            assert (status, problem["code"]) == (404, "model_not_found")
            assert connection.predict(bearer(key))[0] == 404, "iris is the default"
            status, problem = connection.predict({})
            assert (status, problem["code"]) == (401, "auth_required")

    def ask_in_chunks(path: str) -> int:
        return guarded.ask(path, iter([json.dumps(IRIS_ROW).encode()]), headers=bearer(key)).status

    assert ask_in_chunks("/models/iris-b/predict") == 200
    assert ask_in_chunks("/models/iris/predict") == 404
    assert guarded.ask("/models/iris-b/predict", iter([b"{}"])).status == 401


def test_eleven_void_keys_are_too_many_for_all_workers_together(iris_home: Path, tmp_path: Path) -> None:
    """E7: each call on a connection of its own, so on either worker; the valid key is answered all along."""
    key = fw.create_key("good", role="predict", home=iris_home).text
    environ = {"FAIRWAY_SERVER_WORKERS": "2"}
    with running_server("iris", home=iris_home, environ=environ, folder=tmp_path) as server:
        void = bearer(key[:-1] + ("A" if key[-1] != "A" else "B"))
        answers = [server.ask("/predict", IRIS_ROW, headers=void) for _ in range(14)]
        assert [answer.status for answer in answers] == [401] * 10 + [429] * 4
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert server.ask("/predict", IRIS_ROW, headers=bearer(key)).status == 200


def test_no_key_is_ever_logged(guarded: RunningServer, iris_home: Path) -> None:
    """E6: neither a valid nor a void one, wherever it was sent."""
    key = fw.create_key("logged", role="admin", home=iris_home).text
    wait_until_known(guarded, key)
    cookie = {"cookie": f"fairway-session={key}"}
    assert guarded.ask(f"/predict?api_key={key}", IRIS_ROW).status == 401
    assert guarded.ask(f"/models?key={key}", headers=cookie).status == 401
    assert guarded.ask(f"/predict?{key}", IRIS_ROW, headers=bearer(key)).status == 400
    guarded.ask(f"/models/{key}/predict", IRIS_ROW, headers=bearer(key))
    guarded.ask(f"/{key}", headers={"x-api-key": key + "x"})
    mark = guarded.ask("/livez").headers.get("fairway-request-id", "")
    time.sleep(0.3)  # access lines are written in pieces
    assert mark is not None
    log = guarded.log.read_text()
    assert '"status":401' in log
    assert not re.search(r"fw_[a-z0-9]+_[a-z0-9]{8}_", log)


def test_the_use_of_a_key_is_noted(iris_home: Path, tmp_path: Path) -> None:
    """To the minute, at the latest when the server ends; the history does not grow by it."""
    key = fw.create_key("used", role="predict", home=iris_home)
    with running_server("iris", home=iris_home, folder=tmp_path) as server:
        wait_until(lambda: server.ask("/predict", IRIS_ROW, headers=bearer(key.text)).status == 200)
        assert server.stop() == 0
    used = next(record for record in fw.list_keys(home=iris_home) if record.id == key.record.id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00Z", used.last_used_at or "")
    with fw.open_registry(iris_home) as registry:
        events = [event for event in registry.audit() if event.subject == key.record.id]
        assert [event.kind for event in events] == ["key_created"]
        assert registry.verify_audit() is None
        assert key.text not in str(events)


def test_a_rotated_key_overlaps(iris_home: Path) -> None:
    """The old key ends when it was said to, not before; the new one has its rights."""
    old = fw.create_key("job", role="predict", models=["iris"], expires="30d", home=iris_home)
    new = fw.rotate_key(old.text, overlap="1h", home=iris_home)
    records = {record.id: record for record in fw.list_keys(home=iris_home)}
    was, now = records[old.record.id], records[new.record.id]
    assert (now.role, now.models, now.name) == (was.role, was.models, "job")
    assert was.revoked_at is None
    assert (was.expires_at or "") < (now.expires_at or "")
    fw.revoke_key(old.record.id, home=iris_home)
    with pytest.raises(fw.errors.UsageError, match="revoked"):
        fw.rotate_key(old.record.id, home=iris_home)


def test_a_bundle_is_served_with_a_key_file(iris_home: Path, tmp_path: Path) -> None:
    """No registry is needed; the file is followed, and one that breaks leaves the keys in force."""
    bundle, file = tmp_path / "iris.fairway", tmp_path / "keys.json"
    fw.pull("iris", bundle, home=iris_home)
    key = fw.create_key("shop", role="predict", file=file)
    environ = {"FAIRWAY_SERVER_KEYS_FILE": str(file)}
    with running_server(bundle, home=iris_home, environ=environ, folder=tmp_path) as server:
        assert server.ask("/predict", IRIS_ROW).status == 401
        assert server.ask("/predict", IRIS_ROW, headers=bearer(key.text)).status == 200
        whole = file.read_text()
        file.write_text("{")
        wait_until(lambda: b'"keys.failed"' in server.log.read_bytes())
        assert server.ask("/predict", IRIS_ROW, headers=bearer(key.text)).status == 200
        file.write_text(whole)
        fw.revoke_key(key.record.id, file=file)
        wait_until(lambda: server.ask("/predict", IRIS_ROW, headers=bearer(key.text)).status != 200)


def test_other_machines_are_served_with_a_key_or_by_two_words(iris_home: Path, tmp_path: Path) -> None:
    """To open a server to the network takes a key, or `--no-auth`."""
    bundle = tmp_path / "iris.fairway"
    fw.pull("iris", bundle, home=iris_home)
    with pytest.raises(SettingsError, match="without API keys") as caught:
        fw.serve(str(bundle), host="0.0.0.0", port=0)  # noqa: S104 - what is refused
    assert "--no-auth" in caught.value.hint
    command = [sys.executable, "-m", "fairway", "serve", str(bundle), "--port", "0", "--home", str(iris_home)]
    opened = ["--host", "0.0.0.0", "--no-auth"]  # noqa: S104 - for a moment
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, *opened], stderr=log, stdout=log)
    try:
        wait_until(lambda: b"fairway serves" in (tmp_path / "log").read_bytes(), deadline_s=60)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_clients_take_the_key_from_the_variable_or_a_file(
    guarded: RunningServer, iris_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the client nor the command line shows it."""
    key = fw.create_key("client", role="deploy", home=iris_home).text
    wait_until_known(guarded, key)
    with fw.Client(guarded.url) as client, pytest.raises(fw.errors.RemoteError) as caught:
        client.models()
    assert caught.value.status_code == 401
    with fw.Client(guarded.url, api_key=key) as client:
        assert client.predict(IRIS_ROW) == {"prediction": 0}
        assert key not in repr(client)
    row = json.dumps(IRIS_ROW)
    path = tmp_path / "key"
    path.write_text(key + "\n")
    assert main(["predict", "iris", row, "--server", guarded.url, "--key-file", str(path)]) == 0
    os.environ["FAIRWAY_API_KEY"] = key
    assert main(["predict", "iris", row, "--server", guarded.url]) == 0
    with fw.Client(guarded.url) as client:
        assert len(client.models()) == 2
    assert main(["settings"]) == 0
    shown = capsys.readouterr()
    assert key not in shown.out + shown.err


def test_the_command_line_makes_lists_and_revokes_keys(
    iris_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key stands alone on standard output, once."""
    at = ["--home", str(iris_home)]
    assert (
        main(["keys", "create", "by hand", "--role", "read", "--models", "iris*", "--expires", "90d", *at])
        == 0
    )
    created = capsys.readouterr()
    key = created.out.strip()
    assert re.fullmatch(r"fw_live_[a-z0-9]{8}_\w{49}", key)
    assert key not in created.err
    assert main(["keys", "list", *at]) == 0
    assert key.split("_")[2] in (listed := capsys.readouterr().out)
    assert key not in listed
    assert main(["keys", "rotate", key.split("_")[2], "--overlap", "1h", "--json", *at]) == 0
    rotated = json.loads(capsys.readouterr().out)
    assert rotated["role"] == "read"
    assert "secret_hash" not in rotated
    assert main(["keys", "revoke", key, "--reason", "done", *at]) == 0
    assert key not in capsys.readouterr().out
    assert main(["keys", "list", "--json", *at]) == 0
    states = {entry["id"]: entry["state"] for entry in json.loads(capsys.readouterr().out)}
    assert (states[key.split("_")[2]], states[rotated["id"]]) == ("revoked", "active")
    assert main(["keys", "revoke", "nothing0", *at]) == 1


def test_two_open_registries_of_a_process_see_what_others_change(tmp_path: Path) -> None:
    """To open a second one must not take away the locks of the first, which would read old rows for ever."""
    home = tmp_path / "home"
    first = fw.open_registry(home)
    with contextlib.closing(first):
        first.keys()
        fw.open_registry(home).close()
        for count in (1, 2):
            command = f"import fairway as fw; fw.create_key('x', role='read', home={str(home)!r})"
            subprocess.run([sys.executable, "-c", command], check=True)
            assert len(first.keys()) == count
