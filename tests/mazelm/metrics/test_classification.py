"""Classification metrics: by hand, by definition, at their limits, under changes that must not matter, on bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.metrics.classification import (
    accuracy_from_matrix,
    accuracy_score,
    balanced_accuracy_from_matrix,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    fbeta_from_matrix,
    fbeta_score,
    matthews_corrcoef,
    matthews_from_matrix,
    precision_from_matrix,
    precision_score,
    recall_from_matrix,
    recall_score,
)

# Ten people, four of them ill (1): three found, one missed, two false alarms, four rightly sent home.
TRUTH = np.array([1, 0, 0, 1, 0, 1, 0, 0, 1, 0])
CALLED = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0])

# Three classes of 5, 3 and 2 samples; the second column is the largest.
MATRIX = np.array([[3, 2, 0], [0, 2, 1], [0, 1, 1]])

RATIOS = [precision_score, recall_score, f1_score]

samples = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def columns(pairs):
    """A list of (truth, prediction) as two arrays."""
    truth, called = zip(*pairs, strict=True)
    return np.array(truth), np.array(called)


def unroll(matrix):
    """The samples that a confusion matrix counts, as two arrays of row and column numbers."""
    rows, cols = np.indices(matrix.shape)
    return np.repeat(rows.ravel(), matrix.ravel()), np.repeat(cols.ravel(), matrix.ravel())


def counts(truth, called, label):
    """True positives, false positives and false negatives of one class, counted sample by sample."""
    tp = sum(1 for t, c in zip(truth, called, strict=True) if t == label and c == label)
    fp = sum(1 for t, c in zip(truth, called, strict=True) if t != label and c == label)
    fn = sum(1 for t, c in zip(truth, called, strict=True) if t == label and c != label)
    return tp, fp, fn


# --- by hand


def test_two_classes_by_hand():
    assert confusion_matrix(TRUTH, CALLED).tolist() == [[4, 2], [1, 3]]
    assert accuracy_score(TRUTH, CALLED) == (4 + 3) / 10
    assert precision_score(TRUTH, CALLED) == 3 / (3 + 2)
    assert recall_score(TRUTH, CALLED) == 3 / (3 + 1)
    assert recall_score(TRUTH, CALLED, pos_label=0) == 4 / (4 + 2)
    assert balanced_accuracy_score(TRUTH, CALLED) == pytest.approx((3 / 4 + 4 / 6) / 2, abs=1e-15)
    assert f1_score(TRUTH, CALLED) == pytest.approx(2 / (1 / (3 / 5) + 1 / (3 / 4)), abs=1e-15)
    assert fbeta_score(TRUTH, CALLED, beta=2.0) == pytest.approx(5 * 3 / (4 * 4 + 5), abs=1e-15)
    assert matthews_corrcoef(TRUTH, CALLED) == pytest.approx((3 * 4 - 2 * 1) / math.sqrt(5 * 5 * 4 * 6), abs=1e-15)


def test_three_classes_by_hand():
    truth, called = unroll(MATRIX)
    assert confusion_matrix(truth, called).tolist() == MATRIX.tolist()
    assert precision_score(truth, called, average=None).tolist() == [3 / 3, 2 / 5, 1 / 2]
    assert recall_score(truth, called, average=None).tolist() == [3 / 5, 2 / 3, 1 / 2]
    f1 = [2 * 3 / (5 + 3), 2 * 2 / (3 + 5), 2 * 1 / (2 + 2)]
    assert f1_score(truth, called, average=None).tolist() == f1
    assert f1_score(truth, called, average="macro") == pytest.approx(sum(f1) / 3, abs=1e-15)
    assert f1_score(truth, called, average="micro") == 6 / 10
    weighted = (5 * f1[0] + 3 * f1[1] + 2 * f1[2]) / 10
    assert f1_score(truth, called, average="weighted") == pytest.approx(weighted, abs=1e-15)
    assert matthews_corrcoef(truth, called) == pytest.approx(
        (10 * 6 - (5 * 3 + 3 * 5 + 2 * 2)) / math.sqrt((100 - 25 - 9 - 4) * (100 - 9 - 25 - 4)), abs=1e-15
    )


def test_rows_and_columns_follow_the_order_of_labels():
    animals = np.array(["cat", "dog", "dog"])
    called = np.array(["dog", "dog", "dog"])
    assert confusion_matrix(animals, called).tolist() == [[0, 1], [0, 2]]
    assert confusion_matrix(animals, called, labels=["dog", "cat"]).tolist() == [[2, 0], [1, 0]]
    assert confusion_matrix(animals, called, labels=["dog", "eel", "cat"]).tolist() == [[2, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_average_none_follows_the_order_of_labels():
    assert recall_score(TRUTH, CALLED, labels=[1, 0], average=None).tolist() == [3 / 4, 4 / 6]


def test_a_listed_class_that_never_occurs_takes_part_in_the_average():
    both = f1_score(TRUTH, CALLED, average=None)
    three = f1_score(TRUTH, CALLED, labels=[0, 1, 2], average="macro", zero_division=0.0)
    assert three == pytest.approx((both[0] + both[1] + 0) / 3, abs=1e-15)


def test_binary_reports_the_positive_class_whatever_the_order_of_labels():
    for labels in (None, [1, 0], [0, 1], [0, 7, 1]):
        assert precision_score(TRUTH, CALLED, labels=labels) == 3 / 5


def test_zero_division_sets_only_the_undefined_ratio():
    truth, called = np.array([0, 0, 1]), np.array([0, 0, 0])
    assert precision_score(truth, called, average=None, zero_division=1.0).tolist() == [2 / 3, 1]
    assert precision_score(truth, called, average=None, zero_division=0.0).tolist() == [2 / 3, 0]
    assert precision_score(truth, called, pos_label=0) == 2 / 3  # the other class is not asked about
    assert f1_score(truth, called) == 0  # class 1 occurs, so its F1 exists


def test_one_class_only():
    ones = np.array([1, 1, 1])
    assert (precision_score(ones, ones), recall_score(ones, ones), f1_score(ones, ones)) == (1, 1, 1)
    zeros = np.array([0])
    for ratio in RATIOS:
        assert ratio(zeros, zeros, zero_division=1.0) == 1
        with pytest.raises(ValueError, match=r"of class 1 is 0/0"):
            ratio(zeros, zeros)


# --- kinds of label


@pytest.mark.parametrize(
    "names",
    [
        np.array([-1, 1]),
        np.array([-7, 900]),
        np.array([0, 2000]),  # too far apart for one table
        np.array([3, 10**18]),
        np.array([-(2**63), 2**63 - 1]),
        np.array([2**63 - 2, 2**63 - 1]),
        np.array([-(2**63), -(2**63) + 1]),
        np.array([0, 200], dtype=np.uint8),
        np.array([-100, 100], dtype=np.int8),
        np.array([5, 2**63 - 1], dtype=np.uint64),
        np.array([1.0, 2.0]),
        np.array([False, True]),
        np.array(["healthy", "ill"]),
        np.array(["healthy", "ill"], dtype=object),
    ],
)
def test_any_kind_of_label(names):
    truth, called = names[TRUTH], names[CALLED]
    positive = names[1:].tolist()[0]
    if isinstance(positive, float):
        positive = int(positive)
    assert confusion_matrix(truth, called).tolist() == [[4, 2], [1, 3]]
    assert confusion_matrix(truth, called, labels=names[::-1]).tolist() == [[3, 1], [2, 4]]
    assert recall_score(truth, called, pos_label=positive) == 3 / 4


def test_the_widths_of_integers_and_strings_may_differ():
    assert confusion_matrix(TRUTH.astype(np.int8), CALLED.astype(np.uint64)).tolist() == [[4, 2], [1, 3]]
    assert confusion_matrix(TRUTH.astype(bool), CALLED).tolist() == [[4, 2], [1, 3]]
    assert confusion_matrix(np.array(["a"]), np.array(["abc"])).tolist() == [[0, 1], [0, 0]]


@given(samples, st.sampled_from([1, 341, 342, 10**6]), st.integers(-5000, 5000))
def test_narrow_and_wide_ranges_are_counted_alike(pairs, gap, shift):
    truth, called = columns(pairs)
    expected = confusion_matrix(truth, called).tolist()
    assert confusion_matrix(truth * gap + shift, called * gap + shift).tolist() == expected


def test_the_inputs_are_left_alone():
    truth, called = TRUTH + 5, CALLED + 5
    confusion_matrix(truth, called, labels=[6, 5])
    assert (truth == TRUTH + 5).all()
    assert (called == CALLED + 5).all()


# --- by definition: each of these is a labelled equation of the lesson, transcribed


@given(samples)
def test_eq_confusion_matrix(pairs):
    truth, called = columns(pairs)
    labels = [3, 0, 2, 1]
    expected = [[sum(1 for t, c in pairs if t == row and c == col) for col in labels] for row in labels]
    assert confusion_matrix(truth, called, labels=labels).tolist() == expected


@given(samples)
def test_eq_accuracy(pairs):
    matrix = confusion_matrix(*columns(pairs))
    right = sum(matrix[i, i] for i in range(len(matrix)))
    total = sum(matrix[i, j] for i in range(len(matrix)) for j in range(len(matrix)))
    assert accuracy_score(*columns(pairs)) == right / total
    assert right == sum(1 for t, c in pairs if t == c)


@given(samples)
def test_eq_precision(pairs):
    values = precision_score(*columns(pairs), labels=range(4), average=None, zero_division=0.0)
    for label in range(4):
        tp, fp, _ = counts(*columns(pairs), label)
        assert values[label] == (tp / (tp + fp) if tp + fp else 0)


@given(samples)
def test_eq_recall(pairs):
    values = recall_score(*columns(pairs), labels=range(4), average=None, zero_division=0.0)
    for label in range(4):
        tp, _, fn = counts(*columns(pairs), label)
        assert values[label] == (tp / (tp + fn) if tp + fn else 0)


@given(samples)
def test_eq_f1(pairs):
    values = f1_score(*columns(pairs), labels=range(4), average=None, zero_division=0.0)
    for label in range(4):
        tp, fp, fn = counts(*columns(pairs), label)
        if tp:
            precision, recall = tp / (tp + fp), tp / (tp + fn)
            assert values[label] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-15)
        else:
            assert values[label] == 0


@given(samples, st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0]))
def test_eq_fbeta(pairs, beta):
    values = fbeta_score(*columns(pairs), beta=beta, labels=range(4), average=None, zero_division=0.0)
    for label in range(4):
        tp, fp, fn = counts(*columns(pairs), label)
        if tp:
            precision, recall = tp / (tp + fp), tp / (tp + fn)
            expected = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
            assert values[label] == pytest.approx(expected, abs=1e-15)
        else:
            assert values[label] == 0


@given(samples)
def test_eq_balanced_accuracy(pairs):
    truth, called = columns(pairs)
    called = np.where(np.isin(called, truth), called, truth[0])  # every class that is called also occurs
    recalls = []
    for label in sorted(set(truth.tolist())):
        tp, _, fn = counts(truth, called, label)
        recalls.append(tp / (tp + fn))
    assert balanced_accuracy_score(truth, called) == pytest.approx(sum(recalls) / len(recalls), abs=1e-15)


@given(samples)
def test_eq_averages(pairs):
    truth, called = columns(pairs)
    per_class = [counts(truth, called, label) for label in sorted(set(truth.tolist()) | set(called.tolist()))]
    f1 = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in per_class]
    size = [tp + fn for tp, _, fn in per_class]
    macro = sum(f1) / len(f1)
    weighted = sum(n * f for n, f in zip(size, f1, strict=True)) / sum(size)
    tp, fp, fn = (sum(column) for column in zip(*per_class, strict=True))
    assert f1_score(truth, called, average="macro") == pytest.approx(macro, abs=1e-15)
    assert f1_score(truth, called, average="weighted") == pytest.approx(weighted, abs=1e-15)
    assert f1_score(truth, called, average="micro") == pytest.approx(2 * tp / (2 * tp + fp + fn), abs=1e-15)


@given(samples)
def test_eq_mcc(pairs):
    """Pearson's correlation of the two columns of 0s and 1s, when there are two classes."""
    truth, called = (np.minimum(column, 1) for column in columns(pairs))
    tp, fp, fn = counts(truth, called, 1)
    tn = len(truth) - tp - fp - fn
    spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    expected = (tp * tn - fp * fn) / math.sqrt(spread) if spread else 0
    assert matthews_corrcoef(truth, called) == pytest.approx(expected, abs=1e-15)
    if spread:
        assert matthews_corrcoef(truth, called) == pytest.approx(np.corrcoef(truth, called)[0, 1], abs=1e-12)


