"""Folders that hold a model and say more of it: what other tools packed, on its way into a bundle.

To read another tool's folders, write `flavors/<name>.py` and bind an object with the methods of `Importer` to
`IMPORTER`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fairway.bundle.signature import Input
from fairway.bundle.tables import Table
from fairway.errors import ExampleInvalid, UsageError
from fairway.flavors.opening import read_files
from fairway.plugins import find_implementations


@dataclasses.dataclass(frozen=True)
class Brought:
    """What a folder holds, and what it says of it.

    Attributes:
        name: What messages call the folder.
        files: The model itself, by relative path, for the flavor that reads it.
        example: Rows to learn the signature from, or None.
        names: Columns in the order in which the model takes them; empty if the folder does not say.
        kinds: Kinds of inputs by name.
        optional: Columns whose value may be missing.
        code: Modules that travel with the model, by path.
        lineage: Where the model comes from, by name.
        requirements: Packages that the model was made with, as requirement lines.
    """

    name: str
    files: Mapping[str, bytes]
    example: Any = None
    names: Sequence[str] = ()
    kinds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    code: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    lineage: Mapping[str, str] = dataclasses.field(default_factory=dict)
    requirements: Sequence[str] = ()

    def table(self, table: Table, target: str | None) -> Table:
        """Return an example with the columns that the folder names, in its order, and the target.

        Raises:
            ExampleInvalid: A column is missing that must be there.
        """
        if not self.names:
            return table
        if table.form == "matrix" and len(table.names) == len(self.names):
            table = table.rename(self.names)
        missing = [name for name in self.names if name not in table.columns]
        if required := [name for name in missing if name not in self.optional]:
            raise ExampleInvalid(
                f"the signature of {self.name} has the column {required[0]!r}, which the example lacks",
                hint=f"its columns are: {', '.join(self.names[:20])}",
            )
        kept = [name for name in (*self.names, target) if name is not None and name in table.columns]
        return dataclasses.replace(table, columns={name: table.columns[name] for name in kept})

    def inputs(self, inputs: Sequence[Input]) -> tuple[Input, ...]:
        """Return learnt inputs that may be missing where the folder says so."""
        return tuple(
            dataclasses.replace(entry, nullable=True) if entry.name in self.optional else entry
            for entry in inputs
        )

    def stated_kinds(self, table: Table, stated: Mapping[str, str]) -> dict[str, str]:
        """Return the kinds of a table's columns: what the user states comes before what the folder says."""
        return {name: kind for name, kind in self.kinds.items() if name in table.columns} | dict(stated)


class Importer(Protocol):
    """How the folders of one tool are read."""

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Tell from their content whether *files* are such a folder."""

    def open(self, files: Mapping[str, bytes], name: str) -> Brought:
        """Return what the folder holds.

        Raises:
            ArtifactCorrupt: It is damaged.
            MissingExtra: A package is missing to read it.
        """


def bring(model: Any) -> Brought | None:
    """Return what another tool's folder holds; None for any other model.

    Raises:
        BundleError: The folder cannot be read.
    """
    if not isinstance(model, str | Path) or not Path(model).is_dir():
        return None
    files = read_files(Path(model))
    importers: dict[str, Importer] = find_implementations("fairway.flavors", "IMPORTER")
    for importer in importers.values():
        if importer.reads(files):
            return importer.open(files, Path(model).name)
    return None


def example_of(brought: Brought | None, example: Any) -> Any:
    """Return the example that the user gives, or else the one in the folder.

    Raises:
        UsageError: There is none.
    """
    found = brought.example if example is None and brought else example
    if found is None:
        raise UsageError(
            "the signature is learnt from an example table, and none was given",
            hint="--example train.csv --target COLUMN",
        )
    return found
