"""The synchronous client: the standard library's HTTP over connections that are kept open."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from fairway.client import _wire
from fairway.client._wire import Answer, Request
from fairway.client.transport import Transport
from fairway.settings import api_key as environment_key


class Client:
    """Asks a fairway server for predictions.

    Connections are kept open between calls and opened when needed; a client may be shared between threads.

    Args:
        url: Address of the server, such as `http://127.0.0.1:5000`. https is verified against the
            certificates of the system.
        timeout_s: Longest wait for the connection, and for any next byte of a reply.
        api_key: Key to send as bearer token, for servers that ask for one. Default: the variable
            `FAIRWAY_API_KEY`, if it is set.

    Raises:
        UsageError: *url* is not an http or https URL, or the key is none.

    Example:
        >>> with Client("http://127.0.0.1:5000") as client:
        ...     client.predict({"sepal length (cm)": 5.1, ...})
        {'prediction': 0}
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0, api_key: str | None = None) -> None:
        key = _wire.key_headers(environment_key() if api_key is None else api_key)
        headers = {"accept": "application/json", "user-agent": "fairway", **key}
        self._transport = Transport(url, timeout_s=timeout_s, headers=headers)

    def predict(self, data: Any, model: str | None = None, *, include: Iterable[str] = ()) -> Any:
        """Return the predictions for *data* as plain values.

        Args:
            data: One record: a dict, a pandas Series, or a flat list or array of numbers. Many: a list of
                those, a frame, an array, or a list of texts. NaN and NaT are sent as null. Bytes are a JSON
                body of your own; the document of the reply is then returned as it is.
            model: Reference such as `coffee`, `coffee:3` or `coffee@challenger`. Default: the server's
                only or first model.
            include: What to add to the outputs: `probabilities`, `flags`, `explanation`.

        Returns:
            A dict of the named outputs for one record, a list of such dicts for many.

        Raises:
            RemoteError: The server refused the call (`problem` holds its document), or gave no answer
                (`status_code` is 0).
        """
        return self.ask(data, model, include=include).outputs

    def ask(self, data: Any, model: str | None = None, *, include: Iterable[str] = ()) -> Answer:
        """Do the same as `predict` and say also which version answered, and the prediction id."""
        return self._answer(_wire.predict_request(data, model=model, include=include))

    def explain(
        self, data: Any, model: str | None = None, *, of: str = "", method: str = "auto", seed: int = 0
    ) -> Any:
        """Return the predictions for *data* with the key `explanation` in each.

        Args:
            data: As for `predict`; a server explains a few rows per call (its setting `explain.max_rows`).
            model: As for `predict`.
            of: Name of a class or an output, or `each`. Default: what is predicted.
            method: `shapley` for contributions of whole inputs, `words` for weights of words. Default: what
                fits the inputs.
            seed: Which samples are drawn, where samples are drawn.

        Raises:
            RemoteError: The server refused the call, or could not explain; as for `predict`.
        """
        request = _wire.explain_request(data, model=model, of=of, method=method, seed=seed)
        return self._answer(request).outputs

    def models(self) -> list[dict[str, Any]]:
        """Return what the server says of each model that it serves."""
        found: list[dict[str, Any]] = self._get("/models")["models"]
        return found

    def model(self, reference: str) -> dict[str, Any]:
        """Return the inputs, outputs and facts of one model.

        Raises:
            RemoteError: The server has no such model.
        """
        found: dict[str, Any] = self._get(f"/models/{quote(reference, safe=':@')}")
        return found

    def health(self) -> dict[str, Any]:
        """Return the health document, also when the server says that it is not healthy."""
        found: dict[str, Any] = self._get("/health", accept=(503,))
        return found

    def close(self) -> None:
        """Close the connections that wait; the client may be used again."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def __repr__(self) -> str:
        return f"Client({str(self._transport.address)!r})"

    def _answer(self, request: Request) -> Answer:
        status, headers, body = self._transport.send(request)
        return _wire.read_answer(request, headers, _wire.read_reply(status, headers, body))

    def _get(self, target: str, *, accept: tuple[int, ...] = ()) -> Any:
        return _wire.read_reply(*self._transport.send(Request("GET", target)), accept=accept)
