"""An animated picture is one PNG, the same in every run, whose still frame is the one that was asked for."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from mazelm.common import animation
from mazelm.common.animation import show_animation
from PIL import Image

GREYS = [0.0, 0.4, 0.8]


def draw(i):
    figure = plt.figure(figsize=(1, 1), facecolor=str(GREYS[i]))
    return figure


@pytest.fixture
def shown(monkeypatch):
    outputs = []
    monkeypatch.setattr(animation, "display", lambda data, raw: outputs.append(base64.b64decode(data["image/png"])))
    return outputs


def greys(data):
    image = Image.open(io.BytesIO(data))
    frames = []
    for i in range(image.n_frames):
        image.seek(i)
        frames.append(np.asarray(image.convert("L"))[0, 0] / 255)
    return frames


def test_frames_follow_the_still_picture(shown):
    show_animation(draw, 3, still=1, milliseconds=150, plays=2)
    image = Image.open(io.BytesIO(shown[0]))
    assert image.info["loop"] == 2
    assert greys(shown[0]) == pytest.approx([0.4, 0.0, 0.4, 0.8], abs=0.01)  # the first one stands still
    durations = []
    for i in range(1, 4):
        image.seek(i)
        durations.append(image.info["duration"])
    assert durations == [150, 150, 2000]


def test_the_bytes_are_the_same_every_time(shown):
    show_animation(draw, 3)
    show_animation(draw, 3)
    assert shown[0] == shown[1]
    assert greys(shown[0])[0] == pytest.approx(0.8, abs=0.01)  # the last frame, unless told otherwise


def test_no_figure_is_left_open(shown):
    show_animation(draw, 3)
    assert plt.get_fignums() == []


def test_one_frame_is_no_animation():
    with pytest.raises(ValueError, match="frames must be at least 2, got 1"):
        show_animation(draw, 1)
