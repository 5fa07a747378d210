"""Prove of every exercise that its checks know right from wrong, and that nothing of the answers reaches a reader.

The result is kept in exercises/audit.json, from which the site makes its table.
"""

import contextlib
import json
import keyword
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bookbinder.errors import CheckFailed, Problem, relative
from bookbinder.exercises import expect
from bookbinder.exercises.cells import Cell
from bookbinder.exercises.checking import FUNCTIONS, Part, Verdict, check_function, examine, judge
from bookbinder.exercises.guard import Limits
from bookbinder.exercises.independence import self_references
from bookbinder.exercises.sandbox import Sandbox
from bookbinder.exercises.source import Exercise, read_all
from bookbinder.files import write_text
from bookbinder.imports import library_files, notebook_imports
from bookbinder.manifest import Book
from bookbinder.pairing import digest, read_text

SEEDS = (0, 1, 2)
PARTS: tuple[Part, ...] = ("check", "hidden")
LIMITS = Limits(answers=100)  # the answers here are the book's own: one process is enough for those of an exercise
CONSTANTS: tuple[object, ...] = (None, 0, 1, 0.5, -1.0, True, False, "", [], {}, np.zeros(2), np.ones((2, 2)))


@dataclass
class Row:
    """What the audit of one exercise came to."""

    id: str
    stars: int
    written: bool
    solution: int = 0  # seeds with which it passes both checks
    stub: int = 0  # checks that the stub passes
    trivial: int = 0  # trivial answers that some check accepts: constants, and arguments given back
    mutants: int = 0
    killed: int = 0


def audit(
    book: Book, exercises: list[Exercise], *, jobs: int, notify: Callable[[Row], None]
) -> tuple[list[Row], list[Problem]]:
    """Audit exercises, a few at a time.

    Args:
        book: The manifest.
        exercises: Which ones.
        jobs: How many at a time.
        notify: Called with each row as it is ready, in order.

    Returns:
        A row for each exercise, and everything that is wrong.
    """
    rows, problems = [], []
    with ProcessPoolExecutor(jobs) as pool:
        for row, found in pool.map(audit_one, exercises):
            notify(row)
            rows.append(row)
            problems += found
    for exercise in exercises:
        problems += [*unreferenced(book, exercise), *leaks(exercise)]
    return rows, sorted(problems)


class Judge:
    """Judges the answers of one exercise, in one process as long as none of them ends it."""

    def __init__(self, exercise: Exercise):
        self._exercise, self._stack = exercise, contextlib.ExitStack()
        self._sandbox: Sandbox | None = None

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def sandbox(self) -> Sandbox:
        """A living process with what is given."""
        if self._sandbox is None or self._sandbox.has_ended:
            self._stack.close()
            self._sandbox = self._stack.enter_context(Sandbox(self._exercise.given, LIMITS))
        return self._sandbox

    def __call__(self, title: str, code: str, part: Part, seed: int) -> Verdict:
        """What a check says of an answer with one seed."""
        return judge(self._exercise, [Cell(title, code)], part=part, seeds=[seed], sandbox=self.sandbox)


def audit_one(exercise: Exercise) -> tuple[Row, list[Problem]]:
    """Let an exercise's checks judge its solution, its stub, trivial answers and its mutants."""
    row = Row(exercise.id, len(exercise.stars), exercise.written, mutants=len(exercise.mutants))
    problems = list(hints_that_tell(exercise))
    if exercise.written:
        return row, problems

    def problem(what: str, attempt: str) -> None:
        problems.append(_problem(exercise, what, attempt))

    try:
        functions = {part: check_function(exercise, part) for part in PARTS}
    except CheckFailed as error:
        problem(str(error).removeprefix(f"{exercise.id}: "), "run the cells of the exercise in JupyterLab")
        return row, problems
    for part in PARTS:
        code = "\n\n".join([*exercise.texts("check"), *(exercise.texts("hidden") if part == "hidden" else [])])
        problems += [_problem(exercise, f"{FUNCTIONS[part]}: {what}", "see the rules for checks in CONTRIBUTING.md")
                     for what in self_references(code, FUNCTIONS[part], exercise.name)]  # fmt: skip
    with Judge(exercise) as verdict_on:
        _question(exercise, row, functions, verdict_on, problem)
    return row, problems


