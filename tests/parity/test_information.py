"""Entropy and divergence against scipy, torch and scikit-learn: the same values to 1e-12, infinities included."""

import math

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.metrics
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from mazelm.metrics.information import (
    cross_entropy,
    entropy,
    jensen_shannon,
    kl_divergence,
    mutual_information,
    perplexity,
)

entries = st.sampled_from([0.0, 1e-300, 1e-12, 0.25, 0.5, 1.0]) | st.floats(0, 1)  # zeros, specks, ties, anything


@st.composite
def batches(draw, count=2, least=0.0):
    """So many batches of distributions, all of one shape: (outcomes,) or (rows, outcomes)."""
    rows, size = draw(st.integers(0, 3)), draw(st.integers(1, 6))
    row = st.lists(entries.map(lambda x: x + least), min_size=size, max_size=size).filter(lambda w: sum(w) > 1e-3)
    drawn = [np.array([draw(row) for _ in range(max(rows, 1))]) for _ in range(count)]
    normalised = [weights / weights.sum(axis=-1, keepdims=True) for weights in drawn]
    return normalised if rows else [weights[0] for weights in normalised]


def close(peer):
    return pytest.approx(np.asarray(peer), rel=1e-12, abs=1e-12)


@given(batches(count=1), st.sampled_from([math.e, 2, 10]))
@example([np.array([1.0])], 2)
@example([np.array([0.0, 1.0, 0.0])], 2)
def test_entropy(one, base):
    (p,) = one
    assert entropy(p, base=base) == close(scipy.stats.entropy(p, base=base, axis=-1))
    assert entropy(p) == close(scipy.special.entr(p).sum(axis=-1))


@given(batches(), st.sampled_from([math.e, 2, 10]))
@example([np.array([0.5, 0.5]), np.array([1.0, 0.0])], 2)
@example([np.array([1.0, 0.0]), np.array([0.5, 0.5])], 2)
def test_kl_divergence(two, base):
    p, q = two
    assert kl_divergence(p, q, base=base) == close(scipy.stats.entropy(p, q, base=base, axis=-1))
    assert kl_divergence(p, q) == close(scipy.special.rel_entr(p, q).sum(axis=-1))


@given(batches(), st.sampled_from([math.e, 2]))
def test_jensen_shannon(two, base):
    """scipy's function is the distance: the square root of the divergence. Near 0, squaring it back loses digits."""
    p, q = two
    distance = scipy.spatial.distance.jensenshannon(p, q, base=base, axis=-1)
    assert jensen_shannon(p, q, base=base) == close(np.nan_to_num(distance) ** 2)  # NaN: the root of its −1e-17


@given(batches(least=1e-3))
def test_torch_takes_the_belief_first_and_as_a_logarithm(two):
    p, q = two
    log_q = torch.from_numpy(q).log()
    divergence = F.kl_div(log_q, torch.from_numpy(p), reduction="none").sum(-1)
    assert kl_divergence(p, q) == close(divergence.numpy())


@given(batches(least=1e-3))
def test_cross_entropy_with_a_soft_truth(two):
    """torch takes logits and normalises them itself; the logarithm of a distribution is one choice of logits."""
    p, q = (np.atleast_2d(one) for one in two)
    theirs = F.cross_entropy(torch.from_numpy(q).log() + 3.0, torch.from_numpy(p), reduction="none")
    assert cross_entropy(p, q) == close(theirs.numpy())


@given(batches(count=1, least=1e-3), st.data())
def test_cross_entropy_with_a_one_hot_truth(one, data):
    q = np.atleast_2d(one[0])
    truth = np.array([data.draw(st.integers(0, q.shape[1] - 1)) for _ in q])
    ours = cross_entropy(np.eye(q.shape[1])[truth], q)
    theirs = F.cross_entropy(torch.from_numpy(q).log(), torch.from_numpy(truth), reduction="none")
    assert ours == close(theirs.numpy())
    if q.shape[1] > 1:
        assert ours.mean() == close(sklearn.metrics.log_loss(truth, q, labels=range(q.shape[1])))
    assert perplexity(-ours) == close(theirs.mean().exp().numpy())


@given(st.lists(st.tuples(st.sampled_from([-5, 0, 3]), st.sampled_from([10, 40, 41, 99])), min_size=1, max_size=30))
@example([(3, 40)])
def test_mutual_information(pairs):
    x, y = (np.array(column) for column in zip(*pairs, strict=True))
    counts = sklearn.metrics.cluster.contingency_matrix(x, y)
    assert mutual_information(counts / counts.sum()) == close(sklearn.metrics.mutual_info_score(x, y))


@given(st.floats(-3, 3), st.floats(0.5, 2), st.floats(-3, 3), st.floats(0.5, 2))
def test_closed_form_of_two_gaussians(mean_p, std_p, mean_q, std_q):
    """The formula that the lesson's exercise derives, and densities cut into fine bins, against torch's."""
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(torch.tensor(mean_p, dtype=torch.float64), std_p),
        torch.distributions.Normal(torch.tensor(mean_q, dtype=torch.float64), std_q),
    ).item()
    closed = math.log(std_q / std_p) + (std_p**2 + (mean_p - mean_q) ** 2) / (2 * std_q**2) - 0.5
    assert closed == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    grid, width = np.linspace(-15, 15, 3001, retstep=True)
    p = scipy.stats.norm.pdf(grid, mean_p, std_p) * width
    q = scipy.stats.norm.pdf(grid, mean_q, std_q) * width
    assert kl_divergence(p, q) == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_categorical_distributions_of_torch():
    p = np.random.default_rng(0).dirichlet(np.ones(50), size=20)
    q = np.random.default_rng(1).dirichlet(np.ones(50), size=20)
    theirs_p, theirs_q = (torch.distributions.Categorical(torch.from_numpy(one)) for one in (p, q))
    assert entropy(p) == close(theirs_p.entropy().numpy())
    assert kl_divergence(p, q) == close(torch.distributions.kl_divergence(theirs_p, theirs_q).numpy())
    assert kl_divergence(q, p) == close(torch.distributions.kl_divergence(theirs_q, theirs_p).numpy())


@pytest.mark.parametrize("bad", [[], [0.5, -0.5, 1.0], [np.nan, 0.5, 0.5]], ids=["empty", "negative", "nan"])
def test_where_scipy_returns_a_number_that_means_nothing(unchecked, bad):
    """0, −inf or NaN there; here a refusal."""
    with np.errstate(all="ignore"):
        theirs = scipy.stats.entropy(bad)
    assert theirs in (0, -math.inf) or math.isnan(theirs)
    with pytest.raises(ValueError, match=r"^p "):
        entropy(bad)


def test_scipy_divides_by_the_sum_where_we_refuse(unchecked):
    assert entropy([0.75, 0.25], base=2) == close(scipy.stats.entropy([3, 1], base=2))
    with pytest.raises(ValueError, match="got a sum of 4"):
        entropy([3, 1], base=2)