@given(samples)
def test_matthews_of_many_classes_is_the_correlation_of_one_hot_rows(pairs):
    truth, called = (np.eye(4)[column] for column in columns(pairs))
    truth, called = truth - truth.mean(axis=0), called - called.mean(axis=0)
    spread = (truth**2).sum() * (called**2).sum()
    expected = (truth * called).sum() / math.sqrt(spread) if spread > 1e-9 else 0
    assert matthews_corrcoef(*columns(pairs)) == pytest.approx(expected, abs=1e-12)


# --- the matrix alone says as much as the labels


def test_from_matrix_by_hand():
    assert accuracy_from_matrix(MATRIX) == 6 / 10
    assert balanced_accuracy_from_matrix(MATRIX) == pytest.approx((3 / 5 + 2 / 3 + 1 / 2) / 3, abs=1e-15)
    assert precision_from_matrix(MATRIX).tolist() == [3 / 3, 2 / 5, 1 / 2]
    assert recall_from_matrix(MATRIX).tolist() == [3 / 5, 2 / 3, 1 / 2]
    assert fbeta_from_matrix(MATRIX, beta=1.0).tolist() == [6 / 8, 4 / 8, 2 / 4]
    assert precision_from_matrix(MATRIX[1:, 1:], average="binary") == 1 / 2