def _question(
    exercise: Exercise,
    row: Row,
    functions: dict[Part, Callable],
    verdict_on: Judge,
    problem: Callable[[str, str], None],
) -> None:
    """Fill in the row, and tell what is wrong."""
    for seed in SEEDS:
        verdicts = [verdict_on("solution", exercise.solution, part, seed) for part in PARTS]
        row.solution += all(verdict.result == "right" for verdict in verdicts)
        for verdict in verdicts:
            if verdict.result != "right":
                problem(f"the solution does not pass with seed {seed}: {verdict}", "mend the solution or the check")
    for part in PARTS:
        if verdict_on("stub", exercise.stub, part, SEEDS[0]).result == "right":
            row.stub += 1
            problem(f"the stub passes {FUNCTIONS[part]}", "let the check call the answer")
        for described, answer in trivial_answers(exercise, functions[part], verdict_on.sandbox):
            if passes(functions[part], answer):
                row.trivial += 1
                problem(f"an answer that {described} passes {FUNCTIONS[part]}", "check another value as well")
    for wrong, code in exercise.mutants:
        verdicts = [verdict_on("mutant", code, "check", seed) for seed in SEEDS]
        row.killed += all(verdict.result == "wrong" for verdict in verdicts)
        if any(verdict.result == "right" for verdict in verdicts):
            problem(f"the check accepts the mutant {wrong!r}", "add a case that tells it from the solution")
        elif any(verdict.result == "missing" for verdict in verdicts):
            problem(f"the mutant {wrong!r} does not define {exercise.name}", "give it the name of the answer")
        elif not all(verdict.calls for verdict in verdicts):
            problem(f"the mutant {wrong!r} fails before it is called: {verdicts[0]}", "mend its code")


def trivial_answers(exercise: Exercise, function: Callable, sandbox: Sandbox) -> Iterator[tuple[str, Callable]]:
    """Answers that know nothing: what each does, and the function."""
    constants = [*CONSTANTS, first_result(exercise, function, sandbox)]
    for constant in constants:
        yield f"always returns {expect.show(constant)}", lambda *args, _it=constant, **kwargs: _it
    yield "returns its first argument", lambda *args, **kwargs: [*args, *kwargs.values()][0]
    yield "returns all its arguments", lambda *args, **kwargs: (*args, *kwargs.values())


def first_result(exercise: Exercise, function: Callable, sandbox: Sandbox) -> object:
    """What the solution returns at the first call of a check: what a reader could copy from the report."""
    results: list[object] = []
    solution = sandbox.load([("solution", exercise.solution)], exercise.name)

    def recorder(*args: object, **kwargs: object) -> object:
        results.append(solution(*args, **kwargs))
        return results[-1]

    passes(function, recorder)
    return results[0] if results else None


def passes(function: Callable, answer: Callable) -> bool:
    """Whether an answer of our own, called in this process, passes a check with the first seed."""

    def called(*args: object, **kwargs: object) -> object:
        expect.TRACE.record("answer", args, kwargs)
        return answer(*args, **kwargs)

    try:
        examine(function, called, SEEDS[0])
    except (expect.ExpectationError, expect.AnswerError):
        return False
    return True


def hints_that_tell(exercise: Exercise) -> Iterator[Problem]:
    """A hint that holds a line of the solution, or the whole model answer, is no hint."""
    lines = telling_lines(exercise.solution_lines)
    for number, hint in enumerate(exercise.texts("hint"), start=1):
        quoted = re.findall(r"`([^`]+)`", hint)
        said = {_squeezed(text) for text in [*hint.splitlines(), *quoted]}
        for line in lines & said:
            yield _problem(exercise, f"hint {number} holds the solution's line {line!r}", "say what to do in words")
        if exercise.written and hint.strip() in exercise.texts("model")[0]:
            yield _problem(exercise, f"hint {number} stands in the model answer", "say less")


def unreferenced(book: Book, exercise: Exercise) -> Iterator[Problem]:
    """Every exercise is listed by its lesson, with its title, stars and minutes."""
    lessons = [
        lesson for lesson in book.lessons if (lesson.chapter, lesson.slug) == (exercise.sheet.chapter, exercise.lesson)
    ]
    if not lessons:
        yield _problem(exercise, f"its lesson {exercise.lesson!r} is none of the chapter's", "use the lesson's slug")
    for lesson in lessons:
        if listed(exercise) not in lesson.text.read_text(encoding="utf-8").splitlines():
            where = relative(lesson.text, book.root)
            yield Problem(where, 0, f"the exercise {exercise.id} is not listed", f"add the line {listed(exercise)!r}")


