"""Objects and detections to try detection metrics on: small scenes full of ties, and large random ones."""

import numpy as np
from hypothesis import strategies as st
from mazelm.metrics.detection import Detections, GroundTruth

WHOLE = st.integers(0, 8).map(float)
QUARTERS = st.integers(0, 32).map(lambda n: n / 4)
IDS = (-3, 2, 1000)  # of images and of classes: rising, and not contiguous
SCORES = st.sampled_from([0.1, 0.5, 0.5, 0.9])  # few values: many ties


@st.composite
def boxes_of(draw, n, sides=WHOLE):
    """So many boxes on a small grid, some of them without area."""
    corners = [(draw(sides), draw(sides), draw(sides), draw(sides)) for _ in range(n)]
    return np.array([(x, y, x + w, y + h) for x, y, w, h in corners], dtype=float).reshape(n, 4)


@st.composite
def scenes(draw, sides=WHOLE):
    """Ground truth and detections: equal boxes, equal scores, and images and classes with nothing in them."""
    n_true, n_found = draw(st.integers(1, 8)), draw(st.integers(0, 14))
    truth = GroundTruth(
        image_ids=np.array([draw(st.sampled_from(IDS)) for _ in range(n_true)], dtype=int),
        labels=np.array([draw(st.sampled_from(IDS)) for _ in range(n_true)], dtype=int),
        boxes=draw(boxes_of(n_true, sides)),
    )
    boxes = draw(boxes_of(n_found, sides))
    near = [i for i in range(n_found) if draw(st.booleans())]
    boxes[near] = truth.boxes[[draw(st.integers(0, n_true - 1)) for _ in near]]
    detections = Detections(
        image_ids=np.array([draw(st.sampled_from(IDS)) for _ in range(n_found)], dtype=int),
        labels=np.array([draw(st.sampled_from(IDS)) for _ in range(n_found)], dtype=int),
        scores=np.array([draw(SCORES) for _ in range(n_found)], dtype=float),
        boxes=boxes,
    )
    return truth, detections


def random_scene(seed, *, n_images, n_classes, n_objects, n_detections, spread=3.0):
    """Objects, and detections near them: many of the same object, so that images hold crowds of duplicates.

    The greater the spread, in pixels, the lower the IoUs.
    """
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 300, (n_objects, 2)), rng.uniform(10, 60, (n_objects, 2))
    truth = GroundTruth(
        image_ids=rng.integers(n_images, size=n_objects),
        labels=rng.integers(n_classes, size=n_objects),
        boxes=np.hstack([corner, corner + size]),
    )
    of = rng.integers(n_objects, size=n_detections)
    moved = truth.boxes[of] + rng.normal(0, spread, (n_detections, 4))
    wrong = rng.random(n_detections) < 0.2
    detections = Detections(
        image_ids=np.where(wrong, rng.integers(n_images + 3, size=n_detections), truth.image_ids[of]),
        labels=np.where(wrong, rng.integers(n_classes + 1, size=n_detections), truth.labels[of]),
        scores=rng.random(n_detections).round(2),  # two digits: ties
        boxes=np.hstack([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])]),
    )
    return truth, detections


def one_image(true_boxes, found_boxes, scores):
    """One image and one class."""
    n_true, n_found = len(true_boxes), len(scores)
    return (
        GroundTruth(
            image_ids=np.zeros(n_true, dtype=int),
            labels=np.zeros(n_true, dtype=int),
            boxes=np.array(true_boxes, dtype=float).reshape(-1, 4),
        ),
        Detections(
            image_ids=np.zeros(n_found, dtype=int),
            labels=np.zeros(n_found, dtype=int),
            scores=np.array(scores, dtype=float),
            boxes=np.array(found_boxes, dtype=float).reshape(-1, 4),
        ),
    )
