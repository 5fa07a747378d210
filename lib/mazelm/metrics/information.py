"""How much a distribution leaves open, and what it costs to believe another one.

Distributions lie along the last axis; the axes before it hold many of them, and each gets its own result. The unit
follows `base`, as in scipy: e counts nats (the default, and the unit of every log-probability in this book), 2 counts
bits. An outcome of probability zero adds nothing to a mean, and what q calls impossible costs infinity if p gives it a
chance.

Source: Shannon (1948) for entropy and mutual information, Kullback & Leibler (1951), Lin (1991) for Jensen-Shannon.

Left out: densities (an entropy of a density is no number of questions), estimates from samples, and the same losses on
logits, which torch and the later chapters have.
"""

import math

import numpy as np
from jaxtyping import Bool, Float, Real

_ROUNDING = 1e-6  # how far a sum of float32 probabilities may be from 1


def entropy(p: Real[np.ndarray, "*B V"], *, base: int | float = math.e) -> float | Float[np.ndarray, "*B"]:
    """The mean surprise of outcomes drawn from p, by a reader who knows p.

        H(p) = −Σᵥ p(v)·log p(v),    with 0·log 0 = 0

    Args:
        p: Probabilities along the last axis, each at least 0 and together 1.
        base: Base of the logarithm, above 1: e for nats, 2 for bits.

    Returns:
        A number for one distribution, an array for a batch.

    Raises:
        ValueError: An entry is negative or not finite, a sum is not 1 (to 1e-6), or the base is not above 1.

    Source: Shannon (1948), section 6.
    """
    p = _checked("p", p)
    return _mean(p, -_log(p, base))


def cross_entropy(
    p: Real[np.ndarray, "*B V"], q: Real[np.ndarray, "*B V"], *, base: int | float = math.e
) -> float | Float[np.ndarray, "*B"]:
    """The mean surprise of outcomes drawn from p, by a reader who believes q.

        H(p, q) = −Σᵥ p(v)·log q(v)

    It is infinite where q(v) = 0 and p(v) > 0. The truth comes first. torch's function of this name takes the
    prediction first, as logits, and means over the batch.

    Args:
        p: The truth: probabilities along the last axis; a one-hot row gives −log q(the outcome).
        q: The belief, of the same shape.
        base: Base of the logarithm, above 1: e for nats, 2 for bits.

    Returns:
        A number for one pair, an array for a batch.

    Raises:
        ValueError: The shapes differ, or as for entropy.

    Source: Cover & Thomas (2006), section 5.4.
    """
    p, q = _checked_pair(p, q)
    return _mean(p, -_log(q, base))


def kl_divergence(
    p: Real[np.ndarray, "*B V"], q: Real[np.ndarray, "*B V"], *, base: int | float = math.e
) -> float | Float[np.ndarray, "*B"]:
    """The surprise that believing q adds to what p leaves open anyway: KL(p ‖ q), also called relative entropy.

        KL(p ‖ q) = Σᵥ p(v)·log( p(v) / q(v) ) = H(p, q) − H(p)

    It is never negative, 0 only for p = q, infinite where q(v) = 0 and p(v) > 0, and not symmetric. torch's kl_div
    takes log q first and p second.

    Args:
        p: The distribution that outcomes are drawn from: probabilities along the last axis.
        q: The one that is believed, of the same shape.
        base: Base of the logarithm, above 1: e for nats, 2 for bits.

    Returns:
        A number for one pair, an array for a batch.

    Raises:
        ValueError: The shapes differ, or as for entropy.

    Source: Kullback & Leibler (1951).
    """
    p, q = _checked_pair(p, q)
    with np.errstate(invalid="ignore"):  # −inf − (−inf), where both are 0: _mean does not look there
        log_ratio = _log(p, base) - _log(q, base)  # not log(p / q), which can overflow
    return np.maximum(_mean(p, log_ratio), 0.0)  # rounding may leave −1e-17


def jensen_shannon(
    p: Real[np.ndarray, "*B V"], q: Real[np.ndarray, "*B V"], *, base: int | float = math.e
) -> float | Float[np.ndarray, "*B"]:
    """The mean divergence of p and of q from the mixture half-way between them: symmetric, and never infinite.

        JS(p, q) = ½·KL(p ‖ m) + ½·KL(q ‖ m),    m = (p + q) / 2

    It lies between 0 and log 2 (1 bit). This is the divergence; scipy's jensenshannon is its square root, which is a
    distance.

    Args:
        p: Probabilities along the last axis.
        q: The same, of the same shape.
        base: Base of the logarithm, above 1: e for nats, 2 for bits.

    Returns:
        A number for one pair, an array for a batch.

    Raises:
        ValueError: The shapes differ, or as for entropy.

    Source: Lin (1991), with both weights one half.
    """
    p, q = _checked_pair(p, q)
    log_doubled = _log(p + q, base)  # the ratio p / m is 2p / (p + q): halving could turn the smallest numbers into 0
    with np.errstate(invalid="ignore"):  # as in kl_divergence
        from_p, from_q = _mean(p, _log(2 * p, base) - log_doubled), _mean(q, _log(2 * q, base) - log_doubled)
    return np.maximum(0.5 * from_p + 0.5 * from_q, 0.0)


