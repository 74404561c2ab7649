"""How the command line tells what happened: one sentence per event, and what there was at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from fairway.cli.output import moment, print_table, say

if TYPE_CHECKING:
    from fairway.lifecycle.record import Moment
    from fairway.registry.records import Event


def tell(event: Event) -> str:
    """Return one line about an event: when, who, what, why."""
    why = f" ({event.reason})" if event.reason else ""
    return f"{moment(event.at)}  {event.actor}  {what(event)}{why}"


def what(event: Event) -> str:
    """Return what happened, without who, when and why."""
    return _SENTENCES.get(event.kind, _other)(event)


def _other(event: Event) -> str:
    about = " ".join(filter(None, [_version(event) or event.model or "", event.subject]))
    return f"{event.kind.replace('_', ' ')} {about}".rstrip()


def _version(event: Event) -> str:
    return f"{event.model}:{event.version}" if event.version is not None else ""


def _moved(event: Event) -> str:
    name = f"{event.model}@{event.alias}"
    before, now = f"{event.model}:{event.from_version}", f"{event.model}:{event.to_version}"
    if event.to_version is None:
        return f"removed {name}, which was {before}"
    if event.from_version is None:
        return f"promoted {now} to {name}" if event.kind == "promote" else f"set {name} to {now}"
    verb = {"promote": "promoted", "rollback": "rolled back"}.get(event.kind, "moved")
    return f"{verb} {name} from {before} to {now}"


def _checked(event: Event) -> str:
    against, rules = event.details.get("against"), event.details.get("refused_by") or []
    beside = f" against {against}" if against else ""
    verdict = event.details.get("verdict")
    told = (
        ", which passed"
        if verdict == "passed"
        else f", which was refused by {', '.join(rules) or 'its data'}"
    )
    return f"checked {_version(event)}{beside}{told if verdict else ''}"


def _protected(event: Event) -> str:
    name = f"{event.model}@{event.alias}"
    if not event.details.get("protected", True):
        return f"ended the protection of {name}"
    n = event.details.get("approvals", 0)
    return f"protected {name}" + (f", with {n} {'approval' if n == 1 else 'approvals'}" if n else "")


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "register": lambda event: f"registered {_version(event)}",
    "delete": lambda event: f"deleted {_version(event)}",
    "approve": lambda event: f"approved {_version(event)} for {event.model}@{event.alias}",
    "check": _checked,
    "refused": lambda event: f"refused to serve {_version(event)}",
    "attach": lambda event: f"attached {event.details.get('name', 'files')} to content {event.subject[:12]}",
    "key_created": lambda event: f"created the key {event.subject}",
    "key_revoked": lambda event: f"revoked the key {event.subject}",
    "protect": _protected,
    "alias": _moved,
    "alias_removed": _moved,
    "promote": _moved,
    "rollback": _moved,
}


def _zone(found: Moment, given: str) -> str:
    """Return how a time without an offset was read, or the empty string."""
    try:
        if datetime.fromisoformat(given.strip()).tzinfo is not None:
            return ""
    except ValueError:  # how long ago
        return ""
    local = datetime.fromisoformat(found.at).astimezone()
    return f" ({given.strip()} as local time, UTC{local:%z})"


def print_moment(found: Moment, given: str) -> None:
    """Print what there was of a model at a time that was given in some spelling."""
    when = f"{moment(found.at)}{_zone(found, given)}"
    if not found.existed:
        say(f"At {when} there was no {found.model}; its first version came at {moment(found.began)}")
        return
    bare = f"{found.model} was {found.model}:{found.live}" if found.live else "every version was deleted"
    say(f"At {when} {bare}")
    say(f"Versions  {', '.join(map(str, found.versions)) or 'none'}")
    if not found.aliases:
        say("Aliases   none")
        return
    say("")
    print_table(
        ["ALIAS", "VERSION", "SINCE", "BY", "WHY"],
        [
            (alias, f"{found.model}:{number}", moment(since.at), since.actor, since.reason)
            for alias, number in found.aliases.items()
            for since in [found.since[alias]]
        ],
    )
