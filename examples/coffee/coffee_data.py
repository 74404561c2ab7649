"""Where the coffee reviews come from: a folder, a checked download, or a generated sample.

The reviews belong to others and are never part of this repository.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SOURCE = "https://raw.githubusercontent.com/alxhslm/coffee-rating-prediction/1a3dd70/data/"
SHA256 = {
    "simplified_coffee.csv": "c37425a4e9a148302c1f65b74e225fe50652c6a562a8f43c29e07438665db08a",
    "flavours.json": "cb7bdd3541ac5a2414bc02c25b722d100777151fe80fc80d01026143f2ceff6f",
    "roasters.json": "7e5132d73c5582b6700a85e8c042e833dfafee28f155a4e5591fa962d5877e67",
}
TIMEOUT_S = 15


class DataUnavailable(Exception):
    """The real reviews cannot be had from here."""


def read_reviews(cache: Path) -> list[dict[str, Any]]:
    """Return the prepared records, each with its `rating`.

    They are read from `$FAIRWAY_DATA/coffee` when that variable is set, else downloaded once into *cache*.

    Raises:
        DataUnavailable: There is no network, or the source has moved.
        SystemExit: `FAIRWAY_DATA` names a folder without the files, or a file has another checksum.
    """
    root = os.environ.get("FAIRWAY_DATA")
    if root:
        folder = Path(root) / "coffee"
        missing = [name for name in SHA256 if not (folder / name).is_file()]
        if missing:
            raise SystemExit(f"FAIRWAY_DATA is set, but {folder} has no {', '.join(missing)}")
        print(f"data: {folder}")
    else:
        folder = _download(cache)
    with (folder / "simplified_coffee.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    flavours = json.loads((folder / "flavours.json").read_text(encoding="utf-8"))
    popular = frozenset(
        json.loads((folder / "roasters.json").read_text(encoding="utf-8"))["popular_roasters"]
    )
    return prepare(rows, flavours, popular)


def prepare(
    rows: list[dict[str, str]], flavours: Mapping[str, list[str]], popular: frozenset[str]
) -> list[dict[str, Any]]:
    """Return one record per review, in the words that the model uses."""
    usual_roast = Counter(row["roast"] for row in rows if row["roast"]).most_common(1)[0][0]
    records = []
    for row in rows:
        roaster = row["roaster"].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("é", "e")
        words = set(re.findall(r"\w+", row["review"].lower()))
        records.append(
            {
                "roaster": roaster if roaster in popular else "Other",
                "roast": row["roast"] or usual_roast,
                "roaster_country": row["loc_country"].replace("New Taiwan", "Taiwan"),
                "country_of_origin": row["origin"],
                "price_per_100g": float(row["100g_USD"]),
                "flavours": [name for name, keywords in flavours.items() if not words.isdisjoint(keywords)],
                "rating": int(row["rating"]),
            }
        )
    return records


def generate_sample(rows: int = 400) -> list[dict[str, Any]]:
    """Return invented records of the same form: enough to try every command, not to learn about coffee."""
    rng = random.Random(1)  # noqa: S311 - a seeded sample, no secret
    known_flavours = ["fruity", "resinous", "spicy", "nutty", "caramelly", "floral"]
    roasts = {"Light": 0.6, "Medium-Light": 0.3, "Medium": -0.5, "Medium-Dark": -1.5, "Dark": -3.0}
    records = []
    for _ in range(rows):
        roast = rng.choice(list(roasts))
        price = round(rng.lognormvariate(1.8, 0.5), 2)
        flavours = rng.sample(known_flavours, rng.randint(0, 3))
        rating = 92 + roasts[roast] + 0.05 * price + 0.5 * ("fruity" in flavours) + rng.gauss(0, 0.8)
        records.append(
            {
                "roaster": rng.choice(["Paradise Roasters", "Kakalove Cafe", "Other", "Other"]),
                "roast": roast,
                "roaster_country": rng.choice(["United States", "United States", "Taiwan", "England"]),
                "country_of_origin": rng.choice(["Ethiopia", "Colombia", "Kenya", "Panama"]),
                "price_per_100g": price,
                "flavours": flavours,
                "rating": round(rating),
            }
        )
    return records


def _download(cache: Path) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    for name, expected in SHA256.items():
        target = cache / name
        if not target.is_file():
            content = _fetch(SOURCE + name)
            actual = hashlib.sha256(content).hexdigest()
            if actual != expected:
                raise SystemExit(
                    f"{SOURCE + name} has the SHA-256 {actual}, not {expected}.\n"
                    "The file was changed at its source; nothing was kept. Use --sample, or set FAIRWAY_DATA."
                )
            target.write_bytes(content)
    print(f"data: {cache} (downloaded from {SOURCE}, checksums right)")
    return cache


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            content: bytes = response.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as cause:
        raise DataUnavailable(f"{url}: {cause}") from cause
    return content
