"""How well scores rank: the curves that a moving threshold draws, their areas, and calibration.

A score becomes a decision when it meets a threshold: positive where score ≥ threshold. Everything here is for two
classes; names, arguments and results are those of scikit-learn, except that a quantity which does not exist raises.

Source: Fawcett (2006) for ROC, Davis & Goadrich (2006) for precision and recall, Guo et al. (2017) for calibration.

Left out, and found in scikit-learn: sample weights, averages over several classes, the area under a part of the curve.
"""

import numpy as np
from jaxtyping import Float, Int, Real, Shaped

from mazelm.common.arguments import as_vector, require_finite, require_same_length

Label = bool | int | float | str


def precision_recall_curve(
    y_true: Shaped[np.ndarray, " N"],
    y_score: Real[np.ndarray, " N"],
    *,
    pos_label: Label | None = None,
    drop_intermediate: bool = False,
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"], Real[np.ndarray, " T"]]:
    """Precision and recall when everything that scores at least a threshold is called positive.

        precision(t) = TP(t) / (TP(t) + FP(t))        recall(t) = TP(t) / P    with P positives

    The thresholds are the distinct scores. After the last of them stands the point (precision 1, recall 0), which
    belongs to no threshold: nothing is called positive there, and precision 1 is a convention.

    Args:
        y_true: Label of each sample.
        y_score: Score of each sample; higher means more likely positive.
        pos_label: The label of the positive class. May be left out when the labels are 0 and 1, or −1 and 1.
        drop_intermediate: Keep only the first and the last point of each recall.

    Returns:
        Precision, recall and thresholds, in the order of rising thresholds, so of falling recall. There are one fewer
        thresholds than points.

    Raises:
        ValueError: No sample is positive, an entry is not finite, or the lengths differ.

    Source: Davis & Goadrich (2006).
    """
    y_true, y_score = _checked(y_true, y_score)
    positives, negatives = _sorted_by_class(y_true, y_score, _positive_label(y_true, pos_label))
    _require_members(positives=positives)
    thresholds = np.unique(y_score)[::-1]
    tp = _count_at_least(thresholds, positives)
    fp = _count_at_least(thresholds, negatives)
    if drop_intermediate and len(thresholds) > 2:
        rises = np.diff(tp) != 0
        keep = np.concatenate(([True], rises[:-1] | rises[1:], [True]))
        tp, fp, thresholds = tp[keep], fp[keep], thresholds[keep]
    precision, recall = tp / (tp + fp), tp / len(positives)
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]


def average_precision_score(
    y_true: Shaped[np.ndarray, " N"], y_score: Real[np.ndarray, " N"], *, pos_label: Label = 1
) -> float:
    """Area under the precision-recall curve, as a sum of steps.

        AP = Σₖ (recallₖ − recallₖ₋₁)·precisionₖ    over the distinct scores, falling

    Each positive raises the recall by 1/P as the threshold reaches its score, so the sum is the mean, over the
    positives, of the precision with the threshold at their own score.

    Args:
        y_true: Label of each sample: at most two distinct ones.
        y_score: Score of each sample; higher means more likely positive.
        pos_label: The label of the positive class.

    Raises:
        ValueError: No sample is positive, the labels are more than two, an entry is not finite, or the lengths differ.

    Source: Davis & Goadrich (2006), for why the points are not joined by straight lines.
    """
    y_true, y_score = _checked(y_true, y_score)
    _require_known(pos_label, _two_labels(y_true))
    positives, negatives = _sorted_by_class(y_true, y_score, pos_label)
    _require_members(positives=positives)
    tp = _count_at_least(positives, positives)
    fp = _count_at_least(positives, negatives)
    return float(np.mean(tp / (tp + fp)))


