"""Boxes, matching and mean average precision: by hand, by counting cells, and by definitions written as loops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.metrics.detection import (
    COCO_IOU_THRESHOLDS,
    NO_MATCH,
    Detections,
    GroundTruth,
    MeanAveragePrecision,
    all_point_average_precision,
    box_iou,
    generalized_box_iou,
    interpolated_average_precision,
    match_detections,
    mean_average_precision,
    nms,
    precision_envelope,
    precision_recall_of_ranking,
)
from scenes import IDS, SCORES, boxes_of, one_image, random_scene, scenes

# ---------------------------------------------------------------- definitions, written slowly


def cells(box):
    """The unit squares that a box with whole-number corners covers."""
    x1, y1, x2, y2 = (int(side) for side in box)
    return set(product(range(x1, x2), range(y1, y2)))


def iou_by_counting(a, b):
    covered = cells(a) | cells(b)
    return len(cells(a) & cells(b)) / len(covered) if covered else 0.0


def iou_by_definition(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    union = area_a + area_b - width * height
    return width * height / union if union > 0 else 0.0


def giou_by_counting(a, b):
    around = cells([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])
    if not around:
        return 0.0
    return iou_by_counting(a, b) - len(around - cells(a) - cells(b)) / len(around)


def nms_by_definition(boxes, scores, iou_threshold):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):  # sorted() leaves equal scores in their order
        if all(iou_by_definition(boxes[i], boxes[k]) <= iou_threshold for k in kept):
            kept.append(i)
    return kept


def matches_by_definition(truth, detections, iou_threshold, max_detections=10**9):
    """The object that each detection takes, None for a false positive; detections beyond the maximum are missing."""
    match_of, taken, seen = {}, set(), {}
    for d in sorted(range(len(detections.scores)), key=lambda d: -detections.scores[d]):
        group = (detections.image_ids[d], detections.labels[d])
        seen[group] = seen.get(group, 0) + 1
        if seen[group] > max_detections:
            continue
        best, best_iou = None, iou_threshold
        for g in range(len(truth.labels)):
            if (truth.image_ids[g], truth.labels[g]) != group or g in taken:
                continue
            iou = iou_by_definition(detections.boxes[d], truth.boxes[g])
            if iou >= best_iou:
                best, best_iou = g, iou
        match_of[d] = best
        taken.add(best)
        taken.discard(None)
    return match_of


def ap_by_definition(truth, detections, label, iou_threshold, max_detections=100):
    match_of = matches_by_definition(truth, detections, iou_threshold, max_detections)
    ranking = [d for d in match_of if detections.labels[d] == label]
    ranking.sort(key=lambda d: (-detections.scores[d], detections.image_ids[d]))
    n_objects = sum(label == other for other in truth.labels)
    curve, hits = [], 0
    for k, d in enumerate(ranking, start=1):
        hits += match_of[d] is not None
        curve.append((hits / n_objects, hits / k))
    levels = [float(level) for level in np.linspace(0, 1, 101)]
    return sum(max((p for r, p in curve if r >= level), default=0.0) for level in levels) / 101


# ---------------------------------------------------------------- IoU


def test_box_iou_by_hand():
    a = np.array([[0, 0, 4, 3]])  # 12 cells
    b = np.array([[2, 1, 6, 4], [0, 0, 4, 3], [4, 0, 8, 3], [1, 1, 3, 2]])
    expected = [[4 / (12 + 12 - 4), 1.0, 0.0, 2 / 12]]  # overlap 2 × 2; itself; touching sides; inside
    np.testing.assert_allclose(box_iou(a, b), expected, rtol=1e-15)


def test_eq_iou():
    rng = np.random.default_rng(0)
    a, b = (np.sort(rng.uniform(0, 10, (n, 2, 2)), axis=1).reshape(n, 4) for n in (30, 20))
    expected = [[iou_by_definition(p, q) for q in b] for p in a]
    np.testing.assert_allclose(box_iou(a, b), expected, rtol=0, atol=1e-14)
    assert 0.1 < (box_iou(a, b) > 0).mean() < 0.9


@given(boxes_of(3), boxes_of(4))
def test_box_iou_counts_cells(a, b):
    np.testing.assert_allclose(box_iou(a, b), [[iou_by_counting(p, q) for q in b] for p in a], rtol=1e-15)


@given(boxes_of(4), boxes_of(4), st.integers(-50, 50), st.sampled_from([0.25, 4.0]))
def test_box_iou_does_not_care_about_order_place_and_scale(a, b, shift, scale):
    iou = box_iou(a, b)
    np.testing.assert_array_equal(iou, box_iou(b, a).T)
    np.testing.assert_allclose(box_iou((a + shift) * scale, (b + shift) * scale), iou, rtol=1e-14)
    np.testing.assert_array_equal(box_iou(a[:, [1, 0, 3, 2]], b[:, [1, 0, 3, 2]]), iou)  # x and y exchanged
    assert ((iou >= 0) & (iou <= 1)).all()
    np.testing.assert_array_equal(np.diag(box_iou(a, a)), [1.0 if cells(box) else 0.0 for box in a])


def test_boxes_apart_in_both_directions_share_nothing():
    a = np.array([[0, 0, 2, 2]])
    np.testing.assert_array_equal(box_iou(a, np.array([[5, 7, 9, 8]])), [[0.0]])  # two negative sides, product 9


def test_box_without_area_has_iou_0_even_with_itself():
    point, line, box = [3, 3, 3, 3], [0, 2, 5, 2], [0, 0, 5, 5]
    boxes = np.array([point, line, box])
    np.testing.assert_array_equal(box_iou(boxes, boxes), np.diag([0.0, 0.0, 1.0]))


def test_box_iou_of_no_boxes_and_of_unsigned_integers():
    assert box_iou(np.zeros((0, 4)), np.ones((3, 4))).shape == (0, 3)
    far = np.array([[200, 200, 250, 250]], dtype=np.uint8)  # 250 - 200 is fine, 10 - 200 would wrap round
    np.testing.assert_array_equal(box_iou(np.array([[0, 0, 10, 10]], dtype=np.uint8), far), [[0.0]])


def test_generalized_box_iou_by_hand():
    a = np.array([[0, 0, 2, 2]])
    b = np.array([[0, 0, 2, 2], [4, 0, 6, 2], [1, 1, 3, 3], [2, 0, 4, 2]])
    # the same; apart, C has 12 cells of which 8 are used; overlap 1 of 7, C has 9; touching, C is the union
    np.testing.assert_allclose(generalized_box_iou(a, b), [[1, 0 - 4 / 12, 1 / 7 - 2 / 9, 0]], rtol=1e-15)


@given(boxes_of(3), boxes_of(4))
def test_eq_giou(a, b):
    expected = [[giou_by_counting(p, q) for q in b] for p in a]
    np.testing.assert_allclose(generalized_box_iou(a, b), expected, rtol=0, atol=1e-14)


@given(boxes_of(3), boxes_of(4))
def test_generalized_box_iou_is_symmetric_and_never_above_iou(a, b):
    giou = generalized_box_iou(a, b)
    np.testing.assert_array_equal(giou, generalized_box_iou(b, a).T)
    assert (giou <= box_iou(a, b)).all()
    assert (giou >= -1).all()


def test_generalized_box_iou_falls_with_distance_where_iou_is_flat():
    a = np.array([[0.0, 0.0, 2.0, 2.0]])
    away = np.array([[2.0 + gap, 0, 4.0 + gap, 2] for gap in (0, 1, 10, 1e6)])
    assert (box_iou(a, away) == 0).all()
    assert (np.diff(generalized_box_iou(a, away)[0]) < 0).all()
    assert generalized_box_iou(a, away)[0, -1] == pytest.approx(-1, abs=1e-5)


def test_generalized_box_iou_without_area():
    point, elsewhere, same_line = [0, 0, 0, 0], [3, 4, 3, 4], [3, 0, 5, 0]
    result = generalized_box_iou(np.array([point]), np.array([point, elsewhere, same_line]))
    np.testing.assert_array_equal(result, [[0.0, -1.0, 0.0]])  # only the second pair spans an area


@pytest.mark.parametrize("function", [box_iou, generalized_box_iou])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[3, 0, 2, 1]], r"boxes2\[0\] = \[3.0, 0.0, 2.0, 1.0\].*x1 <= x2"),
        ([[0, 0, 1, 1], [0, 5, 1, 4]], r"boxes2\[1\] = \[0.0, 5.0, 1.0, 4.0\].*y1 <= y2"),
        ([[0, 0, 1, float("nan")]], r"boxes2\[0\].*nan.*finite"),
        ([[0, 0, float("inf"), 1]], r"boxes2\[0\].*inf.*finite"),
        ([0, 0, 1, 1], r"boxes2 must have the shape.*\(4,\)"),
        ([[0, 0, 1]], r"boxes2 must have the shape.*\(1, 3\)"),
    ],
)
def test_bad_boxes_are_refused(unchecked, function, bad, message):
    with pytest.raises(ValueError, match=message):
        function([[0, 0, 1, 1]], bad)
    with pytest.raises(ValueError, match=message.replace("boxes2", "boxes1")):
        function(bad, [[0, 0, 1, 1]])


def test_lists_work_as_well(unchecked):
    assert box_iou([[0, 0, 2, 2]], [[0, 0, 2, 1]]).tolist() == [[0.5]]
    assert nms([[0, 0, 2, 2], [0, 0, 2, 2]], [0.1, 0.9], 0.5).tolist() == [1]


# ---------------------------------------------------------------- non-maximum suppression


def test_nms_by_hand():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 3], [10, 0, 14, 4], [0, 1, 4, 4]])
    scores = np.array([0.8, 0.9, 0.3, 0.7])
    # 1 is best; IoU with it: box 0 has 12/16, box 3 has 8/16
    assert nms(boxes, scores, 0.6).tolist() == [1, 3, 2]
    assert nms(boxes, scores, 0.4).tolist() == [1, 2]


def test_nms_keeps_what_overlaps_by_exactly_the_threshold():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 2]])  # IoU 8/16
    scores = np.array([0.9, 0.8])
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.5 - 1e-9).tolist() == [0]


def test_a_suppressed_box_suppresses_nothing():
    chain = np.array([[0, 0, 10, 1], [4, 0, 14, 1], [8, 0, 18, 1]])  # neighbours overlap by 6/14, ends by 2/18
    assert nms(chain, np.array([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]


def test_nms_takes_the_first_of_equal_scores():
    boxes = np.array([[0, 0, 4, 4]] * 3)
    assert nms(boxes, np.array([0.5, 0.5, 0.5]), 0.5).tolist() == [0]
    assert nms(boxes, np.array([0.5, 0.5, 0.5]), 1.0).tolist() == [0, 1, 2]


@given(st.integers(0, 12).flatmap(lambda n: st.tuples(boxes_of(n), st.lists(SCORES, min_size=n, max_size=n))), SCORES)
def test_nms_by_definition(boxes_and_scores, iou_threshold):
    boxes, scores = boxes_and_scores
    kept = nms(boxes, np.array(scores, dtype=float), iou_threshold)
    assert kept.dtype == np.int64
    assert kept.tolist() == nms_by_definition(boxes, scores, iou_threshold)


@pytest.mark.parametrize(
    ("scores", "iou_threshold", "message"),
    [
        ([0.5], 0.5, r"scores has the shape \(1,\).*2 boxes"),
        ([0.5, float("nan")], 0.5, r"scores\[1\] is nan"),
        ([0.5, 0.6], 1.5, "iou_threshold must be in .*1.5"),
        ([0.5, 0.6], -0.1, "iou_threshold must be in .*-0.1"),
    ],
)
def test_nms_refuses(unchecked, scores, iou_threshold, message):
    with pytest.raises(ValueError, match=message):
        nms([[0, 0, 1, 1], [0, 0, 1, 1]], scores, iou_threshold)


# ---------------------------------------------------------------- matching


def test_a_second_detection_of_the_same_object_is_a_false_positive():
    truth, detections = one_image([[0, 0, 4, 4]], [[0, 0, 4, 3], [0, 0, 4, 4]], scores=[0.9, 0.8])
    assert match_detections(truth, detections).tolist() == [0, NO_MATCH]  # the looser box had the greater score


def test_detections_choose_in_order_of_score_whatever_their_order_in_the_array():
    truth, detections = one_image([[0, 0, 4, 4]], [[0, 0, 4, 3], [0, 0, 4, 4]], scores=[0.8, 0.9])
    assert match_detections(truth, detections).tolist() == [NO_MATCH, 0]


def test_a_detection_turns_to_the_best_object_that_is_free():
    objects = [[0, 0, 10, 10], [2, 0, 12, 10]]
    found = [[0, 0, 10, 10], [1, 0, 10, 10]]  # both like object 0 best; the second overlaps object 1 by 80/110
    truth, detections = one_image(objects, found, scores=[0.9, 0.8])
    assert match_detections(truth, detections, iou_threshold=0.5).tolist() == [0, 1]
    assert match_detections(truth, detections, iou_threshold=0.75).tolist() == [0, NO_MATCH]


def test_an_iou_equal_to_the_threshold_is_enough():
    truth, detections = one_image([[0, 0, 4, 4]], [[0, 0, 4, 2]], scores=[0.9])  # IoU 8/16
    assert match_detections(truth, detections, iou_threshold=0.5).tolist() == [0]
    assert match_detections(truth, detections, iou_threshold=0.5 + 1e-9).tolist() == [NO_MATCH]


def test_at_a_threshold_of_1_rounding_costs_no_match():
    truth, detections = one_image([[0, 0, 1, 1]], [[0, 0, 1, 1 - 1e-12]], scores=[0.9])
    assert match_detections(truth, detections, iou_threshold=1.0).tolist() == [0]


def test_of_objects_with_equal_iou_the_last_is_taken():
    truth, detections = one_image([[0, 0, 4, 4], [0, 0, 4, 4]], [[0, 0, 4, 4]], scores=[0.9])
    assert match_detections(truth, detections).tolist() == [1]


def test_matches_stay_within_image_and_class():
    truth = GroundTruth(
        image_ids=np.array(["a", "b"]), labels=np.array(["cat", "cat"]), boxes=np.array([[0, 0, 4, 4]] * 2)
    )
    detections = Detections(
        image_ids=np.array(["b", "b", "c", "a"]),
        labels=np.array(["dog", "cat", "cat", "cat"]),
        scores=np.array([0.9, 0.8, 0.7, 0.6]),
        boxes=np.array([[0, 0, 4, 4]] * 4),
    )
    assert match_detections(truth, detections).tolist() == [NO_MATCH, 1, NO_MATCH, 0]


@given(scenes(), st.sampled_from([0.1, 0.5, 0.75, 1.0]))
def test_match_detections_by_definition(scene, iou_threshold):
    truth, detections = scene
    matches = match_detections(truth, detections, iou_threshold=iou_threshold)
    expected = matches_by_definition(truth, detections, iou_threshold)
    assert matches.tolist() == [NO_MATCH if expected[d] is None else expected[d] for d in range(len(expected))]


@given(scenes())
def test_no_object_is_taken_twice(scene):
    taken = match_detections(*scene, iou_threshold=0.1)
    taken = taken[taken != NO_MATCH]
    assert len(set(taken.tolist())) == len(taken)


def test_matching_with_nothing_to_match():
    nothing_found = one_image([[0, 0, 1, 1]], [], scores=[])
    nothing_there = one_image([], [[0, 0, 1, 1]], scores=[0.5])
    assert match_detections(*nothing_found).tolist() == []
    assert match_detections(*nothing_there).tolist() == [NO_MATCH]
    assert match_detections(*one_image([], [], scores=[])).tolist() == []


@pytest.mark.parametrize("iou_threshold", [0.0, -0.5, 1.01, float("nan")])
def test_match_detections_refuses_thresholds(iou_threshold):
    with pytest.raises(ValueError, match=r"IoU threshold must be in \(0, 1\], got"):
        match_detections(*one_image([[0, 0, 1, 1]], [], scores=[]), iou_threshold=iou_threshold)


# ---------------------------------------------------------------- the curve and its area


def test_precision_recall_of_ranking_by_hand():
    precision, recall = precision_recall_of_ranking(np.array([True, False, True, False]), n_objects=4)
    np.testing.assert_allclose(precision, [1 / 1, 1 / 2, 2 / 3, 2 / 4])
    np.testing.assert_allclose(recall, [1 / 4, 1 / 4, 2 / 4, 2 / 4])  # two objects were never found


@given(st.lists(st.booleans(), max_size=20), st.integers(0, 5))
def test_eq_detection_curve(hits, n_missed):
    n_objects = max(sum(hits) + n_missed, 1)
    precision, recall = precision_recall_of_ranking(np.array(hits, dtype=bool), n_objects)
    for k in range(1, len(hits) + 1):
        tp = sum(hits[:k])
        assert precision[k - 1] == pytest.approx(tp / k)
        assert recall[k - 1] == pytest.approx(tp / n_objects)


@pytest.mark.parametrize(
    ("hits", "n_objects", "message"),
    [
        ([True], 0, "n_objects=0 must be at least 1"),
        ([True, True], 1, "n_objects=1 .* number of hits, 2"),
        ([0, -1], 2, "hits must be True or False.*NO_MATCH"),
    ],
)
def test_precision_recall_of_ranking_refuses(unchecked, hits, n_objects, message):
    with pytest.raises(ValueError, match=message):
        precision_recall_of_ranking(np.array(hits), n_objects)


@given(st.lists(st.booleans(), max_size=20), st.integers(0, 3))
def test_eq_precision_envelope(hits, n_missed):
    precision, recall = precision_recall_of_ranking(np.array(hits, dtype=bool), max(sum(hits) + n_missed, 1))
    envelope = precision_envelope(precision)
    assert envelope.tolist() == [max(precision[k:]) for k in range(len(hits))]
    for level in np.linspace(0, 1, 21):
        offered = max((p for p, r in zip(precision, recall, strict=True) if r >= level), default=0.0)
        reaching = [k for k in range(len(hits)) if recall[k] >= level]
        assert offered == (envelope[reaching[0]] if reaching else 0.0)


def test_average_precision_by_hand():
    precision, recall = precision_recall_of_ranking(np.array([True, False, True, False]), n_objects=4)
    # the best precision from recall r on: 1 up to r = 1/4, 2/3 up to 1/2, 0 beyond
    assert all_point_average_precision(precision, recall) == pytest.approx(1 / 4 * 1 + 1 / 4 * 2 / 3)
    assert interpolated_average_precision(precision, recall, n_points=11) == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)
    assert interpolated_average_precision(precision, recall) == pytest.approx((26 * 1 + 25 * 2 / 3) / 101)


@given(st.lists(st.booleans(), max_size=20), st.integers(0, 3), st.sampled_from([2, 11, 101]))
def test_eq_interpolated_ap(hits, n_missed, n_points):
    precision, recall = precision_recall_of_ranking(np.array(hits, dtype=bool), max(sum(hits) + n_missed, 1))
    total = 0.0
    for level in np.linspace(0, 1, n_points):
        total += max((p for p, r in zip(precision, recall, strict=True) if r >= level), default=0.0)
    assert interpolated_average_precision(precision, recall, n_points=n_points) == pytest.approx(total / n_points)


@given(st.lists(st.booleans(), max_size=20), st.integers(0, 3))
def test_eq_all_point_ap(hits, n_missed):
    precision, recall = precision_recall_of_ranking(np.array(hits, dtype=bool), max(sum(hits) + n_missed, 1))
    area, before = 0.0, 0.0
    for k in range(len(hits)):
        area += (recall[k] - before) * max(precision[k:])
        before = recall[k]
    assert all_point_average_precision(precision, recall) == pytest.approx(area)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_many_levels_of_recall_approach_the_whole_area(hits):
    precision, recall = precision_recall_of_ranking(np.array(hits), max(sum(hits), 1))
    fine = interpolated_average_precision(precision, recall, n_points=100_001)
    assert fine == pytest.approx(all_point_average_precision(precision, recall), abs=1e-3)


def test_average_precision_of_an_empty_ranking_is_0():
    nothing = np.zeros(0)
    assert interpolated_average_precision(nothing, nothing) == 0.0
    assert all_point_average_precision(nothing, nothing) == 0.0


@pytest.mark.parametrize("function", [interpolated_average_precision, all_point_average_precision])
def test_average_precision_refuses(unchecked, function):
    with pytest.raises(ValueError, match="precision has 2, recall has 1"):
        function([1.0, 1.0], [0.5])
    with pytest.raises(ValueError, match=r"recall falls from 0.5 to 0.25"):  # as scikit-learn returns it
        function([1.0, 1.0], [0.5, 0.25])


def test_interpolated_average_precision_refuses_one_level():
    with pytest.raises(ValueError, match="n_points must be at least 2, got 1"):
        interpolated_average_precision(np.ones(1), np.ones(1), n_points=1)


# ---------------------------------------------------------------- mean average precision


def test_mean_average_precision_by_hand():
    objects = [[0, 0, 10, 10], [20, 0, 30, 10]]
    found = [[0, 0, 10, 10], [20, 0, 30, 8], [50, 0, 60, 10]]  # IoU 1, 0.8, none
    result = mean_average_precision(*one_image(objects, found, scores=[0.9, 0.7, 0.8]))
    both = (51 * 1 + 50 * 2 / 3) / 101  # hit, false positive, hit
    only_first = 51 / 101
    np.testing.assert_allclose(result.average_precision[:, 0], [both] * 7 + [only_first] * 3, rtol=1e-12)
    assert result.map == pytest.approx((7 * both + 3 * only_first) / 10)
    assert (result.map_50, result.map_75) == (pytest.approx(both), pytest.approx(both))
    assert result.map_at(0.9) == pytest.approx(only_first)
    assert result.per_class == {0: pytest.approx(result.map)}


@given(scenes(), st.integers(1, 3))
def test_eq_map(scene, max_detections):
    truth, detections = scene
    result = mean_average_precision(truth, detections, max_detections=max_detections)
    classes = sorted(set(truth.labels.tolist()))
    assert result.classes.tolist() == classes
    expected = [
        [ap_by_definition(truth, detections, k, t, max_detections) for k in classes] for t in COCO_IOU_THRESHOLDS
    ]
    np.testing.assert_allclose(result.average_precision, expected, rtol=0, atol=1e-12)
    assert result.map == pytest.approx(sum(map(sum, expected)) / (10 * len(classes)))


@pytest.mark.parametrize("seed", range(4))
def test_mean_average_precision_by_definition_on_scenes_of_all_overlaps(seed):
    truth, detections = random_scene(seed, n_images=6, n_classes=3, n_objects=40, n_detections=120, spread=6.0)
    result = mean_average_precision(truth, detections)
    expected = [[ap_by_definition(truth, detections, k, t) for k in range(3)] for t in COCO_IOU_THRESHOLDS]
    np.testing.assert_allclose(result.average_precision, expected, rtol=0, atol=1e-12)
    assert 0.05 < result.map < 0.95
    assert result.map_50 > result.map > result.map_at(0.95)


def test_only_the_best_detections_of_each_image_and_class_count():
    truth, detections = one_image([[0, 0, 4, 4]], [[9, 9, 10, 10], [0, 0, 4, 4]], scores=[0.9, 0.8])
    assert mean_average_precision(truth, detections, max_detections=1).map == 0.0
    assert mean_average_precision(truth, detections, max_detections=2).map == pytest.approx(0.5)


def test_all_images_are_ranked_together():
    box = np.array([[0.0, 0.0, 4.0, 4.0]])
    truth = GroundTruth(image_ids=np.array([1, 2]), labels=np.array([0, 0]), boxes=np.repeat(box, 2, axis=0))
    detections = Detections(  # image 1 has only a hit; image 2 a false positive that outranks both hits
        image_ids=np.array([1, 2, 2]),
        labels=np.array([0, 0, 0]),
        scores=np.array([0.5, 0.9, 0.4]),
        boxes=np.vstack([box, box + 50, box]),
    )
    assert mean_average_precision(truth, detections).map == pytest.approx(2 / 3)  # per image: (1 + 1/2) / 2


def test_ties_in_score_are_ranked_by_image_then_as_given():
    box = np.array([[0.0, 0.0, 4.0, 4.0]])

    def map_of(image_of_hit, image_of_error, hit_first):
        order = [0, 1] if hit_first else [1, 0]
        detections = Detections(
            image_ids=np.array([image_of_hit, image_of_error]),
            labels=np.array([0, 0]),
            scores=np.array([0.5, 0.5]),
            boxes=np.vstack([box, box + 50]),
        )[np.array(order)]
        truth = GroundTruth(image_ids=np.array([image_of_hit]), labels=np.array([0]), boxes=box)
        return mean_average_precision(truth, detections).map

    assert map_of(1, 1, hit_first=True) == pytest.approx(1.0)
    assert map_of(1, 1, hit_first=False) == pytest.approx(0.5)
    assert map_of(1, 2, hit_first=False) == pytest.approx(1.0)  # image 1 is ranked first
    assert map_of(2, 1, hit_first=True) == pytest.approx(0.5)


def test_a_class_without_ground_truth_is_left_out_and_one_without_detections_scores_0():
    truth = GroundTruth(
        image_ids=np.array([0, 0]), labels=np.array(["cat", "owl"]), boxes=np.array([[0, 0, 4, 4], [5, 5, 9, 9]])
    )
    detections = Detections(
        image_ids=np.array([0, 0]),
        labels=np.array(["cat", "dog"]),
        scores=np.array([0.5, 0.9]),
        boxes=np.array([[0, 0, 4, 4], [5, 5, 9, 9]]),
    )
    result = mean_average_precision(truth, detections)
    assert result.per_class == {"cat": pytest.approx(1.0), "owl": 0.0}
    assert result.map == pytest.approx(0.5)


@given(scenes(), st.randoms(use_true_random=False))
def test_the_scale_of_scores_and_boxes_and_the_names_of_ids_do_not_matter(scene, random):
    truth, detections = scene
    result = mean_average_precision(truth, detections)

    def names(ids):
        return np.array(["a", "b", "c"])[np.searchsorted(IDS, ids)]  # in the order of the numbers, which breaks ties

    renamed = mean_average_precision(
        GroundTruth(image_ids=names(truth.image_ids), labels=names(truth.labels), boxes=truth.boxes * 4),
        Detections(
            image_ids=names(detections.image_ids),
            labels=names(detections.labels),
            scores=np.exp(detections.scores) - 7,
            boxes=detections.boxes * 4,
        ),
    )
    np.testing.assert_array_equal(renamed.average_precision, result.average_precision)


@given(scenes())
def test_another_false_positive_below_all_others_changes_nothing(scene):
    truth, detections = scene
    more = Detections(
        image_ids=np.append(detections.image_ids, 7),
        labels=np.append(detections.labels, truth.labels[0]),
        scores=np.append(detections.scores, -1.0),
        boxes=np.vstack([detections.boxes, [[0, 0, 1, 1]]]),
    )
    expected = mean_average_precision(truth, detections).average_precision
    np.testing.assert_array_equal(mean_average_precision(truth, more).average_precision, expected)


@given(scenes())
def test_perfect_detections_score_1(scene):
    truth, _ = scene
    has_area = (truth.boxes[:, 2:] > truth.boxes[:, :2]).all(axis=1)
    if not has_area.any():
        return
    truth = GroundTruth(image_ids=truth.image_ids[has_area], labels=truth.labels[has_area], boxes=truth.boxes[has_area])
    copy = Detections(
        image_ids=truth.image_ids, labels=truth.labels, scores=np.ones(len(truth.labels)), boxes=truth.boxes
    )
    assert mean_average_precision(truth, copy).map == pytest.approx(1.0, abs=1e-12)


def test_mean_average_precision_refuses():
    truth, detections = one_image([[0, 0, 1, 1]], [[0, 0, 1, 1]], scores=[0.5])
    with pytest.raises(ValueError, match="truth has 0 boxes"):
        mean_average_precision(one_image([], [], scores=[])[0], detections)
    with pytest.raises(ValueError, match="max_detections must be at least 1, got 0"):
        mean_average_precision(truth, detections, max_detections=0)
    with pytest.raises(ValueError, match=r"IoU threshold must be in \(0, 1\], got \[\]"):
        mean_average_precision(truth, detections, iou_thresholds=[])
    with pytest.raises(ValueError, match=r"IoU threshold must be in \(0, 1\], got \[0.5, 0.0\]"):
        mean_average_precision(truth, detections, iou_thresholds=[0.5, 0.0])
    named = Detections(
        image_ids=detections.image_ids, labels=np.array(["0"]), scores=detections.scores, boxes=detections.boxes
    )
    with pytest.raises(ValueError, match="labels are int64 in truth and <U1 in detections"):
        mean_average_precision(truth, named)


def test_a_threshold_that_was_not_evaluated_is_refused():
    result = MeanAveragePrecision(
        iou_thresholds=np.array([0.3]), classes=np.array([0]), average_precision=np.array([[0.5]])
    )
    assert result.map_at(0.3) == 0.5
    with pytest.raises(ValueError, match=r"iou_threshold=0.75 was not evaluated, only \[0.3\]"):
        _ = result.map_75


# ---------------------------------------------------------------- the two records

BOX = [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": [[1, 0, 0, 1]]}, r"boxes\[0\] = \[1.0, 0.0, 0.0, 1.0\]"),
        ({"image_ids": [1, 2]}, r"image_ids has the shape \(2,\).*1 boxes"),
        ({"labels": []}, r"labels has the shape \(0,\).*1 boxes"),
        ({"labels": [0.5]}, "labels must be integers or strings, got float64 such as .*0.5"),
        ({"image_ids": [None]}, "image_ids must be integers or strings, got object such as None"),
        ({"scores": [0.5, 0.5]}, r"scores has the shape \(2,\).*1 boxes"),
        ({"scores": [float("nan")]}, r"scores\[0\] is nan"),
    ],
)
def test_records_refuse_what_does_not_fit(unchecked, changes, message):
    arguments = {"image_ids": [0], "labels": [0], "scores": [0.5], "boxes": BOX} | changes
    with pytest.raises(ValueError, match=message):
        Detections(**arguments)
    if "scores" not in changes:
        del arguments["scores"]
        with pytest.raises(ValueError, match=message):
            GroundTruth(**arguments)


def test_records_turn_lists_into_arrays_and_pick_entries(unchecked):
    detections = Detections(image_ids=["a", "b"], labels=[3, 4], scores=[1, 2], boxes=BOX * 2)
    assert detections.boxes.dtype == detections.scores.dtype == float
    picked = detections[detections.scores > 1]
    assert (picked.image_ids.tolist(), picked.labels.tolist(), picked.scores.tolist()) == (["b"], [4], [2.0])


def test_records_cannot_be_changed():
    truth, _ = one_image(BOX, [], scores=[])
    with pytest.raises(AttributeError):
        truth.labels = np.array([1])
