"""In a course's notebook: `grade("id")` stops with a report unless the answer is right.

nbgrader gives a cell its points unless it stops with an error. As with `check`, the answer is judged in a process of
its own; but a kernel belongs to whoever writes the cells, who may replace `grade` itself. What marks depend on is
confirmed from outside, by `book exercise check --hidden` on the notebook that was handed in.
"""

import tempfile
from pathlib import Path

from bookbinder.exercises import notebook


class NotRightError(AssertionError):
    """The report on an answer that is not right."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback: nothing but the report, and no path of anybody's machine."""
        return str(self).splitlines()


def grade(name: str, *, hidden: bool = False) -> None:
    """Check the answer to an exercise, and let nothing of it count as a reader's progress.

    Args:
        name: The exercise's id.
        hidden: Let the hidden check look at it as well.

    Raises:
        NotRightError: It is not, and this says why.
    """
    if notebook.SANDBOXED:
        return
    words = ["check", name, "--cells", "-", *(["--hidden"] if hidden else [])]
    here = Path.cwd().parent  # not the folder itself: what lies there was handed in by a student
    with tempfile.TemporaryDirectory(prefix="book-grading-") as folder:
        done = notebook.asked(*words, root=notebook.book_above(here), BOOK_WORK=folder)
    if done.returncode != 0:
        raise NotRightError((done.stdout or done.stderr).rstrip("\n"))
