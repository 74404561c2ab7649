"""The client against a real HTTP server on loopback: forms of data, errors, and connections that are kept."""

import datetime
import http.server
import json
import math
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fairway.client.client import Client
from fairway.errors import RemoteError, UsageError

PROBLEM = {
    "type": "/docs/errors/signature_mismatch",
    "title": "The request does not fit the model's signature",
    "status": 422,
    "detail": "expected number, got string - at /age",
    "code": "signature_mismatch",
    "hint": 'send 3, not "3"',
    "errors": [
        {"pointer": "/age", "code": "value_type", "message": "m", "expected": "number", "got": "string"}
    ],
}


class Service(http.server.ThreadingHTTPServer):
    """A small real server that remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.connections = 0
        self.close_after_reply = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[socket.socket, Any]:
        self.connections += 1
        return super().get_request()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Stay silent."""

    def do_GET(self) -> None:
        self.answer(None)

    def do_POST(self) -> None:
        self.answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def answer(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        status, kind, reply = self.reply(body)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(reply)))
        self.send_header("Fairway-Model", "coffee:3")
        self.send_header("fairway-prediction-id", "0190-id")
        self.end_headers()
        self.wfile.write(reply)
        # Closed without a word, as servers do with connections that were idle for too long.
        self.close_connection = self.server.close_after_reply

    def reply(self, body: Any) -> tuple[int, str, bytes]:
        path = self.path.partition("?")[0]
        if path == "/bad/predict":
            return 422, "application/problem+json", json.dumps(PROBLEM).encode()
        if path == "/proxy/predict":
            return 502, "text/html", b"<html>Bad gateway</html>"
        if path == "/notjson/predict":
            return 200, "text/html", b"<html>Welcome</html>"
        if path == "/health":
            return 503, "application/json", b'{"status":"unhealthy"}'
        if path == "/models":
            return 200, "application/json", b'{"models":[{"name":"coffee"}]}'
        if path == "/models/coffee:3":
            return 200, "application/json", b'{"name":"coffee"}'
        rows = body.get("instances") if isinstance(body, dict) else body
        if rows is None:
            return 200, "application/json", b'{"rating":93.5}'
        document = {"predictions": [{"rating": number} for number in range(len(rows))]}
        return 200, "application/json", json.dumps(document).encode()


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


def test_a_record_gives_a_dict(service: Service, client: Client) -> None:
    """One dict is sent as it is and answered with the named outputs."""
    assert client.predict({"age": 3}) == {"rating": 93.5}
    method, path, headers, body = service.seen[0]
    assert (method, path, body) == ("POST", "/predict", {"age": 3})
    assert headers["content-type"] == "application/json"


def test_records_give_a_list_of_dicts(service: Service, client: Client) -> None:
    """A list of dicts is answered with one dict each."""
    assert client.predict([{"age": 3}, {"age": 4}]) == [{"rating": 0}, {"rating": 1}]
    assert service.seen[0][3] == [{"age": 3}, {"age": 4}]


def test_a_flat_list_is_one_row(service: Service, client: Client) -> None:
    """Four numbers are one flower, and the answer is one dict."""
    assert client.predict([5.1, 3.5, 1.4, 0.2]) == {"rating": 0}
    assert service.seen[0][3] == {"instances": [[5.1, 3.5, 1.4, 0.2]]}


@pytest.mark.parametrize(
    "rows", [[[1.0, 2.0], [3.0, 4.0]], np.array([[1.0, 2.0], [3.0, 4.0]]), ([1.0, 2.0], [3.0, 4.0])]
)
def test_rows_of_numbers_are_many(service: Service, client: Client, rows: Any) -> None:
    """Lists of lists and arrays of two dimensions are rows."""
    assert client.predict(rows) == [{"rating": 0}, {"rating": 1}]
    assert service.seen[0][3] == {"instances": [[1.0, 2.0], [3.0, 4.0]]}


