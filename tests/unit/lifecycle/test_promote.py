"""Promotion and its gate: what lets a version through, what is in its way, what a refusal leaves."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle, build_bundle
from fairway.bundle.golden import GoldenExamples
from fairway.bundle.signature import Input, Output, Signature
from fairway.errors import (
    AliasProtected,
    ApprovalMissing,
    ArtifactDigest,
    Conflict,
    GateRefused,
    NothingToRollBack,
    SchemaChanged,
    UsageError,
    VersionNotFound,
)
from fairway.gates import GateRules, Limit
from fairway.lifecycle.approval import approve, protect
from fairway.lifecycle.promote import promote
from fairway.lifecycle.reporting.document import CheckReport, Data, Rule, Schema, Subject
from fairway.registry.records import Version
from fairway.registry.registry import Registry, open_registry

ONE = (Input("a", "number", typical=1.0),)
TWO = (*ONE, Input("b", "number", typical=1.0))
RULES = GateRules(require_check=True, not_worse_than="production", limits={"accuracy": Limit(">=", 0.8)})


def bundle_of(content: object, inputs: tuple[Input, ...] = ONE) -> Bundle:
    """Return a bundle with a signature and no model."""
    signature = Signature(inputs, (Output("rating", "score", "number"),))
    files = {
        "signature.json": json.dumps(signature.to_dict()).encode(),
        "golden.json": json.dumps(GoldenExamples(({"a": 1.0},), {}, None, 0.0).to_dict()).encode(),
        "model/model.bin": f"weights {content}".encode(),
    }
    facts = {"created": "2026-01-01T00:00:00Z", "model_type": "Ridge", "python": "3.11.7", "fairway": "0.1.0"}
    return build_bundle(files, name="coffee", flavor="sklearn", **facts)


@pytest.fixture
def registry(home: Path) -> Iterator[Registry]:
    """Give a registry with coffee:1, which is live, coffee:2 like it, and coffee:3 with an input more."""
    with open_registry(home) as opened:
        for content, inputs in ((1, ONE), (2, ONE), (3, TWO)):
            opened.register(bundle_of(content, inputs), actor="ada")
        opened.promote("coffee", 1, actor="ada", expected=None)
        yield opened


def checked(
    registry: Registry,
    number: int,
    *,
    against: int | None = None,
    passed: bool = True,
    rules: tuple[Rule, ...] | None = None,
    subject: str = "",
) -> None:
    """Keep the report of a check with a version."""
    version = registry.resolve(f"coffee:{number}")
    other = None if against is None else about(registry.resolve(f"coffee:{against}"))
    found = rules or (Rule(name="accuracy", wanted=">= 0.8", verdict="passed", reason="accuracy is 0.9"),)
    mine = about(version)
    report = CheckReport(
        passed=passed,
        rules=list(found),
        subject=dataclasses.replace(mine, digest=subject) if subject else mine,
        against=other,
        at="2026-01-01T00:00:00Z",
        actor="bob",
        data=Data(name="unseen.csv", sha256="0" * 64, rows=9, columns=2),
        schema=Schema(passed=True, missing=[], extra=[], refused=0, failed=0, faults=[], columns=[]),
        golden=[],
        environment=[],
    )
    attachment = build_attachment(version.digest, "check", {"report.json": report.to_bytes()})
    registry.attach_check(attachment, version, actor="bob", details={})


def about(version: Version) -> Subject:
    return Subject(
        reference=version.reference, model=version.model, version=version.version, digest=version.digest
    )


def rows(home: Path) -> list[Any]:
    """Return everything that the database holds."""
    with sqlite3.connect(home / "registry.db") as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(name, database.execute(f"SELECT * FROM {name}").fetchall()) for name in sorted(names)]  # noqa: S608


def live(registry: Registry) -> int:
    return registry.resolve("coffee@production").version


# -- without rules ---------------------------------------------------------------------------------------


def test_a_version_is_promoted_and_the_record_says_why(registry: Registry) -> None:
    """The event holds actor, reason and what the gate looked at."""
    found = promote(registry, "coffee:2", actor="ada", reason="better")
    assert (found.move.from_version, found.move.to_version, found.dry_run) == (1, 2, False)
    event = registry.history("coffee")[-1]
    assert (event.kind, event.actor, event.reason, event.seq) == ("promote", "ada", "better", found.move.seq)
    assert event.details == {"gate": ["no client of coffee:1 breaks"]}
    assert registry.rollback("coffee", actor="ada").to_version == 1


def test_the_first_promotion_needs_no_alias(home: Path) -> None:
    """There is nobody whose client could break."""
    with open_registry(home) as registry:
        registry.register(bundle_of(1), actor="ada")
        found = promote(registry, "coffee", actor="ada")
        assert (found.move.from_version, found.move.to_version, found.gate) == (None, 1, ())


def test_an_alias_stands_for_the_version_that_is_promoted(registry: Registry) -> None:
    """What challenger is becomes production; the bare name is what is live already, so nothing moves."""
    registry.move_alias("coffee", "challenger", 2, actor="ada")
    assert promote(registry, "coffee@challenger", actor="ada").move.to_version == 2
    before = registry.head()
    assert promote(registry, "coffee", actor="ada").move.seq == 0
    assert registry.head() == before


def test_a_missing_or_deleted_version_is_not_promoted(registry: Registry) -> None:
    """Whatever anybody says."""
    registry.delete("coffee", 2, actor="ada")
    for reference in ("coffee:2", "coffee:9"):
        with pytest.raises(VersionNotFound):
            promote(registry, reference, actor="ada")


def test_a_damaged_version_is_not_promoted_and_a_damaged_live_one_can_be_left(
    registry: Registry, home: Path
) -> None:
    """Every hash of the candidate is compared; the live one may be the very reason to promote."""

    def damage(number: int) -> None:
        digest = bundle_of(number).manifest.files["model/model.bin"].sha256
        path = next((home / "artifacts").rglob(digest[2:]), None) or next(
            (home / "artifacts").rglob(f"*{digest}*")
        )
        path.chmod(0o600)
        path.write_bytes(b"weights 9")

    damage(2)
    with pytest.raises(ArtifactDigest):
        promote(registry, "coffee:2", actor="ada")
    registry.register(bundle_of(4), actor="ada")
    damage(1)
    with pytest.raises(
        SchemaChanged, match="nobody can tell whether clients break, for coffee:1 cannot be read"
    ):
        promote(registry, "coffee:4", actor="ada")
    assert promote(registry, "coffee:4", actor="ada", allow_schema_change=True).move.to_version == 4


# -- clients ---------------------------------------------------------------------------------------------


def test_a_version_that_breaks_clients_is_refused(registry: Registry) -> None:
    """With what breaks, how to see it, and how to promote it all the same."""
    with pytest.raises(SchemaChanged) as caught:
        promote(registry, "coffee:3", actor="ada")
    assert caught.value.detail.startswith(
        "coffee@production stays at coffee:1: clients of coffee:1 break: the input 'b'"
    )
    assert "fairway diff coffee:1 coffee:3" in caught.value.hint
    assert "fairway promote coffee:3 --allow-schema-change" in caught.value.hint
    assert (caught.value.status, caught.value.exit_code) == (409, 3)
    assert live(registry) == 1
    found = promote(registry, "coffee:3", actor="ada", allow_schema_change=True)
    assert found.gate == ("clients of coffee:1 break, which was allowed",)
    assert registry.history("coffee")[-1].details["schema_change_allowed"] is True


# -- the check -------------------------------------------------------------------------------------------


def test_a_version_that_was_never_checked_is_refused(registry: Registry) -> None:
    """The hint is the command that checks it."""
    with pytest.raises(GateRefused, match="coffee:2 does not pass its gate: it was never checked") as caught:
        promote(registry, "coffee:2", actor="ada", rules=RULES)
    assert caught.value.hint == "fairway check coffee:2 --data UNSEEN.csv --against coffee:1"
    assert (caught.value.status, caught.value.exit_code) == (409, 3)


def test_a_check_that_was_passed_lets_it_through(registry: Registry) -> None:
    """The record names the report."""
    checked(registry, 2, against=1)
    found = promote(registry, "coffee:2", actor="ada", rules=RULES)
    assert found.gate == ("its check against coffee:1 was passed", "no client of coffee:1 breaks")
    report = registry.attachment(registry.resolve("coffee:2").digest, "check")
    assert report is not None
    assert registry.history("coffee")[-1].details["check"] == report.digest


def test_every_rule_that_failed_is_told(registry: Registry) -> None:
    """An inconclusive one, too: only what was passed is passed."""
    rules = (
        Rule(name="accuracy", wanted=">= 0.8", verdict="failed", reason="accuracy is 0.7"),
        Rule(name="golden", wanted="", verdict="passed", reason="all are answered"),
        Rule(name="auc", wanted=">= 0.9", verdict="inconclusive", reason="nine rows do not tell"),
    )
    checked(registry, 2, against=1, passed=False, rules=rules)
    with pytest.raises(GateRefused) as caught:
        promote(registry, "coffee:2", actor="ada", rules=RULES)
    assert [fault.message for fault in caught.value.faults] == [
        "accuracy: accuracy is 0.7",
        "auc: nine rows do not tell",
    ]
    checked(registry, 2, against=1, passed=False, rules=rules[:2])
    with pytest.raises(GateRefused, match=r"coffee:2 does not pass its gate: accuracy: accuracy is 0\.7"):
        promote(registry, "coffee:2", actor="ada", rules=RULES)


def test_a_check_against_what_is_not_live_any_more_is_stale(registry: Registry) -> None:
    """Also one that was made when nothing was live."""
    checked(registry, 2, against=1)
    registry.register(bundle_of(4), actor="ada")
    registry.promote("coffee", 4, actor="eve", expected=1)
    with pytest.raises(
        GateRefused, match="made against coffee:1, and it has to be no worse than coffee:4 now"
    ):
        promote(registry, "coffee:2", actor="ada", rules=RULES)
    checked(registry, 2)
    with pytest.raises(
        GateRefused, match="made against nothing, and it has to be no worse than coffee:4 now"
    ):
        promote(registry, "coffee:2", actor="ada", rules=RULES)
    registry.rollback("coffee", actor="eve")
    checked(registry, 2, against=1)
    assert promote(registry, "coffee:2", actor="ada", rules=RULES).move.to_version == 2


def test_a_check_under_other_rules_does_not_count(registry: Registry) -> None:
    """Whoever raises a bound means the versions that were checked before, too."""
    checked(registry, 2, against=1)
    stricter = dataclasses.replace(RULES, limits={"accuracy": Limit(">=", 0.95)})
    with pytest.raises(GateRefused, match=r"did not look at accuracy >= 0\.95, which is a rule now"):
        promote(registry, "coffee:2", actor="ada", rules=stricter)


def test_a_check_of_other_content_does_not_count(registry: Registry) -> None:
    """The report says what it is about, and the record says which report it is."""
    checked(registry, 2, against=1, subject="f" * 64)
    with pytest.raises(GateRefused, match="made for other content"):
        promote(registry, "coffee:2", actor="ada", rules=RULES)


# -- approvals -------------------------------------------------------------------------------------------

APPROVED = GateRules(requires_approval=True)


def test_nobody_promotes_alone_where_two_are_asked_for(registry: Registry) -> None:
    """The own approval does not count; that of another does, once."""
    with pytest.raises(ApprovalMissing) as caught:
        promote(registry, "coffee:2", actor="ada", rules=APPROVED)
    assert caught.value.detail == (
        "coffee:2 needs the approval of one other person to become coffee@production; it has none"
    )
    assert caught.value.hint == "let somebody other than ada run: fairway approve coffee:2"
    assert caught.value.exit_code == 3
    approve(registry, "coffee:2", actor="ada")
    with pytest.raises(ApprovalMissing, match="the approval of ada, who promotes, does not count"):
        promote(registry, "coffee:2", actor="ada", rules=APPROVED)
    assert approve(registry, "coffee:2", actor="bob", reason="looked at it").approvals == ("ada", "bob")
    assert promote(registry, "coffee:2", actor="ada", rules=APPROVED).gate[-1] == "approved by bob"
    assert registry.history("coffee")[-1].details["approved_by"] == ["bob"]


def test_an_approval_is_for_one_version_one_alias_and_one_promotion(registry: Registry) -> None:
    """What was rolled back has to be approved anew."""
    registry.register(bundle_of(4), actor="ada")
    approve(registry, "coffee:4", actor="bob")
    approve(registry, "coffee:2", alias="challenger", actor="bob")
    with pytest.raises(ApprovalMissing):
        promote(registry, "coffee:2", actor="ada", rules=APPROVED)
    promote(registry, "coffee:4", actor="ada", rules=APPROVED)
    registry.rollback("coffee", actor="eve")
    with pytest.raises(ApprovalMissing):
        promote(registry, "coffee:4", actor="ada", rules=APPROVED)


def test_approving_twice_is_approving_once(registry: Registry) -> None:
    """And there is nothing to approve about what is live."""
    first = approve(registry, "coffee:2", actor="bob")
    head = registry.head()
    assert approve(registry, "coffee:2", actor="bob") == first
    assert registry.head() == head
    with pytest.raises(UsageError, match="points to coffee:1 already"):
        approve(registry, "coffee:1", actor="bob")


def test_a_rollback_needs_no_approval(registry: Registry) -> None:
    """Whoever is called at three in the morning is alone."""
    protect(registry, "coffee", approvals=2, actor="ada")
    for name in ("bob", "eve"):
        approve(registry, "coffee:2", actor=name)
    promote(registry, "coffee:2", actor="ada")
    move = registry.rollback("coffee", actor="ada")
    assert (move.to_version, move.protected) == (1, True)


# -- protection ------------------------------------------------------------------------------------------


def test_a_protected_alias_moves_by_promotion_and_rollback_alone(registry: Registry) -> None:
    """Moving it back to where it is, is no move."""
    protect(registry, "coffee", actor="ada", reason="customers")
    for change in (
        lambda: registry.move_alias("coffee", "production", 2, actor="eve"),
        lambda: registry.remove_alias("coffee", "production", actor="eve"),
    ):
        with pytest.raises(AliasProtected, match=r"coffee@production is protected since .* \(by ada\)"):
            change()
    registry.move_alias("coffee", "production", 1, actor="eve")
    registry.move_alias("coffee", "challenger", 2, actor="eve")
    assert promote(registry, "coffee:2", actor="ada").move.to_version == 2
    assert protect(registry, "coffee", on=False, actor="ada") is None
    assert registry.move_alias("coffee", "production", 1, actor="eve").to_version == 1
    kinds = [event.details for event in registry.history("coffee") if event.kind == "protect"]
    assert kinds == [{"protected": True, "approvals": 0}, {"protected": False}]


def test_an_alias_can_be_protected_before_it_is_there(registry: Registry) -> None:
    """So that its first target passes the gate, too."""
    protect(registry, "coffee", "canary", approvals=1, actor="ada")
    with pytest.raises(AliasProtected):
        registry.move_alias("coffee", "canary", 2, actor="eve")
    with pytest.raises(ApprovalMissing, match="one other person to become coffee@canary"):
        promote(registry, "coffee:2", alias="canary", actor="ada")
    with pytest.raises(NothingToRollBack):
        registry.rollback("coffee", "canary", actor="ada")


def test_protecting_twice_is_protecting_once(registry: Registry) -> None:
    """Another number of approvals is another protection."""
    protect(registry, "coffee", approvals=1, actor="ada")
    head = registry.head()
    protect(registry, "coffee", approvals=1, actor="bob")
    protect(registry, "coffee", "other", on=False, actor="bob")
    assert registry.head() == head
    found = protect(registry, "coffee", approvals=2, actor="bob")
    assert found is not None
    assert (found.approvals, found.actor) == (2, "bob")
    with pytest.raises(UsageError, match="approvals cannot be 11"):
        protect(registry, "coffee", approvals=11, actor="bob")


# -- all of it -------------------------------------------------------------------------------------------


def test_all_that_is_in_the_way_is_told_at_once(registry: Registry) -> None:
    """Nobody learns of the approval only after the check was passed."""
    rules = dataclasses.replace(RULES, requires_approval=True)
    with pytest.raises(GateRefused) as caught:
        promote(registry, "coffee:3", actor="ada", rules=rules)
    told = [fault.message for fault in caught.value.faults]
    assert len(told) == 3
    assert "never checked" in told[0]
    assert "'b' (number) is new and required" in told[1]
    assert "needs the approval of one other person" in told[2]
    for command in ("fairway check coffee:3", "fairway diff coffee:1 coffee:3", "fairway approve coffee:3"):
        assert command in caught.value.hint


@pytest.mark.parametrize("reference", ["coffee:2", "coffee:3"])
def test_a_dry_run_changes_nothing(registry: Registry, home: Path, reference: str) -> None:
    """It says what would happen, or is refused as the promotion would be; no row differs afterwards."""
    before = rows(home)
    if reference == "coffee:2":
        found = promote(registry, reference, actor="ada", dry_run=True)
        assert (found.move.from_version, found.move.to_version, found.move.seq, found.dry_run) == (
            1,
            2,
            0,
            True,
        )
        assert found.gate == ("no client of coffee:1 breaks",)
    else:
        with pytest.raises(SchemaChanged):
            promote(registry, reference, actor="ada", dry_run=True)
    assert rows(home) == before


def test_a_promotion_that_was_overtaken_changes_nothing(registry: Registry, home: Path) -> None:
    """It was decided upon another version than is live now; the error says which that is."""
    registry.register(bundle_of(4), actor="ada")

    class Overtaken(Registry):
        def promote(self, *given: Any, **named: Any) -> Any:
            Registry.promote(self, "coffee", 4, actor="eve", expected=1)
            return Registry.promote(self, *given, **named)

    slow = Overtaken(registry.metadata, registry.artifacts)
    with pytest.raises(Conflict, match="coffee@production points to coffee:4, not to coffee:1"):
        promote(slow, "coffee:2", actor="ada")
    assert live(registry) == 4


def test_a_rollback_goes_as_far_as_it_is_told(registry: Registry) -> None:
    """To a version that the alias had before, and to no other."""
    registry.register(bundle_of(4), actor="ada")
    for number in (2, 4):
        promote(registry, f"coffee:{number}", actor="ada")
    with pytest.raises(NothingToRollBack, match="no earlier target coffee:3"):
        registry.rollback("coffee", actor="ada", to=3)
    with pytest.raises(NothingToRollBack, match="no earlier target coffee:4"):
        registry.rollback("coffee", actor="ada", to=4)
    assert registry.rollback("coffee", actor="ada", to=1).from_version == 4
    with pytest.raises(NothingToRollBack):
        registry.rollback("coffee", actor="ada")
