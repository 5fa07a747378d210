"""Data: files on disk, padding and splits, by hand, by definition, at their limits, by invariance, on bad input."""

import itertools
import pickle
import re
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.training.data import ImageFolder, PaddedBatch, pad_batch, split_indices
from PIL import Image
from torch.utils.data import DataLoader

PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 51  # 0, 51, … 255: 0.0, 0.2, … 1.0


@pytest.fixture
def folder(tmp_path):
    """Three classes with two, one and three images; the number in a name is the top left pixel of the image."""
    for name, tops in (("two", [20, 3]), ("10", [100]), ("2", [7, 9, 8])):
        (tmp_path / name).mkdir()
        for top in tops:
            pixels = PIXELS.copy()
            pixels[0, 0] = top
            Image.fromarray(pixels).save(tmp_path / name / f"{top}.png")
    return tmp_path


# --- ImageFolder


def test_classes_and_files_are_in_the_order_of_their_names(folder):
    dataset = ImageFolder(folder)
    assert dataset.classes == ("10", "2", "two")
    assert [path.relative_to(folder).as_posix() for path in dataset.paths] == [
        "10/100.png",
        "2/7.png",
        "2/8.png",
        "2/9.png",
        "two/20.png",
        "two/3.png",
    ]
    assert dataset.labels.tolist() == [0, 1, 1, 1, 2, 2]
    assert dataset.labels.dtype == np.int64
    assert len(dataset) == 6


def test_a_sample_is_an_image_from_0_to_1_and_a_label(folder):
    image, label = ImageFolder(folder)[3]
    assert label == 1
    assert type(label) is int
    assert image.shape == (1, 2, 3)
    assert image.dtype == torch.float32
    assert image.numpy() == pytest.approx(np.array([[[9 / 255, 0.2, 0.4], [0.6, 0.8, 1.0]]]), rel=1e-6)


def test_every_grey_is_its_byte_over_255(tmp_path):
    (tmp_path / "all").mkdir()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "all" / "greys.png")
    image, _ = ImageFolder(tmp_path)[0]
    assert image.flatten().tolist() == [np.float32(byte) / np.float32(255) for byte in range(256)]


def test_all_samples_and_an_end(folder):
    dataset = ImageFolder(folder)
    tops = [round(255 * image[0, 0, 0].item()) for image, _ in dataset]  # iterates until IndexError
    assert tops == [100, 7, 8, 9, 20, 3]
    assert torch.equal(dataset[-1][0], dataset[5][0])
    with pytest.raises(IndexError):
        dataset[6]


def test_the_transform_gets_the_image_and_not_the_label(folder):
    plain, turned = ImageFolder(folder), ImageFolder(str(folder), transform=lambda image: 1 - image.flip(-1))
    for (image, label), (changed, same) in zip(plain, turned, strict=True):
        assert torch.equal(changed, 1 - image.flip(-1))
        assert label == same


def test_a_file_is_opened_only_when_its_sample_is_asked_for(folder):
    dataset = ImageFolder(folder)
    dataset.paths[2].write_bytes(b"no image")
    assert dataset[1][1] == 1
    with pytest.raises(ValueError, match=r"8\.png cannot be read as an image"):
        dataset[2]


def test_an_image_is_the_readers_own(folder):
    dataset = ImageFolder(folder)
    dataset[0][0].zero_()
    assert dataset[0][0].sum() > 0


def test_hidden_files_and_loose_files_are_no_samples(folder):
    (folder / ".cache").mkdir()
    (folder / "two" / ".DS_Store").write_bytes(b"")
    (folder / "readme.txt").write_text("about this data set")
    assert len(ImageFolder(folder)) == 6
    assert ImageFolder(folder).classes == ("10", "2", "two")


def test_endings_in_capitals(folder):
    (folder / "10" / "100.png").rename(folder / "10" / "100.PNG")
    assert len(ImageFolder(folder)) == 6


def test_a_loader_with_workers_gives_what_a_loader_without_gives(folder):
    dataset = pickle.loads(pickle.dumps(ImageFolder(folder)))  # what a worker that is not forked would get
    alone = list(DataLoader(dataset, batch_size=4))
    together = list(DataLoader(dataset, batch_size=4, num_workers=2, multiprocessing_context="fork"))
    assert [images.shape for images, _ in alone] == [(4, 1, 2, 3), (2, 1, 2, 3)]
    for (images, labels), (others, same) in zip(alone, together, strict=True):
        assert torch.equal(images, others)
        assert labels.tolist() == same.tolist()