def roc_curve(
    y_true: Shaped[np.ndarray, " N"],
    y_score: Real[np.ndarray, " N"],
    *,
    pos_label: Label | None = None,
    drop_intermediate: bool = True,
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """False and true positive rate when everything that scores at least a threshold is called positive.

        FPR(t) = FP(t) / N        TPR(t) = TP(t) / P    with N negatives and P positives

    The first threshold is infinite: nothing is called positive, and the curve starts at (0, 0).

    Args:
        y_true: Label of each sample.
        y_score: Score of each sample; higher means more likely positive.
        pos_label: The label of the positive class. May be left out when the labels are 0 and 1, or −1 and 1.
        drop_intermediate: Leave out points that lie evenly spaced on a straight line between their neighbours.

    Returns:
        FPR, TPR and thresholds, in the order of falling thresholds.

    Raises:
        ValueError: A class has no sample, an entry is not finite, or the lengths differ.

    Source: Fawcett (2006), algorithm 1.
    """
    y_true, y_score = _checked(y_true, y_score)
    positives, negatives = _sorted_by_class(y_true, y_score, _positive_label(y_true, pos_label))
    _require_members(positives=positives, negatives=negatives)
    thresholds = np.unique(y_score)[::-1]
    tp = _count_at_least(thresholds, positives)
    fp = _count_at_least(thresholds, negatives)
    if drop_intermediate and len(thresholds) > 2:
        turns = (np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0)
        keep = np.concatenate(([True], turns, [True]))
        tp, fp, thresholds = tp[keep], fp[keep], thresholds[keep]
    fpr, tpr = fp / len(negatives), tp / len(positives)
    return np.append(0.0, fpr), np.append(0.0, tpr), np.append(np.inf, thresholds)


def roc_auc_score(y_true: Shaped[np.ndarray, " N"], y_score: Real[np.ndarray, " N"]) -> float:
    """Probability that a random positive outscores a random negative; a tie counts one half.

        AUC = P(score⁺ > score⁻) + ½·P(score⁺ = score⁻)

    It equals the area under the ROC curve. Of the two labels, the greater one is the positive class.

    Args:
        y_true: Label of each sample: exactly two distinct ones.
        y_score: Score of each sample; higher means more likely positive.

    Raises:
        ValueError: There are not two classes, an entry is not finite, or the lengths differ.

    Source: Hanley & McNeil (1982).
    """
    y_true, y_score = _checked(y_true, y_score)
    positives, negatives = _sorted_by_class(y_true, y_score, pos_label=_two_labels(y_true)[-1])
    _require_members(positives=positives, negatives=negatives)
    won = np.searchsorted(negatives, positives, side="left").sum()  # pairs whose negative is below the positive
    won_or_tied = np.searchsorted(negatives, positives, side="right").sum()
    return float((won + won_or_tied) / 2 / (len(positives) * len(negatives)))


def calibration_curve(
    y_true: Shaped[np.ndarray, " N"],
    y_prob: Real[np.ndarray, " N"],
    *,
    pos_label: Label | None = None,
    n_bins: int = 5,
    strategy: str = "uniform",
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """How often the positive class occurs, and how often it was forecast, in each bin of predicted probability.

    A bin includes its upper edge and not its lower one; the first includes 0 as well. Empty bins are left out.

    Args:
        y_true: Label of each sample: at most two distinct ones.
        y_prob: Predicted probability of the positive class, in [0, 1].
        pos_label: The label of the positive class. May be left out when the labels are 0 and 1, or −1 and 1.
        n_bins: Number of bins.
        strategy: "uniform" for bins of equal width, "quantile" for bins of about equally many samples.

    Returns:
        The share of positives and the mean predicted probability of each bin that is not empty.

    Raises:
        ValueError: A probability lies outside [0, 1] or is NaN, n_bins is below 1, or the strategy is unknown.

    Source: Niculescu-Mizil & Caruana (2005), section 4.
    """
    samples, positives, probability = _bin_totals(y_true, y_prob, pos_label, n_bins, strategy)
    used = samples > 0
    return positives[used] / samples[used], probability[used] / samples[used]


def expected_calibration_error(
    y_true: Shaped[np.ndarray, " N"],
    y_prob: Real[np.ndarray, " N"],
    *,
    pos_label: Label | None = None,
    n_bins: int = 10,
    strategy: str = "uniform",
) -> float:
    """Mean distance between forecast and frequency over the bins, each weighing as many samples as it holds.

        ECE = Σ_b (n_b / n)·|share of positives in b − mean probability in b|

    The bins are those of `calibration_curve`, over the probability of the positive class. Guo et al. bin that of the
    predicted class instead, which with two classes is never below one half: the two numbers differ.

    Args:
        y_true: Label of each sample: at most two distinct ones.
        y_prob: Predicted probability of the positive class, in [0, 1].
        pos_label: The label of the positive class. May be left out when the labels are 0 and 1, or −1 and 1.
        n_bins: Number of bins.
        strategy: "uniform" for bins of equal width, "quantile" for bins of about equally many samples.

    Raises:
        ValueError: As for `calibration_curve`.

    Source: Guo et al. (2017), section 2.
    """
    samples, positives, probability = _bin_totals(y_true, y_prob, pos_label, n_bins, strategy)
    return float(np.abs(positives - probability).sum() / samples.sum())


def _checked(y_true: object, y_score: object, score_name: str = "y_score") -> tuple[np.ndarray, np.ndarray]:
    """The two arguments as vectors of one length, with labels that are labels and scores that are finite numbers."""
    labels, scores = as_vector("y_true", y_true), as_vector(score_name, y_score)
    require_same_length(**{"y_true": labels, score_name: scores})
    require_finite("y_true", labels)
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        fraction = labels[labels != np.floor(labels)][0]
        raise ValueError(f"y_true has the entry {fraction}, which is no label: are the two arguments swapped?")
    if scores.dtype.kind not in "biuf":
        raise ValueError(f"{score_name} must hold numbers, got {scores[0]!r}")
    require_finite(score_name, scores)
    return labels, scores


def _two_labels(y_true: Shaped[np.ndarray, " N"]) -> list[Label]:
    """The distinct labels in rising order, or an error if there are more than two. (Faster than sorting them all.)"""
    first = y_true.item(0)
    is_first = y_true == first
    if is_first.all():
        return [first]
    second = y_true.item(is_first.argmin())
    is_known = is_first | (y_true == second)
    if not is_known.all():
        third = y_true.item(is_known.argmin())
        raise ValueError(f"y_true has more than two labels, such as {first!r}, {second!r} and {third!r}")
    return sorted([first, second])


def _positive_label(y_true: Shaped[np.ndarray, " N"], pos_label: Label | None) -> Label:
    """The label of the positive class: 1 where that goes without saying, otherwise the caller has to say it."""
    if pos_label is not None:
        return pos_label
    labels = _two_labels(y_true)
    if not (set(labels) <= {0, 1} or set(labels) <= {-1, 1}):
        raise ValueError(f"pos_label=None, but the labels in y_true are {labels}: say which one is positive")
    return 1


def _require_known(pos_label: Label, labels: list[Label]) -> None:
    if len(labels) == 2 and pos_label not in labels:
        raise ValueError(f"pos_label={pos_label!r} is none of the labels in y_true, {labels}")


def _require_members(**classes: np.ndarray) -> None:
    for name, scores in classes.items():
        if len(scores) == 0:
            raise ValueError(f"y_true has no {name}: a rate among them does not exist")


def _sorted_by_class(
    y_true: Shaped[np.ndarray, " N"], y_score: Real[np.ndarray, " N"], pos_label: Label
) -> tuple[Real[np.ndarray, " P"], Real[np.ndarray, " Q"]]:
    """The scores of the positives and those of the negatives, each in rising order."""
    is_positive = y_true == pos_label
    return np.sort(y_score[is_positive]), np.sort(y_score[~is_positive])


def _count_at_least(thresholds: Real[np.ndarray, " M"], sorted_scores: Real[np.ndarray, " N"]) -> Int[np.ndarray, " M"]:
    """How many of the scores reach each threshold."""
    return len(sorted_scores) - np.searchsorted(sorted_scores, thresholds, side="left")


def _bin_totals(
    y_true: object, y_prob: object, pos_label: Label | None, n_bins: int, strategy: str
) -> tuple[Int[np.ndarray, " B"], Float[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """Per bin of predicted probability: how many samples, how many positives, and the sum of the probabilities."""
    labels, probs = _checked(y_true, y_prob, "y_prob")
    _require_known(positive := _positive_label(labels, pos_label), _two_labels(labels))
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    if (outside := probs[(probs < 0) | (probs > 1)]).size:
        raise ValueError(f"y_prob has the entry {outside[0]}: a probability lies between 0 and 1")
    inner_edges = _bin_edges(probs, n_bins, strategy)[1:-1]
    bin_of = np.searchsorted(inner_edges, probs, side="left")  # left: an edge belongs to the bin below it
    samples = np.bincount(bin_of, minlength=n_bins)
    positives = np.bincount(bin_of, weights=labels == positive, minlength=n_bins)
    return samples, positives, np.bincount(bin_of, weights=probs, minlength=n_bins)


def _bin_edges(y_prob: Real[np.ndarray, " N"], n_bins: int, strategy: str) -> Float[np.ndarray, " E"]:
    fractions = np.linspace(0, 1, n_bins + 1)
    if strategy == "uniform":
        return fractions
    if strategy == "quantile":
        return np.percentile(y_prob, fractions * 100)
    raise ValueError(f"strategy={strategy!r} is neither 'uniform' nor 'quantile'")
