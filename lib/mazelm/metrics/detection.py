"""How well boxes drawn by a detector cover the objects in a picture: from the overlap of two boxes to mean AP.

A box is (x1, y1, x2, y2) with x1 ≤ x2 and y1 ≤ y2, in any unit of length. The mean average precision is that of the
COCO benchmark for objects of every size. Left out, because the book has no use for them: crowd regions and other boxes
to ignore, results by size of object, average recall, masks and keypoints. pycocotools has them all.

Source: Lin et al. (2014); the evaluation code of pycocotools, whose results these functions repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real, Shaped

from mazelm.common.arguments import require_finite, require_same_length

COCO_IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())  # 0.50, 0.55, …, 0.95
COCO_RECALL_LEVELS = 101  # 0.00, 0.01, …, 1.00
NO_MATCH = -1  # where the index of the matching object would stand
EMPTY = -1  # where a table has no box


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundTruth:
    """The objects that are there: entry i of every array belongs to object i.

    Args:
        image_ids: The picture that each object is in: integers or strings.
        labels: Its class: integers or strings.
        boxes: (x1, y1, x2, y2) of each.

    Raises:
        ValueError: Lengths differ, a box has x2 < x1 or y2 < y1, a number is not finite, or an id is of another kind.
    """

    image_ids: Shaped[np.ndarray, " G"]
    labels: Shaped[np.ndarray, " G"]
    boxes: Real[np.ndarray, "G 4"]

    def __post_init__(self):
        boxes = _checked_boxes("boxes", self.boxes)
        _store(
            self,
            image_ids=_checked_ids("image_ids", self.image_ids, len(boxes)),
            labels=_checked_ids("labels", self.labels, len(boxes)),
            boxes=boxes,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """What a detector says is there: entry i of every array belongs to detection i.

    Args:
        image_ids: The picture that each detection is in, as in `GroundTruth`.
        labels: The class that the detector gives it.
        scores: Its confidence: only the order matters.
        boxes: (x1, y1, x2, y2) of each.

    Raises:
        ValueError: Lengths differ, a box has x2 < x1 or y2 < y1, a number is not finite, or an id is of another kind.
    """

    image_ids: Shaped[np.ndarray, " D"]
    labels: Shaped[np.ndarray, " D"]
    scores: Real[np.ndarray, " D"]
    boxes: Real[np.ndarray, "D 4"]

    def __post_init__(self):
        boxes = _checked_boxes("boxes", self.boxes)
        _store(
            self,
            image_ids=_checked_ids("image_ids", self.image_ids, len(boxes)),
            labels=_checked_ids("labels", self.labels, len(boxes)),
            scores=_checked_scores(self.scores, len(boxes)),
            boxes=boxes,
        )

    def __getitem__(self, chosen: Shaped[np.ndarray, " C"]) -> "Detections":
        """The detections that a mask or an array of indices picks, in its order."""
        return Detections(
            image_ids=self.image_ids[chosen],
            labels=self.labels[chosen],
            scores=self.scores[chosen],
            boxes=self.boxes[chosen],
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanAveragePrecision:
    """AP of every class at every IoU threshold, and the means that are quoted from it.

    Args:
        iou_thresholds: IoU from which a detection counts as a hit.
        classes: The labels that have ground truth, ascending.
        average_precision: AP, one row per threshold, one column per class.
    """

    iou_thresholds: Float[np.ndarray, " T"]
    classes: Shaped[np.ndarray, " K"]
    average_precision: Float[np.ndarray, "T K"]

    @property
    def map(self) -> float:
        """Mean over thresholds and classes: COCO's headline number."""
        return float(self.average_precision.mean())

    @property
    def map_50(self) -> float:
        """Mean over classes at an IoU of 0.5, the older convention of PASCAL VOC."""
        return self.map_at(0.5)

    @property
    def map_75(self) -> float:
        """Mean over classes at an IoU of 0.75."""
        return self.map_at(0.75)

    @property
    def per_class(self) -> dict[int | str, float]:
        """Mean over thresholds, by label."""
        return dict(zip(self.classes.tolist(), self.average_precision.mean(axis=0).tolist(), strict=True))

    def map_at(self, iou_threshold: float) -> float:
        """Mean over classes at one of the thresholds.

        Raises:
            ValueError: It is not among those that were evaluated.
        """
        rows = np.flatnonzero(np.isclose(self.iou_thresholds, iou_threshold, rtol=0, atol=1e-9))
        if len(rows) == 0:
            raise ValueError(f"iou_threshold={iou_threshold} was not evaluated, only {self.iou_thresholds.tolist()}")
        return float(self.average_precision[rows[0]].mean())