def test_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"folder='.*nowhere' is not a folder"):
        ImageFolder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"folder='.*file' is not a folder"):
        ImageFolder(tmp_path / "file")


def test_no_classes(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "loose.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"has no folder inside: there must be one per class"):
        ImageFolder(tmp_path)


def test_an_empty_class(folder):
    (folder / "none").mkdir()
    (folder / "none" / ".keep").write_text("")
    with pytest.raises(ValueError, match="has the class 'none' without a file"):
        ImageFolder(folder)


@pytest.mark.parametrize("name", ["photo.jpg", "notes.txt", "png"])
def test_another_kind_of_file(folder, name):
    (folder / "2" / name).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"has '{re.escape(name)}' in the class '2': not a .png file"):
        ImageFolder(folder)


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (Image.new("RGB", (2, 2)), "RGB"),
        (Image.new("LA", (2, 2)), "LA"),
        (Image.new("P", (2, 2)), "P"),
        (Image.new("1", (2, 2)), "1"),
        (Image.fromarray(np.full((2, 2), 40_000, dtype=np.uint16)), "I;16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pixels_that_are_not_8_bit_grey(folder, image, mode):
    image.save(folder / "10" / "100.png")
    with pytest.raises(ValueError, match=rf"100\.png has the pixel format '{mode}': only 8-bit grey"):
        ImageFolder(folder)[0]


def test_damaged_files_are_named(folder):
    dataset = ImageFolder(folder)
    whole = dataset.paths[0].read_bytes()
    cut = [whole[:length] for length in (0, 4, 20, 40, 50)]
    short_header = whole[:11] + b"\x0c" + whole[12:]  # the length of the first chunk, 12 in place of 13
    no_pixels = whole[:36] + b"\x00" + whole[37:]  # the length of the second chunk, 0
    for damaged in [*cut, short_header, no_pixels]:
        dataset.paths[0].write_bytes(damaged)
        with pytest.raises(ValueError, match=r"100\.png cannot be read as an image: "):
            dataset[0]
    dataset.paths[0].unlink()
    with pytest.raises(ValueError, match=r"100\.png cannot be read as an image: .*No such file"):
        dataset[0]


# --- pad_batch

id_lists = st.lists(st.lists(st.integers(-3, 99), max_size=6), min_size=1, max_size=6)


def tensors(lists, dtype=torch.int64):
    return [torch.tensor(one, dtype=dtype) for one in lists]


def test_padding_by_hand():
    batch = pad_batch(tensors([[5, 6, 7], [8], [], [9, 0]]), padding_value=0)
    assert batch.ids.tolist() == [[5, 6, 7], [8, 0, 0], [0, 0, 0], [9, 0, 0]]
    assert batch.mask.tolist() == [[True] * 3, [True, False, False], [False] * 3, [True, True, False]]
    assert isinstance(batch, PaddedBatch)
    assert batch.mask.dtype == torch.bool


@given(id_lists, st.integers(-5, 5))
def test_padding_by_definition(lists, value):
    ids, mask = pad_batch(tensors(lists), padding_value=value)
    width = max(len(one) for one in lists)
    assert ids.shape == mask.shape == (len(lists), width)
    for b, one in enumerate(lists):
        for t in range(width):
            assert mask[b, t].item() == (t < len(one))
            assert ids[b, t].item() == (one[t] if t < len(one) else value)


@given(id_lists.filter(lambda lists: any(lists)), st.integers(-5, 5))
def test_eq_masked_mean(lists, value):
    """The mean over what is counted is the mean over the sequences themselves, whatever the padding is."""
    ids, mask = pad_batch(tensors(lists), padding_value=value)
    total, count = 0.0, 0
    for b in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            m = 1 if mask[b, t] else 0
            total += m * ids[b, t].item()
            count += m
    everything = list(itertools.chain(*lists))
    assert total / count == pytest.approx(sum(everything) / len(everything), rel=1e-12, abs=1e-12)
    assert ids[mask].double().mean().item() == pytest.approx(total / count, rel=1e-12, abs=1e-12)


@given(id_lists, st.randoms(use_true_random=False))
def test_the_sequences_come_back(lists, random):
    random.shuffle(lists)
    ids, mask = pad_batch(tensors(lists), padding_value=7)  # 7 may be a real id
    assert [row[kept].tolist() for row, kept in zip(ids, mask, strict=True)] == lists


def test_only_empty_sequences():
    ids, mask = pad_batch(tensors([[], []]), padding_value=1)
    assert ids.shape == mask.shape == (2, 0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_the_type_of_the_ids_stays(dtype):
    assert pad_batch(tensors([[1, 2], [3]], dtype), padding_value=0).ids.dtype == dtype


def test_sequences_are_left_alone():
    sequences = tensors([[1, 2], [3]])
    pad_batch(sequences, padding_value=9).ids.zero_()
    assert [one.tolist() for one in sequences] == [[1, 2], [3]]


def test_as_a_collator():
    data = tensors([[1], [2, 3], [4, 5, 6], [7]])
    batches = list(DataLoader(data, batch_size=2, collate_fn=partial(pad_batch, padding_value=-1)))
    assert [batch.ids.tolist() for batch in batches] == [[[1, -1], [2, 3]], [[4, 5, 6], [7, -1, -1]]]


@pytest.mark.parametrize(
    ("sequences", "value", "message"),
    [
        ([], 0, "sequences is empty: a batch needs at least one"),
        ([torch.tensor([1]), torch.tensor(2)], 0, r"sequences\[1\] must have one axis, got shape \(\)"),
        ([torch.zeros(2, 2).long()], 0, r"sequences\[0\] must have one axis, got shape \(2, 2\)"),
        ([torch.tensor([1]), torch.tensor([1]).int()], 0, r"sequences\[1\] has the type torch.int32, .* torch.int64"),
        ([torch.tensor([1]).byte()], -1, "padding_value=-1 does not fit into torch.uint8"),
        ([torch.tensor([1]).byte()], 256, "padding_value=256 does not fit into torch.uint8"),
        ([torch.tensor([0.5])], 0, r"sequences\[0\] has the type torch.float32: ids are whole numbers"),
        ([torch.tensor([True])], 0, r"sequences\[0\] has the type torch.bool: ids are whole numbers"),
    ],
)
def test_bad_sequences(unchecked, sequences, value, message):
    with pytest.raises(ValueError, match=message):
        pad_batch(sequences, padding_value=value)


# --- split_indices

shares = st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3])