def mutual_information(joint: Real[np.ndarray, "X Y"], *, base: int | float = math.e) -> float:
    """How much knowing one variable shortens the description of the other.

        I(X; Y) = KL(p(x, y) ‖ p(x)·p(y)) = Σₓ Σ_y p(x, y)·log( p(x, y) / (p(x)·p(y)) )

    Args:
        joint: Probability of each pair (x, y), together 1. Divide a table of counts by its sum.
        base: Base of the logarithm, above 1: e for nats, 2 for bits.

    Raises:
        ValueError: The table has not two axes, its sum is not 1, or as for entropy.

    Source: Cover & Thomas (2006), section 2.3.
    """
    table = np.asarray(joint)
    if table.ndim != 2:
        raise ValueError(f"joint must be a table with two axes, got shape {table.shape}")
    table = _checked("joint", table.ravel()).reshape(table.shape)
    rows, columns = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    with np.errstate(invalid="ignore"):  # as in kl_divergence
        log_ratio = _log(table, base) - _log(rows, base) - _log(columns, base)  # the product could underflow to 0
    return float(np.maximum(_mean(table.ravel(), log_ratio.ravel()), 0.0))


def perplexity(logp: Float[np.ndarray, "*T"], *, mask: Bool[np.ndarray, "*T"] | None = None) -> float:
    """The number of equally likely choices that would have surprised as much, per token of a text.

        perplexity = exp( −(1/T)·Σₜ logp[t] )

    The mean is over all tokens that count, of all texts together. It takes what a model gives, log-probabilities in
    nats, and no base: exp undoes the natural logarithm, as 2** would undo log2.

    Args:
        logp: Natural logarithm of the probability that was given to each token, so at most 0. −inf makes the result
            infinite.
        mask: True on the tokens that count. What stands elsewhere is not looked at.

    Raises:
        ValueError: No token counts, an entry is NaN or above 0 (a loss has the other sign), or the mask is not boolean
            or of another shape.

    Source: Jelinek et al. (1977).
    """
    counted = _counted(np.asarray(logp, dtype=np.float64), mask)
    if counted.size == 0:
        raise ValueError("logp has no token that counts: there is nothing to average")
    if (wrong := counted[~(counted <= _ROUNDING)]).size:
        raise ValueError(f"logp has the entry {wrong[0]}: the logarithm of a probability is at most 0; is it a loss?")
    with np.errstate(over="ignore"):  # beyond e**709 the answer is infinity
        return float(np.exp(-counted.mean()))


def _mean(p: Float[np.ndarray, "*B V"], values: Float[np.ndarray, "*B V"]) -> float | Float[np.ndarray, "*B"]:
    """Σᵥ p(v)·values(v), to which an outcome of probability 0 adds nothing, be its value infinite or missing."""
    terms = np.multiply(p, values, out=np.zeros_like(p), where=p > 0)
    return terms.sum(axis=-1)


def _log(x: Float[np.ndarray, "..."], base: int | float) -> Float[np.ndarray, "..."]:
    """log x to the base, with −inf at 0 and no warning."""
    if not 1 < base < math.inf:
        raise ValueError(f"base must be a number above 1 (e for nats, 2 for bits), got {base}")
    with np.errstate(divide="ignore"):
        return np.log(x) / math.log(base)


def _checked_pair(p: object, q: object) -> tuple[np.ndarray, np.ndarray]:
    first, second = _checked("p", p), _checked("q", q)
    if first.shape != second.shape:
        raise ValueError(f"p and q must have one shape, got {first.shape} and {second.shape}")
    return first, second


def _checked(name: str, value: object) -> np.ndarray:
    """The argument as float64 probabilities, or an error that says which row is no distribution."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, got an array of {array.dtype}")
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must have an outcome along its last axis, got shape {array.shape}")
    array = array.astype(np.float64)
    if (wrong := array[~((array >= 0) & np.isfinite(array))]).size:
        raise ValueError(f"{name} has the entry {wrong[0]}: a probability is a number, and never negative")
    totals = array.sum(axis=-1)
    if (off := totals[np.abs(totals - 1) > _ROUNDING]).size:
        raise ValueError(f"{name} must sum to 1 along its last axis, got a sum of {off[0]}")
    return array


def _counted(logp: Float[np.ndarray, "*T"], mask: np.ndarray | None) -> Float[np.ndarray, " N"]:
    """The entries where the mask is True, in one row; all of them without a mask."""
    if mask is None:
        return logp.ravel()
    if np.shape(mask) != logp.shape:
        raise ValueError(f"mask must have the shape of logp, {logp.shape}, got {np.shape(mask)}")
    if np.asarray(mask).dtype != bool:
        raise ValueError(f"mask must hold True and False, got an array of {np.asarray(mask).dtype}")
    return logp[np.asarray(mask)]
