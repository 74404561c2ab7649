"""What the record answers: what was live when, whatever was moved and the clocks said; and its proof."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.errors import FairwayError, ModelNotFound, NothingToRollBack, UsageError, VersionLive
from fairway.lifecycle.record import at, prove, read_head, read_time, select
from fairway.registry.records import Head
from fairway.registry.registry import Registry, open_registry

NOON = datetime(2026, 5, 3, 12, tzinfo=UTC)
SEEDS = range(4)
MOVES = 50


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(home: Path, clock: Clock) -> Iterator[Registry]:
    """Give an empty registry with a clock of its own."""
    with open_registry(home) as opened:
        yield Registry(opened.metadata, opened.artifacts, clock=clock)


def bundle_of(content: object) -> Bundle:
    facts = {"created": "", "model_type": "Ridge", "python": "", "fairway": ""}
    return build_bundle({"model.bin": f"{content}".encode()}, name="coffee", flavor="sklearn", **facts)


class PlainModel:
    """What should be true, as simply as it can be said: per alias all targets that were not rolled back."""

    def __init__(self) -> None:
        self.versions: list[int] = []
        self.stacks: dict[str, list[int]] = {}
        self.removed: set[str] = set()

    def targets(self) -> dict[str, int]:
        return {
            alias: stack[-1] for alias, stack in self.stacks.items() if stack and alias not in self.removed
        }

    def move(self, alias: str, number: int) -> None:
        stack = self.stacks.setdefault(alias, [])
        if stack[-1:] != [number]:
            stack.append(number)
        self.removed.discard(alias)

    def rolled_back(self, alias: str) -> int | None:
        """Go back, and return where to; None if there is nothing earlier."""
        stack, now = self.stacks.get(alias, []), self.targets().get(alias)
        for place in reversed(range(len(stack) if alias in self.removed else len(stack) - 1)):
            if stack[place] in self.versions and stack[place] != now:
                del stack[place + 1 :]
                self.removed.discard(alias)
                return stack[-1]
        return None


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_live_is_right_at_every_moment_after_random_moves(
    registry: Registry, clock: Clock, seed: int
) -> None:
    """Aliases, promotions, rollbacks, removals, deletions and new versions, in any order."""
    draw = random.Random(seed)  # noqa: S311 - moves that can be drawn again
    plain = PlainModel()
    story: list[tuple[datetime, dict[str, int], tuple[int, ...]]] = []
    for n in range(MOVES + 3):
        clock.pass_by(draw.choice([0.001, 1, 3600, 86_400]))
        alias = draw.choice(["production", "challenger"])
        number = draw.choice(plain.versions or [1])
        verb = "register" if n < 3 else draw.choice(VERBS)
        act(registry, plain, verb, alias, number)
        story.append((clock.now, plain.targets(), tuple(plain.versions)))
    for place, (moment, targets, versions) in enumerate(story):
        later = story[place + 1][0] if place + 1 < len(story) else moment + timedelta(days=1)
        for asked in (moment, later - timedelta(milliseconds=1)):
            found = at(registry, "coffee", asked)
            assert (found.aliases, found.versions) == (targets, versions)
            assert registry.at("coffee", asked) == targets
            assert found.live == targets.get("production", max(versions, default=None))
    assert not at(registry, "coffee", NOON).existed
    assert registry.verify_audit() is None


VERBS = (
    "register",
    "alias",
    "alias",
    "promote",
    "promote",
    "promote",
    "rollback",
    "rollback",
    "remove",
    "delete",
)


def act(registry: Registry, plain: PlainModel, verb: str, alias: str, number: int) -> None:
    """Do the same to both; what the plain model refuses is refused."""
    if verb == "register":
        plain.versions.append(registry.register(bundle_of(number), actor="ada").version)
    elif verb in {"alias", "promote"}:
        if verb == "alias":
            registry.move_alias("coffee", alias, number, actor="ada")
        else:
            registry.promote("coffee", number, alias=alias, actor="ada", expected=plain.targets().get(alias))
        plain.move(alias, number)
    elif verb == "rollback":
        expected = plain.rolled_back(alias)
        if expected is None:
            with pytest.raises(FairwayError):
                registry.rollback("coffee", alias, actor="ada")
        else:
            assert registry.rollback("coffee", alias, actor="ada").to_version == expected
    elif verb == "remove":
        if alias in plain.targets():
            registry.remove_alias("coffee", alias, actor="ada")
            plain.removed.add(alias)
    elif number in plain.targets().values():
        with pytest.raises(VersionLive):
            registry.delete("coffee", number, actor="ada")
    elif len(plain.versions) > 1:
        registry.delete("coffee", number, actor="ada")
        plain.versions.remove(number)


# -- what was live ---------------------------------------------------------------------------------------


@pytest.fixture
def story(registry: Registry, clock: Clock) -> Registry:
    """Give a registry with an event every hour: two versions, then 1, 2, and back to 1."""
    for step in (
        lambda: registry.register(bundle_of(1), actor="ada"),
        lambda: registry.register(bundle_of(2), actor="ada"),
        lambda: registry.promote("coffee", 1, actor="ada", expected=None),
        lambda: registry.promote("coffee", 2, actor="bob", reason="better", expected=1),
        lambda: registry.rollback("coffee", actor="eve"),
    ):
        step()
        clock.pass_by(3600)
    return registry


def test_a_moment_tells_who_brought_it_about(story: Registry) -> None:
    """With the event that did."""
    found = at(story, "coffee", NOON + timedelta(hours=3, minutes=30))
    assert (found.aliases, found.live, found.versions) == ({"production": 2}, 2, (1, 2))
    assert (found.since["production"].actor, found.since["production"].reason) == ("bob", "better")


def test_before_the_first_event_there_was_no_model(story: Registry) -> None:
    """That is an answer; a name that never was is an error."""
    found = at(story, "coffee", NOON - timedelta(seconds=1))
    assert (found.existed, found.live, found.aliases, found.versions) == (False, None, {}, ())
    assert found.began == "2026-05-03T12:00:00.000Z"
    with pytest.raises(ModelNotFound):
        at(story, "tea", NOON)


def test_without_an_alias_the_bare_name_was_the_highest_version(story: Registry) -> None:
    """As it means today."""
    assert at(story, "coffee", NOON + timedelta(hours=1)).live == 2


def test_a_clock_that_was_set_back_hides_nothing(registry: Registry, clock: Clock) -> None:
    """Events count in the order of their numbers, up to the last one that bears that time or less."""
    registry.register(bundle_of(1), actor="ada")
    registry.register(bundle_of(2), actor="ada")
    clock.pass_by(1800)
    registry.promote("coffee", 1, actor="ada", expected=None)
    clock.pass_by(-3600)
    registry.promote("coffee", 2, actor="ada", expected=1)
    assert registry.resolve("coffee").version == 2
    # The promotion to 2 bears 11:30, half an hour before all others, which count at 11:30 for that.
    assert at(registry, "coffee", NOON - timedelta(minutes=30)).live == 2
    assert at(registry, "coffee", NOON + timedelta(hours=1)).live == 2
    assert not at(registry, "coffee", NOON - timedelta(minutes=31)).existed
    assert registry.verify_audit() is None
    assert registry.rollback("coffee", actor="ada").to_version == 1
    # Whoever asks for what happened since gets too much rather than too little.
    assert [event.seq for event in select(registry.audit(), since=NOON + timedelta(minutes=10))] == [3, 4, 5]


# -- who changed what ------------------------------------------------------------------------------------


def test_events_are_selected_by_time_actor_and_kind(story: Registry) -> None:
    """A pattern takes all keys, or all of a team."""
    events = story.audit()
    assert [event.seq for event in select(events, since=NOON + timedelta(hours=3))] == [4, 5]
    assert select(events, since=NOON + timedelta(days=1)) == []
    assert [event.seq for event in select(events, actor="bob")] == [4]
    assert [event.seq for event in select(events, actor="[be]*")] == [4, 5]
    assert [event.seq for event in select(events, kind="promote", actor="ada")] == [3]


TIMES = [
    ("2026-05-03T12:00Z", NOON),
    ("2026-05-03T12:00:00.000+00:00", NOON),
    ("2026-05-03 14:00+02:00", NOON),
    ("2026-05-03T07:00:00-05:00", NOON),
    ("90m", NOON - timedelta(minutes=90)),
    ("7d", NOON - timedelta(days=7)),
    (" 2w ", NOON - timedelta(weeks=2)),
]


@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_times_are_read(text: str, expected: datetime) -> None:
    """ISO 8601 with any offset, or how long ago."""
    assert read_time(text, now=lambda: NOON) == expected


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_a_time_without_an_offset_is_local_time(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a date is its first moment."""
    import time

    offsets = {"UTC": 0, "Asia/Kolkata": 330, "America/New_York": -240}
    local = timezone(timedelta(minutes=offsets[zone]))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert read_time("2026-05-03T12:00") == datetime(2026, 5, 3, 12, tzinfo=local)
        assert read_time("2026-05-03") == datetime(2026, 5, 3, tzinfo=local)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-13-01", "2026-05-03T25:00", "9999999999d", "999999w", "0001-01-01T00:00+14:00", "\0"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(UsageError, match="is not a time") as caught:
        read_time(text)
    assert "2026-05-03T12:00" in caught.value.hint


