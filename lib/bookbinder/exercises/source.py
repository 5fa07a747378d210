"""The source of a chapter's exercises, read into exercises: what each asks, gives, accepts and refuses.

`exercises/NN-slug.md` is a MyST notebook. Its first cells introduce the chapter's exercises and, with the role `setup`,
import what all of them use. A cell with the role `prompt` begins an exercise and carries its id, lesson, stars and
minutes; the cells that follow have the roles listed in ROLES.
"""

import ast
import difflib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from nbformat import NotebookNode

from bookbinder.errors import CheckFailed, UsageError, relative
from bookbinder.manifest import Book, Sheet
from bookbinder.pairing import read_notebook, read_text

ROLES = {
    "prompt": "markdown",
    "given": "code",  # what the reader is given: imports, data
    "answer": "code",  # a stub around the solution
    "check": "code",  # what the reader may run
    "hidden": "code",  # what a teacher grades with too
    "hint": "markdown",
    "explain": "markdown",
    "show": "code",  # runs after the solution; its output stands beside it
    "mutant": "code",  # a wrong answer that the check has to refuse
    "model": "markdown",  # a written exercise: a good answer
    "rubric": "markdown",  # and what earns a point
}
IN_CODE = {"check": (1, 3), "hidden": (1, 3), "hint": (1, 3), "explain": (1, 1), "answer": (1, 1), "mutant": (2, 9)}
NOT_IN_CODE = ("model", "rubric")
IN_WORDS = {"model": (1, 1), "rubric": (1, 1)}  # how many cells of a role an exercise takes, at least and at most
NOT_IN_WORDS = ("check", "hidden", "mutant", "explain")
STUB = "raise NotImplementedError"
_SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_ANY_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_MARK = re.compile(r'^\+\+\+ \{.*"role": "(\w+)"', re.MULTILINE)
_LESSON = re.compile(r"\d\d-[a-z0-9-]+")
_ID = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Exercise:
    """One exercise."""

    sheet: Sheet
    setup: str  # code that all exercises of the chapter begin with
    cells: tuple[NotebookNode, ...]  # the first is the prompt

    @property
    def id(self) -> str:
        """metrics.auc_by_counting."""
        return str(self.cells[0].metadata.get("id", ""))

    @property
    def name(self) -> str:
        """The last word of the id, which is what the reader's function is called."""
        return self.id.rpartition(".")[2]

    @property
    def lesson(self) -> str:
        """The slug of the lesson that it belongs to."""
        return str(self.cells[0].metadata.get("lesson", ""))

    @property
    def stars(self) -> str:
        """How hard it is: one to three stars."""
        return "★" * _whole(self.cells[0].metadata.get("stars"))

    @property
    def minutes(self) -> int:
        """How long it takes, about."""
        return _whole(self.cells[0].metadata.get("minutes"))

    @property
    def title(self) -> str:
        """The heading of its prompt."""
        found = _HEADING.search(self.cells[0].source)
        return found[1].strip() if found else ""

    @property
    def prompt(self) -> str:
        """The task without its heading."""
        return _HEADING.sub("", self.cells[0].source, count=1).strip()

    @property
    def written(self) -> bool:
        """Whether the answer is a text."""
        return not self.of("answer")

    @cached_property
    def given(self) -> list[str]:
        """The code that runs before the answer."""
        return [code for code in (self.setup, *(cell.source for cell in self.of("given"))) if code]

    def of(self, *roles: str) -> list[NotebookNode]:
        """Its cells of these roles."""
        return [cell for cell in self.cells if cell.metadata.get("role") in roles]

    def texts(self, role: str) -> list[str]:
        """The sources of its cells of a role."""
        return [cell.source for cell in self.of(role)]

    @property
    def solution(self) -> str:
        """The answer with the solution in it, without the marks around it."""
        return "\n\n".join(_SOLUTION.sub(lambda m: m[2].rstrip("\n"), code) for code in self.texts("answer"))

    @property
    def stub(self) -> str:
        """The answer with nothing in it."""
        empty = rf"\1# your code here\n\1{STUB}"
        return "\n\n".join(_SOLUTION.sub(empty, code).rstrip("\n") for code in self.texts("answer"))

    @property
    def solution_lines(self) -> list[str]:
        """The lines between the marks."""
        parts = (found[2] for code in self.texts("answer") for found in _SOLUTION.finditer(code))
        return [line for part in parts for line in part.splitlines()]

    @property
    def mutants(self) -> list[tuple[str, str]]:
        """Wrong answers: what is wrong with each, and its code."""
        return [(str(cell.metadata.get("wrong", "")), cell.source) for cell in self.of("mutant")]


def read(sheet: Sheet, *, executed: bool = False) -> list[Exercise]:
    """The exercises of a chapter, from the text or, with their outputs, from the executed notebook.

    Raises:
        CheckFailed: A cell has no role or a wrong one, or an exercise lacks a part; every such thing is named.
    """
    cells = (read_notebook(sheet) if executed else read_text(sheet)).cells
    setup, groups = _grouped(cells)
    exercises = [Exercise(sheet, "\n".join(setup), tuple(group)) for group in groups]
    problems = [problem for exercise in exercises for problem in _problems(exercise)]
    problems += _problems_before(cells) + _empty_texts(sheet, cells)
    ids = [exercise.id for exercise in exercises]
    shared = [name for name in dict.fromkeys(ids) if ids.count(name) > 1]
    problems += [f"the id {name!r} is used {ids.count(name)} times" for name in shared]
    if problems:
        where = relative(sheet.text, sheet.root)
        raise CheckFailed("\n".join(f"{where}: {problem}" for problem in problems))
    return exercises