@given(samples, st.sampled_from([None, "macro", "micro", "weighted"]))
def test_from_matrix_equals_from_labels(pairs, average):
    truth, called = columns(pairs)
    matrix = confusion_matrix(truth, called, labels=range(4))
    options = {"average": average, "zero_division": 1.0}
    for by_matrix, by_labels in [(precision_from_matrix, precision_score), (recall_from_matrix, recall_score)]:
        expected = by_labels(truth, called, labels=range(4), **options)
        assert np.array_equal(by_matrix(matrix, **options), expected)
    expected = fbeta_score(truth, called, beta=0.5, labels=range(4), **options)
    assert np.array_equal(fbeta_from_matrix(matrix, beta=0.5, **options), expected)
    assert accuracy_from_matrix(matrix) == accuracy_score(truth, called)
    assert matthews_from_matrix(matrix) == matthews_corrcoef(truth, called)


# --- limits


def test_all_right_and_all_wrong():
    truth = np.array([0, 1, 1, 0, 1])
    for right in (accuracy_score, balanced_accuracy_score, f1_score, matthews_corrcoef):
        assert right(truth, truth) == 1
    assert accuracy_score(truth, 1 - truth) == balanced_accuracy_score(truth, 1 - truth) == 0
    assert f1_score(truth, 1 - truth) == 0
    assert matthews_corrcoef(truth, 1 - truth) == -1


