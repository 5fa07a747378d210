"""Entropy and divergence: by hand, by definition, at their limits, under changes that must not matter, on bad input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.metrics.information import (
    cross_entropy,
    entropy,
    jensen_shannon,
    kl_divergence,
    mutual_information,
    perplexity,
)

SUN = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])  # code lengths 1, 2, 3, 3
FOG = np.array([1 / 8, 1 / 8, 1 / 2, 1 / 4])  # code lengths 3, 3, 1, 2
ON_PAIRS = [cross_entropy, kl_divergence, jensen_shannon]
bases = st.sampled_from([math.e, 2.0, 10.0, 1.5])


def weights(size, least=0.0):
    return st.lists(st.floats(least, 1.0), min_size=size, max_size=size).filter(lambda w: sum(w) > 0.1)


@st.composite
def distributions(draw, count=1, least=0.0):
    """So many distributions over the same outcomes, of which some may be impossible."""
    size = draw(st.integers(1, 7))
    drawn = [np.array(draw(weights(size, least))) for _ in range(count)]
    return [weight / weight.sum() for weight in drawn]


def slow_kl(p, q, base=math.e):
    """The definition with its conventions, outcome by outcome."""
    total = 0.0
    for p_v, q_v in zip(p, q, strict=True):
        if p_v > 0:
            total += math.inf if q_v == 0 else p_v * (math.log(p_v, base) - math.log(q_v, base))
    return total


# --- by hand


def test_entropy_of_a_fair_coin_is_one_bit():
    assert entropy(np.array([0.5, 0.5]), base=2) == pytest.approx(1.0, rel=1e-15)
    assert entropy(np.array([0.5, 0.5])) == pytest.approx(math.log(2), rel=1e-15)


def test_mean_code_lengths_of_two_towns():
    own, wrong = 1 / 2 * 1 + 1 / 4 * 2 + 1 / 8 * 3 + 1 / 8 * 3, 1 / 2 * 3 + 1 / 4 * 3 + 1 / 8 * 1 + 1 / 8 * 2
    assert entropy(SUN, base=2) == pytest.approx(own, rel=1e-14)
    assert cross_entropy(SUN, FOG, base=2) == pytest.approx(wrong, rel=1e-14)
    assert kl_divergence(SUN, FOG, base=2) == pytest.approx(wrong - own, rel=1e-14)


def test_divergence_in_nats_is_asymmetric():
    p, q = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    assert kl_divergence(p, q) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2), rel=1e-14)
    assert kl_divergence(q, p) == pytest.approx(0.5 * math.log(5 / 9) + 0.5 * math.log(5), rel=1e-14)
    assert kl_divergence(q, p) > kl_divergence(p, q) + 0.1


def test_jensen_shannon_by_hand():
    p, q = np.array([1.0, 0.0]), np.array([0.5, 0.5])  # the mixture is (3/4, 1/4)
    by_hand = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2))
    assert jensen_shannon(p, q, base=2) == pytest.approx(by_hand, rel=1e-14)


def test_mutual_information_by_hand():
    joint = np.array([[3 / 8, 1 / 8], [1 / 8, 3 / 8]])  # both marginals (1/2, 1/2)
    assert mutual_information(joint, base=2) == pytest.approx(0.75 * math.log2(1.5) + 0.25 * math.log2(0.5), rel=1e-14)


def test_perplexity_by_hand():
    assert perplexity(np.log([0.5, 0.125])) == pytest.approx(4.0, rel=1e-14)  # 1 / sqrt(1/2 · 1/8)
    assert perplexity(np.full(5, -1.2)) == pytest.approx(3.3201169227365475, rel=1e-14)  # and not 2**1.2 = 2.297


def test_two_axes_before_the_outcomes():
    p = np.stack([np.stack([SUN, FOG]), np.stack([FOG, FOG]), np.stack([SUN, SUN])])
    q = p[:, ::-1]
    for function in ON_PAIRS:
        values = function(p, q, base=2)
        assert values.shape == (3, 2)
        for i in range(3):
            for j in range(2):
                assert values[i, j] == pytest.approx(function(p[i, j], q[i, j], base=2), rel=1e-14, abs=1e-15)
    assert entropy(p, base=2) == pytest.approx(np.full((3, 2), 1.75), rel=1e-14)


# --- by definition: each labelled equation of the lesson, transcribed


@given(distributions(least=1e-6), bases)
def test_eq_information(one, base):
    """The surprise of one outcome, which is the cross-entropy of being certain that it happened."""
    (q,) = one
    for v in range(len(q)):
        certain = np.array([1.0 if i == v else 0.0 for i in range(len(q))])
        assert cross_entropy(certain, q, base=base) == pytest.approx(-math.log(q[v], base), rel=1e-12, abs=1e-12)


@given(distributions(), bases)
def test_eq_entropy(one, base):
    (p,) = one
    total = 0.0
    for p_v in p:
        if p_v > 0:
            total -= p_v * math.log(p_v, base)
    assert entropy(p, base=base) == pytest.approx(total, rel=1e-12, abs=1e-12)


@given(distributions(count=2, least=1e-9), bases)
def test_eq_cross_entropy(two, base):
    p, q = two
    total = 0.0
    for p_v, q_v in zip(p, q, strict=True):
        total -= p_v * math.log(q_v, base)
    assert cross_entropy(p, q, base=base) == pytest.approx(total, rel=1e-12, abs=1e-12)


@given(distributions(count=2), bases)
def test_eq_kl(two, base):
    p, q = two
    assert kl_divergence(p, q, base=base) == pytest.approx(slow_kl(p, q, base), rel=1e-12, abs=1e-12)


@given(distributions(count=2, least=1e-9), bases)
def test_eq_kl_excess(two, base):
    p, q = two
    excess = cross_entropy(p, q, base=base) - entropy(p, base=base)
    assert kl_divergence(p, q, base=base) == pytest.approx(excess, rel=1e-12, abs=1e-12)


@given(distributions(count=2), bases)
def test_eq_jensen_shannon(two, base):
    p, q = two
    mixture = [(p_v + q_v) / 2 for p_v, q_v in zip(p, q, strict=True)]
    expected = slow_kl(p, mixture, base) / 2 + slow_kl(q, mixture, base) / 2
    assert jensen_shannon(p, q, base=base) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(st.integers(1, 4).flatmap(lambda rows: st.lists(weights(3), min_size=rows, max_size=rows)), bases)
def test_eq_mutual_information(table, base):
    joint = np.array(table) / np.sum(table)
    total = 0.0
    for x in range(joint.shape[0]):
        for y in range(joint.shape[1]):
            p_x, p_y = sum(joint[x, j] for j in range(3)), sum(joint[i, y] for i in range(joint.shape[0]))
            if joint[x, y] > 0:
                total += joint[x, y] * math.log(joint[x, y] / (p_x * p_y), base)
    assert mutual_information(joint, base=base) == pytest.approx(total, rel=1e-12, abs=1e-12)


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=20))
def test_eq_perplexity(probabilities):
    product = 1.0
    for probability in probabilities:
        product *= probability
    expected = product ** (-1 / len(probabilities))
    assert perplexity(np.log(probabilities)) == pytest.approx(expected, rel=1e-10)


@given(st.floats(-2, 2), st.floats(0.5, 2), st.floats(-2, 2), st.floats(0.5, 2))
def test_eq_kl_gaussians(mean_p, std_p, mean_q, std_q):
    """The closed form against the divergence of the two densities cut into fine bins."""
    grid, width = np.linspace(-30, 30, 6001, retstep=True)
    p, q = (
        np.exp(-0.5 * ((grid - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi)) * width
        for mean, std in ((mean_p, std_p), (mean_q, std_q))
    )
    reachable = (p > 0) & (q > 0)  # far out, the narrower density underflows to 0
    p, q = p[reachable], q[reachable]
    closed = math.log(std_q / std_p) + (std_p**2 + (mean_p - mean_q) ** 2) / (2 * std_q**2) - 0.5
    assert kl_divergence(p, q) == pytest.approx(closed, rel=1e-8, abs=1e-8)


@given(distributions(count=2, least=0.05))
def test_eq_kl_estimators(two):
    """Their exact means under p: k1 and k3 have the divergence as their mean, k2 does not; k2 and k3 are never < 0."""
    p, q = two
    k1, k2, k3 = 0.0, 0.0, 0.0
    for p_v, q_v in zip(p, q, strict=True):
        u = math.log(p_v) - math.log(q_v)
        ratio = q_v / p_v
        k1 += p_v * u
        k2 += p_v * u**2 / 2
        k3 += p_v * (ratio - 1 + u)
        assert ratio - 1 + u >= -1e-15
    assert kl_divergence(p, q) == pytest.approx(k1, abs=1e-12) == pytest.approx(k3, abs=1e-12)
    gap = max(abs(math.log(p_v / q_v)) for p_v, q_v in zip(p, q, strict=True))
    assert abs(k2 - k3) <= gap**3 * math.exp(gap) / 6 + 1e-12  # of third order in the log-ratio


# --- at the limits


@pytest.mark.parametrize("base", [2, math.e, 10])
def test_uniform_has_the_most_entropy_and_certainty_none(base):
    assert entropy(np.full(8, 1 / 8), base=base) == pytest.approx(math.log(8, base), rel=1e-15)
    certain = entropy(np.array([0.0, 1.0, 0.0]), base=base)
    assert certain == 0
    assert math.copysign(1, certain) == 1  # not −0.0


def test_one_outcome_leaves_nothing_open():
    only = np.array([1.0])
    assert [entropy(only), kl_divergence(only, only), jensen_shannon(only, only)] == [0, 0, 0]
    assert math.copysign(1, entropy(only)) == 1


def test_what_q_calls_impossible_costs_infinity_without_a_warning():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([1.0, 0.0, 0.0])
    assert kl_divergence(p, q) == math.inf
    assert cross_entropy(p, q) == math.inf
    assert kl_divergence(q, p, base=2) == pytest.approx(1.0, rel=1e-15)
    assert cross_entropy(q, p, base=2) == pytest.approx(1.0, rel=1e-15)


def test_disjoint_distributions_are_one_bit_apart():
    assert jensen_shannon(np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.5, 0.5]), base=2) == pytest.approx(1, rel=1e-15)


def test_the_smallest_probability_there_is():
    tiny, zero = np.array([5e-324, 1.0]), np.array([0.0, 1.0])
    assert entropy(tiny) >= 0
    assert kl_divergence(tiny, zero) == math.inf
    assert kl_divergence(np.array([1.0, 0.0]), tiny) == pytest.approx(-math.log(5e-324), rel=1e-15)
    assert jensen_shannon(tiny, zero) == pytest.approx(0, abs=1e-300)
    rare = np.array([[1.0, 0.0], [0.0, 1e-200]])  # the product of the marginals, 1e-400, is 0 as a float
    assert mutual_information(rare) == pytest.approx(1e-200 * -math.log(1e-200), rel=1e-12)


def test_mutual_information_at_its_limits():
    assert mutual_information(np.outer(SUN, FOG)) == pytest.approx(0, abs=1e-15)
    assert mutual_information(np.diag(SUN), base=2) == pytest.approx(entropy(SUN, base=2), rel=1e-15)


def test_perplexity_at_its_limits():
    assert perplexity(np.zeros(4)) == 1.0
    assert perplexity(np.log(np.full(9, 1 / 65))) == pytest.approx(65, rel=1e-12)
    assert perplexity(np.array([-1.0, -np.inf])) == math.inf
    assert perplexity(np.full(3, -2000.0)) == math.inf  # beyond the largest float, without a warning


def test_a_batch_of_none():
    nothing = np.zeros((0, 3))
    assert entropy(nothing).shape == kl_divergence(nothing, nothing).shape == (0,)


# --- by invariance


@given(distributions(count=2), st.randoms(use_true_random=False))
def test_the_order_of_the_outcomes_does_not_matter(two, random):
    p, q = two
    order = random.sample(range(len(p)), len(p))
    for function in ON_PAIRS:
        assert function(p[order], q[order]) == pytest.approx(function(p, q), rel=1e-12, abs=1e-12)


@given(distributions(count=2))
def test_an_impossible_outcome_changes_nothing(two):
    p, q = (np.append(one, 0.0) for one in two)
    assert entropy(p) == pytest.approx(entropy(p[:-1]), abs=1e-15)
    for function in ON_PAIRS:
        assert function(p, q) == pytest.approx(function(p[:-1], q[:-1]), rel=1e-14, abs=1e-15)


@given(distributions(count=2), bases)
def test_the_base_is_a_unit(two, base):
    p, q = two
    nats_per_unit = math.log(base)
    assert entropy(p, base=base) * nats_per_unit == pytest.approx(entropy(p), rel=1e-12, abs=1e-12)
    for function in ON_PAIRS:
        assert function(p, q, base=base) * nats_per_unit == pytest.approx(function(p, q), rel=1e-12, abs=1e-12)


@given(distributions(count=2))
def test_inequalities(two):
    p, q = two
    assert kl_divergence(p, q) >= 0
    assert kl_divergence(p, p) == jensen_shannon(p, p) == 0
    assert -1e-12 <= entropy(p) <= math.log(len(p)) + 1e-12
    assert cross_entropy(p, q) >= entropy(p) - 1e-12
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), rel=1e-12, abs=1e-15)
    assert 0 <= jensen_shannon(p, q) <= math.log(2) + 1e-12
    assert jensen_shannon(p, q) <= kl_divergence(p, q) / 2 + 1e-12  # (p + q)/2 is nearer; the other half is ≤ log 2
    assert mutual_information(np.outer(p, q)) == pytest.approx(0, abs=1e-12)


def test_rounding_never_makes_a_divergence_negative():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(20), size=500)
    q = p * (1 + 1e-16 * rng.choice([-4, 0, 4], size=p.shape))
    for function in (kl_divergence, jensen_shannon):
        values = function(p, q)
        assert (values >= 0).all()
        assert values == pytest.approx(0, abs=1e-15)


@given(st.lists(st.floats(-20, 0), min_size=1, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_what_the_mask_hides_is_not_looked_at(logp, mask):
    hidden = np.array(mask[: len(logp)])
    mask = ~hidden
    if mask.any():
        visible = np.where(mask, logp, np.nan)
        assert perplexity(visible, mask=mask) == pytest.approx(perplexity(np.array(logp)[mask]), rel=1e-12)


def test_tokens_are_averaged_over_all_texts_together():
    logp = np.log(np.array([[0.5, 0.5, 0.5], [0.125, 0.9, 0.9]]))
    mask = np.array([[True, True, True], [True, False, False]])
    assert perplexity(logp, mask=mask) == pytest.approx((2**3 * 8) ** (1 / 4), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_results_are_float64_whatever_the_input(dtype):
    p, q = np.array([0, 1, 0], dtype=dtype), np.array([1, 0, 0], dtype=dtype)
    assert entropy(p).dtype == np.float64
    assert jensen_shannon(p, q, base=2) == pytest.approx(1, rel=1e-15)


def test_float32_probabilities_of_a_large_vocabulary_are_accepted():
    scores = np.random.default_rng(0).normal(size=50_000).astype(np.float32)
    probabilities = np.exp(scores) / np.exp(scores).sum()
    assert probabilities.dtype == np.float32
    assert 0 < entropy(probabilities) < math.log(50_000)


def test_inputs_are_left_alone():
    p, q = SUN.copy(), np.array([1.0, 0.0, 0.0, 0.0])
    for function in ON_PAIRS:
        function(p, q)
    assert p.tolist() == SUN.tolist()
    assert q.tolist() == [1, 0, 0, 0]


def test_lists_work_as_well(unchecked):
    assert entropy([0.5, 0.5], base=2) == pytest.approx(1, rel=1e-15)
    assert kl_divergence([1, 0], [0.5, 0.5], base=2) == pytest.approx(1, rel=1e-15)
    assert mutual_information([[0.5, 0], [0, 0.5]], base=2) == pytest.approx(1, rel=1e-15)
    assert perplexity([0.0], mask=[True]) == 1


# --- bad input

ROW = [0.2, 0.3, 0.5]


@pytest.mark.parametrize("function", [entropy, cross_entropy, kl_divergence, jensen_shannon])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.5, -0.25, 0.75], r"has the entry -0.25"),
        ([0.5, np.nan, 0.5], r"has the entry nan"),
        ([0.5, np.inf, 0.5], r"has the entry inf"),
        ([0.2, 0.3, 0.4], r"must sum to 1 .*got a sum of 0.9"),
        ([0.2, 0.3, 0.500002], r"must sum to 1 .*got a sum of 1.00000"),
        ([[0.2, 0.3, 0.5], [0.2, 0.3, 0.6]], r"must sum to 1 .*got a sum of 1.1"),
        ([2.0, -1.0, 0.5], r"has the entry -1.0"),
        ([0, 0, 0], r"must sum to 1 .*got a sum of 0.0"),
        ([], r"must have an outcome .*got shape \(0,\)"),
        (1.0, r"must have an outcome .*got shape \(\)"),
        (["a", "b", "c"], r"must hold numbers"),
    ],
)
def test_no_distribution_is_named(unchecked, function, bad, message):
    arguments = [bad] if function is entropy else [bad, ROW]
    with pytest.raises(ValueError, match="^p " + message):
        function(*arguments)
    if function is not entropy:
        with pytest.raises(ValueError, match="^q " + message):
            function(ROW, bad)


@pytest.mark.parametrize("function", ON_PAIRS)
@pytest.mark.parametrize("other", [[0.5, 0.5], [ROW], [ROW, ROW]])
def test_shapes_that_differ(unchecked, function, other):
    with pytest.raises(ValueError, match=r"p and q must have one shape, got \(3,\) and \("):
        function(ROW, other)


@pytest.mark.parametrize("base", [1, 1.0, 0, -2, 0.5, math.inf, math.nan])
def test_bad_base(unchecked, base):
    with pytest.raises(ValueError, match=r"base must be a number above 1 .*, got "):
        entropy(ROW, base=base)
    for function in ON_PAIRS:
        with pytest.raises(ValueError, match=r"base must be a number above 1 .*, got "):
            function(ROW, ROW, base=base)
    with pytest.raises(ValueError, match=r"base must be a number above 1 .*, got "):
        mutual_information([ROW], base=base)


@pytest.mark.parametrize(
    ("joint", "message"),
    [
        (ROW, r"joint must be a table with two axes, got shape \(3,\)"),
        ([[3, 1], [1, 3]], r"joint must sum to 1 .*got a sum of 8.0"),
        ([[0.5, 0.6], [-0.1, 0.0]], r"joint has the entry -0.1"),
        ([[np.nan, 0.5], [0.5, 0.0]], r"joint has the entry nan"),
    ],
)
def test_bad_joint(unchecked, joint, message):
    with pytest.raises(ValueError, match=message):
        mutual_information(joint)


@pytest.mark.parametrize(
    ("logp", "mask", "message"),
    [
        ([-1.0, 2.3], None, r"logp has the entry 2.3: .* is it a loss\?"),
        ([-1.0, np.nan], None, r"logp has the entry nan"),
        ([], None, r"logp has no token that counts"),
        ([-1.0, -2.0], [False, False], r"logp has no token that counts"),
        ([-1.0, -2.0], [True], r"mask must have the shape of logp, \(2,\), got \(1,\)"),
        ([-1.0, -2.0], [1, 0], r"mask must hold True and False, got an array of int64"),
    ],
)
def test_bad_logp(unchecked, logp, mask, message):
    with pytest.raises(ValueError, match=message):
        perplexity(logp, mask=mask)
