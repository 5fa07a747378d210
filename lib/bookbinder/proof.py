"""Prove the book step by step: every step runs, whatever became of the others, and a summary says which failed.

    python -m bookbinder.proof [STEP…]

`make test` runs them all, `make check` the quick ones.
"""

import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

_NBVAL = "--nbval-sanitize-with tests/nbval_sanitize.cfg --nbval-cell-timeout 120 -n 2 --dist loadscope"
_FOR_READERS = (
    "--ignore-glob notebooks/*/exercises.ipynb"  # they wait for answers; tests/bookbinder/exercises runs them
)
STEPS = {
    "lint": "ruff check",
    "format": "ruff format --check",
    "types": "mypy",
    "tests": "pytest -q tests --ignore tests/site -n 2 --dist loadfile",
    "notebooks": f"pytest -q --nbval notebooks exercises {_NBVAL} {_FOR_READERS} -p no:cacheprovider",
    "exercises": "book exercise audit",
    "check": "book check",
    "claims": "book claims",
    "site": "book build",
    "browser": "pytest -q tests/site",
    "fast": "pytest -q tests --ignore tests/site -m 'not slow'",
}
NOT_BY_DEFAULT = {"fast"}  # a part of "tests"
NEEDS = {"browser": "site"}  # without it, the step would look at an older book


def main(names: list[str]) -> int:
    """Run the steps of these names, or all of them, and return the exit status: 0 when none failed."""
    unknown = set(names) - set(STEPS)
    if unknown:
        print(f"no step is called {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}", file=sys.stderr)
        return 2
    chosen = names or [name for name in STEPS if name not in NOT_BY_DEFAULT]
    results: dict[str, tuple[bool, str]] = {}
    try:
        for number, name in enumerate(chosen, start=1):
            needed = NEEDS.get(name)
            if needed and not results.get(needed, (True, ""))[0]:
                results[name] = (False, f"not run, because {needed} failed")
                continue
            print(f"\n[{number}/{len(chosen)}] {name}: {STEPS[name]}", flush=True)
            started = time.monotonic()
            passed = run(STEPS[name])
            results[name] = (passed, f"{time.monotonic() - started:.1f} s")
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    summarise(results)
    return 0 if len(results) == len(chosen) and all(passed for passed, _ in results.values()) else 1


def run(command: str) -> bool:
    """Run one step's program, the one that is installed beside this interpreter, and return whether it succeeded."""
    program, *arguments = shlex.split(command)
    return subprocess.run([Path(sys.executable).with_name(program), *arguments]).returncode == 0


def summarise(results: dict[str, tuple[bool, str]]) -> None:
    """Print a line for each step."""
    table = Table("step", "result", "time", title="What was proved", title_justify="left")
    for name, (passed, took) in results.items():
        table.add_row(name, "[green]passed[/green]" if passed else "[bold red]FAILED[/bold red]", took)
    print(flush=True)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
