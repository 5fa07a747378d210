"""The parts of the HTML book that nobody writes by hand: what is derived from the manifest, the report and the library.

All of it is MyST Markdown, which Sphinx reads together with the lessons.
"""

import ast
import json
import re
from pathlib import Path

from nbformat import NotebookNode

from bookbinder import report
from bookbinder.doctor import direct_requirements, installed_version
from bookbinder.exercises import audit
from bookbinder.exercises.page import stars
from bookbinder.exercises.source import Exercise
from bookbinder.manifest import Book, Chapter, Lesson, Sheet

PACKAGE = "mazelm"  # the library that the reference describes
Notebooks = dict[str, NotebookNode]  # by the lesson's id
_STATUS = """\
# Status

What each lesson cost when it was last run, in one thread on {machine}. A claim is a number that the text quotes, and
that is compared with the value that the notebook computed.

| lesson | seconds | peak memory, MB | notebook, kB | claims | last run |
| :-- | --: | --: | --: | --: | :-- |
{lessons}

## Budgets

A lesson that exceeds its budget does not pass `book check`.

| what | budget |
| :-- | :-- |
| compute of one lesson, in one thread | {compute} |
| peak memory | {memory} MB |
| a notebook with its outputs | {size} kB |

## Versions

The stored outputs and these pages were made with:

| package | version |
| :-- | :-- |
{versions}
"""
_EXERCISES = """\
# Exercises

{count} exercises{words}, each at the end of its lesson. Prompt, hints and solution stand on the page of
the lesson; hints and solutions are folded until you open them. Where an answer is code, the book checks it: it calls
your function and says what it was called with, what came back and what was expected.

## Work on them

In the folder of the book, after `source .venv/bin/activate`, this puts a notebook with the exercises of a chapter into
a folder of your own, `my-work`, and opens it:

```bash
book exercise start {first}
jupyter lab my-work/{first}/exercises.ipynb
```

Write your answer into its cell and run it. The cell below has three calls:

| in the notebook | in a terminal | what it does |
| :-- | :-- | :-- |
| `check("{one}")` | `book exercise check {one}` | check your answer |
| `hint("{one}")` | `book exercise hint {one}` | show the next hint, and those before it |
| `solution("{one}")` | `book exercise solution {one}` | show a solution, and why it works |

[Run it yourself](running.md) has the other commands, and says where your answers are kept.

## All exercises

One star ({levels[0]}) is a warm-up, two ({levels[1]}) take some thought, three ({levels[2]}) are a small project. The
minutes are a rough guess.

{lists}
## Why you can trust the checks

A check that accepts a wrong answer teaches it. So every check is itself examined, and this is the result for the
exercises that are answered in code:

- *Solution*: ours passes what readers run and what a teacher grades with, on random inputs drawn with {seeds} seeds.
- *Stub*: the empty function that you begin with passes neither of the two.
- *Trivial answers*: functions that always return the same value, or hand back what they were given, pass neither.
- *Mutants killed*: a mutant is a plausible wrong answer: a sign turned round, a case forgotten, off by one. The check
  that readers run rejects each of them, with every seed.

| exercise | solution | stub | trivial answers | mutants killed |
| :-- | :-- | :-- | :-- | :-- |
{rows}
"""
_TERM = re.compile(r"\n+(?!:)([^\n]+)\n(?=: )")
_DEFINITION = re.compile(r"^:[ \t]+(?:([^·\n]*[\u4e00-\u9fff][^·\n]*?)[ \t]*·)?", re.MULTILINE)


def generated(book: Book, notebooks: Notebooks, exercises: list[Exercise]) -> dict[str, str]:
    """Every page that is made from nothing else, and the settings that conf.py reads: names and texts."""
    tree = {f"{chapter.slug}/index.md": chapter_page(chapter, notebooks) for chapter in book.chapters}
    tree |= reference_pages(book)
    tree["status.md"] = status_page(book, notebooks)
    if exercises:
        tree["exercises.md"] = exercises_page(book, notebooks, exercises)
    numbers = {f"{chapter.slug}/index": [chapter.number] for chapter in book.chapters}
    numbers |= {lesson.id: [int(word) for word in lesson.number.split(".")] for lesson in book.lessons}
    settings = {"title": book.title, "authors": book.authors, "numbers": numbers}
    tree["book.json"] = json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
    return tree


