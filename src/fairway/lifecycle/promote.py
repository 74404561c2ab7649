"""Promotion: the gate, then the move of an alias, as one step that is decided upon what is live now.

The gate asks three things, as far as the rules do: was the version checked, against what is live; do the
clients of what is live go on working; did somebody else approve. All that is in the way is told at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from fairway.bundle.names import check_name
from fairway.errors import (
    AliasNotFound,
    ApprovalMissing,
    BundleError,
    Fault,
    GateError,
    GateRefused,
    SchemaChanged,
    VersionNotFound,
)
from fairway.gates import NO_RULES, GateRules
from fairway.lifecycle.check import latest_check
from fairway.lifecycle.compatibility import Compatibility, compare
from fairway.lifecycle.reporting.document import ATTACHMENT, CheckReport
from fairway.registry.history import approvals, protection
from fairway.registry.records import Event, Move, Version
from fairway.registry.registry import PRODUCTION, Registry


@dataclasses.dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion, or what it would be.

    Attributes:
        move: What the alias pointed to and points to now; its `seq` is 0 while nothing has moved.
        dry_run: Whether nothing was to be changed.
        gate: What the gate looked at, and why it lets the version through, in sentences.
    """

    move: Move
    dry_run: bool
    gate: tuple[str, ...]


def promote(
    registry: Registry,
    reference: str,
    *,
    alias: str = PRODUCTION,
    actor: str,
    reason: str = "",
    rules: GateRules = NO_RULES,
    dry_run: bool = False,
    allow_schema_change: bool = False,
) -> Promotion:
    """Let an alias point to a version, once the version has passed its gate.

    Args:
        registry: The registry.
        reference: The version, such as `coffee:2`.
        alias: The alias.
        actor: Who promotes.
        reason: Why; kept in the history.
        rules: The rules of the model's gate. Default: none.
        dry_run: Whether to tell what would happen and change nothing.
        allow_schema_change: Whether clients of what is live may break.

    Raises:
        GateRefused: The rules ask for a check, and there is none that counts, or it was not passed.
        SchemaChanged: Clients of what is live would break.
        ApprovalMissing: Others have to approve first.
        Conflict: Somebody else has moved the alias meanwhile.
        ArtifactDigest: A file of the version is missing or damaged.
    """
    check_name("alias", alias)
    version = registry.resolve(reference)
    live = _live(registry, version.model, alias)
    now = None if live is None else live.version
    if live is not None and live.version == version.version:
        return Promotion(Move(version.model, alias, now, now, seq=0), dry_run, ())
    gate = _Gate(registry, version, live, alias, actor, rules)
    told = gate.judge(allow_schema_change=allow_schema_change)
    if dry_run:
        return Promotion(Move(version.model, alias, now, version.version, seq=0), dry_run, told)
    move = registry.promote(
        version.model,
        version.version,
        alias=alias,
        actor=actor,
        reason=reason,
        expected=now,
        details={"gate": list(told), **gate.details},
    )
    return Promotion(move, dry_run, told)


def _live(registry: Registry, model: str, alias: str) -> Version | None:
    """Return what an alias of a model points to, or None."""
    try:
        return registry.resolve(f"{model}@{alias}")
    except AliasNotFound:
        return None


