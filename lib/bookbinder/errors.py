"""What the book can say is wrong: a problem in a file, a wrong call, something that is not installed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that a check found: where, what, and what to try."""

    file: str  # relative to the repository
    line: int  # 1 is the first; 0 means the file as a whole
    what: str
    attempt: str  # what to try

    def __str__(self) -> str:
        """One line for people: `file:line: what. Try: …`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}. Try: {self.attempt}"


class BookError(Exception):
    """Something that stops the command, told to a person."""

    exit_code = 1


class CheckFailed(BookError):
    """The book disagrees with itself."""


class UsageError(BookError):
    """The command was called with something that does not exist."""

    exit_code = 2


class MissingError(BookError):
    """Something that has to be installed first is not there."""

    exit_code = 3


def relative(path: Path, root: Path) -> str:
    """The path as messages show it: relative to the repository, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
