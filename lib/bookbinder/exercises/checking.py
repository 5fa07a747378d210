"""Check one answer: run it in its own process, let the exercise's check question it, and report."""

import contextlib
import itertools
import linecache
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any, Literal

import numpy as np

from bookbinder.errors import CheckFailed
from bookbinder.exercises import expect, guard
from bookbinder.exercises.cells import Cell, defined_by, needed
from bookbinder.exercises.sandbox import Sandbox, StoppedError
from bookbinder.exercises.source import Exercise

Part = Literal["check", "hidden"]
FUNCTIONS: dict[Part, str] = {"check": "check", "hidden": "hidden_check"}
READER_SEED = 0
_numbers = itertools.count()


@dataclass(frozen=True)
class Verdict:
    """What became of an answer."""

    id: str
    result: Literal["right", "wrong", "missing"]
    lines: list[str] = field(default_factory=list)  # what happened, for people
    calls: int = 0

    def __str__(self) -> str:
        """The report."""
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        heading = {"right": f"right, in {calls}", "wrong": "not yet", "missing": "no answer yet"}[self.result]
        return "\n".join([f"{self.id}: {heading}", *(f"  {line}".replace("\n", "\n  ") for line in self.lines)])

    def as_json(self) -> dict[str, Any]:
        """The same for scripts."""
        return asdict(self)


def judge(
    exercise: Exercise,
    cells: Sequence[Cell],
    *,
    part: Part = "check",
    seeds: Sequence[int] = (READER_SEED,),
    limits: guard.Limits | None = None,
    sandbox: Sandbox | None = None,
) -> Verdict:
    """Check the answer that is somewhere in these cells.

    Args:
        exercise: Which one.
        cells: The reader's code.
        part: The check that the reader sees, or the hidden one.
        seeds: Of the check's random generator; the answer has to pass with each.
        limits: What the answer may use up.
        sandbox: A process with what is given, which goes on to live; None for one of this answer's own.

    Raises:
        CheckFailed: The check itself is broken, which is a mistake of the book.
    """
    chosen = needed(cells, exercise.name, defined_by(exercise.given))
    if not chosen:
        attempt = "Try: define it in a cell, and run that cell"
        return Verdict(exercise.id, "missing", [f"nothing is called {exercise.name}. {attempt}"])
    printed = ""
    try:
        with contextlib.ExitStack() as stack:
            used = sandbox or stack.enter_context(Sandbox(exercise.given, limits))
            function = check_function(
                exercise, part
            )  # whose imports take as long as those of the process: both at once
            _forget_calls()
            try:
                answer = used.load([(cell.title, cell.code) for cell in chosen], exercise.name)
                if not callable(answer):
                    raise expect.ExpectationError(raised=f"{exercise.name} is {expect.show(answer)}, and no function")
                calls = sum(examine(function, answer, seed) for seed in seeds)
            finally:
                printed = "" if sandbox else used.printed
    except (expect.ExpectationError, expect.AnswerError) as error:
        if _is_unwritten(error):
            what = f"{exercise.name} raises NotImplementedError: it is still to be written"
            return Verdict(exercise.id, "missing", [what])
        shown = (
            error if isinstance(error, expect.ExpectationError) else expect.ExpectationError(raised=error.described())
        )
        lines = shown.lines()
    else:
        return Verdict(exercise.id, "right", calls=calls)
    if printed:
        lines.append(f"printed   {printed.rstrip()}".replace("\n", "\n" + 10 * " "))
    return Verdict(exercise.id, "wrong", lines, expect.TRACE.calls)


def _is_unwritten(error: expect.ExpectationError | expect.AnswerError) -> bool:
    """Whether the stub is at work: also where the check had waited for another error."""
    said = error.raised if isinstance(error, expect.ExpectationError) else error.kinds[0]
    return re.match(r"NotImplementedError\b", said) is not None


def _forget_calls() -> None:
    expect.TRACE.calls, expect.TRACE.called = 0, ""


class _Questioned:
    """An answer whose errors wait until the check has said what it expected instead."""

    def __init__(self, answer: Any):
        self._answer, self._raised = answer, list[expect.Raised]()

    def __call__(self, *args: object, **kwargs: object) -> object:
        try:
            return self._answer(*args, **kwargs)
        except expect.AnswerError as error:
            if isinstance(error, StoppedError) or "NotImplementedError" in error.kinds:
                raise
            self._raised.append(expect.Raised(error))
            return self._raised[-1]

    def tell_errors(self) -> None:
        """Raise an error of the answer that the check has not looked at."""
        for raised in self._raised:
            if not raised.is_known:
                raise raised.error

    def __getattr__(self, name: str) -> object:
        return getattr(self._answer, name)


def examine(function: Callable, answer: object, seed: int) -> int:
    """Let a check question an answer and return how often it called it.

    Raises:
        ExpectationError: The answer is not right.
        AnswerError: It raised an error where it should not.
    """
    _forget_calls()
    questioned = _Questioned(answer)
    try:
        function(questioned, np.random.default_rng(seed))
        questioned.tell_errors()
    except (expect.ExpectationError, expect.AnswerError):
        raise
    except Exception as error:  # the check stumbled over what came back: a list where it looked for a key, say
        reason = f"something else: the check could not use it ({type(error).__name__}: {error})"
        raise expect.ExpectationError(expected=reason, look="what kind of value the exercise asks for") from error
    return expect.TRACE.calls


def check_function(exercise: Exercise, part: Part) -> Callable:
    """The check as a function, with what is given and its own helpers around it.

    Raises:
        CheckFailed: The code of the check fails before it is called.
    """
    module = ModuleType("check")
    codes = [*exercise.given, *exercise.texts("check"), *(exercise.texts("hidden") if part == "hidden" else [])]
    for code in codes:
        title = f"<{exercise.id} {next(_numbers)}>"
        linecache.cache[title] = (len(code), None, code.splitlines(keepends=True), title)
        try:
            exec(compile(code, title, "exec"), module.__dict__)
        except Exception as error:
            raise CheckFailed(f"{exercise.id}: its check fails by itself: {type(error).__name__}: {error}") from error
    found = vars(module).get(FUNCTIONS[part])
    if not callable(found):
        raise CheckFailed(
            f"{exercise.id}: the cell with the role {part!r} does not define {FUNCTIONS[part]}(answer, rng)"
        )
    return found
