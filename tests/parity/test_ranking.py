"""Ranking metrics against scikit-learn: the same values to 1e-12, or a refusal on both sides."""

import warnings

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics
from hypothesis import example, given
from hypothesis import strategies as st
from mazelm.metrics import ranking

LABEL_PAIRS = [(0, 1), (-1, 1), (False, True), (0.0, 1.0), (3, 7), (-5, 40), ("ham", "spam")]
CURVES = ["roc_curve", "precision_recall_curve"]
AREAS = ["roc_auc_score", "average_precision_score"]

few_scores = st.sampled_from([-2.0, -0.0, 0.0, 0.1, 0.5, 0.5000000000000001, 1.0])  # ties, and all but ties
any_scores = few_scores | st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf])
any_probs = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.75, 0.8, 1.0]) | st.floats(0, 1)  # many on an edge


@st.composite
def samples(draw, scores, max_size=25):
    """Labels of one class or two, scores, and the label that counts as positive."""
    negative, positive = draw(st.sampled_from(LABEL_PAIRS))
    drawn = draw(st.lists(st.tuples(st.booleans(), scores), max_size=max_size))
    labels = np.array([positive if is_positive else negative for is_positive, _ in drawn])
    return labels, np.array([score for _, score in drawn]), draw(st.sampled_from([negative, positive]))


def numbers(result):
    """The result as a list of arrays; a float becomes one array of one number."""
    return [np.atleast_1d(part) for part in (result if isinstance(result, tuple) else (result,))]


def ours(function, *args, **kwargs):
    try:
        return numbers(function(*args, **kwargs))
    except ValueError:
        return "refused"


def theirs(function, *args, **kwargs):
    """scikit-learn warns (a kind of UserWarning) or returns NaN where a quantity does not exist: a refusal here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = numbers(function(*args, **kwargs))
        except (
            ValueError,
            IndexError,
            UserWarning,
        ):  # IndexError: its answer to no samples
            return "refused"
    return "refused" if any(np.isnan(part).any() for part in result) else result


def assert_same(left, right):
    assert (left == "refused") == (right == "refused"), (left, right)
    if left != "refused":
        for mine, peer in zip(left, right, strict=True):
            assert mine.shape == peer.shape
            assert mine == pytest.approx(peer, abs=1e-12, rel=0, nan_ok=False)


@pytest.mark.parametrize("name", CURVES)
@given(sample=samples(few_scores) | samples(any_scores), drop=st.booleans(), say_it=st.booleans())
def test_curves(name, sample, drop, say_it):
    labels, scores, positive = sample
    options = {"pos_label": positive if say_it else None, "drop_intermediate": drop}
    mine, peer = getattr(ranking, name), getattr(sklearn.metrics, name)
    assert_same(ours(mine, labels, scores, **options), theirs(peer, labels, scores, **options))


@given(samples(few_scores) | samples(any_scores))
@example((np.array([1]), np.array([0.5]), 1))
@example((np.array([0]), np.array([0.5]), 0))
def test_areas(sample):
    labels, scores, positive = sample
    assert_same(
        ours(ranking.roc_auc_score, labels, scores),
        theirs(sklearn.metrics.roc_auc_score, labels, scores),
    )
    assert_same(
        ours(ranking.average_precision_score, labels, scores, pos_label=positive),
        theirs(sklearn.metrics.average_precision_score, labels, scores, pos_label=positive),
    )


@given(
    samples(any_probs) | samples(any_probs | st.sampled_from([-0.1, 1.5, np.nan, np.inf])),
    st.integers(1, 8),
    st.sampled_from(["uniform", "quantile"]),
    st.booleans(),
)
def test_calibration_curve(sample, n_bins, strategy, say_it):
    labels, probs, positive = sample
    options = {"pos_label": positive if say_it else None, "n_bins": n_bins, "strategy": strategy}
    assert_same(
        ours(ranking.calibration_curve, labels, probs, **options),
        theirs(sklearn.calibration.calibration_curve, labels, probs, **options),
    )


@pytest.mark.parametrize("name", CURVES + AREAS)
@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        (
            ["a", "b", "c", "a"],
            [0.1, 0.2, 0.3, 0.4],
        ),  # three labels: a curve of one class against the rest, but no area
        ([0.2, 0.8], [0.0, 1.0]),  # fractions are no labels
        ([0, 1], [0.3, np.nan]),
        ([], []),
    ],
)
def test_refusals(name, labels, scores):
    options = {} if name == "roc_auc_score" else {"pos_label": "b" if "b" in labels else 1}
    mine, peer = getattr(ranking, name), getattr(sklearn.metrics, name)
    arguments = np.array(labels), np.array(scores)
    assert_same(ours(mine, *arguments, **options), theirs(peer, *arguments, **options))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("levels", [10, 10_000])
def test_many_samples(dtype, levels):
    rng = np.random.default_rng(0)
    labels = (rng.random(20_000) < 0.2).astype(int)
    scores = (levels * (rng.random(20_000) + labels)).round().astype(dtype)
    for name in CURVES + AREAS:
        mine, peer = getattr(ranking, name), getattr(sklearn.metrics, name)
        assert_same(numbers(mine(labels, scores)), numbers(peer(labels, scores)))
