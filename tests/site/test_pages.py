"""The built pages as files: every link and anchor leads somewhere, every picture is described."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest


@dataclass
class Content:
    """The attributes of a page that point somewhere or can be pointed at."""

    ids: set[str] = field(default_factory=set)
    links: list[tuple[str, str, str]] = field(default_factory=list)  # tag, attribute, target
    undescribed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)  # ids


class Reader(HTMLParser):
    """Collects the content of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.content = Content()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if name := given.get("id"):
            self.content.repeated += [name] if name in self.content.ids else []
            self.content.ids.add(name)
        for attribute in ("href", "src", "data", "action", "poster", "srcset"):
            if given.get(attribute):
                self.content.links.append((tag, attribute, given[attribute] or ""))
        named = given.get("alt") if tag == "img" else given.get("aria-label")
        if (tag == "img" or (tag == "svg" and given.get("role") == "img")) and not (named or "").strip():
            decorative = given.get("aria-hidden") == "true" or "logo__image" in (given.get("class") or "")
            self.content.undescribed += [] if decorative else [str(given)]


@pytest.fixture(scope="module")
def contents(html: Path) -> dict[Path, Content]:
    found = {}
    for path in sorted(set(html.rglob("*.html")) - set((html / "_static").rglob("*"))):
        reader = Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        found[path] = reader.content
    return found


def _internal(contents: dict[Path, Content]) -> Iterator[tuple[Path, str]]:
    for path, content in contents.items():
        for _, _, target in content.links:
            if not urlparse(target).scheme and not target.startswith("//"):
                yield path, target


def test_all_pages_are_there(html, contents):
    names = {path.relative_to(html).as_posix() for path in contents}
    assert {"index.html", "glossary.html", "bibliography.html", "exercises.html", "status.html", "search.html"} <= names
    assert "01-metrics/04-entropy-and-divergence.html" in names
    assert "reference/mazelm.metrics.information.html" in names


def test_every_link_and_anchor_leads_somewhere(html, contents):
    wrong, count = [], 0
    for path, target in _internal(contents):
        count += 1
        name, anchor = urldefrag(target)
        other = (path.parent / unquote(urlparse(name).path)).resolve() if name else path
        if not other.is_file() or not other.is_relative_to(html):
            wrong.append(f"{path.relative_to(html)}: {target}")
        elif anchor and other in contents and unquote(anchor) not in contents[other].ids:
            wrong.append(f"{path.relative_to(html)}: no anchor {target}")
    assert wrong == []
    assert count > 500


def test_only_links_point_to_the_network(contents, record_property):
    outside = {
        (tag, attribute, target)
        for content in contents.values()
        for tag, attribute, target in content.links
        if urlparse(target).scheme not in ("", "data") or target.startswith("//")
    }
    record_property("external", sorted({target for _, _, target in outside}))
    assert {
        (tag, attribute, target) for tag, attribute, target in outside if (tag, attribute) != ("a", "href")
    } == set()


def test_every_picture_is_described(html, contents):
    assert [(path.relative_to(html).as_posix(), x) for path, c in contents.items() for x in c.undescribed] == []


def test_no_id_is_used_twice(html, contents):
    assert [(path.relative_to(html).as_posix(), x) for path, c in contents.items() for x in c.repeated] == []


def test_styles_and_scripts_of_the_book_fetch_nothing(html):
    for name in ("book.css", "book.js"):
        text = (html / "_static" / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "@import" not in text
