"""Whether clients of one version can call another: by the signatures, and by requests that are really read.

The differences of the signatures say what would happen and why; the golden examples of the old version, sent
through the reader of the new one in every way that a client may send them, say whether it does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from fairway.bundle.bundle import Bundle
from fairway.bundle.signature import Signature
from fairway.errors import FairwayError
from fairway.lifecycle.signature_changes import Clients, SignatureChange, signature_changes
from fairway.messages import Call, Target
from fairway.protocols.native import NativeProtocol

__all__ = ["Compatibility", "Replayed", "SignatureChange", "compare"]


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the old version's golden examples at the reader of the new one.

    Attributes:
        objects: How many the old version takes when they are sent as objects.
        objects_taken: How many of these the new one takes.
        lists: How many the old version takes when they are sent as lists of values.
        lists_taken: How many of these the new one takes.
        reasons: Codes of the faults of those that were refused. Never a value: examples may be real rows.
    """

    objects: int
    objects_taken: int
    lists: int
    lists_taken: int
    reasons: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Compatibility:
    """What changes for the clients of one version when another answers them.

    Attributes:
        old: What the clients know, such as `coffee:2`.
        new: What would answer them.
        changes: Every difference, the worst first.
        replayed: What became of the golden examples.
    """

    old: str
    new: str
    changes: tuple[SignatureChange, ...]
    replayed: Replayed

    @property
    def breaks_objects(self) -> bool:
        """Whether a client that sends rows as objects breaks."""
        return any(change.grade == "breaking" and change.clients != "lists" for change in self.changes)

    @property
    def breaks_lists(self) -> bool:
        """Whether a client that sends rows as lists of values breaks."""
        return any(change.grade == "breaking" and change.clients != "objects" for change in self.changes)

    @property
    def breaks(self) -> bool:
        """Whether any existing client breaks."""
        return self.breaks_objects or self.breaks_lists

    @property
    def verdict(self) -> str:
        """Return whether an existing client breaks, in a sentence."""
        if self.breaks_objects and self.breaks_lists:
            return f"clients of {self.old} break"
        if self.breaks_objects:
            return f"clients of {self.old} that send objects break; those that send lists of values do not"
        if self.breaks_lists:
            return f"clients of {self.old} that send lists of values break; those that send objects do not"
        risks = sum(change.grade == "risky" for change in self.changes)
        told = {0: "", 1: "; one difference is risky"}.get(risks, f"; {risks} differences are risky")
        return f"no client of {self.old} breaks{told}"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "old": self.old,
            "new": self.new,
            "breaks": self.breaks,
            "breaks_objects": self.breaks_objects,
            "breaks_lists": self.breaks_lists,
            "verdict": self.verdict,
            "changes": [dataclasses.asdict(change) for change in self.changes],
            "replayed": dataclasses.asdict(self.replayed),
        }


def compare(old: Bundle, new: Bundle, *, names: tuple[str, str] | None = None) -> Compatibility:
    """Return what changes for the clients of *old* when *new* answers them.

    Args:
        old: What the clients know.
        new: What would answer them.
        names: What to call the two, such as `("coffee:2", "coffee:3")`. Default: the names of the bundles.

    Raises:
        BundleError: A file of a bundle is missing or damaged.
    """
    called = names or (old.manifest.name, new.manifest.name)
    changes = signature_changes(old.signature, new.signature)
    replayed = _replay(old, new)
    surprise = _surprise(changes, replayed, called)
    return Compatibility(*called, changes=(*surprise, *changes), replayed=replayed)


def _replay(old: Bundle, new: Bundle) -> Replayed:
    """Send the golden examples of *old* to the reader of *new*, leaving out what *old* itself refuses."""
    protocol = NativeProtocol()
    before, now = (protocol.prepare(bundle.signature) for bundle in (old, new))
    reasons: set[str] = set()
    sent = {"objects": 0, "lists": 0}
    taken = dict(sent)
    for row in old.golden.inputs:
        for way, body in _bodies(row, old.signature).items():
            if _faults(before.read, body):
                continue
            faults = _faults(now.read, body)
            sent[way] += 1
            taken[way] += not faults
            reasons |= faults
    return Replayed(
        sent["objects"], taken["objects"], sent["lists"], taken["lists"], reasons=tuple(sorted(reasons))
    )


def _bodies(row: Mapping[str, Any], signature: Signature) -> dict[str, bytes]:
    """Return one row as a client sends it: a record, and a list of values in the order of the signature."""
    values = [row.get(name) for name in signature.names]
    return {"objects": msgspec.json.encode(row), "lists": msgspec.json.encode([values])}


def _faults(read: Callable[[Target], object], body: bytes) -> set[str]:
    """Return the codes of what is wrong with a body; none if it is read."""
    try:
        read(Target(Call("POST", "/predict", "", lambda _: "", body), ""))
    except FairwayError as error:
        return {fault.code for fault in error.faults} or {error.code}
    return set()


def _surprise(
    changes: list[SignatureChange], replayed: Replayed, names: tuple[str, str]
) -> list[SignatureChange]:
    """Return that examples are refused although no difference of the signatures says that they would be."""
    counts: tuple[tuple[Clients, int, int], ...] = (
        ("objects", replayed.objects, replayed.objects_taken),
        ("lists", replayed.lists, replayed.lists_taken),
    )
    found = []
    for way, sent, taken in counts:
        expected = any(change.grade == "breaking" and change.clients in {"all", way} for change in changes)
        if taken < sent and not expected:
            sentence = (
                f"{sent - taken} of {sent} golden examples of {names[0]}, sent as {way}, "
                f"are refused by {names[1]} ({', '.join(replayed.reasons)})"
            )
            found.append(SignatureChange("examples_refused", "breaking", "", sentence, way))
    return found
