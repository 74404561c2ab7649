"""Code of the author's own while a model is packed: named, made ready, and learnt from with the example."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairway.bundle.code import CodeSpace, collect_code, collect_data
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table, read_table
from fairway.errors import ExampleInvalid, FairwayError, UsageError
from fairway.flavors.base import Description, Flavor, Predictor
from fairway.flavors.chain import (
    VECTOR,
    Around,
    Between,
    Chain,
    Step,
    answers_of,
    prepared_columns,
    records_of,
    vector_of,
)
from fairway.flavors.outputs import describe_outputs, named_answers
from fairway.flavors.own_code import OwnCode, entry_of, place_of
from fairway.flavors.python import is_code, python_model, split_file_and_name
from fairway.messages import Columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class Own:
    """What travels with a model beside it.

    Attributes:
        code: Modules: `.py` files and package folders.
        files: Data files that `load` of a class in them reads.
        preprocess: Turns a record into what the model takes: `module:function`, `module:Class.method`, or
            the function itself.
        postprocess: Turns the model's answer into the outputs; the same.
        vectorised: Whether these two take a list and return one of the same length.
    """

    code: Sequence[str | Path] = ()
    files: Sequence[str | Path] = ()
    preprocess: Any = None
    postprocess: Any = None
    vectorised: bool = False


@dataclasses.dataclass(frozen=True)
class Luggage:
    """The same, read and ready to be called.

    Attributes:
        sources: Modules by path below the bundle's code folder.
        data: Data files by name.
        space: The modules.
        own: Finds functions in them.
        around: The two functions by name.
    """

    sources: Mapping[str, bytes]
    data: Mapping[str, bytes]
    space: CodeSpace
    own: OwnCode
    around: Around


def collect(
    model: Any, own: Own, *, name: str, brought: Mapping[str, bytes] | None = None
) -> tuple[Any, Luggage]:
    """Return the model, ready if it is code, and what travels with it.

    Args:
        model: What the author gave; `model.py:predict` names a function in a file, which travels with it.
        own: What else the author gave.
        name: Of the model, for tracebacks.
        brought: Modules that the folder of another tool holds, by path.

    Raises:
        ArtifactImport: A function has no name, or cannot be found or made ready.
        UsageError: Something cannot be read, or is for code and there is none.
    """
    code = list(own.code)
    named = split_file_and_name(model)
    if named is not None and named[0].resolve() not in {Path(path).resolve() for path in code}:
        code.append(named[0])
    entry = named[1] if named else entry_of(model) if is_code(model) else ""
    sources, data = {**(brought or {}), **collect_code(code)}, collect_data(own.files)
    around = Around(
        entry_of(own.preprocess) if own.preprocess else "",
        entry_of(own.postprocess) if own.postprocess else "",
        vectorised=own.vectorised,
    )
    if data and not (entry or around):
        raise UsageError(
            "data files are read by code of your own, and none was named",
            hint="name it: --preprocess MODULE:CLASS.METHOD, or push FILE.py:CLASS",
        )
    if own.vectorised and not around:
        raise UsageError("vectorised says how preprocess and postprocess are called, and neither was given")
    space = CodeSpace(sources, label=name)
    luggage = Luggage(sources, data, space, OwnCode(space, data), around)
    return python_model(entry, space, data) if entry else model, luggage


@dataclasses.dataclass(frozen=True)
class Bound:
    """A model bound to what callers send and get.

    Attributes:
        signature: Inputs as they were learnt, with outputs and classes.
        options: What the flavor needs to call the model.
        predictor: The model, with the functions around it.
        between: What the model itself takes and answers, if there are any.
    """

    signature: Signature
    options: dict[str, Any]
    predictor: Predictor
    between: Between | None = None


def bind_chain(
    flavor: Flavor,
    model: Any,
    columns: Columns,
    signature: Signature,
    luggage: Luggage,
    *,
    table: Table,
    output_names: Sequence[str],
    feed: str | None,
) -> Bound:
    """Learn what lies between the functions and the model by calling all three with the example.

    Args:
        flavor: The model's.
        model: The model.
        columns: Rows of the example, as a call with them would be read.
        signature: Inputs as learnt from them.
        luggage: The functions.
        table: The example itself, which the model takes if nothing comes before it.
        output_names: Names of the outputs; empty lets the code or the model name them.
        feed: How the model is fed, if the author says so.

    Raises:
        ExampleInvalid: A function failed on a row, or the model does not take what it made.
    """
    before, after = luggage.around.steps(luggage.own)
    inner, form, made = signature, "", []
    if before is not None:
        made = _try_step(before, records_of(columns))
        table, form = _prepared_table(made)
        table = _in_order(table, flavor.describe(model))
        inner = Signature(inputs=infer_inputs(table), outputs=())
    names = () if after else output_names
    inner, options = flavor.learn(model, table, inner, output_names=names, feed=feed)
    between = Between(form, inner)
    predictor = flavor.predictor(model, inner, options)
    outputs, classes = inner.outputs, inner.classes
    if after is not None:
        given = prepared_columns(made, between) if form else columns
        answers = answers_of(predictor.predict(given, probabilities=False))
        named = named_answers(_try_step(after, answers), rows=len(answers), source=after.entry)
        classes = _renamed(inner.classes, after) if len(named) == 1 else ()
        outputs = describe_outputs(named, names=output_names, has_classes=bool(classes))
    signature = dataclasses.replace(signature, outputs=outputs, classes=classes)
    return Bound(signature, options, Chain(predictor, between, signature, (before, after)), between)


def _in_order(table: Table, description: Description) -> Table:
    """Return the columns that the model remembers from its training, in its order."""
    known = {description.spelt(name): name for name in table.columns}
    names = description.input_names
    if not names or not set(names) <= set(known):
        return table
    return dataclasses.replace(table, columns={known[name]: table.columns[known[name]] for name in names})


def _renamed(classes: Sequence[Any], step: Step) -> tuple[Any, ...]:
    """Return what the function makes of the class labels, if it turns each into another single value."""
    try:
        named = named_answers(step(list(classes)), rows=len(classes), source=step.entry)
        values = next(iter(named.values()))
        is_name_each = len(named) == 1 and len(set(values)) == len(classes)
    except Exception:  # noqa: BLE001 - it was made for answers; then the probabilities have no names
        return ()
    return tuple(values) if is_name_each else ()


def _try_step(step: Step, values: Sequence[Any]) -> list[Any]:
    """Return what a function makes of the example, or say on which row of it and in which line it failed.

    Raises:
        ExampleInvalid: It raised, or returned another number of values.
    """
    if step.vectorised:
        return _tried(step, values, f"the {len(values)} rows of the example")
    return [
        made
        for row, value in enumerate(values)
        for made in _tried(step, [value], f"row {row} of the example")
    ]


def _tried(step: Step, values: Sequence[Any], what: str) -> list[Any]:
    try:
        return step(values)
    except FairwayError as cause:
        raise ExampleInvalid(cause.detail) from cause
    except Exception as cause:
        raise ExampleInvalid(
            f"{step.role} {step.entry} raised {type(cause).__name__} on {what}: "
            f"{str(cause)[:200]}{place_of(cause)}",
            hint="it gets a dict with one value per input, None where one is missing"
            if step.role == "preprocess"
            else "it gets the model's answer for one row",
        ) from cause


def _prepared_table(made: Sequence[Any]) -> tuple[Table, str]:
    """Return what `preprocess` made of the example as a table, and in which form it came.

    Raises:
        ExampleInvalid: It is neither dicts, nor texts, nor vectors of one length.
    """
    first = made[0]
    if isinstance(first, Mapping):
        return read_table(list(made)), "records"
    if isinstance(first, str):
        return read_table(list(made)), "texts"
    try:
        vectors = [vector_of(value) for value in made]
    except (TypeError, ValueError) as cause:
        raise ExampleInvalid(
            f"preprocess returned a {type(first).__name__}, which is nothing that a model takes",
            hint="return a dict (one value per column), a text, or a vector of numbers",
        ) from cause
    if len({vector.shape for vector in vectors}) != 1:
        raise ExampleInvalid("preprocess returned vectors of unequal length")
    dtypes = {VECTOR: str(vectors[0].dtype)}
    return Table({VECTOR: [v.tolist() for v in vectors]}, dtypes=dtypes, form="matrix"), "vectors"
