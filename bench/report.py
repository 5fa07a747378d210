"""What every measurement has in common: rows, how one is taken, the table, and the command line."""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sidebyside import machine, median_ratio, side_by_side


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement: ours against a peer, and how many times as fast ours has to be."""

    measure: str
    ours: Callable[[], object]
    peer: str
    theirs: Callable[[], object]
    required: float | None = None  # None: for information
    tolerance: float = 1e-12  # largest difference between the two results


def run(script: str, title: str, make_rows: Callable[[bool], list[Row]], packages: Sequence[str]) -> int:
    """Measure, print the table, write it beside the script, and return the exit status: 1 if a row fails.

    Args:
        script: The path of the script; its docstring's first line is in `title`.
        title: What is measured.
        make_rows: Given whether it is to be quick, the measurements.
        packages: Whose versions matter.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--rounds", type=int, default=7, help="how often each side runs (default: 7)")
    parser.add_argument("--quick", action="store_true", help="less data; the table is not written")
    options = parser.parse_args()
    measured = [measure(row, options.rounds) for row in make_rows(options.quick)]
    head = ["measure", "ours, ms", "peer", "peer, ms", "ratio", "required", "difference", "verdict"]
    lines = [" | ".join(cells) for cells in [head, ["---"] * len(head), *(cells for cells, _ in measured)]]
    note = f"Medians of {options.rounds} rounds, side by side; the ratio is the median of the rounds' ratios."
    table = "\n".join([f"# {title}", "", *(f"| {line} |" for line in lines), "", note, "", machine(*packages)])
    print(table)
    if not options.quick:
        Path(script).with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    return 0 if all(passed for _, passed in measured) else 1


def measure(row: Row, rounds: int) -> tuple[list[str], bool]:
    """The cells of the table, and whether both speed and result are as required."""
    difference = float(np.abs(np.asarray(row.ours()) - np.asarray(row.theirs())).max())
    seconds = side_by_side({"ours": row.ours, "theirs": row.theirs}, rounds=rounds)
    ratio = median_ratio(seconds["theirs"], seconds["ours"])
    passed = difference <= row.tolerance and (row.required is None or ratio >= row.required)
    times = [f"{1000 * statistics.median(seconds[side]):.2f}" for side in ("ours", "theirs")]
    required = "–" if row.required is None else f"≥ {row.required:g} ×"
    verdict = "pass" if passed else "FAIL"
    return [row.measure, times[0], row.peer, times[1], f"{ratio:.1f} ×", required, f"{difference:.0e}", verdict], passed
