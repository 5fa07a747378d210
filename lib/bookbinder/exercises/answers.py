"""What the `book exercise` commands do with a reader's answers: check them, give hints, show solutions, keep count."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nbformat import NotebookNode

from bookbinder.errors import UsageError, relative
from bookbinder.exercises import cells
from bookbinder.exercises.checking import Verdict, judge
from bookbinder.exercises.reader import Work, require_started
from bookbinder.exercises.source import Exercise, find, read
from bookbinder.exercises.wording import readable
from bookbinder.manifest import Book


def select(book: Book, names: list[str]) -> list[Exercise]:
    """The exercises of these chapters, then those of these ids, each once; no name means all."""
    ids = [name for name in names if "." in name]
    chapters = [name for name in names if "." not in name]
    sheets = book.select_sheets(chapters) if chapters or not ids else ()
    found = [exercise for sheet in sheets for exercise in read(sheet)]
    found += [find(book, name) for name in ids]
    return list({exercise.id: exercise for exercise in found}.values())


def check(book: Book, names: list[str], *, hidden: bool, history: list[str] | None) -> list[Verdict]:
    """Check the answers to some exercises and note the results in the reader's folder.

    Args:
        book: The manifest.
        names: Ids, chapters and files. Without a file, the notebooks in the reader's folder are read; without an id or
            a chapter, every exercise that a file has an answer to.
        hidden: Let the hidden checks look at them as well. Then nothing is noted: a teacher is at work.
        history: The cells that a kernel has executed, to be read instead of a file.

    Raises:
        UsageError: A name is nothing of that, or there is nothing to check.
        CheckFailed: What is known of the reader's progress is damaged.
    """
    files = [Path(name) for name in names if _is_file(name)]
    names = [name for name in names if not _is_file(name)]
    work, verdicts = Work(book), list[Verdict]()
    work.progress()  # a damaged file is told before anyone has waited for a check
    for exercise, code in _answers(book, work, names, files, history):
        verdict = judge(exercise, code)
        if hidden and verdict.result == "right":
            seen, verdict = verdict, judge(exercise, code, part="hidden")
            verdict = replace(verdict, calls=seen.calls + verdict.calls)
        verdicts.append(verdict)
        if not hidden and verdict.result != "missing":
            entry = work.of(exercise)
            work.note(exercise, tries=entry.tries + 1, right=entry.right or verdict.result == "right")
    if not verdicts:
        where = ", ".join(path.name for path in files) or relative(work.folder, book.root)
        raise UsageError(f"there is no answer to check in {where}. Try: book exercise start, or name an exercise")
    return verdicts


def next_hint(book: Book, name: str) -> str:
    """The hints for an exercise up to the next one that was not read yet, as Markdown."""
    exercise, work = find(book, name), Work(book)
    hints = exercise.texts("hint")
    if not hints:
        return f"There is no hint for {name}. Its solution: `book exercise solution {name}`"
    seen = work.note(exercise, hints=min(work.of(exercise).hints + 1, len(hints))).hints
    shown = [f"**Hint {number} of {len(hints)}.** {text}" for number, text in enumerate(hints[:seen], start=1)]
    if seen == len(hints):
        shown.append(f"That is the last one. The solution: `book exercise solution {name}`")
    return readable("\n\n".join(shown), book.root)


def solution(book: Book, name: str, *, figures: bool = False) -> str:
    """The solution of an exercise, why it works and what was measured with it, as Markdown.

    For a written one it is the model answer and the rubric.

    Args:
        book: The manifest.
        name: The exercise's id.
        figures: Put the figures in; else their descriptions stand there.
    """
    exercise = find(book, name)
    Work(book).note(exercise, solution=True)
    experiment = [part for cell in _executed(exercise).of("show") for part in _shown(cell, figures)]
    if exercise.written:
        parts = ["**A model answer**", *exercise.texts("model"), *experiment]
        parts += ["**What earns a point**", *exercise.texts("rubric")]
    else:
        parts = [f"```python\n{exercise.solution}\n```", *exercise.texts("explain"), *experiment]
    return readable("\n\n".join(parts), book.root)


def _executed(exercise: Exercise) -> Exercise:
    """The exercise with the outputs of its cells, where it was run."""
    if not exercise.sheet.notebook.is_file():
        return exercise
    return next((run for run in read(exercise.sheet, executed=True) if run.id == exercise.id), exercise)


def _shown(cell: NotebookNode, figures: bool) -> Iterator[str]:
    """A cell with what it printed and drew, as Markdown."""
    yield f"```python\n{cell.source}\n```"
    about = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "a figure")
    for output in cell.get("outputs", []):
        if image := output.get("data", {}).get("image/png"):
            yield f"![{about}](data:image/png;base64,{''.join(image.split())})" if figures else f"[Figure: {about}]"
        elif text := output.get("text", ""):
            yield f"```\n{text.rstrip()}\n```"


def _is_file(name: str) -> bool:
    return Path(name).suffix in (".ipynb", ".py") or Path(name).is_file()


def _answers(
    book: Book, work: Work, names: list[str], files: list[Path], history: list[str] | None
) -> Iterator[tuple[Exercise, list[cells.Cell]]]:
    """Each exercise that is to be checked, with the cells to find its answer in."""
    chosen = select(book, names)
    for exercise in chosen:
        if exercise.written and names and exercise.id in names:
            raise UsageError(
                f"{exercise.id} is answered in words. Try: compare yours with book exercise solution {exercise.id}"
            )
    coded = [exercise for exercise in chosen if not exercise.written]
    if history is not None:
        yield from ((exercise, cells.from_history(history)) for exercise in coded)
    elif files:
        code = [cell for path in files for cell in cells.from_file(path)]
        defined = set[str]().union(*(cell.names()[0] for cell in code))
        yield from ((exercise, code) for exercise in coded if names or exercise.name in defined)
    else:
        started = [sheet for sheet in book.sheets if work.notebook(sheet).is_file()]
        for exercise in coded:
            if names or exercise.sheet in started:
                yield exercise, cells.from_file(require_started(work.notebook(exercise.sheet), book))