def _store(record: GroundTruth | Detections, **arrays: np.ndarray) -> None:
    """Put the checked arrays in place of what was given, which may have been lists."""
    for name, array in arrays.items():
        object.__setattr__(record, name, array)


def _checked_boxes(name: str, boxes: object) -> Float[np.ndarray, "N 4"]:
    """The boxes as floats, or a sentence on the first that is none."""
    array = np.asarray(boxes, dtype=float)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{name} must have the shape (number of boxes, 4), got {array.shape}")
    is_box = np.isfinite(array).all(axis=1) & (array[:, 2:] >= array[:, :2]).all(axis=1)
    if not is_box.all():
        first = int(np.argmin(is_box))
        raise ValueError(
            f"{name}[{first}] = {array[first].tolist()} is no box (x1, y1, x2, y2): "
            "all four must be finite, with x1 <= x2 and y1 <= y2"
        )
    return array


def _checked_ids(name: str, ids: object, length: int) -> Shaped[np.ndarray, " N"]:
    """Labels or image ids as an array of integers or of strings, one for each box."""
    array = np.asarray(ids)
    _require_one_per_box(name, array, length)
    if length == 0:
        return np.zeros(0, dtype=np.int64)
    if array.dtype.kind not in "iuU":
        raise ValueError(f"{name} must be integers or strings, got {array.dtype} such as {array[0]!r}")
    return array


def _checked_scores(scores: object, length: int) -> Float[np.ndarray, " N"]:
    """The scores as floats, one finite number for each box."""
    array = np.asarray(scores, dtype=float)
    _require_one_per_box("scores", array, length)
    require_finite("scores", array)
    return array


def _require_one_per_box(name: str, array: np.ndarray, length: int) -> None:
    if array.shape != (length,):
        raise ValueError(f"{name} has the shape {array.shape}: give one entry for each of the {length} boxes")


def box_iou(boxes1: Real[np.ndarray, "N 4"], boxes2: Real[np.ndarray, "M 4"]) -> Float[np.ndarray, "N M"]:
    """Intersection over union of every box of one set with every box of the other, from 0 (apart) to 1 (the same).

        IoU(A, B) = |A ∩ B| / |A ∪ B|    with |A ∪ B| = |A| + |B| − |A ∩ B|

    |A| is an area. A box without area shares none, so its IoU is 0, also with itself, where torchvision gives nan.

    Args:
        boxes1: (x1, y1, x2, y2) of each A.
        boxes2: (x1, y1, x2, y2) of each B, in the same unit.

    Raises:
        ValueError: A box has x2 < x1 or y2 < y1, or a coordinate is not finite.

    Source: Everingham et al. (2010), section 4.2; name and arguments of torchvision.ops.box_iou.
    """
    boxes1, boxes2 = _checked_boxes("boxes1", boxes1), _checked_boxes("boxes2", boxes2)
    intersection, union = _intersection_and_union(boxes1[:, None], boxes2[None, :])
    return _ratio(intersection, union)