@st.composite
def splits(draw, stratified):
    """A size, two shares, a seed and labels, such that there is a split."""
    size = draw(st.integers(10, 80))
    labels = np.array(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))) if stratified else None
    return size, draw(shares), draw(shares), draw(st.integers(0, 999)), labels


def drawn(size, validation, test, seed, labels):
    return split_indices(size, validation=validation, test=test, labels=labels, rng=np.random.default_rng(seed))


def rounded(x):
    return int(np.floor(x + 0.5))


def test_sizes_by_hand():
    split = drawn(1797, 0.2, 0.2, 0, None)
    assert [len(part) for part in split] == [1797 - 359 - 359, 359, 359]  # 0.2 · 1797 = 359.4
    assert [len(part) for part in drawn(10, 0.25, 0.1, 0, None)] == [6, 3, 1]  # 2.5 is rounded up
    assert drawn(10, 0.25, 0.1, 0, None)._fields == ("train", "validation", "test")


@pytest.mark.parametrize("stratified", [False, True])
@given(data=st.data())
def test_each_index_exactly_once_in_ascending_order(stratified, data):
    size, validation, test, seed, labels = data.draw(splits(stratified))
    split = drawn(size, validation, test, seed, labels)
    assert sorted(itertools.chain(*split)) == list(range(size))
    assert all((np.diff(part) > 0).all() for part in split)
    assert len(split.validation) == rounded(validation * size)
    assert len(split.test) == rounded(test * size)


@given(splits(stratified=True))
def test_stratified_counts(arguments):
    size, _, _, _, labels = arguments
    split = drawn(*arguments)
    for k in np.unique(labels):
        n = (labels == k).sum()
        off = [abs((labels[part] == k).sum() - n * len(part) / size) for part in split]
        assert off[2] < 1 - 1e-9
        assert max(off) < 2 - 1e-9


