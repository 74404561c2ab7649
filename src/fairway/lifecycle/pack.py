"""From a trained model to a bundle: learn its signature, record its answers, lock its needs, prove it."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairway.bundle import bundle as members
from fairway.bundle.bundle import Bundle, build_bundle
from fairway.bundle.card import render_card
from fairway.bundle.environment import outdated
from fairway.bundle.golden import GoldenExamples, choose_rows
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.lockfile import imported_modules, lock_environment, pickled_modules
from fairway.bundle.manifest import TARGET
from fairway.bundle.names import check_name
from fairway.bundle.profile import make_profile
from fairway.bundle.safety import Trust
from fairway.bundle.signature import POLICIES, Input, Policy, Signature
from fairway.bundle.tables import Table, read_table
from fairway.bundle.validation import Validator
from fairway.errors import ExampleInvalid, SignatureMismatch, UsageError
from fairway.flavors.base import Description, Flavor, Predictor
from fairway.flavors.chain import PREPARED
from fairway.flavors.importing import Brought, bring, example_of
from fairway.flavors.pickles import modules_of
from fairway.lifecycle.compiling import Mode, prove_and_compile
from fairway.lifecycle.own import Bound, Luggage, Own, bind_chain, collect
from fairway.lifecycle.probe import open_probed
from fairway.messages import Columns

_PROFILE_ROWS = 10_000
_MAX_TEXT = 4096
_RESERVED_OUTPUTS = frozenset({"probabilities", "flags", "explanation"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What the author says of a model.

    Attributes:
        metrics: Figures by name, such as `{"accuracy": 0.96}`.
        tags: Free key-value pairs.
        author: Who packs it.
        description: What it is for.
        lineage: Where it comes from, by name.
    """

    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    author: str = ""
    description: str = ""
    lineage: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the author states about the signature instead of having it learnt.

    Attributes:
        target: Column of the example that is no input.
        outputs: Names of the outputs.
        classes: Classes that the model tells apart, in the order of its numbers for them.
        kinds: Kinds of inputs by name.
        feed: How the model is fed: frame, matrix, records or texts.
        unseen_category: Policy for categories that were not seen.
        out_of_range: Policy for numbers outside the range that was seen.
    """

    target: str | None = None
    outputs: Sequence[str] = ()
    classes: Sequence[Any] = ()
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    feed: str | None = None
    unseen_category: str = "flag"
    out_of_range: str = "flag"


def pack_model(  # noqa: PLR0913 - most callers give code alone, and own only for the rest
    model: Any,
    *,
    name: str,
    example: Any,
    code: Sequence[str | Path] = (),
    facts: Facts,
    wishes: Wishes,
    own: Own | None = None,
    trust: Trust | None = None,
    compile: Mode = "auto",  # noqa: A002 - the word that the command line has for it
) -> Bundle:
    """Pack a model object or a model file; a fresh process has proven the bundle, and compiled it.

    Raises:
        BundleError: The model, its file or the example cannot be used, or the packed copy differs.
        PredictorNotProven: Nothing compiled was proven, and *compile* is `require`.
    """
    packed, rows = _make(
        model,
        name=name,
        example=example,
        own=own or Own(code=code),
        facts=facts,
        wishes=wishes,
        trust=trust or Trust.default(),
    )
    return prove_and_compile(packed, rows=rows, mode=compile)


def make_bundle(
    model: Any,
    *,
    name: str,
    example: Any,
    code: Sequence[str | Path] = (),
    facts: Facts,
    wishes: Wishes,
    own: Own | None = None,
    trust: Trust | None = None,
) -> Bundle:
    """Pack without the proof; whoever uses the bundle has to `prove` it first.

    Raises:
        BundleError: The model, its file or the example cannot be used.
    """
    return _make(
        model,
        name=name,
        example=example,
        own=own or Own(code=code),
        facts=facts,
        wishes=wishes,
        trust=trust or Trust.default(),
    )[0]


def _make(
    model: Any,
    *,
    name: str,
    example: Any,
    own: Own,
    facts: Facts,
    wishes: Wishes,
    trust: Trust,
) -> tuple[Bundle, Columns]:
    """Return the bundle without its proof, and the rows of the example as a call with them would be read."""
    check_name("model", name)
    brought = bring(model)
    example = example_of(brought, example)
    model, luggage = collect(model, own, name=name, brought=brought.code if brought else {})
    flavor, loaded, files, table = open_probed(
        brought or model,
        luggage.space,
        sources=luggage.sources,
        trust=trust,
        meanwhile=lambda: read_table(example),
    )
    table = brought.table(table, wishes.target) if brought else table
    description = flavor.describe(loaded)
    # What comes before the model decides what callers send.
    taken = dataclasses.replace(description, input_names=()) if luggage.around.preprocess else description
    table = inputs_of(table, wishes.target, taken)
    signature = Signature(
        inputs=_inputs(table, wishes, brought),
        outputs=(),
        classes=tuple(wishes.classes),
        unseen_category=_policy(wishes.unseen_category),
        out_of_range=_policy(wishes.out_of_range),
    )
    columns = checked_rows(signature, table)
    try:
        bound = _bind(flavor, loaded, columns, signature, luggage, table=table, wishes=wishes)
    except ExampleInvalid as cause:
        raise outdated(files, f"does not take the example: {cause.detail}") or cause from cause
    signature, predictor = bound.signature, bound.predictor
    _check_output_names(signature)
    if not luggage.around:
        _check_classes(signature, wishes.classes)
    pickled = modules_of(files) and {*modules_of(files), *pickled_modules(loaded)}
    modules = _modules(description, bound, luggage, pickled)
    environment = lock_environment(modules, framework=flavor.module, files=files)
    if brought and brought.requirements:
        environment["declared"] = list(brought.requirements)
    manifest: dict[str, Any] = {
        "name": name,
        "flavor": flavor.name,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        "model_type": description.model_type,
        "framework": environment["packages"],
        "python": platform.python_version(),
        "fairway": importlib.metadata.version("fairway"),
        "hyperparameters": description.hyperparameters,
        "metrics": {key: _finite(key, value) for key, value in facts.metrics.items()},
        "tags": {key: _limited(value) for key, value in facts.tags.items()},
        "author": _limited(facts.author),
        "description": _limited(facts.description),
        "lineage": {key: _limited(value) for key, value in _lineage(facts, wishes.target, brought).items()},
        "options": bound.options,
        "preprocess": luggage.around.preprocess,
        "postprocess": luggage.around.postprocess,
        "vectorised": luggage.around.vectorised,
        "trusted": sorted(trust.types),
    }
    golden = _golden(flavor, predictor, columns)
    if not _are_probabilities(golden):
        # Trees of scikit-learn before 1.4 hold counts where later ones expect shares.
        stale = outdated(files, "gives probabilities outside of 0 to 1")
        if stale is not None:
            raise stale
    profile = make_profile(signature, columns, predictor.predict(columns, probabilities=False))
    contents = {
        **files,
        **{f"{members.CODE_FOLDER}{path}": source for path, source in luggage.sources.items()},
        **{f"{members.DATA_FOLDER}{path}": data for path, data in luggage.data.items()},
        **({PREPARED: _json(bound.between.to_dict())} if bound.between else {}),
        members.SIGNATURE: _json(signature.to_dict()),
        members.GOLDEN: _json(golden.to_dict()),
        members.PROFILE: _json(profile),
        members.ENVIRONMENT: _json(environment),
        members.CARD: render_card(manifest, signature, environment).encode(),
    }
    return build_bundle(contents, **manifest), columns


def _inputs(table: Table, wishes: Wishes, brought: Brought | None) -> tuple[Input, ...]:
    """Return the inputs as learnt from a table, and as the folder of another tool states them."""
    if brought is None:
        return infer_inputs(table, kinds=wishes.kinds)
    return brought.inputs(infer_inputs(table, kinds=brought.stated_kinds(table, wishes.kinds)))


def _lineage(facts: Facts, target: str | None, brought: Brought | None) -> dict[str, str]:
    """Return where the model comes from; the column that it predicts is what a check will look for."""
    learnt = {TARGET: target} if target else {}
    return {**(brought.lineage if brought else {}), **learnt, **facts.lineage}


def _bind(
    flavor: Flavor,
    model: Any,
    columns: Columns,
    signature: Signature,
    luggage: Luggage,
    *,
    table: Table,
    wishes: Wishes,
) -> Bound:
    """Return the model bound to the signature, alone or between the author's functions."""
    if luggage.around:
        return bind_chain(
            flavor,
            model,
            columns,
            signature,
            luggage,
            table=table,
            output_names=wishes.outputs,
            feed=wishes.feed,
        )
    signature, options = flavor.learn(model, table, signature, output_names=wishes.outputs, feed=wishes.feed)
    return Bound(signature, options, flavor.predictor(model, signature, options))