def _intersection_and_union(
    boxes1: Float[np.ndarray, "*pairs1 4"], boxes2: Float[np.ndarray, "*pairs2 4"]
) -> tuple[Float[np.ndarray, "*pairs"], Float[np.ndarray, "*pairs"]]:
    """The two areas of every pair; the leading axes of the arguments broadcast."""
    width = np.minimum(boxes1[..., 2], boxes2[..., 2]) - np.maximum(boxes1[..., 0], boxes2[..., 0])
    height = np.minimum(boxes1[..., 3], boxes2[..., 3]) - np.maximum(boxes1[..., 1], boxes2[..., 1])
    intersection = np.maximum(width, 0) * np.maximum(height, 0)  # two negative sides would make a positive area
    return intersection, _area(boxes1) + _area(boxes2) - intersection


def _area(boxes: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n"]:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _ratio(part: Float[np.ndarray, "*n"], whole: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """part / whole, and 0 where the whole has no area."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def match_detections(
    truth: GroundTruth, detections: Detections, *, iou_threshold: float = 0.5
) -> Int[np.ndarray, " D"]:
    """Say which object each detection found: detections choose in decreasing order of score, and none chooses twice.

    Within one image and class, a detection takes the object with the greatest IoU that no earlier one has taken, if
    that IoU reaches the threshold. Equal scores choose in the order given; of objects with equal IoU the last is taken,
    as in pycocotools.

    Args:
        truth: The objects.
        detections: The detections.
        iou_threshold: The least IoU of a match, in (0, 1].

    Returns:
        For each detection the index of its object in `truth`, or NO_MATCH (−1): a false positive.

    Raises:
        ValueError: The threshold is not in (0, 1], or the ids of the two are of different kinds.

    Source: Lin et al. (2014), the evaluation code.
    """
    order = _ranking(detections)
    matches = np.empty(len(order), dtype=np.int64)
    ranked = detections[order]
    matches[order] = _match(truth, ranked, *_group_numbers(truth, ranked), _checked_thresholds([iou_threshold]))[0]
    return matches


def _ranking(detections: Detections) -> Int[np.ndarray, " D"]:
    """The order of decreasing score; equal scores by image, then as given."""
    return np.lexsort((detections.image_ids, -detections.scores))


def _group_numbers(truth: GroundTruth, detections: Detections) -> tuple[Int[np.ndarray, " G"], Int[np.ndarray, " D"]]:
    """A number for each pair (image, class): only boxes with the same number may match."""
    images = _numbered("image_ids", truth.image_ids, detections.image_ids)
    classes = _numbered("labels", truth.labels, detections.labels)
    groups = images * (classes.max(initial=0) + 1) + classes
    return groups[: len(truth.labels)], groups[len(truth.labels) :]


def _numbered(name: str, of_truth: np.ndarray, of_detections: np.ndarray) -> Int[np.ndarray, " N"]:
    """The ids of both, one after the other, as 0, 1, 2, … in ascending order of the ids."""
    if len({ids.dtype.kind == "U" for ids in (of_truth, of_detections) if len(ids) > 0}) == 2:
        raise ValueError(
            f"{name} are {of_truth.dtype} in truth and {of_detections.dtype} in detections: none can agree"
        )
    return np.unique(np.concatenate([of_truth, of_detections]), return_inverse=True)[1]


def _match(
    truth: GroundTruth,
    detections: Detections,
    truth_groups: Int[np.ndarray, " G"],
    detection_groups: Int[np.ndarray, " D"],
    thresholds: Float[np.ndarray, " T"],
) -> Int[np.ndarray, "T D"]:
    """The object that each of the ranked detections takes at each threshold.

    All groups and all thresholds move together: first the best detection of every group chooses, then the second best
    of every group, and so on. The loop is as long as the longest group.
    """
    least_iou = np.minimum(thresholds, 1 - 1e-10)[:, None]  # as pycocotools: rounding must not cost a match at IoU 1
    matches = np.full((len(thresholds), len(detections.scores)), NO_MATCH)
    with_objects = np.unique(truth_groups)
    objects = _table(truth_groups, with_objects)
    choosers = _table(detection_groups, with_objects)
    taken = np.repeat((objects == EMPTY)[None], len(thresholds), axis=0)  # an empty place is nobody's to take
    for chooser in choosers.T:
        groups = np.flatnonzero(chooser != EMPTY)
        chooser = chooser[groups]
        ious = _ratio(*_intersection_and_union(detections.boxes[chooser][:, None], truth.boxes[objects[groups]]))
        place, iou = _last_greatest(np.where(taken[:, groups], -1.0, ious))
        t, g = np.nonzero(iou >= least_iou)
        taken[t, groups[g], place[t, g]] = True
        matches[t, chooser[g]] = objects[groups[g], place[t, g]]
    return matches


