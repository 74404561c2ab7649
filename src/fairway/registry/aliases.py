"""Aliases: pointing them to versions, and back to where they pointed before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Final

from fairway.bundle.names import check_name
from fairway.errors import AliasProtected, Conflict, NothingToRollBack
from fairway.registry.history import protection, replay, until
from fairway.registry.ledger import Ledger, check_texts, text_of
from fairway.registry.lookup import alias_not_found, find_latest, find_version
from fairway.registry.metadata.base import View
from fairway.registry.records import MOVES, Event, EventKind, Move

PRODUCTION = "production"
"""The alias that a bare model name stands for, once it is there."""


class Anything(Enum):
    """What an alias may have pointed to before, where it does not matter."""

    ANY = "any"


ANY: Final = Anything.ANY


class Aliases(Ledger):
    """The part of a registry that moves aliases; every move is one event."""

    def move_alias(
        self,
        model: str,
        alias: str,
        version: int,
        *,
        actor: str,
        reason: str = "",
        expected: int | Anything | None = ANY,
    ) -> Move:
        """Point an alias to a version; the alias is made if it is not there.

        Nothing is recorded if it points there already.

        Args:
            model: Name of the model.
            alias: Name of the alias.
            version: Number of the version.
            actor: Who moves it.
            reason: Why.
            expected: Where it has to point before: a version, or None if it must not be there.

        Raises:
            ModelNotFound: No model has this name.
            VersionNotFound: The model has no such version.
            NameInvalid: The alias is outside the grammar of names.
            Conflict: The alias does not point to what was expected.
            AliasProtected: Only a promotion or a rollback may move it.
        """
        return self._point("alias", model, alias, version, actor=actor, reason=reason, expected=expected)

    def promote(
        self,
        model: str,
        version: int,
        *,
        alias: str = PRODUCTION,
        actor: str,
        reason: str = "",
        expected: int | Anything | None,
        details: Mapping[str, Any] | None = None,
    ) -> Move:
        """Point an alias to a version that has passed its gate; as `move_alias`, but recorded as a promotion.

        Args:
            model: Name of the model.
            version: Number of the version.
            alias: Name of the alias.
            actor: Who promotes it.
            reason: Why.
            expected: What the gate compared it with: where the alias points until now, None if it is new.
            details: What the decision was based on, as JSON has it.

        Raises:
            FairwayError: As `move_alias` does, but for the protection: whoever promotes has looked at it.
        """
        return self._point(
            "promote", model, alias, version, actor=actor, reason=reason, expected=expected, details=details
        )

    def _point(
        self,
        kind: EventKind,
        model: str,
        alias: str,
        version: int,
        *,
        actor: str,
        reason: str,
        expected: int | Anything | None,
        details: Mapping[str, Any] | None = None,
    ) -> Move:
        check_name("alias", alias)
        check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            find_version(change, model, version)
            current = change.targets(model).get(alias)
            if expected is not ANY and current != expected:
                raise _conflict(model, alias, current, expected)
            if kind == "alias" and current != version:
                _check_unprotected(change, model, alias, f"fairway promote {model}:{version}")
            if current == version:
                seq = next(e.seq for e in reversed(change.events(model, alias=alias)) if e.kind in MOVES)
                return Move(model, alias, from_version=current, to_version=version, seq=seq)
            event = Event(
                kind=kind,
                model=model,
                alias=alias,
                from_version=current,
                to_version=version,
                at=self.timestamp(),
                actor=actor,
                reason=reason,
                details=details or {},
            )
            return Move(model, alias, event.from_version, event.to_version, seq=change.append(event))

    def remove_alias(self, model: str, alias: str, *, actor: str, reason: str = "") -> Move:
        """Take an alias away; a rollback brings it back to where it pointed.

        Raises:
            ModelNotFound: No model has this name.
            AliasNotFound: The model has no such alias.
            AliasProtected: Only a promotion or a rollback may move it.
        """
        check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            targets = change.targets(model)
            if alias not in targets:
                raise alias_not_found(model, alias, targets)
            _check_unprotected(change, model, alias, f"fairway rollback {model}")
            event = Event(
                kind="alias_removed",
                model=model,
                alias=alias,
                from_version=targets[alias],
                to_version=None,
                at=self.timestamp(),
                actor=actor,
                reason=reason,
            )
            return Move(model, alias, event.from_version, event.to_version, seq=change.append(event))

    def rollback(
        self,
        model: str,
        alias: str = PRODUCTION,
        *,
        actor: str,
        reason: str = "",
        to: int | None = None,
    ) -> Move:
        """Point an alias to where it pointed before its last move.

        Done again it goes one step further back; it never returns to what was rolled back, and it passes over
        versions that were deleted since.

        Args:
            model: Name of the model.
            alias: Name of the alias.
            actor: Who rolls back.
            reason: Why.
            to: How far back: a version that the alias pointed to before. Default: one step.

        Raises:
            ModelNotFound: No model has this name.
            AliasNotFound: The model never had this alias.
            NothingToRollBack: The alias has no earlier target, or *to* is none.
        """
        check_name("alias", alias)
        check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            events = change.events(model, alias=alias)
            state = replay(events).get(alias)
            if state is None:
                raise alias_not_found(model, alias, change.targets(model))
            there = {version.version for version in change.versions(model)}
            earlier = state.earlier(there if to is None else there & {to})
            if earlier is None:
                raise NothingToRollBack(model, alias, to=to)
            event = Event(
                kind="rollback",
                model=model,
                alias=alias,
                from_version=state.target,
                to_version=earlier,
                at=self.timestamp(),
                actor=actor,
                reason=reason,
            )
            protected = protection(events, alias) is not None
            return Move(
                model, alias, event.from_version, event.to_version, change.append(event), protected=protected
            )

    def at(self, model: str, when: datetime) -> dict[str, int]:
        """Return where the aliases of a model pointed at a time, by alias.

        Everything counts up to the last event that bears this time or an earlier one; see
        `fairway.registry.history.until`.

        Args:
            model: Name of the model.
            when: The time, with a zone.

        Raises:
            ModelNotFound: No model has this name.
        """
        states = replay(until(self.history(model), text_of(when)))
        return {alias: state.target for alias, state in sorted(states.items()) if state.target is not None}


def _conflict(model: str, alias: str, current: int | None, expected: int | Anything | None) -> Conflict:
    now, before = (
        f"{model}:{number}" if isinstance(number, int) else "nothing" for number in (current, expected)
    )
    return Conflict(
        f"{model}@{alias} points to {now}, not to {before}: somebody else has moved it",
        hint=f"look at it with: fairway show {model}, then decide again",
    )


def _check_unprotected(view: View, model: str, alias: str, instead: str) -> None:
    found = protection(view.events(model, alias=alias), alias)
    instead += "" if alias == PRODUCTION else f" --alias {alias}"
    if found is not None:
        raise AliasProtected(
            f"{model}@{alias} is protected since {found.since} (by {found.actor}): "
            "only a promotion or a rollback moves it",
            hint=f"{instead}; or end the protection first: fairway protect {model}@{alias} --off",
        )
