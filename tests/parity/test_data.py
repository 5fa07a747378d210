"""Data against readers, collators and splitters that we did not write: PNG bytes made by hand, torch, scikit-learn."""

import struct
import zlib

import matplotlib.image
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.training.data import ImageFolder, pad_batch, split_indices
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit, train_test_split
from torch.nn.utils.rnn import pad_sequence, unpad_sequence

# --- ImageFolder: a writer of PNG files from the standard library alone


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def paeth(left, above, corner):
    """The neighbour that is closest to left + above − corner (PNG specification, section 9.4)."""
    guess = left + above - corner
    return min((abs(guess - left), 0, left), (abs(guess - above), 1, above), (abs(guess - corner), 2, corner))[2]


def png_bytes(pixels, filters):
    """An 8-bit grey PNG file; each row is stored as its difference from one of five predictions."""
    rows = b""
    for y, kind in enumerate(filters):
        rows += bytes([kind])
        for x, value in enumerate(pixels[y]):
            left = int(pixels[y][x - 1]) if x else 0
            above = int(pixels[y - 1][x]) if y else 0
            corner = int(pixels[y - 1][x - 1]) if x and y else 0
            prediction = [0, left, above, (left + above) // 2, paeth(left, above, corner)][kind]
            rows += bytes([(int(value) - prediction) % 256])
    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 0, 0, 0, 0)  # 8 bits, grey
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@st.composite
def images(draw):
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    rows = st.lists(st.integers(0, 255), min_size=width, max_size=width)
    pixels = draw(st.lists(rows, min_size=height, max_size=height))
    return pixels, draw(st.lists(st.integers(0, 4), min_size=height, max_size=height))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    (folder / "class").mkdir()
    return folder


@given(images())
def test_pixels_of_bytes_written_by_hand(place, image):
    pixels, filters = image
    (place / "class" / "one.png").write_bytes(png_bytes(pixels, filters))
    read, _ = ImageFolder(place)[0]
    assert (read[0] * 255).round().tolist() == pixels
    assert read[0].numpy() == pytest.approx(matplotlib.image.imread(place / "class" / "one.png"), abs=1e-7)


# --- pad_batch

sequences = st.lists(
    st.lists(st.integers(-9, 9), max_size=7).map(lambda ids: torch.tensor(ids, dtype=torch.int64)),
    min_size=1,
    max_size=6,
)


@given(sequences, st.integers(-9, 9))
def test_ids_are_those_of_pad_sequence(lists, value):
    ids, mask = pad_batch(lists, padding_value=value)
    assert torch.equal(ids, pad_sequence(lists, batch_first=True, padding_value=value))
    ones = [torch.ones_like(one) for one in lists]
    assert torch.equal(mask, pad_sequence(ones, batch_first=True, padding_value=0).bool())


@given(sequences)
def test_unpad_sequence_gives_them_back(lists):
    ids, mask = pad_batch(lists, padding_value=0)
    back = unpad_sequence(ids, mask.sum(dim=1), batch_first=True)
    assert all(torch.equal(one, again) for one, again in zip(lists, back, strict=True))


# --- split_indices


@st.composite
def labelled(draw):
    """Labels of two to five classes of at least two members, and a test share that has room for all of them."""
    counts = draw(st.lists(st.integers(2, 30), min_size=2, max_size=5))
    labels = np.repeat(np.arange(len(counts)), counts)
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(labels))
    n_test = draw(st.integers(len(counts), len(labels) - len(counts)))
    return labels[order], n_test, draw(st.integers(0, 999))


@given(labelled())
def test_classes_are_shared_out_as_evenly_as_by_scikit_learn(case):
    labels, n_test, seed = case
    size = len(labels)
    ours = split_indices(size, validation=0.0, test=n_test / size, rng=np.random.default_rng(seed), labels=labels)
    train, test = next(StratifiedShuffleSplit(1, test_size=n_test, random_state=seed).split(labels, labels))
    assert len(ours.test) == len(test) == n_test
    assert len(ours.train) == len(train)
    exact = np.bincount(labels) * n_test / size
    for counts in (
        np.bincount(labels[test], minlength=len(exact)),
        np.bincount(labels[ours.test], minlength=len(exact)),
    ):
        assert (np.abs(counts - exact) < 1).all()  # both round up or down, and no more


@given(st.integers(10, 60), st.sampled_from([0.1, 0.25, 0.5]), st.integers(0, 99))
def test_a_plain_split_is_a_partition_of_the_same_sizes(size, test, seed):
    ours = split_indices(size, validation=0.0, test=test, rng=np.random.default_rng(seed))
    n_test = len(ours.test)
    train, theirs = next(ShuffleSplit(1, test_size=n_test, random_state=seed).split(np.zeros(size)))
    assert len(theirs) == n_test
    assert len(train) == len(ours.train)
    assert abs(n_test - test * size) <= 0.5  # scikit-learn rounds a share up, we to the nearest
    by_share = train_test_split(np.arange(size), test_size=test, random_state=seed)[1]
    assert 0 <= len(by_share) - n_test <= 1


@given(st.lists(st.integers(0, 9), min_size=20, max_size=60), st.integers(0, 99))
def test_a_split_of_groups_leaves_no_group_on_two_sides(members, seed):
    group = np.unique(members, return_inverse=True)[1]
    n_groups = int(group.max()) + 1
    if n_groups < 5:
        return
    ours = split_indices(n_groups, validation=0.0, test=0.4, rng=np.random.default_rng(seed))
    in_test = np.isin(group, ours.test)
    splitter = GroupShuffleSplit(1, test_size=len(ours.test), random_state=seed)
    train, test = next(splitter.split(group, groups=group))
    assert set(group[in_test]).isdisjoint(group[~in_test])
    assert len(set(group[in_test])) == len(set(group[test]))
    assert len(set(group[~in_test])) == len(set(group[train]))
