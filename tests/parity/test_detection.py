"""Boxes and mean average precision beside pycocotools, the evaluation code of the COCO benchmark; curves beside
scikit-learn."""

import numpy as np
import pytest
from coco import coco_average_precision, coco_map, to_coco
from hypothesis import given
from hypothesis import strategies as st
from mazelm.metrics.detection import (
    NO_MATCH,
    Detections,
    GroundTruth,
    all_point_average_precision,
    box_iou,
    match_detections,
    mean_average_precision,
    precision_envelope,
    precision_recall_of_ranking,
)
from pycocotools import mask
from scenes import QUARTERS, WHOLE, boxes_of, one_image, random_scene, scenes
from sklearn.metrics import average_precision_score, precision_recall_curve

HUNDREDTHS = st.floats(0, 1000).map(lambda side: round(side, 2))


def assert_same_as_coco(truth, detections, **options):
    ours = mean_average_precision(truth, detections, **options)
    theirs = coco_average_precision(*to_coco(truth, detections), **options)
    np.testing.assert_allclose(ours.average_precision, theirs, rtol=0, atol=1e-12)
    return ours


# ---------------------------------------------------------------- overlap


def iou_of_pycocotools(a, b):
    as_xywh = [np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]) for boxes in (a, b)]
    return mask.iou(*as_xywh, [0] * len(b))


@given(boxes_of(4, WHOLE | QUARTERS), boxes_of(3, WHOLE | QUARTERS))
def test_box_iou(a, b):
    np.testing.assert_allclose(box_iou(a, b), iou_of_pycocotools(a, b), rtol=0, atol=1e-15)


@given(boxes_of(4, HUNDREDTHS), boxes_of(3, HUNDREDTHS))
def test_box_iou_of_sides_that_round(a, b):
    """x + (x2 − x) need not be x2: pycocotools, which keeps widths, sees slightly other boxes."""
    np.testing.assert_allclose(box_iou(a, b), iou_of_pycocotools(a, b), rtol=0, atol=1e-9)


def test_boxes_without_area_have_iou_0_in_pycocotools_too():
    point_and_line = np.array([[3.0, 3.0, 3.0, 3.0], [0.0, 2.0, 5.0, 2.0]])
    as_xywh = np.array([[3.0, 3.0, 0.0, 0.0], [0.0, 2.0, 5.0, 0.0]])
    assert not mask.iou(as_xywh, as_xywh, [0, 0]).any()
    assert not box_iou(point_and_line, point_and_line).any()


# ---------------------------------------------------------------- mean average precision


@given(scenes(QUARTERS))
def test_map_on_small_scenes_full_of_ties(scene):
    result = assert_same_as_coco(*scene)
    assert result.map == pytest.approx(coco_map(*scene), abs=1e-12)


@given(scenes(QUARTERS), st.sampled_from([1, 2, 3]))
def test_map_with_few_detections_per_image_and_class(scene, max_detections):
    assert_same_as_coco(*scene, max_detections=max_detections)


@given(scenes(QUARTERS), st.lists(st.sampled_from([0.05, 0.25, 0.3, 0.5, 1 / 3, 0.99, 1.0]), min_size=1, max_size=3))
def test_map_at_other_thresholds(scene, iou_thresholds):
    assert_same_as_coco(*scene, iou_thresholds=iou_thresholds)


@pytest.mark.parametrize("seed", range(6))
def test_map_on_random_scenes(seed):
    scene = random_scene(seed, n_images=12, n_classes=4, n_objects=80, n_detections=400)
    assert 0.05 < assert_same_as_coco(*scene).map < 0.95


@pytest.mark.parametrize("spread", [0.5, 3.0, 20.0])
def test_map_of_tight_and_sloppy_boxes(spread):
    assert_same_as_coco(*random_scene(9, n_images=5, n_classes=2, n_objects=40, n_detections=120, spread=spread))


def test_map_with_more_than_100_detections_in_an_image():
    truth, detections = random_scene(3, n_images=1, n_classes=1, n_objects=30, n_detections=400)
    result = assert_same_as_coco(truth, detections)
    assert result.map != mean_average_precision(truth, detections, max_detections=400).map
    assert_same_as_coco(truth, detections, max_detections=10)


def test_map_without_any_detection():
    truth, detections = one_image([[0, 0, 4, 4]], [], scores=[])
    assert assert_same_as_coco(truth, detections).map == 0.0


