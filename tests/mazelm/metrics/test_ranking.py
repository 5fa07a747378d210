"""Ranking metrics: by hand, by definition, at their limits, under changes that must not matter, and on bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.metrics.ranking import (
    average_precision_score,
    calibration_curve,
    expected_calibration_error,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

# Five samples, two of which tie: a positive and a negative at 0.6. Two positives, three negatives.
LABELS = np.array([1, 0, 1, 0, 0])
SCORES = np.array([0.9, 0.6, 0.6, 0.4, 0.1])

both_classes = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=30).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


def columns(pairs):
    """A list of (label, score) as two arrays. The scores are few, so there are many ties."""
    labels, scores = zip(*pairs, strict=True)
    return np.array(labels, dtype=int), np.array(scores) / 7


def called_positive(labels, scores, threshold):
    """True and false positives at one threshold, counted sample by sample."""
    tp = sum(1 for label, score in zip(labels, scores, strict=True) if score >= threshold and label == 1)
    fp = sum(1 for label, score in zip(labels, scores, strict=True) if score >= threshold and label == 0)
    return tp, fp


# --- by hand


def test_roc_curve_by_hand():
    fpr, tpr, thresholds = roc_curve(LABELS, SCORES, drop_intermediate=False)
    assert thresholds.tolist() == [np.inf, 0.9, 0.6, 0.4, 0.1]
    assert tpr.tolist() == [0 / 2, 1 / 2, 2 / 2, 2 / 2, 2 / 2]
    assert fpr.tolist() == [0 / 3, 0 / 3, 1 / 3, 2 / 3, 3 / 3]  # the tie moves both rates at once


def test_precision_recall_curve_by_hand():
    precision, recall, thresholds = precision_recall_curve(LABELS, SCORES)
    assert thresholds.tolist() == [0.1, 0.4, 0.6, 0.9]
    assert precision.tolist() == [2 / 5, 2 / 4, 2 / 3, 1 / 1, 1]
    assert recall.tolist() == [2 / 2, 2 / 2, 2 / 2, 1 / 2, 0]


def test_intermediate_points_by_hand():
    labels, scores = np.array([1, 0, 0]), np.array([0.9, 0.5, 0.1])
    fpr, tpr, thresholds = roc_curve(labels, scores)
    assert (fpr.tolist(), tpr.tolist(), thresholds.tolist()) == ([0, 0, 1], [0, 1, 1], [np.inf, 0.9, 0.1])
    precision, recall, thresholds = precision_recall_curve(labels, scores, drop_intermediate=True)
    assert (precision.tolist(), recall.tolist(), thresholds.tolist()) == ([1 / 3, 1, 1], [1, 1, 0], [0.1, 0.9])


def test_roc_auc_by_hand():
    won, tied, pairs = 3 + 2, 1, 2 * 3  # 0.9 beats three negatives; 0.6 beats two and ties with one
    assert roc_auc_score(LABELS, SCORES) == (won + tied / 2) / pairs


def test_average_precision_by_hand():
    assert average_precision_score(LABELS, SCORES) == pytest.approx((1 / 2 - 0) * 1 / 1 + (2 / 2 - 1 / 2) * 2 / 3)


def test_calibration_by_hand():
    labels = np.array([0, 0, 1, 1, 1, 0])
    probs = np.array([0.0, 0.2, 0.2, 0.6, 0.9, 1.0])
    prob_true, prob_pred = calibration_curve(labels, probs, n_bins=5)
    # 0, 0.2 and 0.2 share the first bin, (0.2, 0.4] is empty, 0.6 is in (0.4, 0.6], 0.9 and 1 are in (0.8, 1]
    assert prob_true == pytest.approx([1 / 3, 1 / 1, 1 / 2])
    assert prob_pred == pytest.approx([0.4 / 3, 0.6 / 1, 1.9 / 2])
    ece = 3 / 6 * (1 / 3 - 0.4 / 3) + 1 / 6 * (1 - 0.6) + 2 / 6 * (1.9 / 2 - 1 / 2)
    assert expected_calibration_error(labels, probs, n_bins=5) == pytest.approx(ece)


def test_quantile_bins_hold_equally_many():
    labels = np.array([0, 0, 1, 0, 1, 1])
    probs = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.9])
    prob_true, prob_pred = calibration_curve(labels, probs, n_bins=2, strategy="quantile")
    assert prob_true == pytest.approx([1 / 3, 2 / 3])
    assert prob_pred == pytest.approx([0.06 / 3, 0.99 / 3])
    ece = 3 / 6 * (1 / 3 - 0.06 / 3) + 3 / 6 * (2 / 3 - 0.99 / 3)
    assert expected_calibration_error(labels, probs, n_bins=2, strategy="quantile") == pytest.approx(ece)


def test_default_numbers_of_bins():
    labels, probs = np.tile([0, 1], 50), np.linspace(0.005, 0.995, 100)
    assert len(calibration_curve(labels, probs)[0]) == 5
    assert expected_calibration_error(labels, probs) == expected_calibration_error(labels, probs, n_bins=10)
    assert expected_calibration_error(labels, probs) != expected_calibration_error(labels, probs, n_bins=9)


# --- by definition: the equations of the lesson, transcribed


@given(both_classes)
def test_eq_roc_point(pairs):
    labels, scores = columns(pairs)
    fpr, tpr, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    assert thresholds.tolist() == [np.inf, *sorted(set(scores.tolist()), reverse=True)]
    for i, threshold in enumerate(thresholds):
        tp, fp = called_positive(labels, scores, threshold)
        assert fpr[i] == fp / (labels == 0).sum()
        assert tpr[i] == tp / (labels == 1).sum()


@given(both_classes)
def test_eq_pr_point(pairs):
    labels, scores = columns(pairs)
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    assert thresholds.tolist() == sorted(set(scores.tolist()))
    assert (precision[-1], recall[-1]) == (1, 0)
    for i, threshold in enumerate(thresholds):
        tp, fp = called_positive(labels, scores, threshold)
        assert precision[i] == tp / (tp + fp)
        assert recall[i] == tp / (labels == 1).sum()


@given(both_classes)
def test_eq_precision_from_rates(pairs):
    labels, scores = columns(pairs)
    prevalence = (labels == 1).sum() / len(labels)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    precision, _, _ = precision_recall_curve(labels, scores)
    for i in range(1, len(fpr)):  # the first ROC point calls nothing positive, and has no precision
        numerator = prevalence * tpr[i]
        assert precision[-1 - i] == pytest.approx(numerator / (numerator + (1 - prevalence) * fpr[i]), abs=1e-12)


@given(both_classes)
def test_eq_auc(pairs):
    labels, scores = columns(pairs)
    won = tied = pairs_seen = 0
    for positive in scores[labels == 1]:
        for negative in scores[labels == 0]:
            won += positive > negative
            tied += positive == negative
            pairs_seen += 1
    assert roc_auc_score(labels, scores) == pytest.approx(won / pairs_seen + tied / pairs_seen / 2, abs=1e-12)


@given(both_classes)
def test_eq_average_precision(pairs):
    labels, scores = columns(pairs)
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        tp, fp = called_positive(labels, scores, threshold)
        recall = tp / (labels == 1).sum()
        total += (recall - recall_before) * tp / (tp + fp)
        recall_before = recall
    assert average_precision_score(labels, scores) == pytest.approx(total, abs=1e-12)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 12).map(lambda k: k / 12) | st.floats(0, 1)), min_size=1),
    st.integers(1, 6),
)
def test_eq_ece(pairs, n_bins):
    labels, probs = np.array([int(label) for label, _ in pairs]), np.array([prob for _, prob in pairs])
    edges = np.linspace(0, 1, n_bins + 1)
    error = 0.0
    for b in range(n_bins):
        above_lower = (probs > edges[b]) if b > 0 else (probs >= 0)
        in_bin = above_lower & (probs <= edges[b + 1])
        if in_bin.any():
            error += in_bin.sum() / len(probs) * abs(labels[in_bin].mean() - probs[in_bin].mean())
    assert expected_calibration_error(labels, probs, n_bins=n_bins) == pytest.approx(error, abs=1e-12)


# --- one quantity, two ways


@given(both_classes, st.booleans())
def test_auc_is_the_area_under_the_roc_curve(pairs, drop_intermediate):
    labels, scores = columns(pairs)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=drop_intermediate)
    assert roc_auc_score(labels, scores) == pytest.approx(np.trapezoid(tpr, fpr), abs=1e-12)


@given(both_classes)
def test_average_precision_is_the_step_area_under_its_curve(pairs):
    labels, scores = columns(pairs)
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert average_precision_score(labels, scores) == pytest.approx(
        np.sum((recall[:-1] - recall[1:]) * precision[:-1]), abs=1e-12
    )


def test_ece_is_the_mean_gap_of_the_calibration_curve_when_bins_are_equally_full():
    labels, probs = np.tile([0, 1, 1], 20), np.linspace(0.01, 0.99, 60)
    prob_true, prob_pred = calibration_curve(labels, probs, n_bins=4, strategy="quantile")
    ece = expected_calibration_error(labels, probs, n_bins=4, strategy="quantile")
    assert ece == pytest.approx(np.abs(prob_true - prob_pred).mean())


# --- limits


@pytest.mark.parametrize(("scores", "auc"), [([0.1, 0.2, 0.8, 0.9], 1), ([0.8, 0.9, 0.1, 0.2], 0), ([5, 5, 5, 5], 0.5)])
def test_auc_of_a_perfect_an_inverted_and_a_constant_score(scores, auc):
    assert roc_auc_score(np.array([0, 0, 1, 1]), np.array(scores)) == auc


def test_average_precision_of_a_constant_score_is_the_prevalence():
    assert average_precision_score(np.array([1, 0, 0, 0]), np.full(4, 0.3)) == 1 / 4


def test_one_positive_sample_alone():
    assert average_precision_score(np.array([1]), np.array([0.2])) == 1
    assert [part.tolist() for part in precision_recall_curve(np.array([1]), np.array([0.2]))] == [[1, 1], [1, 0], [0.2]]


def test_perfectly_calibrated():
    labels, probs = np.array([0, 0, 0, 1, 1, 1, 1, 0]), np.repeat([0.25, 0.75], 4)
    assert expected_calibration_error(labels, probs, n_bins=2) == 0
    assert expected_calibration_error(np.array([0, 1]), np.array([1.0, 0.0])) == 1  # certain, and wrong


# --- what must not matter, and what must


@given(both_classes, st.randoms(use_true_random=False))
def test_order_of_the_samples_does_not_matter(pairs, random):
    labels, scores = columns(pairs)
    order = list(range(len(labels)))
    random.shuffle(order)
    for metric in (roc_auc_score, average_precision_score, expected_calibration_error):
        assert metric(labels[order], scores[order]) == pytest.approx(metric(labels, scores), abs=1e-12)


@given(both_classes)
def test_a_rising_transform_of_the_scores_does_not_matter(pairs):
    labels, scores = columns(pairs)
    for transformed in (10 * scores - 3, np.exp(scores), scores.astype(np.float32), (7 * scores).round().astype(int)):
        assert roc_auc_score(labels, transformed) == roc_auc_score(labels, scores)
        assert average_precision_score(labels, transformed) == average_precision_score(labels, scores)


@given(both_classes)
def test_negated_scores_turn_auc_round(pairs):
    labels, scores = columns(pairs)
    assert roc_auc_score(labels, -scores) == pytest.approx(1 - roc_auc_score(labels, scores), abs=1e-12)


@given(both_classes)
def test_copies_of_the_negatives_change_precision_and_not_the_roc_curve(pairs):
    labels, scores = columns(pairs)
    is_negative = labels == 0
    more_labels = np.concatenate([labels, *[labels[is_negative]] * 9])
    more_scores = np.concatenate([scores, *[scores[is_negative]] * 9])
    for part, same in zip(roc_curve(labels, scores), roc_curve(more_labels, more_scores), strict=True):
        assert part == pytest.approx(same, abs=1e-12)
    assert average_precision_score(more_labels, more_scores) <= average_precision_score(labels, scores)


@pytest.mark.parametrize(("negative", "positive"), [(0, 1), (-1, 1), (False, True), (3, 7), ("ham", "spam")])
def test_labels_may_be_anything(negative, positive):
    labels = np.where(LABELS == 1, positive, negative)
    assert roc_auc_score(labels, SCORES) == roc_auc_score(LABELS, SCORES)
    assert average_precision_score(labels, SCORES, pos_label=positive) == average_precision_score(LABELS, SCORES)
    for curve in (roc_curve, precision_recall_curve, calibration_curve):
        for part, same in zip(curve(labels, SCORES, pos_label=positive), curve(LABELS, SCORES), strict=True):
            assert part.tolist() == same.tolist()


def test_the_other_label_may_be_the_positive_one():
    flipped = 1 - LABELS
    assert average_precision_score(flipped, SCORES, pos_label=0) == average_precision_score(LABELS, SCORES)
    assert roc_curve(flipped, SCORES, pos_label=0)[1].tolist() == roc_curve(LABELS, SCORES)[1].tolist()


def test_inputs_are_left_alone():
    labels, scores = LABELS.copy(), SCORES.copy()
    for metric in (roc_auc_score, average_precision_score, roc_curve, precision_recall_curve, calibration_curve):
        metric(labels, scores)
    assert labels.tolist() == LABELS.tolist()
    assert scores.tolist() == SCORES.tolist()


def test_lists_work_as_well(unchecked):
    assert roc_auc_score(LABELS.tolist(), SCORES.tolist()) == roc_auc_score(LABELS, SCORES)
    assert expected_calibration_error(LABELS.tolist(), SCORES.tolist()) == expected_calibration_error(LABELS, SCORES)


# --- bad input

EVERY = [
    roc_auc_score,
    average_precision_score,
    roc_curve,
    precision_recall_curve,
    calibration_curve,
    expected_calibration_error,
]
ON_PROBABILITIES = [calibration_curve, expected_calibration_error]


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.5], r"lengths differ: y_true has 2, y_\w+ has 1"),
        ([], [], "y_true is empty"),
        ([[0, 1]], [[0.1, 0.2]], r"y_true must be one-dimensional, got shape \(1, 2\)"),
        ([0, 1, 1], [0.1, np.nan, 0.3], r"y_(score|prob)\[1\] is nan"),
        ([0, 1, 1], [0.1, 0.2, np.inf], r"y_(score|prob)\[2\] is inf"),
        ([0, 1, np.nan], [0.1, 0.2, 0.3], r"y_true\[2\] is nan"),
        ([0.25, 0.75], [0, 1], r"y_true has the entry 0.25, which is no label: are the two arguments swapped"),
        ([0, 1], ["low", "high"], r"y_(score|prob) must hold numbers, got np.str_\('low'\)"),
        ([0, 1, 2], [0.1, 0.2, 0.3], "y_true has more than two labels, such as 0, 1 and 2"),
    ],
)
def test_bad_input_is_named(unchecked, metric, labels, scores, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array(labels), np.array(scores))


@pytest.mark.parametrize(
    ("metric", "labels", "message"),
    [
        (roc_auc_score, [0, 0], "y_true has no negatives"),  # the greater of one label is that label
        (roc_auc_score, [1, 1], "y_true has no negatives"),
        (roc_curve, [0, 0], "y_true has no positives"),
        (roc_curve, [1, 1], "y_true has no negatives"),
        (precision_recall_curve, [0, 0], "y_true has no positives"),
        (average_precision_score, [0, 0], "y_true has no positives"),
    ],
)
def test_a_rate_among_no_samples_does_not_exist(metric, labels, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array(labels), np.array([0.2, 0.8]))


@pytest.mark.parametrize("metric", [roc_curve, precision_recall_curve, *ON_PROBABILITIES])
@pytest.mark.parametrize("labels", [[3, 7], ["ham", "spam"], [0, 2], [1, 2]])
def test_positive_label_has_to_be_said(metric, labels):
    with pytest.raises(ValueError, match=r"pos_label=None, but the labels in y_true are \["):
        metric(np.array(labels), np.array([0.2, 0.8]))


@pytest.mark.parametrize("metric", [average_precision_score, *ON_PROBABILITIES])
def test_unknown_positive_label(metric):
    with pytest.raises(ValueError, match=r"pos_label=5 is none of the labels in y_true, \[0, 1\]"):
        metric(np.array([0, 1]), np.array([0.2, 0.8]), pos_label=5)


@pytest.mark.parametrize("metric", ON_PROBABILITIES)
@pytest.mark.parametrize(
    ("probs", "options", "message"),
    [
        ([0.2, 1.25], {}, "y_prob has the entry 1.25: a probability lies between 0 and 1"),
        ([-0.5, 0.9], {}, "y_prob has the entry -0.5"),
        ([0.2, 0.9], {"n_bins": 0}, "n_bins must be at least 1, got 0"),
        ([0.2, 0.9], {"strategy": "equal"}, "strategy='equal' is neither 'uniform' nor 'quantile'"),
    ],
)
def test_bad_calibration_input(metric, probs, options, message):
    with pytest.raises(ValueError, match=message):
        metric(np.array([0, 1]), np.array(probs), **options)
