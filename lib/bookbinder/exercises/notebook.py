"""In a notebook: `check("id")` looks at your answer, `hint("id")` gives the next hint, `solution("id")` shows one.

Each asks the `book` command, in a process of its own: whatever this notebook has changed in itself, the check is the
same. What the command is told of this notebook is the code of the cells that were run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

SANDBOXED = "BOOK_EXERCISE_SANDBOX" in os.environ  # an answer that is being checked asks for nothing
_COLOURED = ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE")  # a kernel asks its children for coloured text
_WHAT_FAILED = (0, 1)  # exit codes that come with a report


def check(name: str) -> None:
    """Check your answer to an exercise and print what was called, what came back and what was expected."""
    print(_ask("check", name, "--cells", "-"), end="")


def hint(name: str) -> None:
    """Show the next hint for an exercise, and those before it."""
    _show(_ask("hint", name))


def solution(name: str) -> None:
    """Show the solution of an exercise, and why it works."""
    _show(_ask("solution", name, "--figures"))


def _ask(*words: str) -> str:
    if SANDBOXED:
        return ""
    done = asked(*words, root=book_above(Path.cwd()))
    if done.returncode not in _WHAT_FAILED or not done.stdout:
        return done.stderr
    return done.stdout


def asked(*words: str, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `book exercise …` says in a book's folder, told of the cells that were run, with these variables set."""
    plain = {name: value for name, value in os.environ.items() if name not in _COLOURED}
    return subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-m", "bookbinder", "exercise", *words],
        input=json.dumps(_executed()),
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=root,
        env={**plain, **variables},
    )


def _executed() -> list[str]:
    """The code of every cell that this kernel has executed, as it was written; the first entry is none."""
    from IPython import get_ipython

    shell = get_ipython()
    return [] if shell is None else list(shell.history_manager.input_hist_raw)


def book_above(here: Path) -> Path:
    """The book: this folder or one above it or, where the notebook was moved elsewhere, the one that is installed."""
    folders = (here, *here.parents, *Path(__file__).resolve().parents)
    return next((folder for folder in folders if (folder / "book.toml").is_file()), here)


def _show(text: str) -> None:
    """Markdown as a notebook renders it."""
    from IPython.display import Markdown, display

    if text:
        display(Markdown(text))
