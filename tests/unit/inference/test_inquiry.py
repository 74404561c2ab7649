"""Asking a registry that may be away: limits of time, pauses that grow, and what is told of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from fairway.errors import StoreUnavailable
from fairway.inference import inquiry as module
from fairway.inference.inquiry import Inquiry


@pytest.fixture
def told() -> list[tuple[str, dict[str, Any]]]:
    """Give a list for what is told."""
    return []


@pytest.fixture
def inquiry(told: list[tuple[str, dict[str, Any]]]) -> Inquiry:
    """Give an inquiry that tells it there."""
    return Inquiry(lambda name, **fields: told.append((name, fields)))


def test_an_answer_is_handed_on(inquiry: Inquiry) -> None:
    """And so is what the question raised."""
    assert asyncio.run(inquiry.ask(lambda: 7)) == 7
    assert asyncio.run(inquiry.ask(lambda: 8, is_long=True)) == 8
    with pytest.raises(ZeroDivisionError):
        asyncio.run(inquiry.ask(lambda: 1 // 0))


def test_a_source_that_hangs_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked is told in time."""
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    end = threading.Event()
    asking = Inquiry(lambda *_args, **_fields: None)
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.05 s"):
        asyncio.run(asking.ask(lambda: end.wait(10)))
    end.set()


def test_pauses_grow_to_a_limit_and_differ(inquiry: Inquiry) -> None:
    """Many servers that lose one registry do not come back at one moment."""
    assert inquiry.pause_s == 0
    pauses = []
    for _ in range(8):
        inquiry.note_failure(OSError())
        pauses.append(inquiry.pause_s)
    assert 0.3 < pauses[0] < 0.7
    assert all(3.0 <= pause <= 5.0 for pause in pauses[3:])
    assert len(set(pauses)) == len(pauses)
    inquiry.note_answer()
    assert inquiry.pause_s == 0


def test_an_absence_is_told_at_its_beginning_each_minute_and_at_its_end(
    inquiry: Inquiry, told: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with every question that is left without an answer."""
    inquiry.note_answer()
    for _ in range(5):
        inquiry.note_failure(OSError())
    assert [name for name, _ in told] == ["registry.failed"]
    assert inquiry.is_away
    assert told[0][1]["since"] == inquiry.away_since
    monkeypatch.setattr(module, "_TELL_AGAIN_S", -1.0)
    inquiry.note_failure(OSError())
    inquiry.note_answer()
    assert [name for name, _ in told] == ["registry.failed", "registry.failed", "registry.recovered"]
    assert (inquiry.away_since, inquiry.is_away) == ("", False)