def front_page(book: Book, notebooks: Notebooks, text: str) -> str:
    """The landing page, with the contents and the navigation in place of the lines `% contents` and `% navigation`."""
    contents, navigation = [], []
    for part in book.parts:
        navigation += toctree([f"{chapter.slug}/index" for chapter in part.chapters], part.title)
        contents += ["{.book-part}", part.title, ""]
        for chapter in part.chapters:
            contents += [f"### [{chapter.number} {chapter.title}]({chapter.slug}/index.md)", "", chapter.summary, ""]
            rows = [(_link(lesson, notebooks), _minutes(lesson, notebooks)) for lesson in chapter.lessons]
            contents += ["{.book-lessons}", *(f"- {link} [{minutes}]{{.quiet}}" for link, minutes in rows), ""]
    text = text.replace("\n% contents\n", "\n".join(["", *contents, ""]))
    return text.replace("\n% navigation\n", "\n".join(["", *navigation, ""]))


def chapter_page(chapter: Chapter, notebooks: Notebooks) -> str:
    """A chapter: what it is about, and its lessons with their objectives."""
    lines = [f"# {chapter.title}", "", chapter.summary, ""]
    for lesson in chapter.lessons:
        data = notebooks[lesson.id].metadata
        lines += [f"## {_link(lesson, notebooks, up='../')}", "", "{.quiet}", _minutes(lesson, notebooks), ""]
        lines += [f"- {objective}" for objective in data.get("objectives", [])] + [""]
    lines += toctree([lesson.slug for lesson in chapter.lessons])
    return "\n".join(lines)


def lesson_strip(book: Book, lesson: Lesson, notebooks: Notebooks) -> str:
    """What stands under a lesson's heading: what it takes, what it builds on, and what the reader can do afterwards."""
    data, figures = notebooks[lesson.id].metadata, report.load(book)["lessons"].get(lesson.id)
    facts = [_minutes(lesson, notebooks) + " of reading"]
    if figures:
        facts.append(f"the notebook runs in {figures['seconds']:.0f} s and takes {figures['memory_mb']} MB of memory")
    if data.get("gpu") is False:
        facts.append("runs without a GPU")
    known = {other.id: other for other in book.lessons}
    needed = [_link(known[name], notebooks, up="../") for name in data.get("prerequisites", []) if name in known]
    facts.append("builds on " + ", ".join(needed) if needed else "builds on no other lesson")
    source = f"/downloads/{lesson.id}"
    facts.append(f"download: {{download}}`notebook <{source}.ipynb>`, {{download}}`text <{source}.md>`")
    objectives = [f"- {objective}" for objective in data.get("objectives", [])]
    box = [":::{admonition} After this lesson you can", ":class: objectives", "", *objectives, ":::", ""]
    return "\n".join(["{.lesson-facts}", *(f"- {fact}" for fact in facts), "", *box])


