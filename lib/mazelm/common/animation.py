"""Show several figures in turn, as one picture that plays.

The picture is an animated PNG: an image like any other, with a caption and an alternative text, that needs no script
and no player. One of the frames stands still where nothing moves: in print, in the book until a reader presses play,
and wherever animated PNGs are not understood.
"""

import base64
import io
from collections.abc import Callable

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

_COLORS = 64  # a palette: the file of 20 frames stays below 100 kB
_LAST_MS = 2000  # how long the last frame stays


def show_animation(
    draw: Callable[[int], Figure], frames: int, *, milliseconds: int = 400, still: int = -1, plays: int = 3
) -> None:
    """Draw every frame, and display them as one animated picture.

    Args:
        draw: Makes the figure of frame i; it is closed after use. All of them have to be of one size.
        frames: How many there are, at least 2.
        milliseconds: How long each frame stays, but for the last, which stays two seconds.
        still: The frame that is shown where nothing moves; −1 is the last.
        plays: How often it plays before it stops on the last frame.
    """
    if frames < 2:
        raise ValueError(f"frames must be at least 2, got {frames}")
    images = _with_one_palette([_rendered(draw(i)) for i in range(frames)])
    durations = [milliseconds] * (frames - 1) + [_LAST_MS]
    file = io.BytesIO()
    # The first image that is saved is not part of the animation (default_image): it is the one that stands still.
    images[still].save(
        file, format="PNG", save_all=True, append_images=images, default_image=True, duration=durations, loop=plays
    )
    display({"image/png": base64.b64encode(file.getvalue()).decode()}, raw=True)


def _rendered(figure: Figure) -> Image.Image:
    """The figure as a picture."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return Image.open(file).convert("RGB")


def _with_one_palette(images: list[Image.Image]) -> list[Image.Image]:
    """The pictures in the same few colours, so that one frame can be stored as its difference from the last."""
    width, height = images[0].size
    column = Image.new("RGB", (width, height * len(images)))
    for i, image in enumerate(images):
        column.paste(image, (0, i * height))
    column = column.quantize(_COLORS, dither=Image.Dither.NONE)
    return [column.crop((0, i * height, width, (i + 1) * height)) for i in range(len(images))]
