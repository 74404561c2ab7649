"""Every link between the pages leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")])
# Written in prose as [text](target); an image is the same with a mark in front.
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)


def prose_of(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"`[^`\n]+`", "`code`", FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that the usual renderers give to the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> Iterator[str]:
    """Yield one sentence per relative link that leads nowhere."""
    for target in LINK.findall(prose_of(page)):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"{page.relative_to(ROOT)} links to {target}, which does not exist"
        elif not file.is_relative_to(ROOT):
            yield f"{page.relative_to(ROOT)} links to {target}, outside of the project"
        elif anchor and file.suffix == ".md" and anchor not in anchors_of(file):
            yield f"{page.relative_to(ROOT)} links to {target}; {file.name} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    """A reader who follows a link arrives, at the heading if one is named."""
    assert not list(broken_links(page))


@pytest.mark.parametrize("page", [page for page in PAGES if "docs" in page.parts], ids=lambda page: page.stem)
def test_every_page_can_be_reached_from_the_front(page: Path) -> None:
    """No page of the documentation is an island: the README or another page links to it."""
    links = {
        (source.parent / target.partition("#")[0]).resolve()
        for source in PAGES
        if source != page
        for target in LINK.findall(prose_of(source))
    }

    assert page.resolve() in links, f"nothing links to {page.relative_to(ROOT)}"
