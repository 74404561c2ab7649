"""What is recommended follows from the figures, and says so."""

from __future__ import annotations

from fairway.tuning.load import Load
from fairway.tuning.trials import Trial, advise


def trial(mode: str, calls_per_s: float) -> Trial:
    """Return a server under load."""
    loads = (Load(1, 900.0, 1.0, 2.0), Load(32, calls_per_s, 5.0, 9.0))
    return Trial({"server.workers": "1", "batching.mode": mode}, loads)


def test_what_is_better_by_more_than_noise_is_recommended() -> None:
    """With its figures under the heaviest load and those of the default."""
    advice = advise("batching.mode", [trial("auto", 1000.0), trial("off", 1500.0)])
    assert (advice.key, advice.value) == ("batching.mode", "off")
    assert advice.reason == ("1,500 calls/s with 32 callers against 1,000 with auto, p99 9 ms against 9")


def test_the_default_stays_where_nothing_is_clearly_better() -> None:
    """A twentieth more is the mood of the machine."""
    advice = advise("batching.mode", [trial("auto", 1000.0), trial("off", 1050.0)])
    assert advice.value == "auto"
    assert advice.reason == ("1,000 calls/s with 32 callers; nothing else is better by a tenth (off 1,050)")


def test_where_one_value_only_serves_it_stays() -> None:
    """Other predictors were not proven for this model."""
    advice = advise("batching.mode", [trial("auto", 1000.0)])
    assert advice.reason == "1,000 calls/s; nothing else can serve it"