def _modules(description: Description, bound: Bound, luggage: Luggage, pickled: Iterable[str]) -> set[str]:
    """Return the modules that the model, its code, its pickle and the way it is fed need."""
    around = (luggage.around.preprocess, luggage.around.postprocess)
    modules = {*description.modules, *pickled, *(entry.partition(":")[0] for entry in around if entry)}
    for source in luggage.sources.values():
        modules |= imported_modules(source)
    if bound.options.get("feed") == "frame":
        modules.add("pandas")
    return {name for name in modules if name.split(".")[0] not in luggage.space.roots}


def inputs_of(table: Table, target: str | None, description: Description) -> Table:
    """Return the columns that the model takes, in its order, under the names that the table has for them.

    Raises:
        ExampleInvalid: The table lacks one of them.
    """
    input_names = description.input_names
    if target is not None:
        table = table.drop(target)
    if table.form == "matrix" and len(input_names) == len(table.names):
        return table.rename(input_names)
    known = {description.spelt(name): name for name in table.columns}
    if input_names and set(input_names) <= set(known):
        columns = {known[name]: table.columns[known[name]] for name in input_names}
        return dataclasses.replace(table, columns=columns)
    if input_names and table.form == "frame":
        missing = [name for name in input_names if name not in known]
        raise ExampleInvalid(
            f"the model was fitted with the column {missing[0]!r}, which the example table does not have",
            hint=f"the model's columns are: {', '.join(input_names[:20])}",
        )
    return table