def read_all(book: Book) -> list[Exercise]:
    """The exercises of the whole book, in its order."""
    return [exercise for sheet in book.sheets for exercise in read(sheet)]


def find(book: Book, name: str) -> Exercise:
    """The exercise with this id.

    Raises:
        UsageError: There is none.
    """
    topic = name.partition(".")[0]
    sheets = [sheet for sheet in book.sheets if sheet.chapter[3:] == topic]
    known = [exercise for sheet in sheets or book.sheets for exercise in read(sheet)]
    found = [exercise for exercise in known if exercise.id == name]
    if not found:
        names = {exercise.name: exercise.id for exercise in known}
        close = difflib.get_close_matches(name.rpartition(".")[2], names, n=2, cutoff=0.5)
        attempt = " or ".join([*(names[key] for key in close), "book exercise list"])
        raise UsageError(f"no exercise is called {name!r}. Try: {attempt}")
    return found[0]


def _grouped(cells: Iterable[NotebookNode]) -> tuple[list[str], list[list[NotebookNode]]]:
    setup, groups = [], list[list[NotebookNode]]()
    for cell in cells:
        role = cell.metadata.get("role")
        if role == "prompt":
            groups.append([])
        if groups:
            groups[-1].append(cell)
        elif role == "setup":
            setup.append(cell.source)
    return setup, groups


def _problems_before(cells: list[NotebookNode]) -> list[str]:
    """What is wrong with the cells before the first exercise."""
    forms = [(cell.cell_type, cell.metadata.get("role")) for cell in cells]
    if ("markdown", "prompt") not in forms:
        return ["there is no exercise in it: no text has the role 'prompt'"]
    before = forms[: forms.index(("markdown", "prompt"))]
    found = [
        f"a {kind} cell before the first exercise has the role {role!r}; there, code has the role 'setup' and text none"
        for kind, role in before
        if (kind, role) not in (("code", "setup"), ("markdown", None))
    ]
    return found if ("markdown", None) in before else [*found, "no text introduces the exercises"]


def _empty_texts(sheet: Sheet, cells: list[NotebookNode]) -> list[str]:
    """Texts with a role and nothing in them: where the cells are read from the text, such a cell is not among them."""
    announced = Counter(_MARK.findall(sheet.text.read_text(encoding="utf-8")))
    there = Counter(str(cell.metadata.get("role")) for cell in cells if cell.cell_type == "markdown" and cell.source)
    return [f"a text with the role {role!r} is empty" for role in announced if announced[role] > there[role]]


def _problems(exercise: Exercise) -> list[str]:
    """What is missing from an exercise, or has the wrong form."""
    found = []
    for cell in exercise.cells:
        role = cell.metadata.get("role")
        if ROLES.get(str(role)) != cell.cell_type:
            what = f"the role {role!r} of a {cell.cell_type} cell"
            found.append(f"{what} is none of {', '.join(ROLES)}, or not for such a cell")
    count = {role: len([text for text in exercise.texts(role) if text.strip()]) for role in ROLES}
    if not _ID.fullmatch(exercise.id) or exercise.id.partition(".")[0] != exercise.sheet.chapter[3:]:
        found.append(f"the id is not of the form {exercise.sheet.chapter[3:]}.some_name")
    if not _LESSON.fullmatch(exercise.lesson):
        found.append(f"the lesson {exercise.lesson!r} is not of the form 01-some-words")
    if not exercise.title:
        found.append("the prompt has no heading (## …)")
    if len(exercise.stars) not in (1, 2, 3) or not 1 <= exercise.minutes <= 120:
        found.append("stars must be 1 to 3 and minutes 1 to 120")
    folded = [text for role in ("hint", "explain", "model", "rubric") for text in exercise.texts(role)]
    if any(_ANY_HEADING.search(text) for text in folded):
        found.append("a heading stands in a text that is folded on the page; use **bold** words")
    if not exercise.written:
        found += _problems_of_answer(exercise)
    wanted, refused = (IN_WORDS, NOT_IN_WORDS) if exercise.written else (IN_CODE, NOT_IN_CODE)
    for role, (least, most) in wanted.items():
        if not least <= count[role] <= most:
            amount = str(least) if least == most else f"{least} to {most}"
            found.append(f"{count[role]} cells with the role {role!r}; it takes {amount}")
    found += [f"a cell with the role {role!r} has no place in it" for role in refused if count[role]]
    return [f"{exercise.id or exercise.title or '?'}: {problem}" for problem in found]


def _problems_of_answer(exercise: Exercise) -> list[str]:
    """What is wrong with the marks around the solution, and with the names of the mutants."""
    found = []
    if not any(_SOLUTION.search(code) for code in exercise.texts("answer")):
        found.append("the answer has no solution between ### BEGIN SOLUTION and ### END SOLUTION")
    elif _runs_at_once(exercise.stub):
        found.append("a solution stands outside a function, where the stub would stop the readers' notebook")
    if any(not wrong for wrong, _ in exercise.mutants):
        found.append("a mutant does not say what is wrong with it (`wrong`)")
    return found


def _runs_at_once(stub: str) -> bool:
    """Whether something of a stub raises when its cell is run: in the module, or in the body of a class."""
    tree = ast.parse(stub)
    later = {id(node) for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) for node in ast.walk(each)}
    return any(isinstance(node, ast.Raise) and id(node) not in later for node in ast.walk(tree))


def _whole(value: object) -> int:
    """A whole number, or 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
