"""`book exercise …` and `book course …`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from bookbinder.errors import CheckFailed, relative
from bookbinder.manifest import load_book
from bookbinder.terminal import AsJson, conclude, out, table

exercise = typer.Typer(no_args_is_help=True, add_completion=False, help="Answer exercises and have them checked.")
course = typer.Typer(no_args_is_help=True, add_completion=False, help="Make assignments for a course.")
Chapters = Annotated[list[str] | None, typer.Argument(metavar="CHAPTER", help="Such as 01 or metrics; none: all")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Such as metrics.auc_by_counting")]


@exercise.command("list")
def list_exercises(chapters: Chapters = None, as_json: AsJson = False) -> None:
    """The exercises, with how hard they are and how long they take."""
    from bookbinder.exercises.source import read

    book = load_book()
    found = [one for sheet in book.select_sheets(chapters or []) for one in read(sheet)]
    if as_json:
        keys = ("id", "title", "lesson", "stars", "minutes", "written")
        out.print_json(json.dumps([{key: getattr(one, key) for key in keys} for one in found]))
        return
    for one in found:
        kind = ", in words" if one.written else ""
        out.print(f"{one.stars:<3}  {one.minutes:>3} min  {one.id}  {one.title}{kind}", markup=False)


@exercise.command()
def start(chapters: Annotated[list[str], typer.Argument(metavar="CHAPTER")]) -> None:
    """Put a notebook with the exercises of a chapter into your own folder."""
    from bookbinder.exercises.reader import Work

    book = load_book()
    work = Work(book)
    for sheet in book.select_sheets(chapters):
        made = work.start(sheet)
        path = relative(work.notebook(sheet), book.root)
        out.print(f"{path} {'is ready' if made else 'was there already; nothing in it was changed'}", markup=False)
        out.print(f"Open it with: jupyter lab {shlex.quote(path)}", markup=False)


@exercise.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="ID|CHAPTER|FILE", help="What to check; FILE: a notebook or a script")
    ] = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Also what a teacher grades with")] = False,
    cells: Annotated[str, typer.Option("--cells", hidden=True, help="-: a JSON list of cells on stdin")] = "",
    as_json: AsJson = False,
) -> None:
    """Check answers, in your own folder or in the files that you name."""
    from bookbinder.exercises import answers

    book = load_book()
    given = json.loads(sys.stdin.read()) if cells == "-" else None
    verdicts = answers.check(book, names or [], hidden=hidden, history=given)
    if as_json:
        out.print_json(json.dumps([verdict.as_json() for verdict in verdicts]))
    for verdict in () if as_json else verdicts:
        out.print(str(verdict), markup=False)
    if any(verdict.result != "right" for verdict in verdicts):
        raise typer.Exit(CheckFailed.exit_code)


@exercise.command()
def hint(name: Id) -> None:
    """Show the next hint, and those before it."""
    from bookbinder.exercises import answers

    out.print(answers.next_hint(load_book(), name), markup=False)


@exercise.command()
def solution(name: Id, figures: Annotated[bool, typer.Option("--figures", hidden=True)] = False) -> None:
    """Show the solution, and why it works."""
    from bookbinder.exercises import answers

    out.print(answers.solution(load_book(), name, figures=figures), markup=False)


@exercise.command()
def reset(names: Annotated[list[str], typer.Argument(metavar="ID|CHAPTER")]) -> None:
    """Begin exercises again: the stubs come back, and what you had is kept in a copy."""
    from bookbinder.exercises import answers
    from bookbinder.exercises.reader import Work

    book = load_book()
    chosen = answers.select(book, names)
    backups = Work(book).reset(chosen)
    out.print(f"{len(chosen)} {'exercise begins' if len(chosen) == 1 else 'exercises begin'} again", markup=False)
    for backup in backups:
        out.print(f"Your answers so far are in {relative(backup, book.root)}", markup=False)


@exercise.command()
def status(chapters: Chapters = None, as_json: AsJson = False) -> None:
    """How far you have come."""
    from bookbinder.exercises.reader import Work
    from bookbinder.exercises.source import read

    book = load_book()
    work = Work(book)
    known = work.progress()
    found, rows = [one for sheet in book.select_sheets(chapters or []) for one in read(sheet)], []
    lines = list[tuple[str, ...]]()
    for one in found:
        entry = known.get(one.id)
        result = "right" if entry and entry.right else "tried" if entry and entry.tries else "–"
        rows.append({"id": one.id, "result": result, **(vars(entry) if entry else {})})
        facts = (str(entry.tries), str(entry.hints), "yes" if entry.solution else "no") if entry else ("", "", "")
        lines.append((one.id, one.stars, "in words" if one.written else result, *facts))
    if as_json:
        out.print_json(json.dumps(rows))
        return
    out.print(table(["exercise", "stars", "result", "tries", "hints", "solution"], lines))
    coded = [one for one in found if not one.written]
    out.print(f"{sum(row['result'] == 'right' for row in rows)} of {len(coded)} coded exercises are right")


@exercise.command()
def audit(
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Exercises at a time")] = 2, as_json: AsJson = False
) -> None:
    """Prove that the checks accept the solutions and refuse stubs, constants and every mutant."""
    from bookbinder.exercises import audit as auditor

    book = load_book()
    rows = list[auditor.Row]()
    problems = auditor.audit_all(book, jobs=jobs, notify=rows.append)
    if not as_json:
        heads = ["exercise", "solution", "stub", "trivial answers", "mutants killed"]
        out.print(table(heads, [(row.id, *auditor.shown(row)) for row in rows]))
    coded = [row for row in rows if not row.written]
    killed, mutants = sum(row.killed for row in coded), sum(row.mutants for row in coded)
    conclude(
        problems,
        f"{len(coded)} coded exercises and {len(rows) - len(coded)} in words; {killed} of {mutants} mutants killed",
        as_json,
    )


@course.command()
def export(
    chapter: Annotated[str, typer.Argument(metavar="CHAPTER", help="Such as 01 or metrics")],
    to: Annotated[Path, typer.Option("--to", help="The course's folder; made if it is not there")] = Path("my-course"),
) -> None:
    """Make an nbgrader assignment of a chapter's exercises."""
    from bookbinder.exercises.course import export as make

    book = load_book()
    sheets = book.select_sheets([chapter])
    written = make(book, sheets[0], to)
    for path in written:
        out.print(f"{path} is written", markup=False)
    if not written:
        out.print(f"everything was in {to} already", markup=False)