def test_beta_runs_from_precision_to_recall():
    assert fbeta_score(TRUTH, CALLED, beta=0.0) == precision_score(TRUTH, CALLED)
    assert fbeta_score(TRUTH, CALLED, beta=1.0) == f1_score(TRUTH, CALLED)
    assert fbeta_score(TRUTH, CALLED, beta=1e100) == pytest.approx(recall_score(TRUTH, CALLED), abs=1e-15)


def test_a_constant_prediction():
    truth = np.array([0] * 99 + [1])
    nobody = np.zeros(100, dtype=int)
    assert accuracy_score(truth, nobody) == 0.99
    assert balanced_accuracy_score(truth, nobody) == 0.5
    assert recall_score(truth, nobody) == 0
    assert matthews_corrcoef(truth, nobody) == 0
    assert matthews_corrcoef(nobody, truth) == 0


def test_matthews_does_not_overflow():
    huge = np.array([[2**40, 2**20], [2**20, 2**40]])  # squares of the total need 82 bits
    assert matthews_from_matrix(huge) == pytest.approx((2**20 - 1) / (2**20 + 1), abs=1e-15)


# --- changes that must not matter, and some that must


@given(samples, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    assert confusion_matrix(*columns(shuffled)).tolist() == confusion_matrix(*columns(pairs)).tolist()


@given(samples)
def test_swapping_truth_and_prediction_transposes_the_matrix(pairs):
    truth, called = columns(pairs)
    matrix = confusion_matrix(truth, called)
    assert confusion_matrix(called, truth).tolist() == matrix.T.tolist()
    assert precision_from_matrix(matrix, zero_division=0.0).tolist() == (
        recall_from_matrix(matrix.T, zero_division=0.0).tolist()
    )


@given(samples)
def test_micro_averages_equal_accuracy(pairs):
    truth, called = columns(pairs)
    for ratio in RATIOS:
        assert ratio(truth, called, average="micro") == pytest.approx(accuracy_score(truth, called), abs=1e-15)


@given(samples)
def test_weighted_recall_equals_accuracy(pairs):
    truth, called = columns(pairs)
    weighted = recall_score(truth, called, average="weighted", zero_division=0.0)
    assert weighted == pytest.approx(accuracy_score(truth, called), abs=1e-15)


@given(st.integers(0, 30), st.integers(1, 30), st.integers(0, 30), st.integers(1, 30), st.integers(2, 50))
def test_more_negatives_change_precision_but_not_balanced_accuracy(tp, fn, fp, tn, times):
    few, many = np.array([[tn, fp], [fn, tp]]), np.array([[tn * times, fp * times], [fn, tp]])
    assert balanced_accuracy_from_matrix(many) == pytest.approx(balanced_accuracy_from_matrix(few), abs=1e-15)
    if tp and fp:
        assert precision_from_matrix(many)[1] < precision_from_matrix(few)[1]


@given(samples)
def test_f1_lies_between_precision_and_recall_and_below_their_mean(pairs):
    truth, called = columns(pairs)
    precision = precision_score(truth, called, average=None, zero_division=0.0)
    recall = recall_score(truth, called, average=None, zero_division=0.0)
    f1 = f1_score(truth, called, average=None)
    assert (f1 >= np.minimum(precision, recall) - 1e-12).all()
    assert (f1 <= (precision + recall) / 2 + 1e-12).all()


# --- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("truth", "called", "message"),
    [
        ([0, 1], [0, 1, 1], r"lengths differ: y_true has 2, y_pred has 3"),
        ([], [], r"y_true is empty"),
        ([0, 1], [], r"y_pred is empty"),
        ([[0, 1]], [[0, 1]], r"y_true must be one-dimensional, got shape \(1, 2\)"),
        (0, 1, r"y_true must be one-dimensional"),
        ([0, 1], [0.2, 0.9], r"y_pred holds 0.2: a score is no class label"),
        ([0, 1], [0, np.nan], r"y_pred\[1\] is nan"),
        ([0, np.inf], [0, 1], r"y_true\[1\] is inf"),
        ([0, 1], ["0", "1"], r"y_pred holds '0' but y_true 0"),
        (["a"], [1], r"y_pred holds 1 but y_true 'a'"),
        ([0, None], [0, 1], r"y_true has entries of type object"),
        ([1j, 1], [0, 1], r"y_true has entries of type complex128"),
        ([2**63], [0], r"y_true holds 9223372036854775808: labels must fit"),
        ([0], [-1e30], r"y_pred holds -1e\+30: labels must fit"),
    ],
)
def test_bad_labels_are_named(truth, called, message):
    for metric in (confusion_matrix, accuracy_score, balanced_accuracy_score, matthews_corrcoef, *RATIOS):
        with pytest.raises(ValueError, match=message):
            metric(truth, called)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 2], r"y_true holds the label 1, which is not in labels=\[0, 2\]"),
        ([0, 1], r"y_pred holds the label 2, which is not in labels=\[0, 1\]"),
        ([0, 1, 2, 1], r"labels=\[0, 1, 2, 1\] names a class twice"),
        ([], r"labels is empty"),
        (["0", "1", "2"], r"labels holds '0' but y_true 0"),
        ([0, 1, 2.5], r"labels holds 2.5"),
        (3, r"labels must be one-dimensional"),
    ],
)
def test_bad_lists_of_labels_are_named(labels, message):
    truth, called = [0, 1, 1, 0], [0, 1, 2, 0]
    with pytest.raises(ValueError, match=message):
        confusion_matrix(truth, called, labels=labels)
    for ratio in RATIOS:
        with pytest.raises(ValueError, match=message):
            ratio(truth, called, labels=labels, average="macro", zero_division=0)


