"""What `book check` proves of each lesson, one function for each promise that the book makes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from nbformat import NotebookNode

from bookbinder import report
from bookbinder.claims import compare, prose
from bookbinder.errors import BookError, Problem, relative
from bookbinder.exercises import audit, reader
from bookbinder.imports import notebook_imports
from bookbinder.manifest import Book, Lesson, Sheet
from bookbinder.pairing import State, as_text, line_of, read_notebook, read_text, state
from bookbinder.running import is_fresh

MAX_CELL_LINES = 24
_CITE = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
_TERM = re.compile(r"\{term\}`(?:[^`<]*<([^>`]+)>|([^`]+))`")
_LABEL = re.compile(r"^\$\$ \((eq-[a-z0-9-]+)\)\s*$")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)")
_REMOTE = re.compile(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|url\(\s*["']?(?:https?:)?//""", re.IGNORECASE)
_PLACE = re.compile(r"/(?:home|root|tmp|Users|usr|opt)/|0x[0-9a-f]{6,}")


@dataclass(frozen=True)
class Source:
    """A lesson read once, for all the checks."""

    book: Book
    lesson: Lesson

    @property
    def where(self) -> str:
        """The text source, as messages name it."""
        return relative(self.lesson.text, self.book.root)

    @cached_property
    def text(self) -> str:
        """The text source."""
        return self.lesson.text.read_text(encoding="utf-8")

    @cached_property
    def notebook(self) -> NotebookNode:
        """The executed notebook."""
        return read_notebook(self.lesson)

    @cached_property
    def code_cells(self) -> list[NotebookNode]:
        """Its code cells."""
        return [cell for cell in self.notebook.cells if cell.cell_type == "code" and cell.source]

    def problem(self, line: int, what: str, attempt: str) -> Problem:
        """A problem in this lesson."""
        return Problem(self.where, line, what, attempt)

    def at(self, cell: NotebookNode, what: str, attempt: str) -> Problem:
        """A problem in one of its cells."""
        return self.problem(line_of(self.lesson, cell.source), what, attempt)


def check_book(book: Book, lessons: tuple[Lesson, ...]) -> list[Problem]:
    """Everything that is wrong with these lessons, and with the files around them."""
    problems = list(unlisted_files(book))
    for lesson in lessons:
        try:
            source = Source(book, lesson)
            paired = list(pair_agrees(source))
            problems += paired
            if not paired:
                checks = OF_EXERCISES if isinstance(lesson, Sheet) else OF_LESSONS
                problems += [problem for check in checks for problem in check(source)]
        except BookError as error:
            problems.append(Problem(relative(lesson.text, book.root), 0, str(error), f"book run {lesson.id}"))
    return sorted(problems)


def unlisted_files(book: Book) -> Iterator[Problem]:
    """Texts and notebooks that book.toml does not name would be read by nobody."""
    known = {path for source in book.sources for path in (source.text, source.notebook)}
    known |= {sheet.for_readers for sheet in book.sheets}
    folders = ("chapters/*/*.md", "notebooks/*/*.ipynb", "exercises/*.md", "exercises/*.ipynb")
    for path in [path for folder in folders for path in book.root.glob(folder)]:
        if path not in known:
            attempt = "add the lesson or the chapter to book.toml, or delete the file"
            yield Problem(relative(path, book.root), 0, "it belongs to nothing that book.toml lists", attempt)


def pair_agrees(source: Source) -> Iterator[Problem]:
    """Text and notebook say the same, and the text is in its normal form."""
    lesson = source.lesson
    found = state(lesson)
    if found is not State.AGREE:
        attempt = f"book sync {lesson.id}" if found is not State.NO_NOTEBOOK else f"book run {lesson.id}"
        yield source.problem(0, f"text and notebook disagree ({found})", attempt)
    elif source.text != as_text(read_text(lesson)):
        yield source.problem(0, "the text is not in its normal form", f"book sync {lesson.id}")


def outputs_are_fresh(source: Source) -> Iterator[Problem]:
    """The stored outputs are those of the present code."""
    if not is_fresh(source.lesson):
        attempt = f"book run {source.lesson.id}"
        yield source.problem(0, "the stored outputs are older than the lesson's code or the library's", attempt)


