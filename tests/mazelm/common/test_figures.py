"""The look of the figures: colours that can be told apart, and a style that starts from matplotlib's own."""

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb
from mazelm.common.figures import COLORS, SEQUENTIAL, use_book_style


@pytest.fixture(autouse=True)
def _settings_are_put_back():
    with mpl.rc_context():
        yield


def luminance(color):
    """Relative luminance of a colour: 0 is black, 1 is white (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_that_share_a_figure_differ():
    pairs = [("positive", "negative"), ("hit", "miss"), ("truth", "chance"), ("first", "truth"), ("first", "chance")]
    for one, other in pairs:
        assert getattr(COLORS, one) != getattr(COLORS, other)
    assert len({COLORS.first, COLORS.second, COLORS.third, COLORS.fourth}) == 4


def test_every_colour_is_seen_on_white():
    for name, color in vars(COLORS).items():
        contrast = 1.05 / (luminance(color) + 0.05)
        assert contrast > 2, name


def test_lines_follow_the_meanings():
    use_book_style()
    cycle = [entry["color"] for entry in mpl.rcParams["axes.prop_cycle"]]
    assert cycle == [COLORS.first, COLORS.second, COLORS.third, COLORS.fourth]


def test_the_style_does_not_depend_on_what_was_set_before():
    use_book_style()
    expected = dict(mpl.rcParams)
    mpl.rcParams["lines.linewidth"] = 9
    mpl.rcParams["axes.grid"] = True
    use_book_style()
    assert dict(mpl.rcParams) == expected


def test_nothing_is_almost_white_on_a_heat_map():
    assert luminance(mpl.colormaps[SEQUENTIAL](0.0)[:3]) > 0.9
