"""Run the commands and code of a page as a reader would, and compare what comes out with what the page shows.

What is run, from top to bottom, in one empty folder with a home folder and a port of its own:

- `console` blocks: every line that begins with `$ `; what follows must be the output, where `...` stands for
  anything, and digests, ids, times and sizes may differ. `fairway serve` and `fairway demo` go on running
  until the page ends.
- `python` blocks, each in a process of its own; a `text` block right after one is its output. A block that
  begins with the comment of a file name (`# train.py`) is written to that file instead.
- `js` blocks, when there is a Node.js.
- comments that a renderer hides: `<!-- example: iris -->` copies the files of an example into the folder,
  `<!-- run: command -->` runs a command, `<!-- until "text": command -->` runs one until it prints the text.

Blocks of all other languages are not run. A page that says `<!-- needs: torch -->` is run where that module
is installed.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = "5000"
DEADLINE_S = 300

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# What differs from run to run, or in the last bits from machine to machine.
_VARYING: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\b[0-9a-f]{64}\b", "<digest>"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<id>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z|\+00:00)?", "<time>"),
    (r"(dur=|\bby |<time> +)[\w.@-]+", r"\1<it>"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "<time>"),
    (r"\b\d+\.\d kB\b", "<size>"),  # the lock grows with the digits of a package's version
    (r"-?\d+\.\d{7,}", lambda number: f"{float(number[0]):.6g}"),
)
_COMMENT = re.compile(r"^<!-- (example|run|until)(?: \"([^\"]*)\")?: (.*) -->$", re.MULTILINE)
_FILE_NAME = re.compile(r"# ([\w.-]+\.(?:py|toml|csv|json))\n")


class Block(NamedTuple):
    """One fenced block of a page: its language, its text and the line it begins on."""

    language: str
    text: str
    line: int


class Session:
    """One reader's terminal: a folder, a home folder, a port, and the servers that were started.

    Args:
        folder: Working directory.
        home: Home folder of fairway.

    Attributes:
        shown_port: The port that the page shows, in whose place the session's own is used.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.port = str(_free_port())
        self.shown_port = DEFAULT_PORT
        self._servers: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FAIRWAY_HOME": str(home),
            "FAIRWAY_SERVER_PORT": self.port,
            "COLUMNS": "100",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def copy_example(self, name: str) -> None:
        """Copy the files of an example into the folder, without what was built."""
        for path in (ROOT / "examples" / name).iterdir():
            if path.is_file():
                shutil.copy(path, self.folder)

    def run_page(self, page: Path) -> None:
        """Run every block of *page*."""
        blocks = blocks_of(page)
        after: list[Block | None] = [*blocks[1:], None]
        for block, following in zip(blocks, after, strict=True):
            self._run_block(block, following, f"{page.relative_to(ROOT)}:{block.line}")

    def _run_block(self, block: Block, following: Block | None, place: str) -> None:
        if block.language == "console":
            for command, expected in commands_of(block.text):
                self.run(command, expected, place)
        elif block.language == "example":
            self.copy_example(block.text)
        elif block.language == "run":
            self.run(block.text, place=place)
        elif block.language == "until":
            self._run_until(*block.text.split("\0"), place)
        elif block.language == "python" and (named := _FILE_NAME.match(block.text)):
            (self.folder / named[1]).write_text(block.text, encoding="utf-8")
        elif block.language in {"python", "js"}:
            program = sys.executable if block.language == "python" else shutil.which("node")
            if program is None:
                return
            shown = following is not None and following.language == "text"
            self._check([program, "-"], following.text if shown and following else "...", place, block.text)

    def run(self, command: str, expected: str = "...", place: str = "") -> str:
        """Run one command; it must succeed and print what is expected. Return what it printed."""
        if re.match(r"fairway (serve|demo)\b(?!.*--once)", command):
            return self._serve(command, expected, place)
        return self._check(["bash", "-ceu", self._moved(command)], expected, place)

    def _run_until(self, text: str, command: str, place: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while text not in (printed := self.run(command, place=place)):
            if time.monotonic() > deadline:
                pytest.fail(f"{place}: {command!r} never prints {text!r}\n{printed}", pytrace=False)
            time.sleep(0.05)

    def _check(self, argv: list[str], expected: str, place: str, script: str | None = None) -> str:
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env=self.environment,
            input=None if script is None else self._moved(script),
            stdin=subprocess.DEVNULL if script is None else None,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        printed = done.stdout + done.stderr
        refused_as_shown = expected.startswith("Error:")
        if done.returncode and not refused_as_shown:
            pytest.fail(f"{place}: {argv[-1]!r} ended with {done.returncode}\n{printed}", pytrace=False)
        if not is_like(printed.replace(self.port, self.shown_port), expected):
            shown = f"--- the page shows\n{expected}\n--- it printed\n{printed}"
            pytest.fail(f"{place}: {argv[-1]!r} printed something else\n{shown}", pytrace=False)
        return printed

    def _serve(self, command: str, expected: str, place: str) -> str:
        log = self.folder / f"server-{len(self._servers)}.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                ["bash", "-ceu", f"exec {self._moved(command)}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._servers.append(server)
        deadline = time.monotonic() + DEADLINE_S
        shown = [line for line in _steady(expected).splitlines() if line != "..."]
        # The log has a thread of its own: its lines may stand before or after those that are shown.
        while not self._is_ready() or any(line not in _steady(self._printed(log)) for line in shown):
            if server.poll() is not None or time.monotonic() > deadline:
                both = f"--- the page shows\n{expected}\n--- it printed\n{self._printed(log)}"
                pytest.fail(f"{place}: {command!r} does not serve\n{both}", pytrace=False)
            time.sleep(0.05)
        return self._printed(log)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _printed(self, log: Path) -> str:
        return log.read_text(encoding="utf-8", errors="replace").replace(self.port, self.shown_port)

    def _moved(self, text: str) -> str:
        moved = text.replace(f":{self.shown_port}", f":{self.port}")
        return moved.replace(f"--port {self.shown_port}", f"--port {self.port}")

    def close(self) -> None:
        """Stop every server as Ctrl+C would."""
        for server in self._servers:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        self._servers.clear()


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks and the hidden commands of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = [
        (match.start(), match[2], re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE))
        for match in _BLOCK.finditer(text)
    ]
    found += [
        (match.start(), match[1], f"{match[2]}\0{match[3]}" if match[2] else match[3])
        for match in _COMMENT.finditer(text)
    ]
    return [Block(kind, body, text.count("\n", 0, start) + 1) for start, kind, body in sorted(found)]


