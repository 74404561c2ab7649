"""Whether a client of one version breaks at another: every kind of difference, and requests that are read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.bundle.golden import GoldenExamples
from fairway.bundle.signature import Input, Output, Signature
from fairway.errors import FairwayError
from fairway.lifecycle.compatibility import Compatibility, compare
from fairway.messages import Call, Target
from fairway.protocols.native import NativeProtocol

SCORE = (Output("rating", "score", "number"),)
LABEL = (Output("kind", "label", "text"),)
NUMBER = Input("a", "number", minimum=0.0, maximum=10.0, quantiles=(1.0, 3.0, 5.0, 7.0, 9.0), typical=5.0)
COLOUR = Input("colour", "category", levels=("red", "blue", "green"), typical="red")


def bundle_of(signature: Signature, rows: Sequence[dict[str, Any]] = ()) -> Bundle:
    """Return a bundle that holds a signature and golden examples, and no model."""
    golden = GoldenExamples(tuple(rows), {}, None, tolerance=0.0)
    files = {
        "signature.json": json.dumps(signature.to_dict()).encode(),
        "golden.json": json.dumps(golden.to_dict()).encode(),
    }
    facts = {"created": "2026-01-01T00:00:00Z", "model_type": "Ridge", "python": "3.11.7", "fairway": "0.1.0"}
    return build_bundle(files, name="coffee", flavor="sklearn", **facts)


def signature(*inputs: Input, outputs: tuple[Output, ...] = SCORE, **more: Any) -> Signature:
    return Signature(inputs, outputs, **more)


def compared(old: Signature, new: Signature, *rows: dict[str, Any]) -> Compatibility:
    return compare(bundle_of(old, rows), bundle_of(new), names=("coffee:2", "coffee:3"))


def codes(found: Compatibility) -> dict[str, tuple[str, str]]:
    """Return grade and clients by code."""
    return {change.code: (change.grade, change.clients) for change in found.changes}


def takes(read_by: Signature, body: Any) -> bool:
    """Tell whether the reader of a signature takes a body."""
    call = Call("POST", "/predict", "", lambda _: "", json.dumps(body).encode())
    try:
        NativeProtocol().prepare(read_by).read(Target(call, ""))
    except FairwayError:
        return False
    return True


def test_the_same_signature_breaks_nobody() -> None:
    """There is nothing to tell, and every example is taken in both ways."""
    found = compared(signature(NUMBER, COLOUR), signature(NUMBER, COLOUR), {"a": 1.0, "colour": "red"})
    assert found.changes == ()
    assert not found.breaks
    assert found.verdict == "no client of coffee:2 breaks"
    replayed = found.replayed
    assert (replayed.objects, replayed.objects_taken, replayed.lists, replayed.lists_taken) == (1, 1, 1, 1)


def number(**changed: Any) -> Input:
    return Input(
        **({"name": "a", "kind": "number", "minimum": 0.0, "maximum": 10.0, "typical": 5.0} | changed)
    )


BREAKING = [
    pytest.param(
        signature(NUMBER), signature(NUMBER, COLOUR), {"a": 1.0}, "input_added", "all", id="required"
    ),
    pytest.param(
        signature(NUMBER, COLOUR),
        signature(NUMBER),
        {"a": 1.0, "colour": "red"},
        "input_removed",
        "all",
        id="removed",
    ),
    pytest.param(
        signature(NUMBER),
        signature(number(nullable=True), number(name="z", nullable=True)),
        [[1.0]],
        "optional_input_added",
        "lists",
        id="optional, for lists",
    ),
    pytest.param(
        signature(number(name="total_price")),
        signature(number(name="TotalPrice")),
        {"total_price": 1.0},
        "input_renamed",
        "objects",
        id="renamed",
    ),
    pytest.param(
        signature(number(nullable=True)),
        signature(NUMBER),
        {"a": None},
        "input_required",
        "all",
        id="not nullable",
    ),
    pytest.param(
        signature(NUMBER),
        signature(number(kind="integer")),
        {"a": 1.5},
        "kind_changed",
        "all",
        id="number to integer",
    ),
    pytest.param(
        signature(NUMBER),
        signature(number(kind="text")),
        {"a": 1.5},
        "kind_changed",
        "all",
        id="number to text",
    ),
    pytest.param(
        signature(Input("a", "text")),
        signature(Input("a", "datetime")),
        {"a": "soon"},
        "kind_changed",
        "all",
        id="text to datetime",
    ),
    pytest.param(
        signature(Input("a", "text")),
        signature(Input("a", "text_list")),
        {"a": "soon"},
        "kind_changed",
        "all",
        id="text to texts",
    ),
    pytest.param(
        signature(Input("a", "category", levels=("1", "2"))),
        signature(Input("a", "category", levels=(1, 2))),
        {"a": "1"},
        "kind_changed",
        "all",
        id="texts to numbers as categories",
    ),
    pytest.param(
        signature(Input("a", "text")),
        signature(Input("a", "category", levels=("x",)), unseen_category="reject"),
        {"a": "y"},
        "kind_changed",
        "all",
        id="text to closed category",
    ),
    pytest.param(
        signature(number(kind="integer", maximum=2.0**60)),
        signature(NUMBER),
        {"a": 2**60 + 1},
        "kind_changed",
        "all",
        id="large integers to numbers",
    ),
    pytest.param(
        signature(Input("a", "vector", width=2)),
        signature(Input("a", "vector", width=3)),
        {"a": [1, 2]},
        "width_changed",
        "all",
        id="width",
    ),
    pytest.param(
        signature(NUMBER, out_of_range="reject"),
        signature(number(maximum=9.0), out_of_range="reject"),
        {"a": 9.5},
        "range_narrowed",
        "all",
        id="range, rejecting",
    ),
    pytest.param(
        signature(NUMBER),
        signature(NUMBER, out_of_range="reject"),
        {"a": 11.0},
        "policy_tightened",
        "all",
        id="policy",
    ),
    pytest.param(
        signature(COLOUR, unseen_category="reject"),
        signature(Input("colour", "category", levels=("red",)), unseen_category="reject"),
        {"colour": "blue"},
        "categories_removed",
        "all",
        id="categories, rejecting",
    ),
]


@pytest.mark.parametrize(("old", "new", "body", "code", "clients"), BREAKING)
def test_what_is_called_breaking_does_break_a_request(
    old: Signature, new: Signature, body: Any, code: str, clients: str
) -> None:
    """There is a body that the old version takes and the new one refuses."""
    found = compared(old, new)
    assert codes(found)[code] == ("breaking", clients)
    assert found.breaks
    assert takes(old, body)
    assert not takes(new, body)


HARMLESS = [
    pytest.param(signature(NUMBER), signature(number(maximum=99.0)), "range_widened", "harmless", id="wider"),
    pytest.param(
        signature(NUMBER), signature(number(maximum=9.5)), "range_narrowed", "harmless", id="a bit narrower"
    ),
    pytest.param(
        signature(NUMBER), signature(number(maximum=6.0)), "range_narrowed", "risky", id="much narrower"
    ),
    pytest.param(
        signature(NUMBER), signature(number(nullable=True)), "input_optional", "harmless", id="nullable"
    ),
    pytest.param(
        signature(number(kind="integer")), signature(NUMBER), "kind_changed", "harmless", id="to number"
    ),
    pytest.param(
        signature(Input("a", "category", levels=("x",))),
        signature(Input("a", "text")),
        "kind_changed",
        "harmless",
        id="category to text",
    ),
    pytest.param(
        signature(Input("a", "datetime")),
        signature(Input("a", "text")),
        "kind_changed",
        "risky",
        id="datetime to text",
    ),
    pytest.param(
        signature(Input("a", "text")),
        signature(Input("a", "category", levels=("x",))),
        "kind_changed",
        "risky",
        id="text to open category",
    ),
    pytest.param(
        signature(COLOUR),
        signature(Input("colour", "category", levels=("red",))),
        "categories_removed",
        "risky",
        id="categories",
    ),
    pytest.param(
        signature(COLOUR),
        signature(Input("colour", "category", levels=(*COLOUR.levels, "x"))),
        "categories_added",
        "harmless",
        id="more categories",
    ),
    pytest.param(
        signature(NUMBER, out_of_range="reject"),
        signature(NUMBER),
        "policy_loosened",
        "harmless",
        id="policy",
    ),
]


@pytest.mark.parametrize(("old", "new", "code", "grade"), HARMLESS)
def test_what_breaks_nobody_is_told_all_the_same(
    old: Signature, new: Signature, code: str, grade: str
) -> None:
    """With its grade, and it is no reason to refuse anything."""
    found = compared(old, new)
    assert codes(found) == {code: (grade, "all")}
    assert not found.breaks
    assert ("one difference is risky" in found.verdict) == (grade == "risky")


OUTPUTS = [
    pytest.param(
        SCORE,
        (),
        (*SCORE, *LABEL),
        (),
        {"output_added": ("harmless", "all"), "answer_shape": ("breaking", "lists")},
        id="a second output",
    ),
    pytest.param((*SCORE, *LABEL), (), LABEL, (), {"output_removed": ("breaking", "all")}, id="removed"),
    pytest.param(
        SCORE, (), (Output("rating", "score", "text"),), (), {"output_type": ("breaking", "all")}, id="type"
    ),
    pytest.param(
        SCORE,
        (),
        (Output("rating", "score", "integer"),),
        (),
        {"output_type": ("risky", "all")},
        id="narrower type",
    ),
    pytest.param(
        SCORE, (), (Output("rating", "label", "number"),), (), {"output_kind": ("breaking", "all")}, id="kind"
    ),
    pytest.param(
        LABEL,
        ("a", "b"),
        LABEL,
        ("a", "c", "d"),
        {"labels_removed": ("risky", "all"), "labels_added": ("risky", "all")},
        id="labels",
    ),
    pytest.param(LABEL, ("a", "b"), LABEL, ("b", "a"), {}, id="labels in another order"),
    pytest.param(
        LABEL, (0, 1), LABEL, (False, True), {"labels_replaced": ("breaking", "all")}, id="labels of a type"
    ),
    pytest.param(
        LABEL, ("a", "b"), LABEL, (), {"probabilities_gone": ("breaking", "all")}, id="no probabilities"
    ),
    pytest.param(LABEL, (), LABEL, ("a", "b"), {}, id="probabilities at last"),
]


@pytest.mark.parametrize(("outputs", "classes", "others", "labels", "expected"), OUTPUTS)
def test_outputs_and_labels(
    outputs: tuple[Output, ...],
    classes: tuple[Any, ...],
    others: tuple[Output, ...],
    labels: tuple[Any, ...],
    expected: dict[str, tuple[str, str]],
) -> None:
    """What a client reads is compared, too."""
    old = signature(NUMBER, outputs=outputs, classes=classes)
    assert codes(compared(old, signature(NUMBER, outputs=others, classes=labels))) == expected


def test_another_order_is_a_silent_change_for_lists() -> None:
    """The examples go through, and mean something else: the worst there is."""
    b = number(name="b")
    found = compared(signature(NUMBER, b), signature(b, NUMBER), {"a": 1.0, "b": 2.0})
    assert codes(found) == {"inputs_reordered": ("breaking", "lists")}
    assert (
        "value 1 of a row that is sent as a list of values was 'a' and is taken for 'b'"
        in found.changes[0].sentence
    )
    assert found.replayed.lists_taken == 1
    assert (found.breaks_objects, found.breaks_lists) == (False, True)
    assert (
        found.verdict == "clients of coffee:2 that send lists of values break; those that send objects do not"
    )


def test_a_renamed_input_breaks_objects_and_leaves_lists_alone() -> None:
    """The position is the same, so a list of values means what it meant."""
    found = compared(signature(number(name="price_usd")), signature(number(name="price")), {"price_usd": 1.0})
    assert (
        found.verdict == "clients of coffee:2 that send objects break; those that send lists of values do not"
    )
    assert (found.replayed.objects_taken, found.replayed.lists_taken) == (0, 1)
    assert found.replayed.reasons == ("feature_missing", "feature_unknown")


def test_the_examples_find_what_the_signatures_do_not_say() -> None:
    """An example outside of what its own signature tells is sent, and its refusal is told by codes alone."""
    old = signature(Input("a", "integer", minimum=0, maximum=9))
    found = compared(old, signature(Input("a", "number", minimum=0.0, maximum=9.0)), {"a": 2**60 + 1})
    assert found.changes[0].code == "examples_refused"
    assert found.changes[0].sentence == (
        "1 of 1 golden examples of coffee:2, sent as objects, are refused by coffee:3 (number_range)"
    )
    assert found.verdict == "clients of coffee:2 break"
    assert str(2**60 + 1) not in json.dumps(found.to_dict())


def test_the_worst_comes_first_and_all_of_it_is_plain_data() -> None:
    """As `--json` and the management API hand it on."""
    found = compared(
        signature(NUMBER, COLOUR),
        signature(number(maximum=99.0), Input("colour", "category", levels=("red",)), number(name="z")),
    )
    assert [change.grade for change in found.changes] == ["breaking", "risky", "harmless"]
    document = json.loads(json.dumps(found.to_dict()))
    assert document["breaks"] is True
    assert document["changes"][0]["code"] == "input_added"


# -- what is called compatible is ------------------------------------------------------------------------

LEVELS = ("x", "y", "z")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.one_of(st.integers(-9, 9), st.floats(-9, 9)),
    "integer": st.integers(-9, 9),
    "boolean": st.booleans(),
    "text": st.sampled_from([*LEVELS, "soon", "2026-01-01"]),
    "category": st.sampled_from(LEVELS),
    "datetime": st.just("2026-01-01"),
    "text_list": st.lists(st.sampled_from(LEVELS), max_size=3),
    "category_list": st.lists(st.sampled_from(LEVELS), max_size=3),
    "vector": st.lists(st.floats(-9, 9), min_size=2, max_size=2),
}


@st.composite
def inputs(draw: st.DrawFn, name: str) -> Input:
    kind = draw(st.sampled_from(sorted(VALUES)))
    bounds = sorted(draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9))))
    levels = draw(st.lists(st.sampled_from(LEVELS), min_size=1, unique=True))
    lists = kind in {"text_list", "category_list"}
    return Input(
        name,
        kind,  # type: ignore[arg-type]
        nullable=draw(st.booleans()),
        minimum=(0 if lists else bounds[0]) if lists or kind in {"number", "integer"} else None,
        maximum=(draw(st.integers(0, 3)) if lists else bounds[1])
        if lists or kind in {"number", "integer"}
        else None,
        levels=tuple(levels) if kind.startswith("category") else (),
        width=draw(st.integers(1, 3)) if kind == "vector" else None,
    )


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    names = draw(st.lists(st.sampled_from(["a", "b", "price"]), min_size=1, max_size=3, unique=True))
    policies = st.sampled_from(["flag", "reject", "pass"])
    return Signature(
        tuple(draw(inputs(name)) for name in names),
        SCORE,
        unseen_category=draw(policies),
        out_of_range=draw(policies),
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Signature, Signature]:
    """Return a signature and one that differs from it in one or two ways, as versions do."""
    old = draw(signatures())
    entries, policies = list(old.inputs), {}
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(entries) - 1))
        other = draw(inputs(entries[place].name))
        same_kind = (
            dataclasses.replace(other, kind=entries[place].kind)
            if has_shape(other, entries[place])
            else other
        )
        match draw(
            st.sampled_from(["kind", "detail", "detail", "nullable", "order", "policy", "policy", "added"])
        ):
            case "kind":
                entries[place] = other
            case "detail":
                entries[place] = dataclasses.replace(same_kind, nullable=entries[place].nullable)
            case "nullable":
                entries[place] = dataclasses.replace(entries[place], nullable=not entries[place].nullable)
            case "order":
                entries.reverse()
            case "policy":
                name = draw(st.sampled_from(["unseen_category", "out_of_range"]))
                policies[name] = draw(st.sampled_from(["flag", "reject", "pass"]))
            case _:
                entries.append(draw(inputs(f"new{len(entries)}")))
    return old, dataclasses.replace(old, inputs=tuple(entries), **policies)


def has_shape(entry: Input, other: Input) -> bool:
    """Tell whether an input knows all that one of another kind has to know."""
    return all(
        (getattr(entry, name) in {None, ()}) == (getattr(other, name) in {None, ()})
        for name in ("minimum", "levels", "width")
    )


@settings(max_examples=100)
@given(pair=pairs(), data=st.data())
def test_what_breaks_nobody_refuses_nothing(pair: tuple[Signature, Signature], data: st.DataObject) -> None:
    """No row that the old version takes is refused by the new one unless a breaking difference says so."""
    old, new = pair
    found = compared(old, new)
    for _ in range(3):
        row = {
            entry.name: data.draw(
                st.none() if entry.nullable and data.draw(st.booleans()) else VALUES[entry.kind]
            )
            for entry in old.inputs
        }
        if takes(old, row) and not found.breaks_objects:
            assert takes(new, row)
        values = list(row.values())
        if takes(old, [values]) and not found.breaks_lists:
            assert takes(new, [values])
