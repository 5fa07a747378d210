"""How fast the metrics of chapter 1 are beside the libraries that everybody uses, on the same data, in the same run.

    python bench/metrics.py [--rounds 7] [--quick]

Prints a table, writes it to bench/metrics.md, and ends with status 1 if a speed or a result is not as required. Both
sides check their input. pycocotools is given its index ready-made, while ours builds and checks its boxes in the time
that is measured.
"""

import sys

import numpy as np
import sklearn.metrics
from coco import coco_average_precision, to_coco
from mazelm.metrics import classification, ranking
from mazelm.metrics.detection import Detections, GroundTruth, box_iou, mean_average_precision
from report import Row, run


def rows(quick: bool) -> list[Row]:
    rng = np.random.default_rng(0)
    n_samples, n_boxes = (100_000, 200) if quick else (1_000_000, 1_000)
    return [*classification_rows(n_samples, rng), *ranking_rows(n_samples, rng), *detection_rows(n_boxes, rng)]


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


if __name__ == "__main__":
    packages = ["numpy", "scikit-learn", "pycocotools"]
    sys.exit(run(__file__, "Metrics: speed beside the peers", rows, packages))
