"""How fast the metrics of chapter 1 are beside the libraries that everybody uses, on the same data, in the same run.

    python bench/metrics.py [--rounds 7] [--quick]

Prints a table, writes it to bench/metrics.md, and ends with status 1 if a speed or a result is not as required. Both
sides check their input. pycocotools is given its index ready-made, while ours builds and checks its boxes in the time
that is measured.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.metrics
from coco import coco_average_precision, to_coco
from mazelm.metrics import classification, ranking
from mazelm.metrics.detection import Detections, GroundTruth, box_iou, mean_average_precision
from sidebyside import machine, median_ratio, side_by_side

TABLE = Path(__file__).with_suffix(".md")
TOLERANCE = 1e-12  # largest difference between the two results


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement: ours against a peer, and how many times as fast ours has to be."""

    measure: str
    ours: Callable[[], object]
    peer: str
    theirs: Callable[[], object]
    required: float | None = None  # None: for information


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each side runs (default: 7)")
    parser.add_argument("--quick", action="store_true", help="1e5 samples, 200 boxes; the table is not written")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    n_samples, n_boxes = (100_000, 200) if options.quick else (1_000_000, 1_000)
    rows = [*classification_rows(n_samples, rng), *ranking_rows(n_samples, rng), *detection_rows(n_boxes, rng)]
    measured = [measure(row, options.rounds) for row in rows]
    report = table([cells for cells, _ in measured], options.rounds)
    print(report)
    if not options.quick:
        TABLE.write_text(report + "\n", encoding="utf-8")
    return 0 if all(passed for _, passed in measured) else 1


def classification_rows(n_samples: int, rng: np.random.Generator) -> list[Row]:
    y_true = rng.integers(10, size=n_samples)
    y_pred = np.where(rng.random(n_samples) < 0.8, y_true, rng.integers(10, size=n_samples))

    def row(measure: str, name: str, required: float | None = None, **options: str) -> Row:
        ours, theirs = getattr(classification, name), getattr(sklearn.metrics, name)
        return Row(
            measure=f"{measure}, 10 classes, {n_samples:,} samples",
            ours=lambda: ours(y_true, y_pred, **options),
            peer="scikit-learn",
            theirs=lambda: theirs(y_true, y_pred, **options),
            required=required,
        )

    return [
        row("confusion matrix", "confusion_matrix", required=10),
        row("accuracy", "accuracy_score"),
        row("macro F1", "f1_score", average="macro"),
    ]


def ranking_rows(n_samples: int, rng: np.random.Generator) -> list[Row]:
    y_true = rng.integers(2, size=n_samples)
    y_score = rng.normal(loc=y_true)

    def row(measure: str, name: str, required: float) -> Row:
        ours, theirs = getattr(ranking, name), getattr(sklearn.metrics, name)
        return Row(
            measure=f"{measure}, {n_samples:,} samples",
            ours=lambda: ours(y_true, y_score),
            peer="scikit-learn",
            theirs=lambda: theirs(y_true, y_score),
            required=required,
        )

    return [
        row("ROC AUC", "roc_auc_score", required=4),
        row("average precision", "average_precision_score", required=3),
    ]


def detection_rows(n_boxes: int, rng: np.random.Generator) -> list[Row]:
    truth = {"image_ids": rng.integers(100, size=700), "labels": rng.integers(5, size=700), "boxes": boxes(700, rng)}
    found = {  # every object is found once, not quite in place; and there are 700 false alarms
        "image_ids": np.concatenate([truth["image_ids"], rng.integers(100, size=700)]),
        "labels": np.concatenate([truth["labels"], rng.integers(5, size=700)]),
        "boxes": np.concatenate([truth["boxes"] + rng.normal(scale=4, size=(700, 1)), boxes(700, rng)]),
        "scores": np.concatenate([rng.beta(4, 2, size=700), rng.beta(2, 4, size=700)]).round(3),  # with ties
    }
    coco = to_coco(GroundTruth(**truth), Detections(**found))
    first, second = boxes(n_boxes, rng), boxes(n_boxes, rng)
    return [
        Row(
            measure="mean average precision, 100 images, 5 classes",
            ours=lambda: mean_average_precision(GroundTruth(**truth), Detections(**found)).map,
            peer="pycocotools",
            theirs=lambda: coco_average_precision(*coco).mean(),
            required=8,
        ),
        Row(
            measure=f"box IoU, {n_boxes:,} × {n_boxes:,} boxes",
            ours=lambda: box_iou(first, second),
            peer="a double loop in Python",
            theirs=lambda: [[one_iou(a, b) for b in second.tolist()] for a in first.tolist()],
            required=20,  # out of reach for anything that loops over pairs
        ),
    ]


def boxes(n: int, rng: np.random.Generator) -> np.ndarray:
    corner, size = rng.uniform(0, 400, size=(n, 2)), rng.uniform(20, 120, size=(n, 2))
    return np.hstack([corner, corner + size])


def one_iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def measure(row: Row, rounds: int) -> tuple[list[str], bool]:
    """The cells of the table, and whether both speed and result are as required."""
    difference = float(np.abs(np.asarray(row.ours()) - np.asarray(row.theirs())).max())
    seconds = side_by_side({"ours": row.ours, "theirs": row.theirs}, rounds=rounds)
    ratio = median_ratio(seconds["theirs"], seconds["ours"])
    passed = difference <= TOLERANCE and (row.required is None or ratio >= row.required)
    times = [f"{1000 * statistics.median(seconds[side]):.2f}" for side in ("ours", "theirs")]
    required = "–" if row.required is None else f"≥ {row.required:g} ×"
    verdict = "pass" if passed else "FAIL"
    return [row.measure, times[0], row.peer, times[1], f"{ratio:.1f} ×", required, f"{difference:.0e}", verdict], passed


def table(rows: list[list[str]], rounds: int) -> str:
    head = ["measure", "ours, ms", "peer", "peer, ms", "ratio", "required", "difference", "verdict"]
    lines = [" | ".join(cells) for cells in [head, ["---"] * len(head), *rows]]
    note = f"Medians of {rounds} rounds, side by side; the ratio is the median of the rounds' ratios."
    facts = machine("numpy", "scikit-learn", "pycocotools")
    return "\n".join(["# Metrics: speed beside the peers", "", *(f"| {line} |" for line in lines), "", note, "", facts])


if __name__ == "__main__":
    sys.exit(main())