def front_matter(source: Source) -> Iterator[Problem]:
    """Title, objectives, minutes, prerequisites and gpu are there and make sense."""
    data = source.notebook.metadata
    heading = next((line[2:] for _, line in prose(source.text) if line.startswith("# ")), None)
    objectives, minutes, budget = data.get("objectives"), data.get("minutes"), data.get("budget_s", 8)
    if not data.get("title") or data["title"] != heading:
        yield source.problem(1, f"title {data.get('title')!r} is not the first heading {heading!r}", "make them equal")
    if not (isinstance(objectives, list) and 3 <= len(objectives) <= 5 and all(isinstance(o, str) for o in objectives)):
        yield source.problem(1, f"objectives must be three to five sentences, got {objectives!r}", "list them")
    if not (isinstance(minutes, int) and 1 <= minutes <= 120):
        yield source.problem(
            1, f"minutes must be a whole number from 1 to 120, got {minutes!r}", "estimate the reading"
        )
    if data.get("gpu") is not False:
        yield source.problem(1, f"gpu must be false, got {data.get('gpu')!r}", "every lesson runs without one")
    if budget not in report.BUDGET_CPU_S:
        yield source.problem(1, f"budget_s must be one of {report.BUDGET_CPU_S}, got {budget!r}", "leave it out for 8")
    order = [lesson.id for lesson in source.book.lessons]
    for name in data.get("prerequisites", ["missing"]):
        if name not in order[: order.index(source.lesson.id)]:
            yield source.problem(1, f"prerequisite {name!r} is no earlier lesson", f"use one of {order}, or []")


def figures_have_alt_text(source: Source) -> Iterator[Problem]:
    """Whoever cannot see a figure is told what it shows."""
    for cell in source.code_cells:
        pictures = sum("image/png" in o.get("data", {}) or "image/svg+xml" in o.get("data", {}) for o in cell.outputs)
        extra = cell.metadata.get("mystnb", {})
        attempt = "add mystnb: figure: caption and image: alt to the cell's header"
        if pictures and not str(extra.get("image", {}).get("alt", "")).strip():
            yield source.at(cell, "a figure without alternative text", attempt)
        if pictures and not str(extra.get("figure", {}).get("caption", "")).strip():
            yield source.at(cell, "a figure without a caption", attempt)
        if pictures > 1:
            yield source.at(cell, f"{pictures} figures in one cell share one caption", "split the cell")
    for number, line in prose(source.text):
        for alt, _ in _IMAGE.findall(line):
            if not alt.strip():
                yield source.problem(number, "an image without alternative text", "![what it shows](file)")


def no_network(source: Source) -> Iterator[Problem]:
    """Nothing on the page is fetched from elsewhere; only a link may point there."""
    for number, line in prose(source.text):
        for _, target in _IMAGE.findall(line):
            if re.match(r"(https?:)?//", target):
                yield source.problem(number, f"the image {target} comes from the network", "keep it beside the lesson")
    for cell in source.code_cells:
        for output in cell.outputs:
            shown = [str(v) for kind, v in output.get("data", {}).items() if kind in ("text/html", "image/svg+xml")]
            if any(_REMOTE.search(text) for text in shown):
                yield source.at(cell, "an output that would fetch something", "write the output without it")


def cells_are_short(source: Source) -> Iterator[Problem]:
    """A cell does one thing."""
    for cell in source.code_cells:
        lines = cell.source.count("\n") + 1
        if lines > MAX_CELL_LINES:
            attempt = "split the cell, or move what is not the lesson's idea into the library"
            yield source.at(cell, f"a cell of {lines} lines (at most {MAX_CELL_LINES})", attempt)


def outputs_are_clean(source: Source) -> Iterator[Problem]:
    """No traceback, no warning, nothing that another machine would print differently."""
    texts = []
    for cell in source.code_cells:
        for output in cell.outputs:
            text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
            texts.append(text)
            if output.output_type == "error":
                attempt = "repair the cell; an error shown on purpose is caught and its message printed"
                yield source.at(cell, f"a traceback in the output ({output.get('ename')})", attempt)
            elif output.get("name") == "stderr":
                yield source.at(cell, f"a warning in the output: {text.strip()[:80]!r}", "remove its cause")
            elif found := _PLACE.search(text):
                yield source.at(
                    cell, f"the output holds {found[0]!r}, which differs by machine", "print something else"
                )
    if not any(text.strip() and not text.startswith("<Figure") for text in texts):
        yield source.problem(0, "no printed output that a later run could be compared with", "print a result")