def download_script(path: Path) -> str:
    """A file for download as a script: on a page that was opened as a file, browsers would show the file itself."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return f"bookDownload({json.dumps(path.name)}, {json.dumps(text)});\n"


def status_page(book: Book, notebooks: Notebooks) -> str:
    """What each lesson costs, what it may cost, and the versions behind the stored outputs."""
    found = report.load(book)
    columns = ("seconds", "memory_mb", "size_kb", "claims", "date")
    rows = []
    for lesson in book.sources:
        figures = found["lessons"].get(lesson.id, {})
        link = "[Exercises](exercises.md)" if isinstance(lesson, Sheet) else _link(lesson, notebooks)
        rows.append([link, *(str(figures.get(key, "–")) for key in columns)])
    site = {name: installed_version(name) or "–" for name in direct_requirements("site")}
    return _STATUS.format(
        machine=found["machine"] or "some machine",
        lessons="\n".join(f"| {' | '.join(row)} |" for row in rows),
        memory=report.BUDGET_MEMORY_MB,
        size=report.BUDGET_SIZE_KB,
        compute="{} s for most, {} s where learning needs it, {} s for a few trainings".format(*report.BUDGET_CPU_S),
        versions="\n".join(f"| {name} | {version} |" for name, version in {**found["versions"], **site}.items()),
    )


def exercises_page(book: Book, notebooks: Notebooks, exercises: list[Exercise]) -> str:
    """Every exercise with a link to its place, how to work on them, and what the audit of their checks came to."""
    lists = []
    for lesson in book.lessons:
        own = [one for one in exercises if (one.sheet.chapter, one.lesson) == (lesson.chapter, lesson.slug)]
        if own:
            lists += [
                f"### {_link(lesson, notebooks)}",
                "",
                "| exercise | stars | minutes | id |",
                "| :-- | :-- | --: | :-- |",
            ]
            lists += [
                f"| [{one.title}](#{one.id}) | {stars(len(one.stars))} | {one.minutes} | `{one.id}` |" for one in own
            ] + [""]
    found = {row["id"]: audit.shown(audit.Row(**row)) for row in audit.load(book)["rows"]}
    words = sum(one.written for one in exercises)
    return _EXERCISES.format(
        count=len(exercises),
        words=f", {words} of them answered in words" if words else "",
        first=exercises[0].sheet.chapter,
        one=next((one for one in exercises if not one.written), exercises[0]).id,
        lists="\n".join(lists),
        seeds=len(audit.SEEDS),
        levels=[stars(level) for level in (1, 2, 3)],
        rows="\n".join(
            f"| [{one.title}](#{one.id}) | {' | '.join(found.get(one.id, '––––'))} |"
            for one in exercises
            if not one.written
        ),
    )


def reference_pages(book: Book) -> dict[str, str]:
    """The reference of the library: a page for each module, and one that lists them in the order of the book."""
    library = book.root / "lib" / PACKAGE
    packages = [library / name for name in ("common", *(name for one in book.chapters for name in one.packages))]
    lines, names, tree = [f"# The library {PACKAGE}", "", _docstring(library / "__init__.py"), ""], [], {}
    for package in [*packages, *sorted(path.parent for path in (book.root / "envs").glob("*/__init__.py"))]:
        root = package.parents[1] if package.is_relative_to(library) else package.parent
        modules = sorted(
            path for path in package.rglob("*.py") if path.stem != "__init__" or "\ndef " in path.read_text()
        )
        if modules:
            lines += [f"## {_dotted(package, root)}", "", _docstring(package / "__init__.py"), ""]
        for path in modules:
            name = _dotted(path.with_suffix("") if path.stem != "__init__" else path.parent, root)
            names.append(f"{name.removeprefix(f'{PACKAGE}.')} <{name}>")
            lines += [f"[`{name}`]({name}.rst)", f": {_docstring(path)}", ""]
            tree[f"reference/{name}.rst"] = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n   :members:\n"
    tree["reference/index.md"] = "\n".join(lines + toctree(names))
    return tree


def glossary(text: str) -> str:
    """The glossary in the form that Sphinx reads, with the Chinese terms marked as Chinese for fonts and for voices."""
    text = _TERM.sub(r"\n\n\1\n", text)
    return _DEFINITION.sub(lambda match: f"  [{match[1]}]{{.zh .language-zh-Hans}}" if match[1] else "  ", text)


def toctree(names: list[str], caption: str = "") -> list[str]:
    """The lines of a hidden table of contents."""
    heading = [f":caption: {caption}"] if caption else []
    return ["```{toctree}", ":hidden:", *heading, "", *names, "```", ""] if names else []


def _link(lesson: Lesson, notebooks: Notebooks, up: str = "") -> str:
    """A numbered link to a lesson, from the top or, with `../`, from a chapter's folder."""
    return f"[{lesson.number} {notebooks[lesson.id].metadata.get('title', lesson.slug)}]({up}{lesson.id}.ipynb)"


def _minutes(lesson: Lesson, notebooks: Notebooks) -> str:
    return f"{notebooks[lesson.id].metadata.get('minutes', '–')} minutes"


def _docstring(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
    return " ".join((text or "").partition("\n\n")[0].split())


def _dotted(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).parts)
