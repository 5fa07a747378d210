"""The `book` command: one verb for each thing that can be done with the book.

Exit codes: 0 done, 1 a check failed, 2 wrong usage, 3 something is missing. Progress and errors go to stderr, results
to stdout. What a verb needs is imported when it is used, so that `book --help` is quick and `book doctor` works on a
broken installation.
"""

import json
import sys
import webbrowser
from pathlib import Path
from string import Template
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from bookbinder.errors import BookError, MissingError, Problem, UsageError
from bookbinder.exercises import commands
from bookbinder.files import write_text
from bookbinder.manifest import Book, Lesson, Sheet, find_root, load_book
from bookbinder.terminal import AsJson, conclude, err, out

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Run, check and build the book."
)
new = typer.Typer(no_args_is_help=True, add_completion=False, help="Make something from its template.")
app.add_typer(new, name="new")
app.add_typer(commands.exercise, name="exercise")
app.add_typer(commands.course, name="course")
INTERRUPTED = 130  # what the shell expects of a program stopped by Ctrl-C

Names = Annotated[list[str] | None, typer.Argument(metavar="LESSON|CHAPTER", help="Lessons or chapters; none: all")]


def main() -> None:
    """Run the command and turn what it raises into a message and an exit code."""
    modules: dict = sys.modules  # nbformat imports jsonschema, and that, where it can, a parser of web addresses that
    modules.setdefault("rfc3987_syntax", None)  # is slower to make than all the rest; it does as well without
    try:
        app()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            err.print("book: interrupted; what was finished is kept, and nothing is half written")
        raise
    except BookError as error:
        err.print(f"[red]book:[/red] {escape(str(error))}")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        err.print(f"[red]book:[/red] the package {error.name} is not installed. Try: make book, or book doctor")
        sys.exit(MissingError.exit_code)


@app.command("list")
def list_lessons(as_json: AsJson = False) -> None:
    """The lessons in the order of the book."""
    book = load_book()
    if as_json:
        out.print_json(json.dumps([{"id": x.id, "number": x.number} for x in book.lessons]))
        return
    for part in book.parts:
        out.print(f"[bold]{escape(part.title)}[/bold]")
        for chapter in part.chapters:
            out.print(f"  {chapter.number}  {escape(chapter.title)}")
            for lesson in chapter.lessons:
                out.print(f"    {lesson.number}  {lesson.id}")


@app.command()
def run(
    names: Names = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Kernels at a time")] = 2,
    force: Annotated[bool, typer.Option("--force", help="Execute what is up to date as well")] = False,
) -> None:
    """Execute the lessons whose code, or the library code they import, has changed."""
    from bookbinder import running

    book = load_book()
    lessons = book.select(names or [])
    done: list[str] = []

    def notify(outcome: running.Outcome) -> None:
        done.append(outcome.lesson.id)
        label = f"[{len(done)}/{len(lessons)}] {outcome.lesson.id}"
        if outcome.error:
            err.print(escape(f"{label}: FAILED after {outcome.seconds:.1f} s"))
        elif outcome.ran:
            err.print(escape(f"{label}: ran in {outcome.seconds:.1f} s, {outcome.memory_mb:.0f} MB"))
        else:
            err.print(escape(f"{label}: up to date"))

    running.require_success(running.run(book, lessons, jobs=jobs, force=force, notify=notify))


@app.command()
def sync(
    names: Names = None,
    source: Annotated[
        Literal["text", "notebook"] | None, typer.Option("--from", help="Which side to keep when both were edited")
    ] = None,
) -> None:
    """Carry an edit from a lesson's text to its notebook, or back."""
    from bookbinder import pairing
    from bookbinder.exercises import reader

    for lesson in load_book().select(names or []):
        before = pairing.sync(lesson, source)
        if isinstance(lesson, Sheet):
            reader.refresh(lesson)
        err.print(f"{lesson.id}: {'in step' if before is pairing.State.AGREE else f'{before}; now in step'}")


@app.command()
def check(names: Names = None, as_json: AsJson = False) -> None:
    """Prove that text, notebooks, claims, figures, references and budgets are in order."""
    from bookbinder.checks import check_book

    book = load_book()
    lessons = book.select(names or [])
    problems = check_book(book, lessons)
    conclude(problems, f"{len(lessons)} lessons checked, nothing found", as_json)


