"""A process in which a foreign file is loaded for the first time: few rights, few resources, no secrets.

It is the second fence, not the first: a file comes here after every name in it was found on the list. What
the fence keeps from this process is a parser that crashes, a model that eats the memory, and code that nobody
knew to be able to run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fairway.settings import handed_on

_GIB = 2**30
_CPU_MARGIN_S = 10
_MAX_OUTPUT = 2**20

# What a process needs to start and to find its libraries. Everything else stays here: keys, tokens, addresses
# of databases, the names of other machines.
_KEPT_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SYSTEMROOT",
    "WINDIR",
    "TZ",
)

_PROGRAM = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from fairway.bundle.safety.sandbox import enter; enter(sys.argv[2:6]); "
    "import importlib; importlib.import_module(sys.argv[6]).main()"
)

# What a model does not do while it is loaded; an audit hook cannot be taken out again.
_REFUSED_EVENTS = frozenset(
    {
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "pty.spawn",
        "subprocess.Popen",
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.getaddrinfo",
        "shutil.rmtree",
        "os.remove",
        "os.rename",
        "os.rmdir",
    }
)
_MACHINE_PROGRAMS = frozenset({"uname", "lscpu", "ldconfig", "sysctl"})
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the process may use.

    Attributes:
        seconds: Time on the clock; of the processors it gets as much for each of two.
        memory_bytes: Address space. Libraries reserve far more of it than they use.
        file_bytes: Largest file that it may write.
        files: Files that it may hold open.
        processes: Processes and threads of its user. Everything that the user runs counts, so this only ends
            a fork bomb.
    """

    seconds: float = 120.0
    memory_bytes: int = 16 * _GIB
    file_bytes: int = 4 * _GIB
    files: int = 1024
    processes: int = 8192


@dataclasses.dataclass(frozen=True)
class Ended:
    """How the process ended.

    Attributes:
        status: Its exit status, negative for a signal; None if it took too long.
        output: What it printed, up to a mebibyte.
        errors: The last of what it printed on standard error.
    """

    status: int | None
    output: bytes
    errors: bytes

    @property
    def last_words(self) -> str:
        """The last line of its errors, or how it ended."""
        if self.status is None:
            return "it took too long"
        lines = self.errors.decode(errors="replace").strip().splitlines()
        if self.status < 0:
            return f"it was ended by signal {-self.status}"
        return lines[-1][:300] if lines else f"exit status {self.status}"


class Restricted:
    """A restricted process at work; whoever starts one waits for it or ends it.

    Args:
        module: Name of a module of ours, whose `main` is run without arguments.
        given: What it finds on its standard input.
        limits: What it may use.
    """

    def __init__(self, module: str, given: bytes, *, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._folder = tempfile.TemporaryDirectory(prefix="fairway-probe-", ignore_cleanup_errors=True)
        source = str(Path(__file__).parents[3])
        numbers = (
            self._limits.seconds,
            self._limits.memory_bytes,
            self._limits.file_bytes,
            self._limits.files,
        )
        arguments = [source, *(str(int(number)) for number in numbers), module]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-B", "-E", "-P", "-c", _PROGRAM, *arguments],
            cwd=self._folder.name,
            env=_environment(self._folder.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._ended = Ended(None, b"", b"")
        self._thread = threading.Thread(target=self._talk, args=(given,), daemon=True)
        self._thread.start()

    def _talk(self, given: bytes) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            output, errors = self._process.communicate(given, timeout=self._limits.seconds)
            self._ended = Ended(self._process.returncode, output[-_MAX_OUTPUT:], errors[-_MAX_OUTPUT:])

    def wait(self) -> Ended:
        """Return how it ended, at the latest when its time is over."""
        self._thread.join()
        self.end()
        return self._ended

    def end(self) -> None:
        """End it and whatever it started: they are a group of their own."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, 9)
        elif self._process.poll() is None:
            self._process.kill()
        self._thread.join(timeout=10)
        self._process.wait(timeout=10)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._folder.cleanup()


def _environment(folder: str) -> dict[str, str]:
    kept = handed_on(_KEPT_VARIABLES)
    # One thread per library: loading needs no more, and each would reserve its own stack.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # A library that reports to its makers is not to try: it would be refused.
    silent = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**kept, **threads, **silent, "HOME": folder, "TMPDIR": folder, "TEMP": folder}


def enter(arguments: Sequence[str]) -> None:
    """Give up rights and resources; called first of all in the new process."""
    seconds, memory, file_bytes, files = map(int, arguments)
    _leave_network()
    _limit_resources(seconds, memory, file_bytes, files)
    # Found now: to look for it inside the hook would wait for whoever is just doing so.
    sys.addaudithook(partial(_refuse_event, os.path.realpath(tempfile.gettempdir()) + os.sep))


def _limit_resources(seconds: int, memory: int, file_bytes: int, files: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: time on the clock is the limit there
        return
    wanted = {
        resource.RLIMIT_CPU: 2 * seconds + _CPU_MARGIN_S,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: files,
        resource.RLIMIT_CORE: 0,
    }
    if hasattr(resource, "RLIMIT_NPROC"):
        wanted[resource.RLIMIT_NPROC] = Limits.processes
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses some of them
            resource.setrlimit(kind, (limit, limit))


def _leave_network() -> None:
    """Move into a network of its own, which has no way out, where the system allows it."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        # A user namespace makes it possible without rights, and gives none outside of itself.
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _refuse_event(folder: str, event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _REFUSED_EVENTS or _asks_machine(event, arguments):
        return
    if not _is_own_file(folder, event, arguments):
        raise PermissionError(f"the model tried {event} while it was loaded")


def _asks_machine(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether it is a program that libraries ask about processors when they are imported."""
    if event != "subprocess.Popen":
        return False
    command = arguments[1] if isinstance(arguments[1], list | tuple) else [arguments[0]]
    return Path(os.fsdecode(command[0])).name in _MACHINE_PROGRAMS if command else False


def _is_own_file(folder: str, event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether a file of the process's own folder is meant: native parsers read from temporary files."""
    if event not in {"shutil.rmtree", "os.remove", "os.rename", "os.rmdir"}:
        return False
    return os.path.realpath(os.fsdecode(arguments[0])).startswith(folder)
