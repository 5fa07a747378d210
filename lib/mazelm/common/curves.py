"""Curves of several runs as one: a line in the middle and a band around it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Num
from matplotlib.axes import Axes


def draw_band(
    ax: Axes,
    x: Num[np.ndarray, " T"],
    runs: Float[np.ndarray, "seeds T"],
    *,
    label: str,
    color: str,
    style: str = "-",
    quantiles: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Draw the median of the runs over x, and shade between two quantiles of them.

    Args:
        ax: Where to draw.
        x: What the horizontal axis counts.
        runs: One row for each seed.
        label: For the legend.
        color: Of the line and, lighter, of the band.
        style: The line's dashes, so that curves differ in grey print too.
        quantiles: Where the band ends; as it stands, at the worst and the best run.
    """
    runs = np.asarray(runs, dtype=float)
    low, high = np.quantile(runs, quantiles, axis=0)
    ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    ax.plot(x, np.median(runs, axis=0), style, color=color, label=label)


def smoothed(totals: Sequence[float] | Float[np.ndarray, " N"], width: int) -> Float[np.ndarray, " N"]:
    """The mean of the last `width` numbers at each place; of as many as there are in the beginning."""
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    sums = np.concatenate([[0.0], np.cumsum(totals)])
    ends = np.arange(1, len(sums))
    begins = np.maximum(ends - width, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)
