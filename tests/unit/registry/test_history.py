"""The fold of events into alias targets: what a rollback leads to."""

from __future__ import annotations

import pytest

from fairway.registry.history import AliasState, replay
from fairway.registry.records import Event, EventKind


def event(kind: EventKind, to_version: int | None = None, *, alias: str = "production") -> Event:
    """Return one event of an alias."""
    return Event(kind=kind, model="coffee", at="", actor="ada", alias=alias, to_version=to_version)


def move(to_version: int) -> Event:
    return event("alias", to_version)


def back(to_version: int) -> Event:
    return event("rollback", to_version)


ALL = range(100)
GONE = event("alias_removed")


@pytest.mark.parametrize(
    ("events", "target", "earlier"),
    [
        pytest.param([move(1)], 1, None, id="the first target has nothing before it"),
        pytest.param([move(1), move(2)], 2, 1, id="a move can be undone"),
        pytest.param([move(1), move(2), move(3), back(2)], 2, 1, id="a rollback goes one step back"),
        pytest.param([move(1), move(2), move(3), back(2), back(1)], 1, None, id="the next one goes further"),
        pytest.param([move(1), move(2), back(1)], 1, None, id="what was rolled back is not returned to"),
        pytest.param(
            [move(1), move(2), back(1), move(3)], 3, 1, id="a move after a rollback goes on from there"
        ),
        pytest.param([move(1), move(2), move(1)], 1, 2, id="moving back by hand is a move like any other"),
        pytest.param([move(1), move(1)], 1, None, id="a move to the same target changes nothing"),
        pytest.param([move(1), move(2), GONE], None, 2, id="a removed alias can be brought back"),
        pytest.param([move(1), move(2), GONE, back(2)], 2, 1, id="it comes back as it was"),
        pytest.param([move(1), GONE, move(2)], 2, 1, id="a removed alias that is set again remembers"),
        pytest.param([move(1), GONE, move(1)], 1, None, id="the same target again is one step, not two"),
    ],
)
def test_an_alias_points_where_its_events_lead(
    events: list[Event], target: int | None, earlier: int | None
) -> None:
    """Target and next rollback follow from the events alone."""
    state = replay(events)["production"]

    assert (target, earlier) == (state.target, state.earlier(ALL))


def test_a_rollback_passes_over_what_was_deleted() -> None:
    """It leads to the newest earlier target that is there, and forgets those in between."""
    state = replay([move(1), move(2), move(3)])["production"]
    assert state.earlier({1, 3}) == 1
    assert state.after(back(1)) == AliasState((1,))
    assert replay([move(1), move(2), move(1)])["production"].earlier({1}) is None


def test_a_promotion_is_a_move() -> None:
    """It puts its target on top as a move by hand does."""
    assert replay([move(1), event("promote", 2)])["production"] == AliasState((1, 2))


def test_aliases_do_not_touch_each_other() -> None:
    """Each alias has a history of its own; registering has none."""
    register = Event(kind="register", model="coffee", at="", actor="ada", version=1)

    states = replay([register, move(1), event("alias", 2, alias="challenger"), register, move(2)])

    assert states == {"production": AliasState((1, 2)), "challenger": AliasState((2,))}


def test_an_alias_without_events_is_nowhere() -> None:
    """The state before the first event has no target and nothing to go back to."""
    assert AliasState().target is None
    assert AliasState().earlier(ALL) is None
    assert AliasState().after(Event(kind="register", model="coffee", at="", actor="ada")) == AliasState()