@app.command()
def claims(names: Names = None, as_json: AsJson = False) -> None:
    """Compare every number in the text with the value that the notebook computed."""
    from bookbinder.claims import compare

    total, problems = 0, list[Problem]()
    for lesson in load_book().select(names or []):
        count, found = compare(lesson)
        total, problems = total + count, problems + found
    conclude(problems, f"{total} numbers in the text agree with the notebooks", as_json)


@app.command()
def build(fresh: Annotated[bool, typer.Option("--fresh", help="Begin from nothing")] = False) -> None:
    """Build the HTML book from the stored outputs."""
    from bookbinder import site

    out.print(f"The book is at {site.build(load_book(), fresh=fresh)}", markup=False)


@app.command()
def serve(port: Annotated[int, typer.Option(help="0 picks a free one")] = 0) -> None:
    """Serve the built book on this machine only, until Ctrl-C."""
    from bookbinder import site

    _built(load_book())
    site.serve(load_book(), port)


@app.command("open")
def open_book() -> None:
    """Open the built book in the browser."""
    index = _built(load_book())
    if not webbrowser.open(index.as_uri()):
        raise MissingError(f"no browser could be started. Try: open {index} by hand")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at this machine: what is installed, what is missing, and how to get it."""
    from bookbinder.doctor import examine

    findings = examine(find_root())
    if as_json:
        out.print_json(json.dumps([vars(finding) for finding in findings]))
    for finding in () if as_json else findings:
        mark = "[green]ok     [/green]" if finding.ok else "[red]missing[/red]"
        out.print(f"{mark} {escape(finding.name)}: {escape(finding.detail)}")
        if not finding.ok:
            out.print(f"        Try: {escape(finding.remedy)}")
    if not all(finding.ok or not finding.required for finding in findings):
        raise typer.Exit(MissingError.exit_code)


@app.command()
def status(as_json: AsJson = False) -> None:
    """How each lesson stands: in step, up to date, and what its last run cost."""
    from bookbinder import pairing, report, running

    book = load_book()
    figures = report.load(book)["lessons"]
    rows = [
        {
            "lesson": lesson.id,
            "pair": str(pairing.state(lesson)),
            "outputs": "fresh" if running.is_fresh(lesson) else "stale",
            **figures.get(lesson.id, {}),
        }
        for lesson in book.sources
    ]
    if as_json:
        out.print_json(json.dumps(rows))
        return
    table = Table("lesson", "pair", "outputs", "seconds", "MB", "claims", "last run")
    for row in rows:
        shown = (row.get(key, "–") for key in ("lesson", "pair", "outputs", "seconds", "memory_mb", "claims", "date"))
        table.add_row(*map(str, shown))
    out.print(table)


@new.command("lesson")
def new_lesson(
    name: Annotated[str, typer.Argument(metavar="NN-CHAPTER/MM-LESSON")],
    title: Annotated[str | None, typer.Option(help="Its title; the slug's words by default")] = None,
) -> None:
    """Make the text of a lesson from the template."""
    from bookbinder import pairing

    root = find_root()
    chapter, _, slug = name.partition("/")
    if not (chapter[:2].isdigit() and slug[:2].isdigit() and slug.replace("-", "").isalnum()):
        raise UsageError(f"{name!r} is not of the form 01-chapter/02-lesson")
    lesson = Lesson(root, chapter, slug, int(slug[:2]))
    if lesson.text.exists():
        raise UsageError(f"chapters/{name}.md exists already. Try: another name, or edit that one")
    template = Template(Path(__file__).with_name("template.md").read_text(encoding="utf-8"))
    write_text(lesson.text, template.substitute(title=title or slug[3:].replace("-", " ").capitalize()))
    write_text(lesson.text, pairing.as_text(pairing.read_text(lesson)))
    out.print(f"chapters/{name}.md is ready to be written", markup=False)
    if lesson not in load_book(root).lessons:
        out.print(f'Now add "{slug}" to the lessons of {chapter} in book.toml', markup=False)


def _built(book: Book) -> Path:
    """The front page of the built book.

    Raises:
        MissingError: It has not been built.
    """
    index = book.root / "_build" / "html" / "index.html"
    if not index.is_file():
        raise MissingError("the HTML book has not been built. Try: book build")
    return index