class _Gate:
    """One version before one alias: what lets it through, and what is in its way.

    Attributes:
        details: What the decision was based on, for the record.
    """

    def __init__(
        self,
        registry: Registry,
        version: Version,
        live: Version | None,
        alias: str,
        actor: str,
        rules: GateRules,
    ) -> None:
        self._registry = registry
        self._version = version
        self._live = live
        self._alias = alias
        self._actor = actor
        self._rules = rules
        self._bundle = registry.open(version)
        self._told: list[str] = []
        self.details: dict[str, Any] = {}

    def judge(self, *, allow_schema_change: bool) -> tuple[str, ...]:
        """Return why the version gets through, or raise the first of all that is in its way with the rest."""
        found = [
            *self._check(),
            *self._clients(allow_schema_change=allow_schema_change),
            *self._approvals(self._registry.history(self._version.model)),
        ]
        if not found:
            return tuple(self._told)
        first = found[0]
        # One error has one code; what else is in the way stands below it, so that nobody learns it later.
        faults = [fault for error in found for fault in error.faults or [_fault(error.detail)]]
        if len(faults) > 1:
            first.faults = faults
        elif first.faults:
            first.detail += f": {first.faults[0].message}"
        first.hint = "; ".join(dict.fromkeys(error.hint for error in found if error.hint))
        raise first

    # -- was it checked ----------------------------------------------------------------------------------

    def _check(self) -> Iterator[GateError]:
        if not self._rules.asks_for_check:
            return
        name = self._version.reference
        report = latest_check(self._registry, self._version)
        if report is None:
            detail = f"{name} does not pass its gate: it was never checked, and its rules ask for a check"
            yield GateRefused(detail, hint=self._check_hint())
        elif void := self._void(report):
            yield GateRefused(f"{name} does not pass its gate: {void}", hint=self._check_hint())
        elif not report.passed:
            error = GateRefused(f"{name} does not pass its gate")
            error.hint = f"train a better version, or check {name} on more data: {self._check_hint()}"
            error.faults = [_fault(sentence) for sentence in report.refusals or ["its check was not passed"]]
            yield error
        else:
            against = f" against {report.against.reference}" if report.against else ""
            self._told.append(f"its check{against} was passed")
            self.details["check"] = self._bundle.attachments[ATTACHMENT].digest

    def _void(self, report: CheckReport) -> str:
        """Return why the last check does not count, or the empty string."""
        if report.subject.digest != self._version.digest:
            return "its check was made for other content"
        baseline = self._baseline()
        if baseline is not None and (report.against is None or report.against.digest != baseline.digest):
            was = f"against {report.against.reference}" if report.against else "against nothing"
            return f"its check was made {was}, and it has to be no worse than {baseline.reference} now"
        looked_at = {rule.name: rule.wanted for rule in report.rules}
        changed = [key for key, limit in self._rules.limits.items() if looked_at.get(key) != str(limit)]
        if changed:
            rule = f"{changed[0]} {self._rules.limits[changed[0]]}"
            return f"its check did not look at {rule}, which is a rule now"
        return ""

    def _baseline(self) -> Version | None:
        """Return what a check has to compare the version with now; None if with nothing."""
        named = self._rules.not_worse_than or (PRODUCTION if self._rules.compatible else "")
        if not named:
            return None
        model = self._version.model
        full = named if ":" in named or "@" in named else f"{model}{':' if named.isdigit() else '@'}{named}"
        try:
            return self._registry.resolve(full)
        except (AliasNotFound, VersionNotFound):
            return None

    def _check_hint(self) -> str:
        baseline = self._baseline()
        against = f" --against {baseline.reference}" if baseline else ""
        return f"fairway check {self._version.reference} --data UNSEEN.csv{against}"

    # -- do clients go on working ------------------------------------------------------------------------

    def _clients(self, *, allow_schema_change: bool) -> Iterator[GateError]:
        if self._live is None or self._live.digest == self._version.digest:
            return
        found = self._compatibility(self._live)
        if isinstance(found, Compatibility) and not found.breaks:
            self._told.append(found.verdict)
            return
        broken = found if isinstance(found, str) else found.verdict
        if allow_schema_change:
            self._told.append(f"{broken}, which was allowed")
            self.details["schema_change_allowed"] = True
            return
        pair = f"{self._live.reference} {self._version.reference}"
        error = SchemaChanged(
            f"{self._alias_name} stays at {self._live.reference}: {broken}",
            hint=f"see: fairway diff {pair}; if the clients are ready: "
            f"fairway promote {self._version.reference}{self._option} --allow-schema-change",
        )
        if isinstance(found, Compatibility):
            breaking = [change.sentence for change in found.changes if change.grade == "breaking"]
            error.faults = [_fault(sentence) for sentence in breaking]
        yield error

    def _compatibility(self, live: Version) -> Compatibility | str:
        try:
            before = self._registry.open(live, attachments=False)
            return compare(before, self._bundle, names=(live.reference, self._version.reference))
        except BundleError as error:
            # A live version that is damaged is the very reason to promote another one.
            return (
                f"nobody can tell whether clients break, for {live.reference} cannot be read ({error.detail})"
            )

    # -- did somebody else approve -----------------------------------------------------------------------

    def _approvals(self, events: Sequence[Event]) -> Iterator[GateError]:
        protected = protection(events, self._alias)
        needed = max(protected.approvals if protected else 0, int(self._rules.requires_approval))
        if not needed:
            return
        standing = approvals(events, self._version.version, self._alias)
        others = sorted(name for name in standing if name != self._actor)
        if len(others) >= needed:
            self._told.append(f"approved by {', '.join(others)}")
            self.details["approved_by"] = others
            return
        own = (
            f"; the approval of {self._actor}, who promotes, does not count"
            if self._actor in standing
            else ""
        )
        have = f"it has {len(others)} ({', '.join(others)})" if others else "it has none"
        people = "one other person" if needed == 1 else f"{needed} other people"
        command = f"fairway approve {self._version.reference}{self._option}"
        yield ApprovalMissing(
            f"{self._version.reference} needs the approval of {people} to become {self._alias_name}; "
            f"{have}{own}",
            hint=f"let somebody other than {self._actor} run: {command}",
        )

    @property
    def _option(self) -> str:
        """The option that names the alias, where it has to be named."""
        return "" if self._alias == PRODUCTION else f" --alias {self._alias}"

    @property
    def _alias_name(self) -> str:
        return f"{self._version.model}@{self._alias}"


def _fault(sentence: str) -> Fault:
    return Fault("", "rule_failed", sentence)
