"""The one real call by which `fairway demo` proves that the server it has started answers."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from fairway.cli.output import print_facts, print_json, say
from fairway.errors import FairwayError, RemoteError

if TYPE_CHECKING:
    from fairway.cli.options import Face
    from fairway.registry.records import Version

BODY = b'{"features":[5.1,3.5,1.4,0.2]}'
EXPECTED = {"prediction": [0]}
START_TIMEOUT_S = 60.0
_STARTING = (0, 503)  # nobody listens yet; the model is not ready yet


class Trial(threading.Thread):
    """Asks the server that starts in the main thread one question, prints the answer, may end the server.

    Attributes:
        failure: Why the server did not answer as it must, or None.
        ended_server: Whether the server was told to stop from here.
    """

    def __init__(self, face: Face, version: Version, url: str, *, once: bool) -> None:
        super().__init__(name="fairway-demo", daemon=True)
        self._face = face
        self._version = version
        self._url = url
        self._once = once
        self.failure: FairwayError | None = None
        self.ended_server = False

    def run(self) -> None:
        """Wait for the server, ask, print."""
        try:
            self._report(_ask(self._url))
        except FairwayError as error:
            self.failure = error
        if self._once or self.failure is not None:
            self.ended_server = True
            signal.raise_signal(signal.SIGINT)  # the way in which a person ends it

    def _report(self, reply: Any) -> None:
        if reply != EXPECTED:
            raise FairwayError(f"the server answered {json.dumps(reply)} instead of {json.dumps(EXPECTED)}")
        curl = f"curl -s {self._url}/predict -H 'content-type: application/json' -d '{BODY.decode()}'"
        answer = json.dumps(reply, separators=(",", ":"))
        reference = self._version.reference
        if self._face.as_json:
            print_json({"reference": reference, "url": self._url, "curl": curl, "reply": reply})
            return
        accuracy = self._version.metrics["accuracy"]
        print_facts(
            [
                ("Registered", f"{reference}, accuracy {accuracy:.2f} on flowers that it had not seen"),
                ("Page", f"{self._url}/models/iris"),
                ("API", f"{self._url}/docs"),
                ("Ask it", curl),
                ("Answer", f"{answer}   (just checked)"),
            ]
        )
        if not self._once:
            say("", "Serving until Ctrl-C.")


def _ask(url: str) -> Any:
    """Return the answer to `BODY`, as soon as the server gives one."""
    deadline = time.monotonic() + START_TIMEOUT_S
    pause = threading.Event()
    from fairway.client.client import Client

    with Client(url, timeout_s=10.0) as client:
        while True:
            try:
                return client.predict(BODY)
            except RemoteError as error:
                if error.status_code not in _STARTING or time.monotonic() > deadline:
                    raise
            pause.wait(0.02)
