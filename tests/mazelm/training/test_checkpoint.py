import json
import os

import pytest
import torch
from mazelm.common.seeding import seeded
from mazelm.training import checkpoint, snapshot
from mazelm.training.optim import SGD, Adam
from torch import nn
from torch.nn import functional as F


def parts(seed=0, n_hidden=4, optimizer=Adam):
    """A model with a buffer and a tied weight, its optimiser, and a generator."""
    with seeded(seed):
        model = nn.Sequential(nn.Linear(3, n_hidden), nn.BatchNorm1d(n_hidden), nn.Linear(n_hidden, n_hidden))
        model.append(nn.Linear(n_hidden, n_hidden))
        model[3].weight = model[2].weight
    return {
        "model": model,
        "optimizer": optimizer(model.parameters(), learning_rate=0.1),
        "rng": torch.Generator().manual_seed(seed),
    }


def work(model, optimizer, rng):
    """A step that draws from both generators; what came of it."""
    x = torch.randn(6, 3, generator=rng)
    optimizer.zero_grad()
    loss = (F.dropout(model(x), 0.5) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def saved(folder, epoch=1, **options):
    mine = parts(**options)
    work(**mine)
    return mine, checkpoint.save(folder, **mine, epoch=epoch, records=[{"epoch": epoch, "loss": 0.1}])


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    mine, path = saved(tmp_path / "run", epoch=3)
    expected = [work(**mine) for _ in range(3)]
    other = parts(seed=1)
    torch.rand(7)  # torch's own generator has gone somewhere else
    progress = checkpoint.load(path, **other)
    assert progress == (3, [{"epoch": 3, "loss": 0.1}])
    assert [work(**other) for _ in range(3)] == expected
    assert all(
        torch.equal(a, b)
        for a, b in zip(mine["model"].state_dict().values(), other["model"].state_dict().values(), strict=True)
    )
    assert other["model"][3].weight is other["model"][2].weight


def test_the_weights_alone_can_be_loaded(tmp_path):
    mine, path = saved(tmp_path)
    other = parts(seed=1)["model"]
    before = torch.get_rng_state()
    checkpoint.load(path, model=other)
    assert torch.equal(other[0].weight, mine["model"][0].weight)
    assert torch.equal(other[1].running_mean, mine["model"][1].running_mean)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_there_when_it_is_saved(tmp_path):
    _, path = saved(tmp_path, epoch=12)
    assert path == tmp_path / "epoch-0012"
    assert sorted(file.name for file in path.iterdir()) == ["model.safetensors", "state.json", "state.safetensors"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["epoch-0012"]


def test_the_latest_is_the_one_with_the_most_epochs(tmp_path):
    assert checkpoint.latest(tmp_path / "nowhere") is None
    for name in ("epoch-0002", "epoch-0010", "epoch-9999x", ".epoch-0011.1.partial", "other"):
        (tmp_path / name).mkdir()
    assert checkpoint.latest(tmp_path) == tmp_path / "epoch-0010"


def test_only_the_wanted_ones_are_kept(tmp_path):
    for epoch in (1, 2, 3):
        saved(tmp_path, epoch)
    (tmp_path / "epoch-notes").mkdir()
    checkpoint.keep_only(tmp_path, {1, 3})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0001", "epoch-0003", "epoch-notes"]


def test_a_checkpoint_is_replaced_whole(tmp_path):
    saved(tmp_path, seed=1)
    mine, path = saved(tmp_path, seed=2)
    other = parts(seed=3)
    checkpoint.load(path, **other)
    assert torch.equal(other["model"][0].weight, mine["model"][0].weight)
    assert [folder.name for folder in tmp_path.iterdir()] == ["epoch-0001"]


STOPS = ["mkdir", "save_file", "write_text", "fsync", "rename"]


class Killed(BaseException):
    """Stands for a kill at this moment: nothing of ours catches it."""


@pytest.mark.parametrize("name", STOPS)
@pytest.mark.parametrize("call", [1, 2])
def test_whenever_it_is_stopped_the_checkpoint_before_it_is_whole(tmp_path, monkeypatch, name, call):
    mine, _ = saved(tmp_path, epoch=1)
    calls = iter(range(1, 100))
    owners = {"save_file": snapshot, "fsync": os}
    owner = owners.get(name, checkpoint.Path)
    original = getattr(owner, name)

    def stops(*args, **kwargs):
        if next(calls) == call:
            raise Killed
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, stops)
        try:
            checkpoint.save(tmp_path, **mine, epoch=2, records=[])
        except Killed:
            assert checkpoint.latest(tmp_path).name == "epoch-0001"
        else:
            assert call == 2  # it calls this only once
            assert name in ("write_text", "rename")
            return
    checkpoint.load(checkpoint.latest(tmp_path), **parts())
    path = checkpoint.save(tmp_path, **mine, epoch=2, records=[])  # and what was left over is cleared away
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["epoch-0001", "epoch-0002"]
    assert checkpoint.load(path, **parts()).epoch == 2


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["one bit", "cut", "empty", "missing"])
def test_a_damaged_file_is_refused_by_name_and_changes_nothing(tmp_path, name, damage):
    _, path = saved(tmp_path)
    file = path / name
    data = bytearray(file.read_bytes())
    if damage == "one bit":
        data[len(data) // 2 if name != "state.json" else data.index(b'"sha256"') + 40] ^= 4
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"one bit": data, "cut": data[: len(data) // 2], "empty": b""}[damage])
    other = parts(seed=5)
    before = {name: value.clone() for name, value in other["model"].state_dict().items()}
    with pytest.raises(ValueError, match=r"epoch-0001.*Try: delete epoch-0001") as caught:
        checkpoint.load(path, **other)
    assert name in str(caught.value) or (name, damage) == ("state.json", "one bit")  # then a checksum is wrong
    assert all(torch.equal(before[key], value) for key, value in other["model"].state_dict().items())
    assert other["optimizer"].steps == 0


@pytest.mark.parametrize("content", ["[]", "{}", '{"sha256": 3}', '{"sha256": {"model.safetensors": "x"}}', "nonsense"])
def test_numbers_that_are_no_record_of_a_checkpoint_are_refused(tmp_path, content):
    _, path = saved(tmp_path)
    (path / "state.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"state\.json is damaged"):
        checkpoint.load(path, model=parts()["model"])


def test_a_file_that_is_no_safetensors_file_is_refused_even_with_its_checksum(tmp_path):
    _, path = saved(tmp_path)
    (path / "model.safetensors").write_bytes(b"not tensors")
    numbers = json.loads((path / "state.json").read_text(encoding="utf-8"))
    numbers["sha256"]["model.safetensors"] = snapshot.checksum(path / "model.safetensors")
    (path / "state.json").write_text(json.dumps(numbers), encoding="utf-8")
    with pytest.raises(ValueError, match="cannot be read"):
        checkpoint.load(path, model=parts()["model"])


def test_another_model_or_optimiser_is_refused(tmp_path):
    _, path = saved(tmp_path)
    with pytest.raises(ValueError, match=r"another model: 0\.weight has shape \(4, 3\) there and \(5, 3\) here"):
        checkpoint.load(path, **parts(n_hidden=5))
    shorter = parts()
    shorter["model"] = shorter["model"][:2]
    with pytest.raises(ValueError, match=r"it has 2\.bias, which this model lacks|it has 2\.weight, which"):
        checkpoint.load(path, **shorter)
    longer = parts()
    longer["model"].append(nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"4\.weight is missing in it"):
        checkpoint.load(path, **longer)
    with pytest.raises(ValueError, match="SGD needs"):
        checkpoint.load(path, **parts(optimizer=SGD))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*epoch-0007"):
        checkpoint.load(tmp_path / "epoch-0007", model=parts()["model"])


def test_nothing_in_it_is_a_pickle(tmp_path):
    """A pickle of torch is a zip file; a plain one begins with its protocol."""
    _, path = saved(tmp_path)
    for file in path.iterdir():
        assert not file.read_bytes().startswith((b"PK", b"\x80"))