def test_map_with_images_and_classes_that_have_only_one_side():
    truth, detections = random_scene(1, n_images=6, n_classes=3, n_objects=30, n_detections=90)
    some = (detections.labels != 1) & (detections.image_ids != 2)  # class 1 and image 2 get no detections
    here = truth.image_ids != 4  # image 4 has no objects
    truth = GroundTruth(image_ids=truth.image_ids[here], labels=truth.labels[here], boxes=truth.boxes[here])
    result = assert_same_as_coco(truth, detections[some])
    assert result.per_class[1] == 0.0


def test_without_ground_truth_both_refuse():
    truth, detections = one_image([], [[0, 0, 4, 4]], scores=[0.5])
    assert coco_average_precision(*to_coco(truth, detections)).size == 0  # pycocotools says −1: no such number
    with pytest.raises(ValueError, match="truth has 0 boxes"):
        mean_average_precision(truth, detections)


# ---------------------------------------------------------------- cases made by hand


def test_a_crowd_of_duplicates_counts_once():
    box = [0, 0, 10, 10]
    scene = one_image([box, [50, 50, 60, 60]], [box] * 20 + [[50, 50, 60, 60]], scores=[0.9] * 20 + [0.5])
    result = assert_same_as_coco(*scene)
    assert result.map == pytest.approx((51 * 1 + 50 * 2 / 21) / 101)  # one hit, 19 errors, one hit


@pytest.mark.parametrize("hit_first", [True, False])
def test_equal_scores_stay_in_the_order_given(hit_first):
    found = [[0, 0, 10, 10], [80, 80, 90, 90]]
    scene = one_image([[0, 0, 10, 10]], found if hit_first else found[::-1], scores=[0.5, 0.5])
    assert assert_same_as_coco(*scene).map == pytest.approx(1.0 if hit_first else 0.5)


@pytest.mark.parametrize("images", [(1, 2), (2, 1)])
def test_equal_scores_in_two_images_are_ranked_by_image(images):
    truth = GroundTruth(image_ids=np.array([images[0]]), labels=np.array([0]), boxes=np.array([[0, 0, 10, 10]]))
    detections = Detections(
        image_ids=np.array(images),
        labels=np.array([0, 0]),
        scores=np.array([0.5, 0.5]),
        boxes=np.array([[0, 0, 10, 10], [0, 0, 10, 10]]),
    )
    assert assert_same_as_coco(truth, detections).map == pytest.approx(1.0 if images == (1, 2) else 0.5)


def test_of_two_objects_with_equal_iou_the_last_is_taken():
    """Seen in what is left for the second detection, which fits only the first object."""
    objects = [[0, 0, 10, 10], [4, 0, 14, 10]]
    found = [[2, 0, 12, 10], [0, 0, 9, 10]]  # the first is as near to either: 80/120
    scene = one_image(objects, found, scores=[0.9, 0.8])
    assert match_detections(*scene, iou_threshold=0.6).tolist() == [1, 0]
    assert assert_same_as_coco(*scene, iou_thresholds=[0.6]).map == pytest.approx(1.0)
    reversed_scene = one_image(objects[::-1], found, scores=[0.9, 0.8])
    assert match_detections(*reversed_scene, iou_threshold=0.6).tolist() == [1, NO_MATCH]
    assert assert_same_as_coco(*reversed_scene, iou_thresholds=[0.6]).map == pytest.approx(51 / 101)


def test_an_iou_at_the_threshold_is_a_match():
    scene = one_image([[0, 0, 4, 4]], [[0, 0, 4, 2]], scores=[0.9])  # IoU 1/2
    assert assert_same_as_coco(*scene).map == pytest.approx(0.1)  # a hit at 0.50 alone


def test_an_iou_just_below_1_is_a_match_at_threshold_1():
    scene = one_image([[0, 0, 1, 1]], [[0, 0, 1, 1 - 1e-12]], scores=[0.9])
    assert assert_same_as_coco(*scene, iou_thresholds=[1.0]).map == pytest.approx(1.0)


# ---------------------------------------------------------------- curves


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_curve_and_area_beside_scikit_learn(hits):
    """With every object found and no ties, the ranking of detections is a ranking of samples."""
    hits = np.array(hits)
    scores = -np.arange(len(hits), dtype=float)
    precision, recall = precision_recall_of_ranking(hits, int(hits.sum()))
    theirs_precision, theirs_recall, _ = precision_recall_curve(hits, scores)
    np.testing.assert_allclose(precision, theirs_precision[-2::-1], rtol=1e-12)
    np.testing.assert_allclose(recall, theirs_recall[-2::-1], rtol=1e-12)
    steps = np.diff(recall, prepend=0.0) @ precision
    assert steps == pytest.approx(average_precision_score(hits, scores), abs=1e-12)
    assert all_point_average_precision(precision, recall) >= steps - 1e-12  # the envelope is never below the curve
    assert (precision_envelope(precision) >= precision).all()