def within_budget(source: Source) -> Iterator[Problem]:
    """Size, time and memory of the lesson stay within what a reader's laptop has."""
    entry = report.load(source.book)["lessons"].get(source.lesson.id)
    if entry is None:
        yield source.problem(0, "notebooks/report.json has no entry for it", f"book run --force {source.lesson.id}")
        return
    budget = source.notebook.metadata.get("budget_s", 8)
    if entry["cpu_seconds"] > budget:
        yield source.problem(0, f"{entry['cpu_seconds']} s of compute (budget {budget})", "make the experiment smaller")
    if entry["memory_mb"] > report.BUDGET_MEMORY_MB:
        yield source.problem(0, f"{entry['memory_mb']} MB (budget {report.BUDGET_MEMORY_MB})", "keep fewer arrays")
    size = source.lesson.notebook.stat().st_size / 1000
    if size > report.BUDGET_SIZE_KB:
        attempt = "draw fewer or smaller figures"
        yield source.problem(0, f"the notebook has {size:.0f} kB (budget {report.BUDGET_SIZE_KB})", attempt)


def imports_are_earlier(source: Source) -> Iterator[Problem]:
    """A lesson uses the library of its own and earlier chapters only, and none of the machinery."""
    chapters = source.book.chapters
    position = next(i for i, chapter in enumerate(chapters) if chapter.slug == source.lesson.chapter)
    allowed = {"common"} | {name for chapter in chapters[: position + 1] for name in chapter.packages}
    for name in sorted(notebook_imports(source.notebook)):
        words = name.split(".")
        if words[0] == "bookbinder" and not isinstance(source.lesson, Sheet):
            yield source.problem(line_of(source.lesson, name), f"imports {name}", "lessons use mazelm and mazes only")
        if words[0] == "mazelm" and len(words) > 1 and words[1] not in allowed:
            what = f"imports {name}, which a later chapter introduces"
            yield source.problem(line_of(source.lesson, name), what, f"use one of {sorted(allowed)}")


def references_resolve(source: Source) -> Iterator[Problem]:
    """Every citation is in the bibliography and every term in the glossary."""
    root = source.book.root
    cited, terms = bibliography(root), glossary(root)
    for number, line in prose(source.text):
        for keys in _CITE.findall(line):
            for key in re.split(r"\s*,\s*", keys):
                if key not in cited:
                    yield source.problem(number, f"the citation {key!r} is unknown", "add it to site/references.bib")
        for named, plain in _TERM.findall(line):
            if (named or plain).lower() not in terms:
                what = f"the term {(named or plain)!r} is not in the glossary"
                yield source.problem(number, what, "add it to site/glossary.md, with the Chinese term")


def equations_are_tested(source: Source) -> Iterator[Problem]:
    """A labelled equation has a test of the same name."""
    tests = "\n".join(path.read_text(encoding="utf-8") for path in source.book.root.glob("tests/**/test_*.py"))
    for number, line in enumerate(source.text.splitlines(), start=1):
        label = _LABEL.match(line)
        if label and not re.search(rf"def test_{label[1].replace('-', '_')}\b", tests):
            name = f"test_{label[1].replace('-', '_')}"
            yield source.problem(number, f"the equation {label[1]} has no test", f"write {name} under tests/mazelm")


def claims_hold(source: Source) -> Iterator[Problem]:
    """Every number in the text is the one that the notebook computed."""
    yield from compare(source.lesson)[1]


def exercises_are_current(source: Source) -> Iterator[Problem]:
    """What is derived from the exercises is theirs: the notebook for readers, and the result of the audit."""
    sheet = source.lesson
    assert isinstance(sheet, Sheet)
    path = sheet.for_readers
    if not path.is_file() or path.read_text(encoding="utf-8") != reader.dumped(reader.notebook_of(sheet)):
        where = relative(path, source.book.root)
        yield Problem(where, 0, "the readers' notebook is not what the exercises give", f"book sync {sheet.id}")
    if audit.load(source.book)["digest"] != audit.state(source.book):
        yield source.problem(0, "exercises or library have changed since the audit", "book exercise audit")


OF_EXERCISES: tuple[Callable[[Source], Iterator[Problem]], ...] = (
    outputs_are_fresh,
    figures_have_alt_text,
    no_network,
    cells_are_short,
    outputs_are_clean,
    within_budget,
    imports_are_earlier,
    references_resolve,
    equations_are_tested,
    claims_hold,
    exercises_are_current,
)
OF_LESSONS = (front_matter, *(check for check in OF_EXERCISES if check is not exercises_are_current))


def bibliography(root: Path) -> set[str]:
    """The keys of site/references.bib."""
    path = root / "site" / "references.bib"
    return set(re.findall(r"^@\w+\{([^,\s]+),", path.read_text(encoding="utf-8"), re.MULTILINE))


def glossary(root: Path) -> set[str]:
    """The terms of site/glossary.md, in lower case."""
    lines = (root / "site" / "glossary.md").read_text(encoding="utf-8").splitlines()
    return {
        line.strip().lower()
        for line, after in pairwise(lines)
        if after.startswith(":") and not after.startswith(":::") and line.strip()
    }
