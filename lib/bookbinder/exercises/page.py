"""The exercises of a lesson on its page: prompt, what is given and stub in the open, hints and solution folded.

The cells that a reader should not see, those of checks and mutants, have no place here.
"""

import html
import re
from itertools import count

import nbformat
from nbformat import NotebookNode

from bookbinder.exercises.audit import listed
from bookbinder.exercises.source import Exercise
from bookbinder.manifest import Lesson

_NOTEBOOK = re.compile(r"\[([^\]]+)\]\(exercises\.ipynb\)")
_LEVELS = {1: "one star of three", 2: "two stars of three", 3: "three stars of three"}


def with_exercises(lesson: Lesson, cells: list[NotebookNode], exercises: list[Exercise]) -> list[NotebookNode]:
    """A lesson's cells with its exercises in place of the list that names them, under headings of the third level.

    Args:
        lesson: Whose cells they are.
        cells: Those of its notebook.
        exercises: Those of its chapter, from the executed notebook.
    """
    own = {listed(exercise): exercise for exercise in exercises if exercise.lesson == lesson.slug}
    download = (
        rf"{{download}}`\1 </downloads/{lesson.chapter}/exercises.ipynb>`"  # it is no page that a link could open
    )
    made, numbers = list[NotebookNode](), count(1)
    for cell in cells:
        if cell.cell_type != "markdown":
            made.append(cell)
            continue
        text = list[str]()
        for line in _NOTEBOOK.sub(download, cell.source).split("\n"):
            if line in own:
                made += [*_texts(text), *cells_of(own[line], next(numbers))]
                text = []
            else:
                text.append(line)
        made += _texts(text)
    for number, cell in enumerate(made):
        cell["id"] = f"cell-{number}"
    return made


def cells_of(exercise: Exercise, number: int) -> list[NotebookNode]:
    """One exercise as cells; each names the exercise in its metadata."""
    facts = f"{stars(len(exercise.stars))} · {exercise.minutes} minutes · `{exercise.id}`"
    heading = f"({exercise.id})=\n### Exercise {number}: {exercise.title}\n\n{{.exercise-facts}}\n{facts}"
    cells = [_text(heading), _text(exercise.prompt), *(_code(cell.source) for cell in exercise.of("given"))]
    if not exercise.written:
        cells.append(_code(exercise.stub))
    hints = exercise.texts("hint")
    for place, hint in enumerate(hints, start=1):
        cells += _folded(f"Hint {place} of {len(hints)}", "hint", [_text(hint)])
    if exercise.written:
        folds = {"A model answer": ("model", "show"), "What earns a point": ("rubric",)}
    else:
        folds = {"Solution": ("answer", "explain", "show")}
    for summary, roles in folds.items():
        cells += _folded(summary, "solution", [_shown(cell, exercise) for cell in exercise.of(*roles)])
    for cell in cells:
        cell.metadata["exercise"] = exercise.id
    return cells


def stars(level: int) -> str:
    """How hard an exercise is, from 1 to 3: in stars for the eye and in words for the ear."""
    return f'<span class="stars" role="img" aria-label="{_LEVELS[level]}">{"★" * level}</span>'


def _folded(summary: str, kind: str, cells: list[NotebookNode]) -> list[NotebookNode]:
    """Cells between the two halves of an element that is closed until somebody opens it; they stay cells."""
    begin = f'<details class="fold {kind}">\n<summary>{html.escape(summary)}</summary>'
    return [_text(begin), *cells, _text("</details>")]


def _shown(cell: NotebookNode, exercise: Exercise) -> NotebookNode:
    """A cell of a solution, with what it printed and drew, and without the marks around an answer."""
    if cell.cell_type == "markdown":
        return _text(cell.source)
    metadata = {key: value for key, value in cell.metadata.items() if key in ("mystnb", "tags")}
    source = exercise.solution if cell.metadata["role"] == "answer" else cell.source
    return _code(source, outputs=cell.outputs, metadata=metadata)


def _texts(lines: list[str]) -> list[NotebookNode]:
    text = "\n".join(lines).strip("\n")
    return [_text(text)] if text else []


def _text(source: str) -> NotebookNode:
    return nbformat.v4.new_markdown_cell(source)


def _code(source: str, **parts: object) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, **parts)