def commands_of(text: str) -> list[tuple[str, str]]:
    """Return each command of a console block with the output that the page shows."""
    commands: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        command, output = commands[-1] if commands else ("", [])
        # A line end after a backslash, or inside of quotes, belongs to the command.
        is_open = not output and (command.endswith("\\") or command.count("'") % 2 == 1)
        if is_open:
            commands[-1] = (f"{command}\n{line}", output)
        elif line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            output.append(line)
    return [(command, "\n".join(output).strip()) for command, output in commands]


def is_like(printed: str, expected: str) -> bool:
    """Tell whether *printed* is what a page shows; `...` stands for anything."""
    parts = [re.escape(part) for part in _steady(expected).split("...")]
    return re.fullmatch(r".*?".join(parts), _steady(printed), re.DOTALL) is not None


def _steady(text: str) -> str:
    """Return the text without what may vary."""
    for pattern, kept in _VARYING:
        text = re.sub(pattern, kept, text)
    return _squeezed(text)


def _squeezed(text: str) -> str:
    """Return the text with runs of blanks, and blanks at line ends, made one and none."""
    return re.sub(r" *\n", "\n", re.sub(r"[ \t]+", " ", text)).strip("\n")


def _free_port() -> int:
    """Return a port that nobody has, nor will get by asking the system for any."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Session]:
    """Give a terminal in an empty folder, and stop what was started in it."""
    folder = tmp_path / "reader"
    folder.mkdir()
    session = Session(folder, tmp_path / "home")
    yield session
    session.close()
