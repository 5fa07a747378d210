"""Text and pictures of a maze."""

import numpy as np
import pytest
from mazes.grid import Maze
from mazes.render import PAINT, WALKER, disc, picture, text

CORNER = Maze.from_text("S.#\nC.G")


def test_text_shows_the_walker():
    assert text(CORNER) == CORNER.to_text()
    assert text(CORNER, 1) == "S@#\nC G"
    assert text(CORNER, np.int64(5)) == "S #\nC @"


def test_one_pixel_per_cell():
    image = picture(CORNER, pixels=1)
    assert image.dtype == np.uint8
    assert image.tolist() == [[list(PAINT[letter]) for letter in line] for line in ("S #", "C G")]
    assert picture(CORNER, 4, pixels=1)[1, 1].tolist() == list(WALKER)


@pytest.mark.parametrize("pixels", [1, 7, 8, 32])
def test_cells_are_squares_of_one_colour_but_for_the_walker(pixels):
    image = picture(CORNER, 5, pixels=pixels)
    assert image.shape == (2 * pixels, 3 * pixels, 3)
    plain = picture(CORNER, pixels=1).repeat(pixels, axis=0).repeat(pixels, axis=1)
    changed = (image != plain).any(axis=2)
    inside = np.zeros_like(changed)
    inside[pixels : 2 * pixels, 2 * pixels : 3 * pixels] = disc(pixels)
    assert (changed == inside).all()


def test_the_walker_is_a_disc_in_the_middle():
    shape = disc(40)
    assert (shape == shape.T).all()
    assert (shape == shape[::-1]).all()
    assert shape.mean() == pytest.approx(np.pi * 0.4**2, abs=0.01)
    assert not shape[[0, -1]].any()