def _table(groups: Int[np.ndarray, " N"], wanted: Int[np.ndarray, " W"]) -> Int[np.ndarray, "W places"]:
    """One row for each group that is wanted: the indices of its entries in their order, then EMPTY."""
    entries = np.flatnonzero(np.isin(groups, wanted))
    row, column = np.searchsorted(wanted, groups[entries]), _place_in_group(groups[entries])
    table = np.full((len(wanted), column.max(initial=-1) + 1), EMPTY)
    table[row, column] = entries
    return table


def _place_in_group(groups: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """How many earlier entries have the same number: 0 for the first of its group, 1 for the second, …"""
    order = np.argsort(groups, kind="stable")
    in_order = groups[order]
    start = np.searchsorted(in_order, in_order, side="left")
    place = np.empty_like(order)
    place[order] = np.arange(len(order)) - start
    return place


def _last_greatest(
    values: Float[np.ndarray, "T W places"],
) -> tuple[Int[np.ndarray, "T W"], Float[np.ndarray, "T W"]]:
    """Place and value of the greatest along the last axis; of equal ones the last, as pycocotools chooses."""
    place = values.shape[-1] - 1 - values[..., ::-1].argmax(axis=-1)
    return place, np.take_along_axis(values, place[..., None], axis=-1)[..., 0]


def _checked_thresholds(iou_thresholds: Sequence[float] | Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """The thresholds as an array."""
    thresholds = np.asarray(iou_thresholds, dtype=float)
    if thresholds.ndim != 1 or len(thresholds) == 0 or not ((thresholds > 0) & (thresholds <= 1)).all():
        raise ValueError(f"every IoU threshold must be in (0, 1], got {iou_thresholds}")
    return thresholds


def precision_recall_of_ranking(
    hits: Bool[np.ndarray, "*rankings D"], n_objects: int
) -> tuple[Float[np.ndarray, "*rankings D"], Float[np.ndarray, "*rankings D"]]:
    """Precision and recall after each detection of a ranking.

        Pₖ = (hits among the first k) / k
        Rₖ = (hits among the first k) / (number of objects)

    Recall counts the objects that are there, not those that some detection found, so it may end below 1.

    Args:
        hits: Whether each detection matched an object, in decreasing order of score; several rankings may be stacked.
        n_objects: How many objects there are, at least 1 and no fewer than the hits.

    Raises:
        ValueError: There are no objects, more hits than objects, or the hits are not Boolean.
    """
    hits = np.asarray(hits)
    if hits.dtype != bool:
        raise ValueError(f"hits must be True or False for each detection, got {hits.dtype}; write matches != NO_MATCH")
    found = np.cumsum(hits, axis=-1)
    most = found.max(initial=0)
    if n_objects < max(most, 1):
        raise ValueError(f"n_objects={n_objects} must be at least 1 and no less than the number of hits, {most}")
    return found / np.arange(1, found.shape[-1] + 1), found / n_objects


def nms(
    boxes: Real[np.ndarray, "N 4"], scores: Real[np.ndarray, " N"], iou_threshold: float
) -> Int[np.ndarray, " kept"]:
    """Non-maximum suppression: keep the best box, drop those that overlap it too much, go on with the rest.

    Args:
        boxes: (x1, y1, x2, y2) of each.
        scores: Confidence of each. Among equal scores the first comes first.
        iou_threshold: A box goes when its IoU with a kept box is greater than this; an equal one stays. In [0, 1].

    Returns:
        The indices of the kept boxes, in decreasing order of score.

    Raises:
        ValueError: Lengths differ, the threshold is not in [0, 1], or as in `box_iou`.

    Source: Felzenszwalb et al. (2010), section 7.2, with IoU as the overlap; name, arguments and ties of
    torchvision.ops.nms.
    """
    boxes = _checked_boxes("boxes", boxes)
    scores = _checked_scores(scores, len(boxes))
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold must be in [0, 1], got {iou_threshold}")
    kept = []
    waiting = np.argsort(-scores, kind="stable")
    while len(waiting) > 0:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        intersection, union = _intersection_and_union(boxes[[best]], boxes[waiting])
        waiting = waiting[_ratio(intersection, union) <= iou_threshold]
    return np.array(kept, dtype=np.int64)


def precision_envelope(precision: Float[np.ndarray, " D"]) -> Float[np.ndarray, " D"]:
    """The best precision at this point of the ranking or any later one: the curve without its teeth.

        p̂ₖ = max of Pⱼ over j ≥ k

    Source: Everingham et al. (2010), section 4.2.
    """
    return np.maximum.accumulate(precision[::-1])[::-1]


def interpolated_average_precision(
    precision: Float[np.ndarray, " D"], recall: Float[np.ndarray, " D"], *, n_points: int = COCO_RECALL_LEVELS
) -> float:
    """Mean, over equally spaced levels of recall, of the best precision at that recall or a greater one.

        AP = 1/n · Σᵣ p̂(r)    for r = 0, 1/(n−1), …, 1, with p̂(r) = max of Pₖ over Rₖ ≥ r

    A level that the ranking never reaches counts as 0.

    Args:
        precision: Precision after each detection, in the order of the ranking.
        recall: Recall after each detection, which never falls.
        n_points: Levels of recall: 101 in COCO, 11 in PASCAL VOC until 2009.

    Raises:
        ValueError: Lengths differ, recall falls somewhere, or there are fewer than 2 levels.

    Source: Everingham et al. (2010), section 4.2, for 11 levels; pycocotools for 101.
    """
    precision, recall = _checked_curve(precision, recall)
    if n_points < 2:
        raise ValueError(f"n_points must be at least 2, got {n_points}")
    return _mean_over_levels(precision, recall, np.linspace(0, 1, n_points))


def _mean_over_levels(
    precision: Float[np.ndarray, " D"], recall: Float[np.ndarray, " D"], levels: Float[np.ndarray, " R"]
) -> float:
    first_to_reach = np.searchsorted(recall, levels, side="left")
    reached = first_to_reach[first_to_reach < len(recall)]
    return float(precision_envelope(precision)[reached].sum() / len(levels))


def all_point_average_precision(precision: Float[np.ndarray, " D"], recall: Float[np.ndarray, " D"]) -> float:
    """The whole area under the envelope of the curve: every step of recall counts, not only some levels.

        AP = Σₖ (Rₖ − Rₖ₋₁)·p̂ₖ    with R₀ = 0

    Args:
        precision: Precision after each detection, in the order of the ranking.
        recall: Recall after each detection, which never falls.

    Raises:
        ValueError: Lengths differ, or recall falls somewhere.

    Source: Everingham & Winn (2010), section 3.4.1: PASCAL VOC from 2010.
    """
    precision, recall = _checked_curve(precision, recall)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision_envelope(precision)))


