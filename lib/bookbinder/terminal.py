"""What the commands write with: results to stdout, progress and errors to stderr."""

import json
from typing import Annotated

import typer
from rich.console import Console

from bookbinder.errors import CheckFailed, Problem

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts")]


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