# -- is it whole -----------------------------------------------------------------------------------------


def edit(home: Path, statement: str) -> None:
    """Change the rows behind the registry's back."""
    with sqlite3.connect(home / "registry.db") as database:
        database.executescript(statement)


def test_a_record_that_holds_gives_its_head(story: Registry) -> None:
    """To be kept elsewhere, and compared later."""
    found = prove(story)
    assert (found.holds, found.events, found.head) == (True, 5, story.head())
    story.register(bundle_of(3), actor="ada")
    later = prove(story, kept=found.head)
    assert later.holds
    assert later.events == 6


def test_a_record_that_was_cut_off_shows_against_a_kept_head(story: Registry, home: Path) -> None:
    """Alone it is as whole as a shorter one."""
    kept = story.head()
    previous = story.audit()[3].hash
    edit(home, "DELETE FROM events WHERE seq = 5")
    edit(home, f"UPDATE chain SET seq = 4, hash = '{previous}'")  # noqa: S608 - hex digits
    assert prove(story).holds
    found = prove(story, kept=kept)
    assert found.broken is not None
    assert (found.broken.seq, found.holds) == (5, False)


def test_a_record_that_was_written_anew_shows_against_a_kept_head(story: Registry, clock: Clock) -> None:
    """The head of another story at the same place."""
    found = prove(story, kept=Head(4, "f" * 64))
    assert found.broken is not None
    assert found.broken.seq == 4
    assert prove(story, kept=Head(0, "0" * 64)).holds
    assert not prove(story, kept=Head(0, "1" * 64)).holds


