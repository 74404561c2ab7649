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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def run_restricted(module: str, given: bytes, *, limits: Limits | None = None) -> Ended:
    """Run the `main` of a module of ours in a restricted process.

    Args:
        module: Name of the module; its `main` takes no arguments.
        given: What it finds on its standard input.
        limits: What it may use.
    """
    limits = limits or Limits()
    source = str(Path(__file__).parents[3])
    numbers = [limits.seconds, limits.memory_bytes, limits.file_bytes, limits.files]
    with tempfile.TemporaryDirectory(prefix="fairway-probe-", ignore_cleanup_errors=True) as folder:
        command = [
            sys.executable,
            "-B",
            "-E",
            "-P",
            "-c",
            _PROGRAM,
            source,
            *(str(int(n)) for n in numbers),
            module,
        ]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            command,
            cwd=folder,
            env=_environment(os.environ, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(given, timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            return Ended(None, b"", b"")
        finally:
            _end(process)
    return Ended(process.returncode, output[-_MAX_OUTPUT:], errors[-_MAX_OUTPUT:])


def _environment(environ: Mapping[str, str], folder: str) -> dict[str, str]:
    kept = {name: environ[name] for name in _KEPT_VARIABLES if name in environ}
    # One thread per library: loading needs no more, and each would reserve its own stack.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, "HOME": folder, "TMPDIR": folder, "TEMP": folder}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it started: they are a group of their own."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, 9)
    elif process.poll() is None:
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=10)


def enter(arguments: Sequence[str]) -> None:
    """Give up rights and resources; called first of all in the new process."""
    seconds, memory, file_bytes, files = map(int, arguments)
    _leave_network()
    _limit_resources(seconds, memory, file_bytes, files)
    sys.addaudithook(_refuse_event)


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


def _refuse_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED_EVENTS and not _is_own_file(event, arguments):
        raise PermissionError(f"the model tried {event} while it was loaded")


def _is_own_file(event: str, arguments: tuple[Any, ...]) -> bool:
    """Tell whether a file of the process's own folder is meant: native parsers read from temporary files."""
    if event not in {"shutil.rmtree", "os.remove", "os.rename", "os.rmdir"}:
        return False
    own = os.path.realpath(os.environ["TMPDIR"]) + os.sep
    return os.path.realpath(os.fsdecode(arguments[0])).startswith(own)