def _checked_curve(precision: object, recall: object) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, " D"]]:
    """The two as arrays of floats, in the order of a ranking."""
    precision, recall = np.asarray(precision, dtype=float), np.asarray(recall, dtype=float)
    require_same_length(precision=precision, recall=recall)
    falls = np.flatnonzero(np.diff(recall) < 0)
    if len(falls) > 0:
        i = int(falls[0])
        raise ValueError(f"recall falls from {recall[i]} to {recall[i + 1]}: give it in decreasing order of score")
    return precision, recall


def mean_average_precision(
    truth: GroundTruth,
    detections: Detections,
    *,
    iou_thresholds: Sequence[float] | Float[np.ndarray, " T"] = COCO_IOU_THRESHOLDS,
    max_detections: int = 100,
) -> MeanAveragePrecision:
    """Average precision of each class at each IoU threshold, as the COCO benchmark computes it.

    For one class and one threshold: match detections to objects (`match_detections`), rank the detections of all
    images together by score, and take the interpolated average precision of that ranking at 101 levels of recall.
    A class without ground truth has no recall and is left out. Ties in score are ranked by image, then as given.

    Args:
        truth: The objects.
        detections: The detections. An image without objects may have some, and they are false positives.
        iou_thresholds: Where to match, each in (0, 1].
        max_detections: Of each image and class, only so many count: those with the greatest scores.

    Raises:
        ValueError: There is no ground truth, a threshold or the maximum is out of range, or ids differ in kind.

    Source: Lin et al. (2014); equal to pycocotools for area "all" and without crowd regions.
    """
    if len(truth.labels) == 0:
        raise ValueError("truth has 0 boxes: without objects there is no recall and no average precision")
    if max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    thresholds = _checked_thresholds(iou_thresholds)
    detections = detections[_ranking(detections)]
    truth_groups, groups = _group_numbers(truth, detections)
    counted = _place_in_group(groups) < max_detections
    detections, groups = detections[counted], groups[counted]
    hits = _match(truth, detections, truth_groups, groups, thresholds) != NO_MATCH
    classes, n_objects = np.unique(truth.labels, return_counts=True)
    columns = [
        _average_precisions(hits[:, detections.labels == k], int(n)) for k, n in zip(classes, n_objects, strict=True)
    ]
    return MeanAveragePrecision(iou_thresholds=thresholds, classes=classes, average_precision=np.stack(columns, axis=1))


