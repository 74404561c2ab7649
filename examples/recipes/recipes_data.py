"""Where the recipes come from: a folder, a checked download, or a generated sample.

The recipes belong to others and are never part of this repository.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import recipes_plain

SOURCE = "https://github.com/dpapathanasiou/recipes.git"
COMMIT = "32a13c44e7c1382ea2a7bab6fa5511c7d6d4e0bf"
"""The recipes as they were. Git names contents by their hash, so nothing else can come by this name."""

LEVELS = ("Easy", "Medium", "Hard", "Very Hard")
MOST_RECIPES = 8000
TIMEOUT_S = 600

TECHNIQUES = """
    bake baste beat blanch blend boil braise broil caramelize chill chop deglaze dice drain fold fry grate
    grill knead marinate mash melt mince mix peel poach preheat puree reduce roast roll saute sear season
    sift simmer slice soak steam steep stir strain temper toast toss whip whisk
"""
ADVANCED = "blanch braise caramelize clarify confit deglaze emulsify flambe knead poach reduce temper"
WEIGHTS = (0.30, 0.25, 0.20, 0.15, 0.10)

_TECHNIQUES = frozenset(map(recipes_plain.stem, TECHNIQUES.split()))
_ADVANCED = frozenset(map(recipes_plain.stem, ADVANCED.split()))


class DataUnavailable(Exception):
    """The real recipes cannot be had from here."""


@dataclasses.dataclass(frozen=True)
class Recipes:
    """Recipes and where they are from.

    Attributes:
        rows: Records with `ingredients`, `steps` and `difficulty`.
        name: The file, or what made them.
        sha256: Hash of the file.
    """

    rows: list[dict[str, Any]]
    name: str
    sha256: str


def read_recipes(cache: Path) -> Recipes:
    """Return the recipes with their difficulty.

    They are read from `$FAIRWAY_DATA/recipes` when that variable is set, else downloaded once into *cache*.

    Raises:
        DataUnavailable: There is no network, or no git.
        SystemExit: `FAIRWAY_DATA` names a folder without the file.
    """
    root = os.environ.get("FAIRWAY_DATA")
    if root:
        path = Path(root) / "recipes" / "recipes_2k.csv.gz"
        if not path.is_file():
            raise SystemExit(f"FAIRWAY_DATA is set, but {path.parent} has no {path.name}")
    else:
        path = download(cache)
    print(f"data: {path}")
    return Recipes(_read(path), path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def generate_sample(rows: int = 400) -> Recipes:
    """Return invented recipes of the same form: enough to try every command, not to learn about cooking."""
    rng = random.Random(1)  # noqa: S311 - a seeded sample, no secret
    foods = (
        "flour",
        "sugar",
        "butter",
        "milk",
        "eggs",
        "rice",
        "onions",
        "beef",
        "salmon",
        "lemons",
        "cream",
    )
    units = ("1 cup", "2 cups", "1/2 pound", "3 tablespoons", "1 teaspoon", "a handful of")
    plain = ("stir", "mix", "chop", "boil", "serve")
    skilled = ("knead", "braise", "whisk", "deglaze", "fold", "poach", "caramelize", "temper")
    made = []
    for _ in range(rows):
        effort = rng.random()
        verbs = skilled if effort > 0.5 else plain
        sentences = (
            f"{rng.choice(verbs).capitalize()} the {rng.choice(foods)} for {rng.randint(1, 90)} minutes."
            for _ in itertools.count()
        )
        ingredients = [f"{rng.choice(units)} {rng.choice(foods)}" for _ in range(2 + round(10 * effort))]
        steps = [
            " ".join(itertools.islice(sentences, rng.randint(2, 4))) for _ in range(1 + round(5 * effort))
        ]
        made.append({"ingredients": ingredients, "steps": steps})
    labelled = with_difficulty(made)
    return Recipes(labelled, "generated sample", hashlib.sha256(json.dumps(labelled).encode()).hexdigest())


def with_difficulty(recipes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the recipes with a difficulty each: the quarter of the others that their score lies in.

    Nobody rated these recipes. The score weighs how many techniques are named, how long the steps are, how
    many ingredients and steps there are, and whether an advanced technique is named, each from 0 to 1.
    """
    parts = list(zip(*map(_effort, recipes), strict=True))
    scaled = [[(value - min(part)) / ((max(part) - min(part)) or 1.0) for value in part] for part in parts]
    scores = [sum(w * v for w, v in zip(WEIGHTS, row, strict=True)) for row in zip(*scaled, strict=True)]
    cuts = statistics.quantiles(scores, n=len(LEVELS))
    return [
        {**recipe, "difficulty": LEVELS[sum(score > cut for cut in cuts)]}
        for recipe, score in zip(recipes, scores, strict=True)
    ]


def _effort(recipe: dict[str, Any]) -> tuple[float, ...]:
    steps = recipe["steps"]
    techniques = _TECHNIQUES.intersection(recipes_plain.words(steps))
    return (
        float(len(techniques)),
        statistics.fmean(len(step.split()) for step in steps),
        float(len(recipe["ingredients"])),
        float(len(steps)),
        float(not _ADVANCED.isdisjoint(techniques)),
    )


def download(cache: Path, *, source: str = SOURCE, commit: str = COMMIT) -> Path:
    """Return the file of labelled recipes, made from the source once.

    Raises:
        DataUnavailable: There is no network, or no git; or the source lacks the commit.
    """
    path = cache / f"recipes-{commit[:7]}.csv.gz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        repository = cache / "source.git"
        found = _chosen(_fetched(repository, source, commit))
        if not found:
            raise DataUnavailable(f"{source} has no recipes at {commit}")
        path.write_bytes(_packed(with_difficulty(found)))
        shutil.rmtree(repository)
    return path


def _fetched(repository: Path, source: str, commit: str) -> Iterator[dict[str, Any]]:
    """Yield every recipe of a commit, in the order of their paths."""
    _git("init", "--bare", "--quiet", str(repository))
    _git("-C", str(repository), "fetch", "--quiet", "--depth=1", source, commit)
    archive = _git("-C", str(repository), "archive", "--format=tar", commit, "index")
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for member in members:
            if member.name.endswith(".json") and (file := members.extractfile(member)) is not None:
                yield json.loads(file.read())


def _chosen(recipes: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return as many recipes as are wanted, always the same ones, without empty and repeated ones."""
    found = {}
    for recipe in recipes:
        if len(recipe.get("ingredients") or ()) >= 2 and recipe.get("directions"):
            row = {"ingredients": recipe["ingredients"], "steps": recipe["directions"]}
            found[hashlib.sha256(json.dumps(row).encode()).hexdigest()] = row
    return [found[key] for key in sorted(found)[:MOST_RECIPES]]


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - no shell, arguments of ours
            ["git", *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            check=True,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as cause:
        told = getattr(cause, "stderr", None) or b""
        raise DataUnavailable(told.decode(errors="replace").strip() or str(cause)) from cause
    return done.stdout


def _packed(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as a compressed CSV, with the same bytes whenever it is made."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("ingredients", "steps", "difficulty"))
    for row in rows:
        lists = (json.dumps(row[name], ensure_ascii=False) for name in ("ingredients", "steps"))
        writer.writerow((*lists, row["difficulty"]))
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [
            {
                "ingredients": json.loads(row["ingredients"]),
                "steps": json.loads(row["steps"]),
                "difficulty": row["difficulty"],
            }
            for row in csv.DictReader(file)
        ]
