"""Code of the user's own for the contract suite."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from .flavor_cases import Case, case_of

FILE = Path(__file__).with_name("own_models.py")
ROWS = [
    {
        "size": None if n % 7 == 0 else n / 4 - 2,
        "rooms": n % 5,
        "city": ["Rome", "Oslo", None, "Lima"][n % 4],
        "new": n % 2 == 0,
    }
    for n in range(40)
]

python_case = case_of("python")


def own_models() -> ModuleType:
    """Return the file as the module that it is for whoever imports it beside their script."""
    spec = importlib.util.spec_from_file_location("own_models", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@python_case
def function() -> Case:
    answers = own_models().predict(ROWS)
    return Case(own_models().predict, ROWS, answers=answers, code=[FILE])


@python_case
def function_with_several_outputs() -> Case:
    answers = [list(row.values()) for row in own_models().several(ROWS)]
    return Case(own_models().several, ROWS, answers=answers, code=[FILE])


@python_case
def class_with_probabilities() -> Case:
    model = own_models().Sizes()
    return Case(
        own_models().Sizes,
        ROWS,
        answers=model.predict(ROWS),
        probabilities=model.predict_proba(ROWS),
        code=[FILE],
    )
