"""Every number in the text stands for a value that the notebook computed: read both, and compare.

In the text, a number is followed by a comment that names its value: `0.969 <!-- = macro_f1 -->`, or with a tolerance,
`12 <!-- = steps ± 3 -->`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bookbinder.errors import Problem, relative
from bookbinder.manifest import Lesson, Sheet
from bookbinder.pairing import read_notebook

_COMMENT = re.compile(r"<!--\s*=\s*(?P<name>\w+)\s*(?:±\s*(?P<tolerance>[0-9.,]+(?:e[-+]?\d+)?)\s*)?-->")
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)%])[-−])?(?P<digits>\d{1,3}(?:[,\u202f]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<percent>\s?\\?%)?[\s*_$)\]}|]*$"
)
_ANY_COMMENT = re.compile(r"[ \t]*<!--\s*=.*?-->")
_GAP = re.compile(r"\s<!--\s*=[^>]*-->([.,;:)?!])")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_FREE = re.compile(r"`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]*>|\{[^}]*\}", re.DOTALL)
_DECIMAL = re.compile(r"(?<![\w.:])\d+\.\d+(?![\w:]|\.\d)")
_ROLE = re.compile(r'"role": "(\w+)"')
_NAMED = re.compile(r"(?:chapters?|sections?|lessons?|versions?|figures?|equations?|Python|part|§)\s+$", re.IGNORECASE)


@dataclass(frozen=True)
class Quote:
    """A number in the text and the name of the value it stands for."""

    line: int
    shown: str
    value: float
    decimals: int
    name: str
    tolerance: float | None


def without_claims(text: str) -> str:
    """A text as readers see it: without the names behind its numbers."""
    return _ANY_COMMENT.sub("", text)


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines of a lesson's text outside its header and its fenced code; 1 is the first."""
    fence, header = "", text.startswith("---\n")
    for number, line in enumerate(text.splitlines(), start=1):
        if header:
            header = number == 1 or line != "---"
            continue
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        elif not fence:
            yield number, line


def quotes(lesson: Lesson) -> tuple[list[Quote], list[Problem]]:
    """The bound numbers of a lesson, and the comments that bind nothing."""
    where = relative(lesson.text, lesson.root)
    found, problems = [], []
    for number, line in prose(lesson.text.read_text(encoding="utf-8")):
        if line.lstrip().startswith("<!-- ="):
            what = "a claim begins the line, which Markdown takes for the start of a new block"
            problems.append(Problem(where, number, what, "keep the comment on the line of its number"))
            continue
        if gap := _GAP.search(line):
            what = f"in a notebook a space would stand before the {gap[1]!r} that follows a claim"
            problems.append(Problem(where, number, what, "write the comment right behind the number, without a space"))
        for comment in _COMMENT.finditer(line):
            before = _NUMBER.search(line[: comment.start()])
            if before is None:
                what = f"no number stands before the claim {comment['name']!r}"
                problems.append(Problem(where, number, what, f"write it as 0.5 <!-- = {comment['name']} -->"))
            else:
                found.append(_quote(number, before, comment))
    return found, problems


def compare(lesson: Lesson) -> tuple[int, list[Problem]]:
    """How many numbers of a lesson are bound, and everything that is wrong with them."""
    where = relative(lesson.text, lesson.root)
    recorded = read_notebook(lesson).metadata.get("book", {}).get("claims", {})
    found, problems = quotes(lesson)
    for quote in found:
        if quote.name not in recorded:
            near = f"known: {', '.join(recorded) or 'none'}"
            attempt = f"add claim({quote.name!r}, …) to a cell and run it"
            problems.append(Problem(where, quote.line, f"no cell records {quote.name!r} ({near})", attempt))
        elif not _agrees(quote, recorded[quote.name]):
            what = f"the text says {quote.shown}, the notebook computed {quote.name} = {recorded[quote.name]:.6g}"
            problems.append(Problem(where, quote.line, what, "correct the text, or find out why the value moved"))
    for name in recorded:
        if name not in {quote.name for quote in found}:
            problems.append(Problem(where, 0, f"the claim {name!r} is never quoted", "quote it, or drop it"))
    return len(found), problems + _unbound(lesson, where)


def _quote(line: int, number: re.Match, comment: re.Match) -> Quote:
    digits = number["digits"].replace(",", "").replace("\u202f", "")
    decimals = len(digits.partition(".")[2])
    value = -float(digits) if number["sign"] else float(digits)
    if number["percent"]:
        value, decimals = value / 100, decimals + 2
    tolerance = float(comment["tolerance"].replace(",", "")) if comment["tolerance"] else None
    shown = number[0].strip(" *_$)]}|")
    return Quote(line, shown, value, decimals, comment["name"], tolerance)


def _agrees(quote: Quote, recorded: float) -> bool:
    """Within the stated tolerance or, without one, equal when rounded as printed."""
    allowed = quote.tolerance if quote.tolerance is not None else 0.5 * 10.0**-quote.decimals
    return abs(recorded - quote.value) <= allowed * (1 + 1e-9)


def _unbound(lesson: Lesson, where: str) -> list[Problem]:
    """Decimal numbers in running text that neither a claim nor a citation in their paragraph stands behind."""
    problems: list[Problem] = []
    lines = prose(lesson.text.read_text(encoding="utf-8"))
    for block in _paragraphs(_of_results(lines) if isinstance(lesson, Sheet) else lines):
        text = "\n".join(line for _, line in block)
        if "{cite" in text or text.startswith("#"):
            continue
        blanked = _FREE.sub(_blank, text)
        for match in _DECIMAL.finditer(blanked):
            bound = re.match(r"\s?\\?%?[\s*_)\]|]*<!--\s*=", blanked[match.end() :])
            if not bound and not _NAMED.search(blanked[: match.start()]):
                line = block[0][0] + blanked.count("\n", 0, match.start())
                attempt = f"{match[0]} <!-- = name --> with claim(name, …) in a cell, or a citation"
                problems.append(Problem(where, line, f"the number {match[0]} is bound to nothing", attempt))
    return problems


def _of_results(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines of a chapter's exercises that speak of results. The others set a task, and its numbers with it."""
    role = ""
    for number, line in lines:
        if line.startswith("+++"):
            found = _ROLE.search(line)
            role = found[1] if found else ""
        elif role in ("explain", "model"):
            yield number, line


def _blank(match: re.Match) -> str:
    """Spaces in place of what is no running text; of a claim only its beginning stays, to bind the number before it."""
    kept = "<!-- =" if _COMMENT.match(match[0]) else ""
    return kept + re.sub(r"[^\n]", " ", match[0][len(kept) :])


def _paragraphs(lines: Iterator[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Runs of lines without an empty one between them."""
    block: list[tuple[int, str]] = []
    for number, line in lines:
        if block and (not line.strip() or number != block[-1][0] + 1):
            yield block
            block = []
        if line.strip():
            block.append((number, line))
    if block:
        yield block
