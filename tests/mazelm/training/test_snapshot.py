"""What `test_checkpoint.py` does not reach: it tries the writing itself, stopped at every moment and damaged."""

import pytest
import torch
from mazelm.training import snapshot


def write(folder, number, kind="part"):
    return snapshot.write(
        folder, kind, number, files={"a.safetensors": {"x": torch.arange(3)}}, numbers={"n": [1, 0.1]}
    )


def test_what_was_written_is_read(tmp_path):
    x = torch.arange(6.0).view(2, 3)
    files = {"a.safetensors": {"x": x, "turned": x.T, "flags": x > 2}, "empty.safetensors": {}}
    path = snapshot.write(tmp_path, "part", 7, files=files, numbers={"n": [1, 0.1, None]})
    assert path == tmp_path / "part-0007"
    numbers, tensors = snapshot.read(path, tuple(files))
    assert numbers["n"] == [1, 0.1, None]
    assert tensors.keys() == files.keys()
    for name, value in files["a.safetensors"].items():
        assert torch.equal(tensors["a.safetensors"][name], value)
    assert tensors["empty.safetensors"] == {}


def test_numbers_are_sorted_as_numbers_and_kinds_are_told_apart(tmp_path):
    for number in (10000, 2, 10):
        write(tmp_path, number)
    write(tmp_path, 3, kind="part-b")
    (tmp_path / "part-x").mkdir()
    assert list(snapshot.numbered(tmp_path, "part")) == [2, 10, 10000]
    assert snapshot.numbered(tmp_path, "part")[10000].name == "part-10000"
    assert list(snapshot.numbered(tmp_path, "part-b")) == [3]
    assert snapshot.numbered(tmp_path / "nowhere", "part") == {}


def test_only_the_others_of_its_kind_are_deleted(tmp_path):
    for number in (1, 2, 3):
        write(tmp_path, number)
    write(tmp_path, 1, kind="other")
    snapshot.keep_only(tmp_path, "part", {2, 9})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other-0001", "part-0002"]


def test_a_file_that_is_asked_for_and_was_never_there_is_named(tmp_path):
    path = write(tmp_path, 1)
    with pytest.raises(ValueError, match=r"b\.safetensors"):
        snapshot.read(path, ("b.safetensors",))
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        snapshot.read(tmp_path / "part-0009", ())


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"x": (2,)}, r"another model: it has y, which this model lacks"),
        ({"x": (2,), "y": (3,), "z": (1,)}, "another model: z is missing in it"),
        ({"x": (2, 1), "y": (3,)}, r"x has shape \(2,\) there and \(2, 1\) here"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, own, words):
    saved = {"x": torch.zeros(2), "y": torch.zeros(3)}
    snapshot.require_same(tmp_path, "model", saved, saved)
    with pytest.raises(ValueError, match=words):
        snapshot.require_same(tmp_path, "model", {name: torch.zeros(shape) for name, shape in own.items()}, saved)
