"""The text of an exercise where nothing renders it as a page of the book: in a terminal, and in a reader's notebook."""

import re
from functools import lru_cache
from pathlib import Path

from bookbinder.claims import without_claims

_TERM = re.compile(r"\{term\}`([^`<]*?)(?:\s*<[^>`]+>)?`")
_CITE = re.compile(r"\{cite:([pt])\}`([^`]+)`")
_LABEL = re.compile(r"^(\$\$) \(eq-[a-z0-9-]+\)$", re.MULTILINE)
_ENTRY = re.compile(r"^@\w+\{([^,\s]+),(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = r"^\s*{}\s*=\s*\{{(.*?)\}},?\s*$"


def readable(text: str, root: Path) -> str:
    """A text without the markup that only the book's pages understand: claims, terms, citations and labels."""
    text = _LABEL.sub(r"\1", _TERM.sub(r"\1", without_claims(text)))
    sources = _sources(root / "site" / "references.bib")

    def cited(match: re.Match) -> str:
        keys = [key.strip() for key in match[2].split(",")]
        known = [sources.get(key, (key, "")) for key in keys]
        if match[1] == "t":
            return ", ".join(f"{who} ({year})" for who, year in known)
        return f"({'; '.join(f'{who}, {year}' for who, year in known)})"

    return _CITE.sub(cited, text)


@lru_cache
def _sources(path: Path) -> dict[str, tuple[str, str]]:
    """Who wrote each entry of the bibliography, and when."""
    if not path.is_file():
        return {}
    found = {}
    for key, fields in _ENTRY.findall(path.read_text(encoding="utf-8")):
        names, year = (re.search(_FIELD.format(name), fields, re.MULTILINE) for name in ("author", "year"))
        authors = [_surname(name) for name in re.split(r"\s+and\s+", names[1])] if names else [key]
        who = (
            authors[0] if len(authors) == 1 else " and ".join(authors) if len(authors) == 2 else f"{authors[0]} et al."
        )
        found[key] = (who, year[1] if year else "")
    return found


def _surname(name: str) -> str:
    """The surname of Platt, John or of John Platt; a name in braces is one name."""
    if name.startswith("{"):
        return name.strip("{}")
    plain = re.sub(r"[{}]", "", name)
    return plain.partition(",")[0].strip() if "," in plain else plain.split()[-1]
