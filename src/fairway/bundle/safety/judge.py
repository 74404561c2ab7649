"""Which uses of names a policy allows: the one place that says yes or no to what a pickle does."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Collection, Iterable

from fairway.bundle.code import missing_module
from fairway.bundle.safety.allowed import allowed_names, is_never_right, may_be_trusted
from fairway.bundle.safety.arrays import HEADER, OLD_HEADERS, old_joblib
from fairway.bundle.safety.machine import Global, Trace, Use
from fairway.bundle.safety.names import is_name
from fairway.bundle.safety.policy import Trust
from fairway.errors import ArtifactImport, ArtifactUnsafe, ArtifactUntrustedType

ALLOWED = "allowed"
OWN = "own code"
TRUSTED = "trusted"
UNTRUSTED = "untrusted"
UNSAFE = "unsafe"

_PLAIN_BASES = frozenset(
    {"object", "list", "dict", "tuple", "set", "frozenset", "str", "int", "float", "bytes"}
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the policy says of one name.

    Attributes:
        name: Module and name, with a dot between them.
        verdict: `allowed`, `own code`, `trusted`, `untrusted` or `unsafe`.
        reason: Why, where the answer is no.
        position: Byte of its first use in the file.
    """

    name: str
    verdict: str
    reason: str = ""
    position: int = 0

    @property
    def passes(self) -> bool:
        """Whether the name may be used."""
        return self.verdict in {ALLOWED, OWN, TRUSTED}


def judge(trace: Trace, trust: Trust, own: Collection[str], *, extra: Collection[str] = ()) -> list[Verdict]:
    """Return the verdict on every name that a file uses; the worst of its uses counts.

    Args:
        trace: What the file does.
        trust: What is allowed.
        own: Top-level modules that travel with the model.
        extra: Names that the container needs by itself, such as torch's storages.
    """
    found: dict[Global, Verdict] = {}
    for use in trace.uses:
        known = found.get(use.what)
        if known is None or known.passes:
            verdict = _judge(use, trust, own, extra)
            if known is None or not verdict.passes:
                found[use.what] = verdict
    return list(found.values())


def refuse(verdicts: Iterable[Verdict], place: str) -> None:
    """Raise for the worst of the verdicts, if one does not pass.

    Args:
        verdicts: What `judge` found.
        place: The file, as the message shall name it.

    Raises:
        ArtifactImport: A name is of a module that is neither here nor travels with the model.
        ArtifactUnsafe: A name is never right in a model.
        ArtifactUntrustedType: All others could be trusted by name.
    """
    refused = [verdict for verdict in verdicts if not verdict.passes]
    for verdict in refused:
        if verdict.verdict == UNSAFE:
            raise ArtifactUnsafe(
                f"{place} uses {verdict.name} at byte {verdict.position}: {verdict.reason}",
                hint="do not load this file; ask whoever sent it for the model in a format that runs no code",
            )
    names = [verdict.name for verdict in refused]
    for name in names:
        root = name.split(".")[0]
        if root == "__main__":
            raise ArtifactImport(
                f"{place} needs {name}, which was defined in a script or notebook",
                hint="move it to a .py file, save the model again, and give that file with --code",
            )
        if importlib.util.find_spec(root) is None:
            raise missing_module(ModuleNotFoundError(f"No module named {root!r}", name=root), needed_by=place)
    if refused:
        raise untrusted(names, place)


def untrusted(names: list[str], place: str) -> ArtifactUntrustedType:
    """Return the error that says which types would have to be trusted, and how."""
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return ArtifactUntrustedType(
        f"{place} needs {shown}, which {'is' if len(names) == 1 else 'are'} not on the list of known types",
        hint="a module of yours travels with the model: --code FILE.py; "
        f"a library that you trust by name: {' '.join(f'--trust {name}' for name in names[:5])}",
    )


def check_trusted(types: Iterable[str]) -> None:
    """Refuse names that nobody may trust.

    Raises:
        ArtifactUnsafe: Names the first.
    """
    for name in types:
        module, _, last = name.rpartition(".")
        if not is_name(module, last) or is_never_right(module, last):
            raise ArtifactUnsafe(
                f"{name!a} cannot be trusted: it is no type of a model",
                hint="name one class as the refusal writes it: --trust module.Class",
            )


def _judge(use: Use, trust: Trust, own: Collection[str], extra: Collection[str]) -> Verdict:
    module, name = use.what
    text = f"{module}.{name}"
    if tuple(use.what) in OLD_HEADERS:
        raise old_joblib()
    kind = "class" if text in extra else _kind(module, name)
    if kind is None and not is_name(module, name):
        return _unsafe(use, "the name reaches into an object")
    if module.split(".")[0] in own:
        return Verdict(text, OWN, position=use.position)
    if kind is not None:
        why = _misuse(use, kind)
        return _unsafe(use, why) if why else Verdict(text, ALLOWED, position=use.position)
    if is_never_right(module, name):
        return _unsafe(use, "no model needs it, and it can run or reach anything")
    if text in trust.types:
        return Verdict(text, TRUSTED, position=use.position)
    if not may_be_trusted(module, name):
        return _unsafe(use, "this function is not among those that a model needs")
    return Verdict(text, UNTRUSTED, "not on the list of known types", use.position)


def _kind(module: str, name: str) -> str | None:
    return "empty" if (module, name) == HEADER else allowed_names().get((module, name))


def _misuse(use: Use, kind: str) -> str:
    """Return why an allowed name may not be used like this, or the empty string."""
    if use.how == "value" or kind == "function":
        return _wrong_arguments(use)
    if kind == "value":
        return "it may be held by a model, not called"
    if kind == "empty" and not (use.how == "new" and use.args == ()):
        return "a model makes it empty and fills it; this call gives it arguments"
    return ""


def _wrong_arguments(use: Use) -> str:
    """Look at the arguments of the two functions that can do more than a model needs."""
    if use.how == "value":
        return ""
    args = use.args
    if use.what == Global("_codecs", "encode"):
        return "" if args is not None and args[1:] == ("latin1",) else "only latin1 is a model's encoding"
    if use.what == Global("copyreg", "_reconstructor"):
        if args is None or len(args) != 3:
            return "the class that it makes cannot be told"
        kind, base, _ = args
        plain = isinstance(base, Global) and base.module == "builtins" and base.name in _PLAIN_BASES
        if not isinstance(kind, Global) or not plain:
            return "the class that it makes cannot be told"
    return ""


def _unsafe(use: Use, why: str) -> Verdict:
    return Verdict(str(use.what), UNSAFE, why, use.position)
