"""What is in memory goes when nobody needs it any more, without a collection."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from fairway.errors import ModelNotReady
from fairway.inference.loaded import load_model
from fairway.inference.memory import give_back
from fairway.messages import Columns

Make = Callable[..., Any]


@pytest.fixture
def no_collection() -> Any:
    """Let nothing but the count of references free memory, as for what was frozen before a fork."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_a_model_goes_with_the_last_reference_to_it(bundles: Make) -> None:
    """Loaded, proven and measured, nothing that it holds refers back to it."""
    model = load_model(bundles(2.0), name="coffee", version=1)
    found, predictor = weakref.ref(model), weakref.ref(model.predictor)
    del model
    assert found() is None
    assert predictor() is None


@pytest.mark.usefixtures("no_collection")
def test_its_threads_end_with_it(scripted: Make, wait_until: Make) -> None:
    """A server that swaps all day does not collect threads."""
    model = scripted(lambda columns: [1.0] * len(columns), ours=False)
    lane = model.scheduler._lane
    lane._start_thread()
    (thread,) = lane._threads
    predict = model.scheduler._predict
    del model, lane
    wait_until(lambda: not thread.is_alive())
    with pytest.raises(ModelNotReady, match="unloaded"):
        predict(Columns(("a",), [(1.0,)]), False)
    assert thread not in threading.enumerate()


def test_memory_is_given_back_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere nothing happens."""
    give_back()
    monkeypatch.setattr(sys, "platform", "win32")
    give_back()
