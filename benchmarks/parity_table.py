"""Prove the conversion of every case and write the table of the docs.

Run: `python benchmarks/parity_table.py docs/reference/compiled-models.md` (scikit-learn's own data sets, and
those of the folder that `FAIRWAY_DATA` names).
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

from parity_cases import CASES, SHIPPED, Case, read_data

from fairway.bundle.golden import GoldenExamples, choose_rows
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.signature import Signature
from fairway.bundle.tables import read_table
from fairway.bundle.validation import Validator
from fairway.compilers.compilation import CompilationResult, Subject, compile_model
from fairway.flavors.sklearn import FLAVOR
from fairway.messages import Columns


def subject_of(model: Any, example: Any) -> tuple[Subject, Columns]:
    """Return a fitted model as what is compiled, and its example rows."""
    table = read_table(example)
    learnt = Signature(inputs=infer_inputs(table), outputs=())
    signature, options = FLAVOR.learn(model, table, learnt, output_names=(), feed=None)
    native = FLAVOR.predictor(model, signature, options)
    columns = Validator(signature).check(
        [dict(zip(signature.names, row, strict=True)) for row in table.rows()], pointer=str
    )
    chosen = Columns(columns.names, [columns.rows[n] for n in choose_rows(columns.rows)])
    outputs = native.predict(chosen, probabilities=True)
    golden = GoldenExamples(
        tuple(chosen.records()), outputs.values, outputs.probabilities, tolerance=FLAVOR.tolerance
    )
    return Subject(model, native, signature, options, golden), columns


def compile_case(case: Case, folder: Path) -> CompilationResult:
    """Fit a case's model, compile it and prove the result."""
    inputs, target = read_data(case.data, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = case.model().fit(inputs, target)
        subject, rows = subject_of(model, inputs)
        return compile_model(subject, rows=rows)


def table_row(case: Case, result: CompilationResult) -> str:
    """Return a case's line of the table."""
    equal = {n: e for n, e in result.report["compilers"].items() if e["verdict"] == "equal"}
    if not equal:
        first = result.report["compilers"]["numpy"]
        return f"| {case.name} | {case.data} | no: {first['reason']} | | | |"
    entry = next(iter(equal.values()))
    worst = max(e["worst_difference"] for e in equal.values())
    shown = "0" if worst == 0 else f"{worst:.0e}"
    return (
        f"| {case.name} | {case.data} | {', '.join(sorted(equal))} | {entry['precision']} "
        f"| {shown} | {entry['rows_total']:,} |"
    )


def main() -> int:
    """Write the table between the marks of the page that is named, or print it."""
    folder = Path(os.environ.get("FAIRWAY_DATA", "."))
    lines = [
        "| model | data | compilers | precision | worst difference | rows |",
        "|---|---|---|---|---|---|",
    ]
    for case in CASES:
        if case.data in SHIPPED or "FAIRWAY_DATA" in os.environ:
            lines.append(table_row(case, compile_case(case, folder)))
            print(lines[-1], file=sys.stderr, flush=True)
    table = "\n".join(lines)
    if len(sys.argv) > 1:
        page = Path(sys.argv[1])
        marks = re.compile(r"(<!-- begin: parity -->\n).*?(<!-- end: parity -->)", re.DOTALL)
        page.write_text(marks.sub(lambda m: f"{m[1]}\n{table}\n\n{m[2]}", page.read_text()), encoding="utf-8")
    else:
        print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