def test_an_unknown_string_is_named():
    with pytest.raises(ValueError, match=r"y_pred holds the label 'fox', which is not in labels=\['cat', 'dog'\]"):
        confusion_matrix(np.array(["cat", "dog"]), np.array(["cat", "fox"]), labels=["cat", "dog"])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"average='binary' takes two classes, got \[0, 1, 2\]"),
        ({"average": "mean"}, r"average='mean' must be"),
        ({"average": "macro", "zero_division": 0.5}, r"zero_division=0.5 must be"),
        ({"average": "micro", "zero_division": np.nan}, r"zero_division=nan must be"),
        ({"average": "macro", "pos_label": 2}, r"pos_label=2 has no effect with average='macro'"),
    ],
)
def test_bad_options_are_named(options, message):
    for ratio in RATIOS:
        with pytest.raises(ValueError, match=message):
            ratio([0, 1, 2, 1], [0, 2, 1, 1], **options)


def test_a_positive_label_that_does_not_occur_is_named():
    with pytest.raises(ValueError, match=r"pos_label=2 does not occur: the classes are \[0, 1\]"):
        recall_score(TRUTH, CALLED, pos_label=2)
    with pytest.raises(ValueError, match=r"pos_label=1 does not occur: the classes are \['a'\]"):
        recall_score(np.array(["a"]), np.array(["a"]))