SWAP = """
    UPDATE events SET seq = 99 WHERE seq = 3; UPDATE events SET seq = 3 WHERE seq = 4;
    UPDATE events SET seq = 4 WHERE seq = 99
"""


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE events SET actor = 'eve' WHERE seq = 3", 3),
        ("UPDATE events SET reason = 'worse' WHERE seq = 4", 4),
        ("DELETE FROM events WHERE seq = 2", 2),
        ("DELETE FROM events WHERE seq = 5", 5),
        (SWAP, 3),
        ("UPDATE chain SET hash = 'f'", 6),
    ],
)
def test_what_was_changed_is_named(story: Registry, home: Path, statement: str, seq: int) -> None:
    """Edited, deleted, swapped: the first event that is not as it was recorded."""
    edit(home, statement)
    found = prove(story)
    assert found.broken is not None
    assert found.broken.seq == seq


def test_a_head_is_read_as_it_is_printed(story: Registry) -> None:
    """And nothing else is one."""
    assert read_head(f" {story.head()}\n") == story.head()
    for text in ("", "5", "5:abc", f"x:{'0' * 64}", f"5:{'G' * 64}", "9" * 30 + ":" + "0" * 64):
        with pytest.raises(UsageError, match="is not the head of a record"):
            read_head(text)


def test_rolling_back_what_was_only_spoken_of(registry: Registry) -> None:
    """An alias that was protected and never set has nothing to go back to."""
    registry.register(bundle_of(1), actor="ada")
    registry.record("protect", model="coffee", alias="canary", actor="ada", details={"protected": True})
    with pytest.raises(NothingToRollBack):
        registry.rollback("coffee", "canary", actor="ada")
