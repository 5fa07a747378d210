"""How every figure of the book looks: one set of colours with fixed meanings, one size, legible in grey print.

The colours are those of Okabe and Ito (2008), which readers with a colour vision deficiency can tell apart. Figures are
drawn on white; in its dark theme the site turns the lightness of a figure round and keeps its hues.
"""

from types import SimpleNamespace

import matplotlib as mpl
from cycler import cycler

# A meaning keeps its colour through the whole book. Lines that share a figure also differ in dash or marker.
COLORS = SimpleNamespace(
    first="#0072B2",  # blue: the model, method or quantity that the lesson is about
    second="#D55E00",  # vermilion: what it is compared with
    third="#009E73",  # green
    fourth="#CC79A7",  # pink
    positive="#0072B2",  # blue: members of the positive class
    negative="#E69F00",  # orange: members of the negative class
    truth="#555555",  # grey: what is known, exact or given
    hit="#009E73",  # green: a correct prediction
    miss="#D55E00",  # vermilion: a wrong one
    chance="#999999",  # light grey: what guessing would give
)

SEQUENTIAL = "Blues"  # heat maps of counts and rates: white is nothing


def use_book_style() -> None:
    """Set matplotlib's defaults to those of the book, for this kernel."""
    mpl.rcdefaults()
    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),  # inches
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=[COLORS.first, COLORS.second, COLORS.third, COLORS.fourth]),
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "image.cmap": SEQUENTIAL,
            "image.interpolation": "nearest",
        }
    )
