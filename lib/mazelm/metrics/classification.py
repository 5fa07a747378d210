"""Count which class was taken for which, and read every measure of a classifier off those counts.

    matrix[i, j] = how many samples of class i were called class j

Rows are the truth, columns the prediction. A function named `*_from_matrix` takes that matrix; its namesake `*_score`
takes the labels, counts them and passes the matrix on. Names, arguments and values are scikit-learn's. There are three
differences, each where scikit-learn drops something or warns: a label that is missing from `labels=` raises; a ratio
without a denominator raises, unless `zero_division=` says what to put; balanced accuracy over a class that never occurs
raises.

Left out: sample weights, several labels on one sample, and matrices too large for memory, for which a production
library keeps a sparse table.

Source: Fawcett (2006), section 2; Sokolova & Lapalme (2009), table 3, for the averages over classes.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from mazelm.common.arguments import as_vector, require_finite, require_same_length

Average = Literal["binary", "macro", "micro", "weighted"] | None
Labels = Sequence[object] | Shaped[np.ndarray, " K"]

_DENSE_RANGE = 1024  # integer labels this close together are counted in one table, of 8 MB at most


class Table(NamedTuple):
    """A confusion matrix with the name of each row and column."""

    labels: Shaped[np.ndarray, " K"]
    matrix: Int[np.ndarray, "K K"]


class ClassCounts(NamedTuple):
    """What the ratios are made of, one entry per class."""

    labels: Shaped[np.ndarray, " K"]
    hits: Int[np.ndarray, " K"]  # called this class, and right: the diagonal
    predicted: Int[np.ndarray, " K"]  # called this class: the column's sum
    actual: Int[np.ndarray, " K"]  # of this class: the row's sum


def confusion_matrix(
    y_true: Shaped[np.ndarray, " N"], y_pred: Shaped[np.ndarray, " N"], *, labels: Labels | None = None
) -> Int[np.ndarray, "K K"]:
    """Count, for each pair of classes, how often the first was the truth and the second the prediction.

        matrix[i, j] = #{n : y_true[n] = labels[i] and y_pred[n] = labels[j]}

    Args:
        y_true: The true class of each sample: integers of any size and sign, booleans or strings.
        y_pred: The predicted class of each sample.
        labels: The classes in the order of the rows and columns; by default those that occur, sorted. A class that
            never occurs gets a row and a column of zeros.

    Raises:
        ValueError: Lengths differ; there is no sample; an entry is no class (0.5, NaN); numbers meet strings; or a
            label is not in labels, where scikit-learn drops the sample.

    Source: Fawcett (2006), section 2, who writes the truth in columns.
    """
    return _tabulate(y_true, y_pred, labels).matrix


def count_cells(
    truth: Int[np.ndarray, " N"], guess: Int[np.ndarray, " N"], *, low: int, size: int
) -> Int[np.ndarray, "K K"]:
    """Number the cells of the matrix row by row, give each sample the number of its cell, and count the numbers.

        cell = (truth − low)·size + (guess − low)

    Args:
        truth: True classes, integers from low to low + size − 1. This is not checked: confusion_matrix does that.
        guess: Predicted classes, the same.
        low: The class of the first row and column.
        size: The number of rows.
    """
    cells = truth - low
    cells *= size  # in place: allocating memory for a million samples takes longer than the sum
    cells += guess
    cells -= low
    return np.bincount(cells, minlength=size * size).reshape(size, size)


def accuracy_score(y_true: Shaped[np.ndarray, " N"], y_pred: Shaped[np.ndarray, " N"]) -> float:
    """The share of all predictions that are right: accuracy_from_matrix of the labels' confusion matrix.

    Args:
        y_true: The true class of each sample.
        y_pred: The predicted class of each sample.

    Raises:
        ValueError: As for confusion_matrix.
    """
    return accuracy_from_matrix(confusion_matrix(y_true, y_pred))


def accuracy_from_matrix(matrix: Int[np.ndarray, "K K"]) -> float:
    """The share of all samples that lie on the diagonal.

        accuracy = Σᵢ matrix[i, i] / Σᵢⱼ matrix[i, j]

    Args:
        matrix: Counts: rows are the truth, columns the prediction.

    Raises:
        ValueError: The matrix is not square, is empty, or holds something other than counts.
    """
    counts = _class_counts(matrix)
    return float(counts.hits.sum() / counts.actual.sum())


def balanced_accuracy_score(y_true: Shaped[np.ndarray, " N"], y_pred: Shaped[np.ndarray, " N"]) -> float:
    """The mean recall of the classes: balanced_accuracy_from_matrix of the labels' confusion matrix.

    Args:
        y_true: The true class of each sample.
        y_pred: The predicted class of each sample.

    Raises:
        ValueError: As for confusion_matrix; or a predicted class never occurs in y_true, and so has no recall, where
            scikit-learn warns and leaves the class out.
    """
    table = _tabulate(y_true, y_pred)
    return balanced_accuracy_from_matrix(table.matrix, labels=table.labels)


def balanced_accuracy_from_matrix(matrix: Int[np.ndarray, "K K"], *, labels: Labels | None = None) -> float:
    """The mean of the classes' recalls, so that each class counts the same, however rare it is.

        balanced accuracy = (1/K) Σᵢ ( matrix[i, i] / Σⱼ matrix[i, j] )

    With two classes that is the mean of sensitivity (recall of the positives) and specificity (of the negatives).

    Args:
        matrix: Counts: rows are the truth, columns the prediction.
        labels: The names of the classes, for the error message; by default 0, 1, 2 and so on.

    Raises:
        ValueError: The matrix is not one of counts, or a class has an empty row.

    Source: Brodersen et al. (2010).
    """
    counts = _class_counts(matrix, labels)
    return float(_divide("recall", counts.hits, counts.actual, counts.labels).mean())


def precision_score(
    y_true: Shaped[np.ndarray, " N"],
    y_pred: Shaped[np.ndarray, " N"],
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: Average = "binary",
    zero_division: float | None = None,
) -> float | Float[np.ndarray, " K"]:
    """Of the samples called a class, the share that are: precision_from_matrix of the labels' confusion matrix.

    Args:
        y_true: The true class of each sample.
        y_pred: The predicted class of each sample.
        labels: As for confusion_matrix. Every class listed takes part in an average.
        pos_label: The class to report when average="binary".
        average: "binary": the class pos_label alone. None: one value per class. "macro": their mean.
            "weighted": their mean, each weighted by how often the class is the truth. "micro": the counts of all
            classes are added up before the one division.
        zero_division: 0 or 1, the value of a ratio whose denominator is 0; by default such a ratio raises.

    Raises:
        ValueError: As for confusion_matrix and precision_from_matrix.
    """
    table = _tabulate(y_true, y_pred, labels)
    return precision_from_matrix(
        table.matrix, labels=table.labels, pos_label=pos_label, average=average, zero_division=zero_division
    )


def precision_from_matrix(
    matrix: Int[np.ndarray, "K K"],
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: Average = None,
    zero_division: float | None = None,
) -> float | Float[np.ndarray, " K"]:
    """Each diagonal entry divided by its column's sum: of the samples called class j, the share that are.

        precision[j] = matrix[j, j] / Σᵢ matrix[i, j]

    Args:
        matrix: Counts: rows are the truth, columns the prediction.
        labels: The names of the classes; by default 0, 1, 2 and so on.
        pos_label, average, zero_division: As for precision_score.

    Raises:
        ValueError: The matrix is not one of counts; a class that counts was never predicted and zero_division is not
            given; or average="binary" and more than two classes occur, or pos_label does not.

    Source: Sokolova & Lapalme (2009), table 3.
    """
    counts = _class_counts(matrix, labels, pos_label, average)
    return _ratio("precision", counts.hits, counts.predicted, counts, average, zero_division)


def recall_score(
    y_true: Shaped[np.ndarray, " N"],
    y_pred: Shaped[np.ndarray, " N"],
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: Average = "binary",
    zero_division: float | None = None,
) -> float | Float[np.ndarray, " K"]:
    """Of the samples of a class, the share called it: recall_from_matrix of the labels' confusion matrix.

    Args:
        y_true: The true class of each sample.
        y_pred: The predicted class of each sample.
        labels, pos_label, average, zero_division: As for precision_score.

    Raises:
        ValueError: As for confusion_matrix and recall_from_matrix.
    """
    table = _tabulate(y_true, y_pred, labels)
    return recall_from_matrix(
        table.matrix, labels=table.labels, pos_label=pos_label, average=average, zero_division=zero_division
    )


def recall_from_matrix(
    matrix: Int[np.ndarray, "K K"],
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: Average = None,
    zero_division: float | None = None,
) -> float | Float[np.ndarray, " K"]:
    """Each diagonal entry divided by its row's sum: of the samples of class i, the share called it.

        recall[i] = matrix[i, i] / Σⱼ matrix[i, j]

    The recall of the positive class is also called sensitivity, that of the negative class specificity.

    Args:
        matrix: Counts: rows are the truth, columns the prediction.
        labels: The names of the classes; by default 0, 1, 2 and so on.
        pos_label, average, zero_division: As for precision_score.

    Raises:
        ValueError: As for precision_from_matrix, with a class that never occurs in place of one never predicted.

    Source: Sokolova & Lapalme (2009), table 3.
    """
    counts = _class_counts(matrix, labels, pos_label, average)
    return _ratio("recall", counts.hits, counts.actual, counts, average, zero_division)


def f1_score(
    y_true: Shaped[np.ndarray, " N"],
    y_pred: Shaped[np.ndarray, " N"],
    *,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: Average = "binary",
    zero_division: float | None = None,
) -> float | Float[np.ndarray, " K"]:
    """The harmonic mean of precision P and recall R: fbeta_score with β = 1.

        F₁ = 2PR / (P + R)

    Args:
        y_true: The true class of each sample.
        y_pred: The predicted class of each sample.
        labels, pos_label, zero_division: As for precision_score.
        average: As for precision_score. "macro" is the mean of the classes' F₁, not the F₁ of the mean P and mean R.

    Raises:
        ValueError: As for confusion_matrix and fbeta_from_matrix.
    """
    return fbeta_score(
        y_true, y_pred, beta=1.0, labels=labels, pos_label=pos_label, average=average, zero_division=zero_division
    )


def fbeta_score(
    y_true: Shaped[np.ndarray, " N"],
    y_pred: Shaped[np.ndarray, " N"],
    *,
    beta: float,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: Average = "binary",
    zero_division: float | None = None,
) -> float | Float[np.ndarray, " K"]:
    """The weighted harmonic mean of precision and recall: fbeta_from_matrix of the labels' confusion matrix.

    Args:
        y_true: The true class of each sample.
        y_pred: The predicted class of each sample.
        beta: β, how many times as much recall matters as precision; at least 0.
        labels, pos_label, average, zero_division: As for f1_score.

    Raises:
        ValueError: As for confusion_matrix and fbeta_from_matrix.
    """
    table = _tabulate(y_true, y_pred, labels)
    return fbeta_from_matrix(
        table.matrix, beta=beta, labels=table.labels, pos_label=pos_label, average=average, zero_division=zero_division
    )


def fbeta_from_matrix(
    matrix: Int[np.ndarray, "K K"],
    *,
    beta: float,
    labels: Labels | None = None,
    pos_label: int | str = 1,
    average: Average = None,
    zero_division: float | None = None,
) -> float | Float[np.ndarray, " K"]:
    """The weighted harmonic mean of precision P and recall R, in which recall matters β times as much.

        F_β = (1 + β²)·P·R / (β²·P + R) = (1 + β²)·hits / (β²·actual + predicted)

    The second form is the one computed: it is defined where P or R alone is not.

    Args:
        matrix: Counts: rows are the truth, columns the prediction.
        beta: β, at least 0. 0 gives precision, 1 gives F₁, and a large value approaches recall.
        labels: The names of the classes; by default 0, 1, 2 and so on.
        pos_label, average, zero_division: As for f1_score.

    Raises:
        ValueError: As for precision_from_matrix, with a class that neither occurs nor is predicted in place of one
            never predicted; or beta is negative, NaN, or above 1e100.

    Source: van Rijsbergen (1979), chapter 7, whose measure E is 1 − F_β. For several classes Sokolova & Lapalme (2009)
    put the mean P and the mean R into the formula; like scikit-learn, we average the classes' F_β.
    """
    if not 0 <= beta <= 1e100:
        raise ValueError(f"beta={beta} must lie between 0 and 1e100")
    counts = _class_counts(matrix, labels, pos_label, average)
    numerator = (1 + beta**2) * counts.hits
    denominator = beta**2 * counts.actual + counts.predicted
    return _ratio("F-measure", numerator, denominator, counts, average, zero_division)


def matthews_corrcoef(y_true: Shaped[np.ndarray, " N"], y_pred: Shaped[np.ndarray, " N"]) -> float:
    """The correlation of truth and prediction: matthews_from_matrix of the labels' confusion matrix.

    Args:
        y_true: The true class of each sample.
        y_pred: The predicted class of each sample.

    Raises:
        ValueError: As for confusion_matrix.
    """
    return matthews_from_matrix(confusion_matrix(y_true, y_pred))


def matthews_from_matrix(matrix: Int[np.ndarray, "K K"]) -> float:
    """The covariance of truth and prediction over the product of their standard deviations.

        MCC = (c·s − Σₖ aₖpₖ) / √((s² − Σₖ aₖ²)(s² − Σₖ pₖ²))

    with s samples, c of them right, aₖ of class k, and pₖ called class k. 1 is all right, 0 no relation; with two
    classes −1 is all wrong. If every sample has one class, or got one prediction, there is no spread to divide by: the
    value is then 0 by convention, in scikit-learn too.

    Args:
        matrix: Counts: rows are the truth, columns the prediction.

    Raises:
        ValueError: The matrix is not square, is empty, or holds something other than counts.

    Source: Matthews (1975) for two classes; Gorodkin (2004) for more.
    """
    counts = _class_counts(matrix)
    actual, predicted = counts.actual.tolist(), counts.predicted.tolist()  # Python's integers: the squares are large
    samples = sum(actual)
    covariance = samples * sum(counts.hits.tolist()) - sum(a * p for a, p in zip(actual, predicted, strict=True))
    true_spread = samples**2 - sum(a**2 for a in actual)
    predicted_spread = samples**2 - sum(p**2 for p in predicted)
    if true_spread == 0 or predicted_spread == 0:
        return 0.0
    return covariance / math.sqrt(true_spread * predicted_spread)


def _tabulate(y_true: object, y_pred: object, labels: Labels | None = None) -> Table:
    truth, guess = _as_labels("y_true", y_true), _as_labels("y_pred", y_pred)
    require_same_length(y_true=truth, y_pred=guess)
    _require_same_kind("y_pred", guess, truth)
    table = _count_pairs(truth, guess)
    return table if labels is None else _arrange(table, labels)


def _as_labels(name: str, value: object) -> np.ndarray:
    """Class labels as 64-bit integers or as strings."""
    array = as_vector(name, value)
    if array.dtype.kind == "O" and all(isinstance(label, str) for label in array):
        array = array.astype(str)
    if array.dtype.kind == "U":
        return array
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} has entries of type {array.dtype}: labels are integers, booleans or strings")
    require_finite(name, array)
    if array.dtype.kind == "f" and (array % 1 != 0).any():
        raise ValueError(f"{name} holds {array[array % 1 != 0][0]}: a score is no class label; decide first")
    if array.dtype.kind in "uf" and not -(2**63) <= array.min() <= array.max() < 2**63:
        raise ValueError(f"{name} holds {array[np.abs(array).argmax()]}: labels must fit into 64-bit signed integers")
    return array.astype(np.int64, copy=False)


def _require_same_kind(name: str, labels: np.ndarray, truth: np.ndarray) -> None:
    if labels.dtype.kind != truth.dtype.kind:
        example, true_example = labels[:1].tolist()[0], truth[:1].tolist()[0]
        raise ValueError(f"{name} holds {example!r} but y_true {true_example!r}: use numbers or strings in both")


def _count_pairs(truth: np.ndarray, guess: np.ndarray) -> Table:
    """The labels that occur, sorted, and how often each pair of them does."""
    if truth.dtype.kind == "i":
        low = min(int(truth.min()), int(guess.min()))
        size = max(int(truth.max()), int(guess.max())) - low + 1  # Python's integers: the range may exceed 64 bits
        if size <= _DENSE_RANGE:
            matrix = count_cells(truth, guess, low=low, size=size)
            occurs = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
            return Table(occurs + low, matrix[np.ix_(occurs, occurs)])
    found = np.unique(np.concatenate([truth, guess]))
    codes = np.searchsorted(found, truth), np.searchsorted(found, guess)
    return Table(found, count_cells(*codes, low=0, size=len(found)))


def _arrange(table: Table, labels: Labels) -> Table:
    """The same counts with rows and columns in the order of labels."""
    wanted = _as_labels("labels", labels)
    _require_same_kind("labels", wanted, table.labels)
    order = np.argsort(wanted)
    if (wanted[order][1:] == wanted[order][:-1]).any():
        raise ValueError(f"labels={wanted.tolist()} names a class twice")
    unknown = ~np.isin(table.labels, wanted)
    if unknown.any():
        name = "y_true" if table.matrix[unknown][0].any() else "y_pred"
        label = table.labels[unknown].tolist()[0]
        raise ValueError(f"{name} holds the label {label!r}, which is not in labels={wanted.tolist()}")
    position = order[np.searchsorted(wanted, table.labels, sorter=order)]
    matrix = np.zeros((len(wanted), len(wanted)), dtype=np.int64)
    matrix[np.ix_(position, position)] = table.matrix
    return Table(wanted, matrix)


def _class_counts(
    matrix: object, labels: Labels | None = None, pos_label: int | str = 1, average: Average = None
) -> ClassCounts:
    """The counts of every class; with average="binary", of the class pos_label alone."""
    cells = _as_counts(matrix)
    names = np.arange(len(cells)) if labels is None else _as_labels("labels", labels)
    require_same_length(matrix=cells, labels=names)
    counts = ClassCounts(names, cells.diagonal(), cells.sum(axis=0), cells.sum(axis=1))
    if average == "binary":
        return _only_positive(counts, pos_label)
    if pos_label != 1:
        raise ValueError(f"pos_label={pos_label!r} has no effect with average={average!r}: leave one of them out")
    return counts


def _as_counts(matrix: object) -> np.ndarray:
    cells = np.asarray(matrix)
    if cells.ndim != 2 or cells.shape[0] != cells.shape[1] or cells.size == 0:
        raise ValueError(f"matrix must have one row and one column per class, got shape {cells.shape}")
    if cells.dtype.kind not in "iu":
        raise ValueError(f"matrix must hold counts, not {cells.dtype} such as {cells[0, 0]}: shares hide how many")
    if cells.min() < 0:
        raise ValueError(f"matrix holds {cells.min()}: a count is never negative")
    if not cells.any():
        raise ValueError("matrix holds only zeros: there is nothing to measure")
    return cells.astype(np.int64, copy=False)


def _only_positive(counts: ClassCounts, pos_label: int | str) -> ClassCounts:
    occurring = counts.labels[counts.actual + counts.predicted > 0].tolist()
    if len(occurring) > 2:
        raise ValueError(f"average='binary' takes two classes, got {occurring}: choose another average")
    if pos_label in occurring:
        index = counts.labels.tolist().index(pos_label)
        return ClassCounts(*(field[index : index + 1] for field in counts))
    if len(occurring) == 2 or isinstance(pos_label, str) != isinstance(occurring[0], str):
        raise ValueError(f"pos_label={pos_label!r} does not occur: the classes are {occurring}")
    none = np.zeros(1, dtype=np.int64)  # only the negative class occurs
    return ClassCounts(np.array([pos_label]), none, none, none)


def _ratio(
    name: str,
    numerator: np.ndarray,
    denominator: np.ndarray,
    counts: ClassCounts,
    average: Average,
    zero_division: float | None,
) -> float | np.ndarray:
    """Divide class by class and average; or, for "micro", add up first."""
    if average not in (None, "binary", "macro", "micro", "weighted"):
        raise ValueError(f"average={average!r} must be None, 'binary', 'macro', 'micro' or 'weighted'")
    if zero_division not in (None, 0, 1):
        raise ValueError(f"zero_division={zero_division!r} must be 0, 1 or None")
    if average == "micro":
        return float(numerator.sum() / denominator.sum())
    values = _divide(name, numerator, denominator, counts.labels, zero_division)
    if average is None:
        return values
    return float(np.average(values, weights=counts.actual if average == "weighted" else None))


def _divide(
    name: str,
    numerator: np.ndarray,
    denominator: np.ndarray,
    labels: np.ndarray,
    zero_division: float | None = None,
) -> np.ndarray:
    undefined = denominator == 0
    if zero_division is None and undefined.any():
        label = labels[undefined].tolist()[0]
        raise ValueError(f"the {name} of class {label!r} is 0/0, which does not exist: pass zero_division=0 or 1")
    return np.where(undefined, zero_division or 0, numerator / np.where(undefined, 1, denominator))