def listed(exercise: Exercise) -> str:
    """The line with which a lesson lists an exercise."""
    return f"1. {exercise.title} ({exercise.stars}, {exercise.minutes} minutes): `{exercise.id}`"


def leaks(exercise: Exercise) -> Iterator[Problem]:
    """A line of a solution, a hidden check, a mutant or a model answer in the notebook that a reader is given."""
    path = exercise.sheet.for_readers
    where, attempt = relative(path, exercise.sheet.root), f"book sync {exercise.sheet.id}"
    if not path.is_file():
        yield Problem(where, 0, "the readers' notebook does not exist", attempt)
        return
    try:
        shown = "\n".join(_strings(json.loads(path.read_text(encoding="utf-8"))))
    except ValueError as error:
        yield Problem(where, 0, f"the readers' notebook is damaged: {error}", f"delete it, then {attempt}")
        return
    for line in sorted(leaked(exercise, shown)):
        yield Problem(where, 0, f"{exercise.id}: it holds {line!r}, which a reader should not see", attempt)


def leaked(exercise: Exercise, text: str, *, solution: bool = True) -> set[str]:
    """The lines of the exercise that nobody should find in a text, and that are in it."""
    secret = [
        line
        for code in [*exercise.texts("hidden"), *(code for _, code in exercise.mutants)]
        for line in code.splitlines()
    ]
    told = "\n".join(cell.source for cell in exercise.of("explain", "model", "rubric"))
    secret += [*exercise.solution_lines, *told.splitlines()] if solution else []
    public = [*exercise.given, *exercise.texts("check"), exercise.stub, *exercise.texts("prompt")]
    public += [] if solution else [exercise.solution, *exercise.texts("show")]
    shown = {_squeezed(line) for line in "\n".join(public).splitlines()}
    return (telling_lines(secret) - shown) & {_squeezed(line) for line in text.splitlines()}


def telling_lines(lines: list[str]) -> set[str]:
    """The lines that tell something: those with a name of their own in them, and not only an import."""
    squeezed = {_squeezed(line) for line in lines}
    return {line for line in squeezed if not line.startswith(("import ", "from ", "#")) and _words(line)}


def _words(line: str) -> set[str]:
    return {word for word in re.findall(r"[A-Za-z_]\w*", line) if not keyword.iskeyword(word)}


def _squeezed(line: str) -> str:
    return re.sub(r"\s+", " ", line.strip())


def _strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _problem(exercise: Exercise, what: str, attempt: str) -> Problem:
    sheet = exercise.sheet
    text = sheet.text.read_text(encoding="utf-8")
    line = text.count("\n", 0, max(text.find(f'"{exercise.id}"'), 0)) + 1
    return Problem(relative(sheet.text, sheet.root), line, f"{exercise.id}: {what}", attempt)


def path_of(book: Book) -> Path:
    """Where the result is kept."""
    return book.root / "exercises" / "audit.json"


def load(book: Book) -> dict[str, Any]:
    """The result of the last audit: its rows by id, and the digest of what was audited."""
    try:
        return json.loads(path_of(book).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # none yet, or damaged: `book check` asks for another one
        return {"digest": "", "rows": []}


def store(book: Book, rows: list[Row]) -> None:
    """Keep the result; equal results are equal bytes."""
    content = {"digest": state(book), "rows": [asdict(row) for row in rows]}
    write_text(path_of(book), json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def state(book: Book) -> str:
    """Digest of what an audit depends on: the sources of the exercises, and the library that they import."""
    parts = []
    for sheet in book.sheets:
        names = notebook_imports(read_text(sheet))
        machinery = book.root / "lib" / "bookbinder"
        files = [path for path in library_files(names, book.root) if not path.is_relative_to(machinery)]
        parts += [path.read_text(encoding="utf-8") for path in (sheet.text, *files)]
    return digest(parts)


def audit_all(book: Book, *, jobs: int, notify: Callable[[Row], None]) -> list[Problem]:
    """Audit the whole book, keep the result if nothing is wrong, and return what is."""
    rows, problems = audit(book, read_all(book), jobs=jobs, notify=notify)
    if not problems:
        store(book, rows)
    return problems


def shown(row: Row) -> tuple[str, str, str, str]:
    """A row of the table behind the id: what the solution, the stub, trivial answers and the mutants came to."""
    if row.written:
        return ("in words", "–", "–", "–")
    return (
        f"passes {row.solution} of {len(SEEDS)} seeds",
        f"passes {row.stub} of {len(PARTS)} checks",
        f"{row.trivial} accepted",
        f"{row.killed} of {row.mutants}",
    )