@pytest.mark.parametrize("beta", [-1.0, -1e-9, math.inf, math.nan, 1e200])
def test_bad_betas_are_named(beta):
    with pytest.raises(ValueError, match=f"beta={beta}".replace("+", r"\+")):
        fbeta_score(TRUTH, CALLED, beta=beta)


def test_a_ratio_that_does_not_exist_names_the_class():
    truth, called = np.array(["a", "b", "c"]), np.array(["a", "b", "b"])
    with pytest.raises(ValueError, match=r"the precision of class 'c' is 0/0"):
        precision_score(truth, called, average="macro")
    with pytest.raises(ValueError, match=r"the recall of class 'c' is 0/0"):
        recall_score(called, truth, average=None)
    with pytest.raises(ValueError, match=r"the recall of class 'c' is 0/0"):
        balanced_accuracy_score(called, truth)
    with pytest.raises(ValueError, match=r"the F-measure of class 'd' is 0/0"):
        f1_score(truth, called, labels=["a", "b", "c", "d"], average="weighted")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2]], r"got shape \(1, 2\)"),
        ([1, 2], r"got shape \(2,\)"),
        (np.zeros((0, 0), dtype=int), r"got shape \(0, 0\)"),
        ([[0.9, 0.1], [0.2, 0.8]], r"matrix must hold counts, not float64 such as 0.9"),
        ([[3, -1], [0, 2]], r"matrix holds -1: a count is never negative"),
        ([[0, 0], [0, 0]], r"matrix holds only zeros"),
    ],
)
def test_bad_matrices_are_named(matrix, message):
    for metric in (
        accuracy_from_matrix,
        balanced_accuracy_from_matrix,
        precision_from_matrix,
        recall_from_matrix,
        matthews_from_matrix,
    ):
        with pytest.raises(ValueError, match=message):
            metric(matrix)
    with pytest.raises(ValueError, match=message):
        fbeta_from_matrix(matrix, beta=1.0)


@pytest.mark.usefixtures("unchecked")
def test_the_names_must_fit_the_matrix():
    with pytest.raises(ValueError, match=r"matrix has 3, labels has 2"):
        precision_from_matrix(MATRIX, labels=["a", "b"])


def test_lists_work_without_the_shape_checks(unchecked):
    assert confusion_matrix([True, False], [True, True]).tolist() == [[0, 1], [0, 1]]
    assert f1_score(["a", "b"], ["a", "a"], pos_label="a") == 2 / 3
