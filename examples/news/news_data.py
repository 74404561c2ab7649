"""Where the articles come from: a folder, a checked download, or a generated sample.

The articles belong to others and are never part of this repository.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import random
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

SOURCE = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/555590d/data/ag_news_csv/test.csv"
SHA256 = "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699"
LOCAL = "ag_news_test.csv.gz"
TIMEOUT_S = 15


class Article(NamedTuple):
    """An article: its text (title and description), and its class, 1 to 4."""

    text: str
    label: int


class DataUnavailable(Exception):
    """The real articles cannot be had from here."""


def read_articles(cache: Path) -> list[Article]:
    """Return the articles.

    They are read from `$FAIRWAY_DATA/news` when that variable is set, else downloaded once into *cache*.

    Raises:
        DataUnavailable: There is no network, or the source has moved.
        SystemExit: `FAIRWAY_DATA` names a folder without the file, or the file has another checksum.
    """
    root = os.environ.get("FAIRWAY_DATA")
    if not root:
        return parse(_downloaded(cache))
    path = Path(root) / "news" / LOCAL
    if not path.is_file():
        raise SystemExit(f"FAIRWAY_DATA is set, but {path.parent} has no {LOCAL}")
    content = gzip.decompress(path.read_bytes())
    _check(content, str(path))
    print(f"data: {path}")
    return parse(content)


def parse(content: bytes) -> list[Article]:
    """Return the articles of a CSV file without a header: class, title, description."""
    rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    return [Article(f"{title}. {description}", int(label)) for label, title, description in rows]


def generate_sample(rows: int = 400) -> list[Article]:
    """Return invented articles of the same form: enough to try every command, not to learn about news."""
    rng = random.Random(1)  # noqa: S311 - a seeded sample, no secret
    topics = {
        1: "minister troops treaty border election rebels embassy parliament ceasefire protest",
        2: "match coach season goal league striker tournament injury medal stadium",
        3: "shares profit merger oil market bank investors quarter retailer earnings",
        4: "software browser satellite chip virus astronomers download wireless server gene",
    }
    fillers = ["today", "officials", "said", "new", "report", "week", "people", "plan", "first", "talks"]
    articles = []
    for n in range(rows):
        label = n % 4 + 1
        words = rng.choices(topics[label].split(), k=6) + rng.choices(fillers, k=8)
        rng.shuffle(words)
        articles.append(Article(" ".join(words).capitalize() + ".", label))
    return articles


def _downloaded(cache: Path) -> bytes:
    target = cache / "ag_news_test.csv"
    if target.is_file():
        content = target.read_bytes()
        _check(content, str(target))
    else:
        content = _fetch(SOURCE)
        _check(content, SOURCE)
        cache.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    print(f"data: {target} (downloaded from {SOURCE}, checksum right)")
    return content


def _check(content: bytes, place: str) -> None:
    actual = hashlib.sha256(content).hexdigest()
    if actual != SHA256:
        raise SystemExit(
            f"{place} has the SHA-256 {actual}, not {SHA256}.\n"
            "The file was changed at its source; nothing was kept. Use --sample, or set FAIRWAY_DATA."
        )


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            content: bytes = response.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError) as cause:
        raise DataUnavailable(f"{url}: {cause}") from cause
    return content