def _policy(text: str) -> Policy:
    for policy in POLICIES:
        if policy == text:
            return policy
    raise UsageError(f"{text!r} is not a policy", hint=f"use one of: {', '.join(POLICIES)}")


def checked_rows(signature: Signature, table: Table) -> Columns:
    """Return the rows of a table, the first of many, as a call with them would be read.

    Raises:
        ExampleInvalid: No request could hold one of them.
    """
    rows = [list(row) for _, row in zip(range(_PROFILE_ROWS), table.rows(), strict=False)]
    records = [dict(zip(signature.names, row, strict=True)) for row in rows]
    try:
        return Validator(signature).check(records, pointer=lambda n: f"/{n}")
    except SignatureMismatch as cause:
        raise ExampleInvalid(
            f"no request could hold a row of the example: {cause}", hint="rows are counted from 0"
        ) from cause


def _check_output_names(signature: Signature) -> None:
    for output in signature.outputs:
        if output.name in _RESERVED_OUTPUTS:
            raise UsageError(
                f"an output cannot be called {output.name!r}: replies hold something else under that name",
                hint="name the outputs with --output",
            )


def _check_classes(signature: Signature, stated: Sequence[Any]) -> None:
    if stated and tuple(stated) != signature.classes:
        raise UsageError(
            "this model names its classes itself, or has none",
            hint=f"leave the classes out; it has: {', '.join(map(str, signature.classes[:20])) or 'none'}",
        )


def _golden(flavor: Flavor, predictor: Predictor, columns: Columns) -> GoldenExamples:
    chosen = Columns(columns.names, [columns.rows[n] for n in choose_rows(columns.rows)])
    outputs = predictor.predict(chosen, probabilities=True)
    return GoldenExamples(
        inputs=tuple(chosen.records()),
        expected=outputs.values,
        probabilities=outputs.probabilities,
        tolerance=flavor.tolerance,
    )


def _are_probabilities(golden: GoldenExamples) -> bool:
    return all(-1e-6 <= value <= 1 + 1e-6 for row in golden.probabilities or () for value in row)


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"the metric {name!r} is {str(value)[:80]!r}, which is no finite number")
    return number


def _limited(text: Any) -> str:
    value = str(text)
    if len(value) > _MAX_TEXT:
        raise UsageError(f"a text of {len(value)} characters is too long; the limit is {_MAX_TEXT}")
    return value


def _json(document: Any) -> bytes:
    return msgspec.json.encode(document, order="sorted")
