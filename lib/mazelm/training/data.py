"""From files to batches: images in folders, sequences padded to one length, and who may see which sample.

A loader asks a dataset for samples by index and makes a batch of each handful. torch's DataLoader does the asking; here
are the dataset, a collator for sequences of unequal length, and the split that has to come before any of it.

Left out: other image formats and colours, caching, data sets that do not fit on a disk, and decoding on several
machines. torchvision's ImageFolder has the first, webdataset and Hugging Face's datasets the rest.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer, Shaped
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

Transform = Callable[[Float[Tensor, "1 H W"]], Tensor]


class PaddedBatch(NamedTuple):
    """Sequences of unequal length as one rectangle."""

    ids: Integer[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]  # True where counted, False on padding


class Split(NamedTuple):
    """The indices of the samples that may be used for each purpose, in ascending order."""

    train: Int[np.ndarray, " N"]  # fits the parameters
    validation: Int[np.ndarray, " M"]  # chooses between models
    test: Int[np.ndarray, " K"]  # measures the chosen one, once


class ImageFolder(Dataset):
    """Grey images in one folder per class, `folder/<class name>/<file>.png`, as pairs of a tensor and a label.

    Classes are numbered in the order of their names, and files lie in the order of classes and names: "10" comes before
    "2". So the samples are sorted by class, and a loader for training has to shuffle. A file is opened when its sample
    is asked for, in whichever process asks. Names that begin with a dot are not looked at.

    Attributes:
        classes: The class names; a label is a place in this tuple.
        paths: One file per sample.
        labels: One label per sample.

    Args:
        folder: Holds one folder per class.
        transform: Called with each image, a tensor of shape (1, H, W) with 0 for black and 1 for white.

    Raises:
        ValueError: There is no such folder, it has no class, a class is empty, or there is a file of another kind. When
            a sample is asked for: its file is no image, or not 8-bit grey.
    """

    def __init__(self, folder: str | Path, *, transform: Transform | None = None):
        self.classes, self.paths, self.labels = _listed(Path(folder))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = _read_grey(self.paths[index])
        return image if self.transform is None else self.transform(image), int(self.labels[index])


def _listed(folder: Path) -> tuple[tuple[str, ...], tuple[Path, ...], Int[np.ndarray, " N"]]:
    """The classes in a folder, and the file and the label of each sample."""
    if not folder.is_dir():
        raise ValueError(f"folder={str(folder)!r} is not a folder")
    classes = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))
    if not classes:
        raise ValueError(f"folder={str(folder)!r} has no folder inside: there must be one per class")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sorted(entry for entry in (folder / name).iterdir() if entry.name[0] != ".")
        if not files:
            raise ValueError(f"folder={str(folder)!r} has the class {name!r} without a file")
        if others := [file.name for file in files if file.suffix.lower() != ".png"]:
            raise ValueError(f"folder={str(folder)!r} has {others[0]!r} in the class {name!r}: not a .png file")
        paths += files
        labels += [label] * len(files)
    return classes, tuple(paths), np.array(labels)


def _read_grey(path: Path) -> Float[Tensor, "1 H W"]:
    """The pixels of a file, from 0 (black) to 1 (white)."""
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.array(image)  # a copy: what PIL hands out may be read-only
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises, depending on where the file is damaged
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if mode != "L":
        raise ValueError(f"{path} has the pixel format {mode!r}: only 8-bit grey ('L') is read")
    return torch.from_numpy(pixels)[None].float() / 255  # bytes 0..255 to 0..1


def pad_batch(sequences: Sequence[Integer[Tensor, " _"]], *, padding_value: int) -> PaddedBatch:
    """Write sequences into the rows of one rectangle, as wide as the longest, and say which places are real.

        ids[b, t] = sequences[b][t]  and  mask[b, t] = True     for t < the length of sequences[b]
        ids[b, t] = padding_value    and  mask[b, t] = False    otherwise

    As a collator: `DataLoader(..., collate_fn=partial(pad_batch, padding_value=0))`. The mask comes from the lengths
    and not from the values, so padding_value may also occur as a real id.

    Args:
        sequences: One-dimensional tensors of ids, of one type; some may be empty.
        padding_value: What to write where there is nothing.

    Raises:
        ValueError: There is no sequence, one has not one axis, two differ in type, or the type cannot hold
            padding_value.
    """
    if len(sequences) == 0:
        raise ValueError("sequences is empty: a batch needs at least one")
    first = sequences[0]
    for i, sequence in enumerate(sequences):
        if sequence.ndim != 1:
            raise ValueError(f"sequences[{i}] must have one axis, got shape {tuple(sequence.shape)}")
        if sequence.is_floating_point() or sequence.is_complex() or sequence.dtype == torch.bool:
            raise ValueError(f"sequences[{i}] has the type {sequence.dtype}: ids are whole numbers")
        if sequence.dtype != first.dtype:
            raise ValueError(f"sequences[{i}] has the type {sequence.dtype}, sequences[0] has {first.dtype}")
    limits = torch.iinfo(first.dtype)
    if not limits.min <= padding_value <= limits.max:
        raise ValueError(f"padding_value={padding_value} does not fit into {first.dtype}")
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=first.device)
    mask = torch.arange(int(lengths.max()), device=first.device) < lengths[:, None]  # (B, T)
    ids = first.new_full(mask.shape, padding_value)
    ids[mask] = torch.cat(list(sequences))  # True places, row by row: the order in which cat has the ids
    return PaddedBatch(ids, mask)


def split_indices(
    size: int,
    *,
    validation: float,
    test: float,
    rng: np.random.Generator,
    labels: Shaped[np.ndarray, " N"] | None = None,
) -> Split:
    """Draw who is in the training, the validation and the test split: each index from 0 to size − 1 exactly once.

    The test split has test·size members and the validation split validation·size, rounded, whatever the labels. With
    labels the draw is stratified: of each class the test split gets its share, rounded up or down, and the other two
    are off by less than two. A class with fewer than 1/test members may so be missing from the test split.

    A split by group (all images of one patient together) is a split of the groups: pass their number as size. The
    shares are then shares of the groups, and those of the samples only if the groups are of similar size.

    Args:
        size: How many samples (or groups) there are.
        validation: Share of the samples for validation, from 0 to below 1.
        test: Share for the test.
        rng: Decides; the same state gives the same split.
        labels: The class of each sample.

    Raises:
        ValueError: A share is negative or not a number, no sample is left for training, a share above 0 comes to no
            sample, or labels has another length.
    """
    n_test, n_validation = _share_of(size, "test", test), _share_of(size, "validation", validation)
    if n_test + n_validation >= size:
        raise ValueError(f"validation={validation} and test={test} leave none of size={size} samples for training")
    order = rng.permutation(size)
    if labels is not None:
        if np.shape(labels) != (size,):
            raise ValueError(f"labels must have one entry per sample, shape ({size},), got {np.shape(labels)}")
        order = order[np.argsort(np.asarray(labels)[order], kind="stable")]  # class by class, shuffled inside a class
    in_test = _evenly_spread(n_test, size, rng=rng)
    rest = order[~in_test]
    in_validation = _evenly_spread(n_validation, len(rest), rng=rng)
    return Split(np.sort(rest[~in_validation]), np.sort(rest[in_validation]), np.sort(order[in_test]))


def _share_of(size: int, name: str, share: float) -> int:
    """The share of the samples as a count, halves rounded up."""
    if not 0 <= share < 1:
        raise ValueError(f"{name} must be a share from 0 to below 1, got {share}")
    count = math.floor(share * size + 0.5)
    if share > 0 and count == 0:
        raise ValueError(f"{name}={share} of size={size} samples comes to none")
    return count


def _evenly_spread(count: int, size: int, *, rng: np.random.Generator) -> Bool[np.ndarray, " N"]:
    """True on `count` of `size` places in a ring, as evenly as whole numbers allow, from a random start.

    Any n places in a row, the ends included, hold n·count/size of them, rounded up or down: that is the stratification.
    """
    place = np.arange(size) + rng.integers(size)
    return (place + 1) * count // size > place * count // size
