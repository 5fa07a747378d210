"""What the commands write with: results to stdout, progress and errors to stderr."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from bookbinder.errors import CheckFailed, Problem

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts")]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column, which says what a row is about, is never cut short."""
    longest = max((len(row[0]) for row in rows), default=0)
    first, *others = heads
    made = Table(Column(first, no_wrap=True, min_width=longest), *others)
    for row in rows:
        made.add_row(*row)
    return made


def conclude(problems: list[Problem], success: str, as_json: bool) -> None:
    """Print what was found, and fail if that is anything.

    Raises:
        CheckFailed: There are problems.
    """
    if as_json:
        out.print_json(json.dumps([vars(problem) for problem in problems]))
    elif not problems:
        out.print(success, markup=False)
    for problem in () if as_json else problems:
        out.print(str(problem), markup=False)
    if problems:
        raise CheckFailed(f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'} found")