def test_stratified_by_hand():
    labels = np.array(["common"] * 90 + ["rare"] * 10)
    for seed in range(20):
        split = drawn(100, 0.2, 0.2, seed, labels)
        assert [(labels[part] == "rare").sum() for part in split] == [6, 2, 2]


def test_a_class_of_one_falls_into_each_part_at_times():
    labels = np.array([0] * 19 + [1])
    places = [[19 in part for part in drawn(20, 0.25, 0.25, seed, labels)].index(True) for seed in range(200)]
    assert np.bincount(places, minlength=3) / 200 == pytest.approx([0.5, 0.25, 0.25], abs=0.1)


@pytest.mark.parametrize("labels", [None, np.array([0, 1, 1, 0, 1, 1, 1, 1, 0, 2] * 2)], ids=["plain", "stratified"])
def test_every_sample_has_the_same_chance(labels):
    counts = np.zeros((3, 20))
    for seed in range(2000):
        for i, part in enumerate(drawn(20, 0.2, 0.3, seed, labels)):
            counts[i, part] += 1
    shares = np.broadcast_to([[0.5], [0.2], [0.3]], (3, 20))
    assert counts / 2000 == pytest.approx(shares, abs=4.5 * np.sqrt(0.25 / 2000))  # 60 means of coin tosses


def test_samples_of_a_class_are_not_drawn_in_blocks():
    """In a plain draw of 2 of 4, all 6 pairs are alike; evenly spaced places of an unshuffled row would be 2 pairs."""
    pairs = [tuple(drawn(4, 0.0, 0.5, seed, None).test) for seed in range(1200)]
    assert {pair: round(pairs.count(pair) / 200) for pair in set(pairs)} == dict.fromkeys(
        itertools.combinations(range(4), 2), 1
    )


def test_the_generator_decides():
    labels = np.arange(100) % 3
    for given_labels in (None, labels):
        first, again, other = (drawn(100, 0.2, 0.2, seed, given_labels) for seed in (5, 5, 6))
        assert all((a == b).all() for a, b in zip(first, again, strict=True))
        assert first.test.tolist() != other.test.tolist()
    rng = np.random.default_rng(5)
    one, two = (split_indices(100, validation=0.2, test=0.2, rng=rng) for _ in range(2))
    assert one.test.tolist() != two.test.tolist()


def test_names_of_classes_do_not_matter():
    labels = np.random.default_rng(0).integers(0, 3, size=60)
    numbers = drawn(60, 0.2, 0.2, 1, labels)
    words = drawn(60, 0.2, 0.2, 1, np.array(["a", "b", "c"])[labels])
    assert all((a == b).all() for a, b in zip(numbers, words, strict=True))


def test_without_validation_or_test():
    split = drawn(5, 0.0, 0.0, 0, None)
    assert [part.tolist() for part in split] == [[0, 1, 2, 3, 4], [], []]
    assert all(part.dtype == np.int64 for part in split)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"validation": -0.1}, "validation must be a share from 0 to below 1, got -0.1"),
        ({"validation": 30.0}, "validation must be a share from 0 to below 1, got 30.0"),
        ({"test": 1.0}, "test must be a share from 0 to below 1, got 1.0"),
        ({"test": float("nan")}, "test must be a share from 0 to below 1, got nan"),
        ({"validation": 0.5, "test": 0.5}, "validation=0.5 and test=0.5 leave none of size=20 samples for training"),
        ({"test": 0.02}, "test=0.02 of size=20 samples comes to none"),
        ({"size": 0, "validation": 0.0, "test": 0.0}, "leave none of size=0 samples for training"),
        ({"labels": np.zeros(19)}, r"labels must have one entry per sample, shape \(20,\), got \(19,\)"),
        ({"labels": np.zeros((20, 1))}, r"labels must have one entry per sample, shape \(20,\), got \(20, 1\)"),
    ],
)
def test_bad_split(unchecked, changed, message):
    arguments = {"size": 20, "validation": 0.2, "test": 0.2, "rng": np.random.default_rng(0)} | changed
    with pytest.raises(ValueError, match=message):
        split_indices(**arguments)
