"""Our boxes in the form that pycocotools reads, and its evaluation of them: for the bench and for the parity tests."""

import contextlib
import io

import numpy as np
from mazelm.metrics.detection import Detections, GroundTruth
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def to_coco(truth: GroundTruth, detections: Detections) -> tuple[COCO, COCO]:
    """Ground truth and detections as two COCO objects in memory. Ids may be integers or strings."""
    images = sorted({*truth.image_ids.tolist(), *detections.image_ids.tolist()})
    labels = sorted({*truth.labels.tolist(), *detections.labels.tolist()})
    image_number = {image_id: number for number, image_id in enumerate(images)}
    label_number = {label: number for number, label in enumerate(labels)}

    def annotations(boxes: GroundTruth | Detections) -> list[dict]:
        corner, size = boxes.boxes[:, :2], boxes.boxes[:, 2:] - boxes.boxes[:, :2]
        columns = zip(boxes.image_ids.tolist(), boxes.labels.tolist(), np.hstack([corner, size]).tolist(), strict=True)
        return [
            # an id of 0 would be taken for "no match"
            {"id": 1 + i, "image_id": image_number[image_id], "category_id": label_number[label], "bbox": xywh}
            for i, (image_id, label, xywh) in enumerate(columns)
        ]

    true_boxes = [{**box, "area": box["bbox"][2] * box["bbox"][3], "iscrowd": 0} for box in annotations(truth)]
    found_boxes = [
        {**box, "score": score} for box, score in zip(annotations(detections), detections.scores.tolist(), strict=True)
    ]
    coco_truth = COCO()
    coco_truth.dataset = {
        "images": [{"id": number} for number in image_number.values()],
        "categories": [{"id": number} for number in label_number.values()],
        "annotations": true_boxes,
    }
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports each step
        coco_truth.createIndex()
        return coco_truth, coco_truth.loadRes(found_boxes) if found_boxes else COCO()


def coco_average_precision(
    coco_truth: COCO, coco_detections: COCO, *, iou_thresholds: list[float] | None = None, max_detections: int = 100
) -> np.ndarray:
    """AP by pycocotools for area "all": a row per IoU threshold, a column per label that has ground truth."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco_truth, coco_detections, "bbox")
        evaluation.params.areaRng = evaluation.params.areaRng[:1]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [max_detections]
        if iou_thresholds is not None:
            evaluation.params.iouThrs = np.asarray(iou_thresholds)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0]  # (threshold, level of recall, label)
    return precision.mean(axis=1)[:, (precision > -1).all(axis=(0, 1))]


def coco_map(truth: GroundTruth, detections: Detections) -> float:
    """COCO's mean average precision: what `mean_average_precision(truth, detections).map` should be."""
    return float(coco_average_precision(*to_coco(truth, detections)).mean())