def test_a_body_of_ones_own_is_sent_and_answered_as_it_is(service: Service, client: Client) -> None:
    """Bytes are not looked at; neither is the reply."""
    assert client.predict(b'{"instances": [[1.0]]}') == {"predictions": [{"rating": 0}]}
    assert service.seen[0][3] == {"instances": [[1.0]]}


def test_a_flat_array_is_one_row(service: Service, client: Client) -> None:
    """An array of one dimension is one row; NaN in it is null."""
    assert client.predict(np.array([1.0, np.nan])) == {"rating": 0}
    assert service.seen[0][3] == {"instances": [[1.0, None]]}


def test_texts_are_rows_of_a_text_model(service: Service, client: Client) -> None:
    """A list of texts asks for one prediction each."""
    assert len(client.predict(["one", "two"])) == 2
    assert service.seen[0][3] == {"instances": ["one", "two"]}


def test_values_of_numpy_and_missing_values_are_converted(service: Service, client: Client) -> None:
    """Scalars of numpy, NaN, dates and arrays inside a record become JSON."""
    moment = datetime.datetime(2026, 5, 3, 12, tzinfo=datetime.UTC)
    record = {
        "f": np.float64(1.5), "g": np.float32(0.5), "i": np.int64(7), "b": np.bool_(True), "s": np.str_("x"),
        "n": math.nan, "m": np.float64("nan"), "t": moment, "v": np.array([1.0, np.nan]),
        "d": np.datetime64("2026-05-03T12:00"),
    }  # fmt: skip
    client.predict(record)
    assert service.seen[0][3] == {
        "f": 1.5, "g": 0.5, "i": 7, "b": True, "s": "x",
        "n": None, "m": None, "t": "2026-05-03T12:00:00Z", "v": [1.0, None], "d": "2026-05-03T12:00:00",
    }  # fmt: skip


def test_pandas_frames_and_series(service: Service, client: Client) -> None:
    """A frame is many records, a Series is one; NaT and NA are null, timestamps ISO 8601."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "age": [3, 4],
            "price": [1.5, None],
            "when": [pd.Timestamp("2026-05-03T12:00:00"), pd.NaT],
            "kind": pd.Categorical(["a", None]),
            "n": pd.array([1, None], dtype="Int64"),
        }
    )
    assert client.predict(frame) == [{"rating": 0}, {"rating": 1}]
    assert service.seen[0][3] == [
        {"age": 3, "price": 1.5, "when": "2026-05-03T12:00:00", "kind": "a", "n": 1},
        {"age": 4, "price": None, "when": None, "kind": None, "n": None},
    ]
    assert client.predict(frame.iloc[1]) == {"rating": 93.5}
    assert service.seen[1][3] == {"age": 4, "price": None, "when": None, "kind": None, "n": None}


def test_polars_and_arrow_frames(service: Service, client: Client) -> None:
    """Other frames are records, too."""
    pl = pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    client.predict(pl.DataFrame({"age": [3, 4]}))
    client.predict(pa.table({"age": [3, 4]}))
    assert [seen[3] for seen in service.seen] == [[{"age": 3}, {"age": 4}]] * 2


def test_model_and_include_are_part_of_the_address(service: Service, client: Client) -> None:
    """A reference is written into the path as a person would type it."""
    client.predict({"a": 1}, "coffee@challenger", include=("probabilities", "flags"))
    client.predict({"a": 1}, "coffee:3", include="flags")
    assert [seen[1] for seen in service.seen] == [
        "/models/coffee@challenger/predict?include=probabilities%2Cflags",
        "/models/coffee:3/predict?include=flags",
    ]


def test_ask_says_which_version_answered(client: Client) -> None:
    """The prediction id and the version are there for those who need them."""
    answer = client.ask({"age": 3})
    assert (answer.outputs, answer.id, answer.model, answer.version) == (
        {"rating": 93.5},
        "0190-id",
        "coffee",
        3,
    )


def test_a_key_is_sent_as_bearer_token(service: Service) -> None:
    """The key goes into the Authorization header and nowhere else."""
    with Client(service.url, api_key="fw_secret") as client:
        client.models()
        assert "fw_secret" not in repr(client)
    assert service.seen[0][2]["authorization"] == "Bearer fw_secret"


def test_models_model_and_health(service: Service, client: Client) -> None:
    """What the server says is returned; an unhealthy server is an answer."""
    assert client.models() == [{"name": "coffee"}]
    assert client.model("coffee:3") == {"name": "coffee"}
    assert client.health() == {"status": "unhealthy"}


def test_a_refusal_holds_the_problem_document(service: Service) -> None:
    """Everything that the server said can be read from the error."""
    with Client(service.url + "/bad") as client, pytest.raises(RemoteError) as caught:
        client.predict({"age": "3"})
    error = caught.value
    assert error.problem == PROBLEM
    assert error.status_code == 422
    assert error.detail == PROBLEM["detail"]
    assert error.hint == PROBLEM["hint"]
    assert error.faults[0].pointer == "/age"


@pytest.mark.parametrize(("path", "status"), [("/proxy", 502), ("/notjson", 200)])
def test_an_answer_of_somebody_else_is_named_as_such(service: Service, path: str, status: int) -> None:
    """A proxy's page is an error that says what came."""
    with Client(service.url + path) as client, pytest.raises(RemoteError, match="text/html") as caught:
        client.predict({"age": 3})
    assert caught.value.status_code == status