def _average_precisions(hits: Bool[np.ndarray, "T D"], n_objects: int) -> Float[np.ndarray, " T"]:
    """AP of one class at each threshold."""
    levels = np.linspace(0, 1, COCO_RECALL_LEVELS)
    precision, recall = precision_recall_of_ranking(hits, n_objects)
    return np.array([_mean_over_levels(p, r, levels) for p, r in zip(precision, recall, strict=True)])


def generalized_box_iou(boxes1: Real[np.ndarray, "N 4"], boxes2: Real[np.ndarray, "M 4"]) -> Float[np.ndarray, "N M"]:
    """IoU less the share of the smallest box around both that neither covers: from near −1 (far apart) to 1 (the same).

        GIoU(A, B) = IoU(A, B) − (|C| − |A ∪ B|) / |C|    with C the smallest box that holds A and B

    Where IoU is 0 for all boxes that do not touch, GIoU still falls as they move apart. A C without area (two points,
    or two lines in line) has no share to lose, and GIoU is 0.

    Args:
        boxes1: (x1, y1, x2, y2) of each A.
        boxes2: (x1, y1, x2, y2) of each B, in the same unit.

    Raises:
        ValueError: A box has x2 < x1 or y2 < y1, or a coordinate is not finite.

    Source: Rezatofighi et al. (2019), algorithm 1; name and arguments of torchvision.ops.generalized_box_iou.
    """
    boxes1, boxes2 = _checked_boxes("boxes1", boxes1)[:, None], _checked_boxes("boxes2", boxes2)[None, :]
    intersection, union = _intersection_and_union(boxes1, boxes2)
    around = np.concatenate(
        [np.minimum(boxes1[..., :2], boxes2[..., :2]), np.maximum(boxes1[..., 2:], boxes2[..., 2:])], axis=-1
    )
    return _ratio(intersection, union) - _ratio(_area(around) - union, _area(around))
