"""A chapter's exercises as an assignment for nbgrader, in the folder of a teacher's course.

    nbgrader_config.py               made once, then the teacher's own
    source/01-metrics/exercises.ipynb    with the solutions, from which nbgrader makes the students' version
    rubrics/01-metrics.md            model answers and what earns a point; nbgrader hands out nothing that lies here

Each coded exercise is worth its stars twice, once for the check that students see and once for the hidden one; each
written one is worth its stars, given by hand.
"""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from bookbinder.errors import UsageError
from bookbinder.exercises.reader import ANSWER_HERE, cells_of, dumped
from bookbinder.exercises.source import STUB, Exercise, read
from bookbinder.exercises.wording import readable
from bookbinder.files import write_text
from bookbinder.manifest import Book, Sheet
from bookbinder.pairing import KERNEL, LANGUAGE, read_text

CONFIG = """\
# What nbgrader does in this folder. It needs no network; the gradebook is the file gradebook.db, here.
c = get_config()
c.CourseDirectory.course_id = {course}
c.ExecutePreprocessor.timeout = 120  # seconds for one cell; a check stops by itself long before
c.ClearSolutions.code_stub = {{"python": {code}}}
c.ClearSolutions.text_stub = {text}
"""
INTRODUCTION = """{heading}

Write your answers into the cells that wait for them. `grade`, in the cell below an answer, calls your function and says
what it was called with, what came back and what was expected. It looks only at cells that you have run. Where nothing
is said, nothing was wrong. A further check waits for the day of grading. Answers in words are read by a person."""
LATER = "# Here another check is made when this is graded."
_GRADE = "from bookbinder.exercises.grading import grade"


def export(book: Book, sheet: Sheet, to: Path) -> list[Path]:
    """Write an assignment into the folder of a course and return the files that are new.

    Raises:
        UsageError: The assignment is there already and says something else: a teacher may have changed it.
    """
    files = {
        to / "source" / sheet.chapter / "exercises.ipynb": dumped(assignment(sheet)),
        to / "rubrics" / f"{sheet.chapter}.md": rubrics(sheet),
    }
    for path, text in files.items():
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise UsageError(f"{path} is there already, and differs. Try: move it away, or another folder with --to")
    config = to / "nbgrader_config.py"
    if not config.exists():
        course = re.sub(r"[^a-z0-9]+", "-", book.title.lower()).strip("-")
        values = {"course": course, "code": f"# your code here\n{STUB}", "text": ANSWER_HERE}
        files[config] = CONFIG.format_map({name: json.dumps(value) for name, value in values.items()})
    return [path for path, text in files.items() if write_text(path, text)]


def assignment(sheet: Sheet) -> NotebookNode:
    """The notebook from which nbgrader makes the students' version and knows how many points there are."""
    exercises = read(sheet)
    made = [
        _cell("markdown", INTRODUCTION.format(heading=_heading(sheet)), "introduction"),
        _cell("code", f"{exercises[0].setup}\n\n{_GRADE}".lstrip(), "setup"),
        *(cell for exercise in exercises for cell in _cells(exercise)),
    ]
    metadata = {"kernelspec": dict(KERNEL), "language_info": dict(LANGUAGE)}
    return nbformat.v4.new_notebook(cells=made, metadata=metadata, nbformat_minor=5)


def rubrics(sheet: Sheet) -> str:
    """What a teacher reads beside the answers in words."""
    parts = [
        f"{_heading(sheet)}, the answers in words",
        "For the teacher. In the gradebook an answer is worth as many points as its exercise has stars. Where the "
        "points of a list below add up to another sum, scale them.",
    ]
    for exercise in read(sheet):
        if exercise.written:
            parts += [f"## {exercise.title}", f"`{exercise.name}-answer` in the gradebook, {exercise.stars}"]
            parts += ["### A model answer", *exercise.texts("model")]
            parts += ["### What earns a point", *exercise.texts("rubric")]
    return readable("\n\n".join(parts), sheet.root) + "\n"


def _cells(exercise: Exercise) -> list[NotebookNode]:
    """An exercise: what is asked and given, a place for the answer, and what earns the points."""
    name, points = exercise.name, len(exercise.stars)
    shown = [cell for cell in cells_of(exercise) if cell.metadata.exercise.role in ("prompt", "given")]
    cells = [_cell(cell.cell_type, cell.source, f"{name}-{i}") for i, cell in enumerate(shown, start=1)]
    if exercise.written:
        return [*cells, _cell("markdown", ANSWER_HERE, f"{name}-answer", solution=True, points=points)]
    call = f'grade("{exercise.id}", hidden=True)'
    hidden = f"{LATER}\n### BEGIN HIDDEN TESTS\n{call}\n### END HIDDEN TESTS"
    return [
        *cells,
        _cell("code", "\n\n".join(exercise.texts("answer")), f"{name}-answer", solution=True),
        _cell("code", f'grade("{exercise.id}")', f"{name}-check", points=points),
        _cell("code", hidden, f"{name}-hidden", points=points),
    ]


def _cell(kind: str, source: str, name: str, *, solution: bool = False, points: int = 0) -> NotebookNode:
    """A cell that nbgrader knows by its name; one that is no answer is put back as it was before anything is graded."""
    facts: dict[str, Any] = {"schema_version": 3, "grade_id": name, "cell_type": kind, "task": False}
    facts |= {"solution": solution, "grade": points > 0, "locked": not solution}
    facts |= {"points": points} if points else {}
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}[kind]
    return make(source, id=name, metadata={"nbgrader": facts})


def _heading(sheet: Sheet) -> str:
    """The first line of the chapter's exercises, such as "# Exercises: metrics"."""
    return next(cell for cell in read_text(sheet).cells if cell.cell_type == "markdown").source.splitlines()[0]
