"""Classification metrics against scikit-learn: the same value to 1e-12, or both refuse."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.metrics import classification as ours
from sklearn import metrics as theirs

ratios = st.sampled_from(["precision_score", "recall_score", "f1_score"])
averages = st.sampled_from([None, "macro", "micro", "weighted"])
zero_divisions = st.sampled_from([None, 0.0, 1.0])

# Classes that are consecutive, with gaps, negative, far apart, huge, boolean, and strings of several lengths.
NAMES = [
    [0, 1, 2, 3],
    [1, 2, 5, 40],
    [-3, -1, 0, 7],
    [-5000, 0, 3, 5000],
    [-(2**62), -1, 2**40, 2**62],
    [False, True],
    ["a", "bb", "c", "dddd"],
]
two_classes = st.sampled_from([names[:2] for names in NAMES])


@st.composite
def labelled(draw, names=None):
    """The names of some classes, and between 1 and 30 samples of them: often one class only, or one sample."""
    classes = draw(st.sampled_from(NAMES) if names is None else names)
    used = classes[: draw(st.integers(1, len(classes)))]
    pairs = draw(st.lists(st.tuples(st.sampled_from(used), st.sampled_from(used)), min_size=1, max_size=30))
    truth, called = zip(*pairs, strict=True)
    return classes, np.array(truth), np.array(called)


def theirs_or_refusal(name, *args, **options):
    """What scikit-learn returns, or None if it raises or warns that the value does not exist.

    Two of its warnings are about neither: that a matrix of one class is small, and that there are many classes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="A single label was found")
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
        try:
            return getattr(theirs, name)(*args, **options)
        except (ValueError, UserWarning, RuntimeWarning):
            return None


def assert_same(name, *args, **options):
    expected = theirs_or_refusal(name, *args, **options)
    if options.get("zero_division") == "warn":
        options["zero_division"] = None
    if expected is None:
        with pytest.raises(ValueError, match=r"."):
            getattr(ours, name)(*args, **options)
    else:
        np.testing.assert_allclose(getattr(ours, name)(*args, **options), expected, rtol=0, atol=1e-12)


@given(labelled())
def test_confusion_matrix(case):
    _, truth, called = case
    assert_same("confusion_matrix", truth, called)


@given(labelled(), st.randoms(use_true_random=False))
def test_confusion_matrix_with_labels_in_any_order(case, random):
    classes, truth, called = case
    order = random.sample(classes, len(classes))
    assert ours.confusion_matrix(truth, called, labels=order).tolist() == (
        theirs.confusion_matrix(truth, called, labels=order).tolist()
    )


@given(labelled(), st.sampled_from(["accuracy_score", "balanced_accuracy_score", "matthews_corrcoef"]))
def test_metrics_of_the_whole_matrix(case, name):
    _, truth, called = case
    assert_same(name, truth, called)


@given(labelled(), ratios, averages, zero_divisions)
def test_ratios_over_classes(case, name, average, zero_division):
    _, truth, called = case
    assert_same(name, truth, called, average=average, zero_division="warn" if zero_division is None else zero_division)


@given(labelled(), ratios, averages, zero_divisions, st.randoms(use_true_random=False))
def test_ratios_over_listed_classes(case, name, average, zero_division, random):
    classes, truth, called = case
    options = {"average": average, "zero_division": "warn" if zero_division is None else zero_division}
    assert_same(name, truth, called, labels=random.sample(classes, len(classes)), **options)


@given(labelled(two_classes), ratios, zero_divisions, st.booleans())
def test_ratios_of_the_positive_class(case, name, zero_division, last):
    classes, truth, called = case
    options = {"pos_label": classes[-1 if last else 0]}
    assert_same(name, truth, called, zero_division="warn" if zero_division is None else zero_division, **options)


@given(labelled(), ratios)
def test_both_refuse_binary_where_it_has_no_meaning(case, name):
    _, truth, called = case
    assert_same(name, truth, called)  # the positive class is 1, which may be absent, and three classes may occur


@given(labelled(), averages, zero_divisions, st.sampled_from([0.0, 0.3, 0.5, 1.0, 2.0, 10.0, -1.0]))
def test_fbeta(case, average, zero_division, beta):
    _, truth, called = case
    options = {"average": average, "zero_division": "warn" if zero_division is None else zero_division}
    assert_same("fbeta_score", truth, called, beta=beta, **options)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["confusion_matrix", "accuracy_score", "balanced_accuracy_score", "f1_score"])
@pytest.mark.parametrize(
    ("truth", "called"),
    [
        ([], []),
        ([0, 1], [0, 1, 1]),
        ([0, 1], [0, np.nan]),
        ([np.inf, 1], [0, 1]),
        ([0, 1], [0.2, 0.7]),
        ([0, 1], ["0", "1"]),
        ([[0, 1], [1, 0]], [0, 1]),
    ],
)
def test_both_refuse(name, truth, called):
    assert theirs_or_refusal(name, truth, called) is None
    assert_same(name, truth, called)


@pytest.mark.usefixtures("unchecked")
def test_where_we_differ_on_purpose():
    truth, called = [0, 1, 2, 2], [0, 1, 2, 0]
    assert theirs.confusion_matrix(truth, called, labels=[0, 1]).sum() == 2  # two of the four samples are gone
    with pytest.raises(ValueError, match="y_true holds the label 2"):
        ours.confusion_matrix(truth, called, labels=[0, 1])


def test_a_large_sample():
    rng = np.random.default_rng(0)
    truth = rng.integers(-3, 9, 200_000)
    called = np.where(rng.random(200_000) < 0.7, truth, rng.integers(-3, 9, 200_000))
    assert (ours.confusion_matrix(truth, called) == theirs.confusion_matrix(truth, called)).all()
    for name in ("accuracy_score", "balanced_accuracy_score", "matthews_corrcoef"):
        assert_same(name, truth, called)
    for average in (None, "macro", "micro", "weighted"):
        assert_same("f1_score", truth, called, average=average)