def test_connections_are_kept(service: Service, client: Client) -> None:
    """Many calls in a row use one connection, also after an error."""
    for _ in range(5):
        client.predict({"age": 3})
    assert service.connections == 1


def test_a_connection_that_the_server_closed_is_replaced(service: Service, client: Client) -> None:
    """An idle connection that has ended is noticed before a call is sent on it."""
    service.close_after_reply = True
    client.predict({"age": 3})
    connection = client._transport._idle[0]
    assert connection.sock is not None
    connection.sock.settimeout(5)
    assert connection.sock.recv(1, socket.MSG_PEEK) == b""  # its end has arrived
    assert client.predict({"age": 3}) == {"rating": 93.5}
    assert service.connections == 2


def test_threads_share_a_client(service: Service, client: Client) -> None:
    """Concurrent calls get their own connections and answers."""
    found: list[Any] = []

    def work() -> None:
        found.extend(client.predict([{"a": 1}] * 3) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[{"rating": 0}, {"rating": 1}, {"rating": 2}]] * 80
    assert service.connections <= 4


def test_nobody_listens() -> None:
    """A refused connection says the address and what to do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(RemoteError) as caught:
            client.predict({"age": 3})
    assert caught.value.status_code == 0
    assert f"http://127.0.0.1:{port} gave no answer" in caught.value.detail
    assert "fairway serve" in caught.value.hint


def test_a_server_that_is_silent_times_out() -> None:
    """The wait for a reply is bounded."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(url, timeout_s=0.05) as client,
            pytest.raises(RemoteError, match=r"timed out after 0\.05 s"),
        ):
            client.predict({"age": 3})


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:5000",
        "ftp://host",
        "http://",
        "http://u:p@host",
        "http://host?x=1",
        "http://h:99999",
        "http://h\n",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Only plain http and https addresses are taken."""
    with pytest.raises(UsageError):
        Client(url)


@pytest.mark.parametrize("key", ["", "a\nb", "ключ", "a b"])
def test_a_key_that_no_header_can_hold_is_refused(key: str) -> None:
    """A line end from a key file is named before it is sent."""
    with pytest.raises(UsageError, match="key"):
        Client("http://127.0.0.1", api_key=key)


@pytest.mark.parametrize("data", [{"x": object()}, {"x": 1j}, {"x": "\ud800"}, [{"x": {1: 2}.keys()}]])
def test_data_without_a_json_form_is_refused_before_it_is_sent(
    service: Service, client: Client, data: Any
) -> None:
    """What cannot be sent is a usage error."""
    with pytest.raises(UsageError, match="JSON"):
        client.predict(data)
    assert service.seen == []
