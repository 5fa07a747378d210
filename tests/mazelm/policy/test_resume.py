"""A run that was interrupted and started again is, bit for bit, the run that was not."""

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import NamedTuple

import gymnasium as gym
import killed_a2c
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from mazelm.common.seeding import seeded
from mazelm.policy.actor_critic import A2CConfig, a2c
from mazelm.policy.networks import ActorCritic, Features
from mazelm.policy.resume import Checkpoints
from mazelm.policy.rollout import Collector
from mazelm.tabular.episodes import Episode
from mazelm.training.optim import SGD, Adam

CONFIG = A2CConfig(steps=20 * 8 * 4, rollout_steps=8, checkpoint_every=5, learning_rate=1e-2)  # 20 updates
NAMES = ["CartPole-v1", "mazes/Maze-v0"]  # NEXT_STEP and SAME_STEP


def make(name, num_envs=4):
    options = {"CartPole-v1": {}, "mazes/Maze-v0": {"maze": "S..\n..G", "observation": "one-hot", "slip": 0.2}}[name]
    return gym.make_vec(name, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def model_for(envs, seed=0, hidden=(8,), shared=False):
    with seeded(seed):
        features = Features(envs.single_observation_space).size
        return ActorCritic(features, int(envs.single_action_space.n), hidden=hidden, shared=shared)


def run(name, folder, *, stop=None, seed=0, config=CONFIG, num_envs=4, **options):
    """The records up to an update, and the weights at the end."""
    envs = make(name, num_envs)
    model = model_for(envs, seed, **options)
    records = list(
        itertools.islice(a2c(envs, model, config, rng=np.random.default_rng(seed), checkpoints=folder), stop)
    )
    return records, [parameter.detach().clone() for parameter in model.parameters()]


def same(one, other):
    return one[0] == other[0] and all(torch.equal(a, b) for a, b in zip(one[1], other[1], strict=True))


# A run is killed.


@pytest.mark.parametrize(
    ("name", "update", "moment", "left"),
    [
        ("CartPole-v1", 13, "after", ["record-0005", "record-0010"]),
        ("mazes/Maze-v0", 15, "within", ["record-0005", "record-0010"]),
    ],
)
def test_a_killed_run_goes_on_with_the_same_curve(tmp_path, capsys, name, update, moment, left):
    killed_a2c.main(tmp_path / "whole", name)
    uninterrupted = capsys.readouterr().out
    command = [sys.executable, killed_a2c.__file__, str(tmp_path / "run"), name, str(update), moment]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert child.stdout
    assert uninterrupted.startswith(child.stdout)
    assert sorted(path.name for path in (tmp_path / "run").glob("record-*")) == left
    killed_a2c.main(tmp_path / "run", name)
    assert capsys.readouterr().out == uninterrupted  # every digit of every record, and of the weights
    assert not list((tmp_path / "run").glob(".*"))  # nothing half written is left


# A run is left, and taken up by other objects that know nothing of it.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stop", [1, 5, 6, 14, 20])
def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path, name, stop):
    whole = run(name, tmp_path / "whole")
    assert len(whole[0]) == 20
    assert sum(len(record.episodes) for record in whole[0]) > 3  # or the restarts would not be tried
    run(name, tmp_path / "run", stop=stop)
    seed = 0 if stop < 5 else 1  # nothing was saved before update 5; after it nothing else may matter
    assert same(run(name, tmp_path / "run", seed=seed), whole)


def test_a_run_can_be_interrupted_more_than_once(tmp_path):
    whole = run("CartPole-v1", tmp_path / "whole", shared=True)
    for stop in (7, 12, 16):
        run("CartPole-v1", tmp_path / "run", stop=stop, seed=0, shared=True)
    assert same(run("CartPole-v1", tmp_path / "run", seed=2, shared=True), whole)


def test_a_run_that_is_done_yields_its_records_again_and_takes_no_step(tmp_path, monkeypatch):
    whole = run("CartPole-v1", tmp_path)
    monkeypatch.setattr(Collector, "step", None)
    assert same(run("CartPole-v1", tmp_path, seed=3), whole)


def test_the_environments_restart_at_each_save_and_only_there(tmp_path, monkeypatch):
    restarts, restart = [], Collector.restart
    monkeypatch.setattr(Collector, "restart", lambda self: (restarts.append(1), restart(self)))
    without, _ = run("CartPole-v1", None)
    assert len(restarts) == 1  # at the beginning
    restarts.clear()
    with_saves, _ = run("CartPole-v1", tmp_path)
    assert len(restarts) == 1 + 4
    assert without[:5] == with_saves[:5]
    assert without[5] != with_saves[5]


def test_the_latest_two_are_kept(tmp_path):
    run("CartPole-v1", tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["record-0015", "record-0020"]


# What comes back.


class Note(NamedTuple):
    update: int
    loss: float
    episodes: list[Episode]
    gauge: float | None = None


def checkpoints(folder, parts, *, every=1, config=CONFIG, rng=None, num_envs=2):
    rng = rng or np.random.default_rng(0)
    collector = Collector(make("CartPole-v1", num_envs), rng=rng)
    return Checkpoints(folder, every=every, collector=collector, parts=parts, config=config, rng=rng)


NOTES = [
    Note(1, 1 / 3, [Episode(9.0, 9, True), Episode(500.0, 500, False)]),
    Note(2, float("inf"), [], 2.5),
    Note(np.int64(3), np.float32(0.1), []),
]


def test_records_come_back_equal(tmp_path):
    saved = checkpoints(tmp_path, {})
    assert saved.load(Note) == []
    assert saved.save(NOTES)
    again = checkpoints(tmp_path, {}).load(Note)
    assert again == NOTES
    assert isinstance(again[0], Note)
    assert isinstance(again[0].episodes[1], Episode)


def test_the_generator_comes_back(tmp_path):
    rng = np.random.default_rng(5)
    checkpoints(tmp_path, {}, rng=rng).save(NOTES)
    other = np.random.default_rng(6)
    checkpoints(tmp_path, {}, rng=other).load(Note)
    assert other.random(3).tolist() == rng.random(3).tolist()  # also after the seed of the restart


class Memory:
    """Like a replay memory: arrays, and a number."""

    def __init__(self):
        self.rows, self.flags, self.added = np.zeros((3, 2), np.float32), np.zeros(3, bool), 0

    def state_dict(self):
        return {"rows": self.rows, "flags": self.flags, "added": self.added}

    def load_state_dict(self, state):
        assert all(isinstance(state[name], np.ndarray) for name in ("rows", "flags"))
        self.rows[...], self.flags[...], self.added = state["rows"], state["flags"], state["added"]


def parts():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    sums = np.zeros(4)
    entries = {"sums": sums, "count": 0, "largest": 0.0}
    return {
        "model": model,
        "optimizer": Adam(model.parameters(), learning_rate=0.1),
        "memory": Memory(),
        "own": entries,
    }


def worked():
    mine = parts()
    mine["model"](torch.randn(5, 2)).square().mean().backward()
    mine["optimizer"].step()
    mine["memory"].rows[:], mine["memory"].flags[1], mine["memory"].added = (
        np.arange(6).reshape(3, 2),
        True,
        np.int64(7),
    )
    mine["own"]["sums"][:] = [1, 2, 3, 1 / 3]
    mine["own"]["count"], mine["own"]["largest"] = 4, np.float64(0.1)
    return mine


def test_every_kind_of_part_comes_back_in_place(tmp_path):
    mine, other = worked(), parts()
    checkpoints(tmp_path, mine).save(NOTES)
    sums, weight = other["own"]["sums"], other["model"][0].weight
    checkpoints(tmp_path, other).load(Note)
    assert torch.equal(weight, mine["model"][0].weight)
    assert weight.data_ptr() == other["optimizer"].values.data_ptr()  # still a view of the optimiser's buffer
    assert torch.equal(other["model"][1].running_mean, mine["model"][1].running_mean)
    assert other["optimizer"].steps == 1
    assert other["memory"].rows.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert other["memory"].flags.tolist() == [False, True, False]
    assert other["memory"].added == 7
    assert sums.tolist() == [1, 2, 3, 1 / 3]  # the very array
    assert (other["own"]["count"], other["own"]["largest"]) == (4, 0.1)


def test_without_a_folder_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = checkpoints(None, worked())
    monkeypatch.setattr(Collector, "restart", None)
    assert not saved.save(NOTES)
    assert saved.load(Note) == []
    assert not list(tmp_path.iterdir())


def test_it_is_saved_when_it_is_due(tmp_path):
    saved = checkpoints(tmp_path, {}, every=2)
    assert [saved.save(NOTES[:1] * n) for n in range(1, 6)] == [False, True, False, True, False]


# What is refused.


def test_the_checkpoint_of_another_run_is_refused(tmp_path):
    checkpoints(tmp_path, {}).save(NOTES)
    config = replace(CONFIG, learning_rate=0.5)
    with pytest.raises(
        ValueError, match=r"record-0003 is of another run: learning_rate was 0.01 there and is 0.5 here"
    ):
        checkpoints(tmp_path, {}, config=config).load(Note)
    with pytest.raises(ValueError, match="environments was 2 there and is 3 here"):
        checkpoints(tmp_path, {}, num_envs=3).load(Note)
    with pytest.raises(ValueError, match="every was 1 there and is 7 here"):
        checkpoints(tmp_path, {}, every=7).load(Note)


def changed(**others):
    return {**parts(), **others}


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"model": torch.nn.Linear(2, 3)}, "another model: weight is missing in it"),
        ({"own": {"sums": np.zeros(5), "count": 0, "largest": 0.0}}, r"another own: sums has shape \(4,\) there"),
        ({"memory": {"rows": np.zeros((3, 2))}}, "another memory: it has flags"),
        ({"optimizer": SGD([torch.nn.Parameter(torch.zeros(15))], learning_rate=0.1)}, "another optimizer: velocity"),
        ({"extra": {}}, r"state\.json is damaged \(KeyError: 'extra.safetensors'\)"),
    ],
)
def test_another_part_is_refused_and_nothing_is_changed(tmp_path, others, words):
    checkpoints(tmp_path, worked()).save(NOTES)
    mine, rng = changed(**others), np.random.default_rng(9)
    saved = checkpoints(tmp_path, mine, rng=rng)
    before, weight = rng.bit_generator.state, mine["model"].state_dict()
    weight = {name: value.clone() for name, value in weight.items()}
    with pytest.raises(ValueError, match=words):
        saved.load(Note)
    assert rng.bit_generator.state == before
    assert all(torch.equal(value, weight[name]) for name, value in mine["model"].state_dict().items())


@pytest.mark.parametrize("name", ["model.safetensors", "memory.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_whole(tmp_path, name):
    for n in (1, 2):
        checkpoints(tmp_path, worked()).save(NOTES[:n])
    file = tmp_path / "record-0002" / name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"record-0002.*damaged.*Try: delete record-0002"):
        checkpoints(tmp_path, parts()).load(Note)
    for path in (tmp_path / "record-0002").iterdir():
        path.unlink()
    (tmp_path / "record-0002").rmdir()
    assert checkpoints(tmp_path, parts()).load(Note) == NOTES[:1]


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        checkpoints(tmp_path, {}, every=0)
    with pytest.raises(ValueError, match=r"rng must be a PCG64 .*MT19937"):
        checkpoints(tmp_path, {}, rng=np.random.Generator(np.random.MT19937(1)))


def test_episodes_that_are_in_no_record_are_our_own_bug(tmp_path):
    saved = checkpoints(tmp_path, {})
    saved.collector.finished.append(Episode(1.0, 1, True))
    with pytest.raises(AssertionError, match="in no record"):
        saved.save(NOTES)


def test_nothing_in_it_is_a_pickle(tmp_path):
    checkpoints(tmp_path, worked()).save(NOTES)
    files = sorted((tmp_path / "record-0003").iterdir())
    assert [file.suffix for file in files] == [".safetensors"] * 4 + [".json"]
    for file in files[:-1]:
        assert file.read_bytes()[8:9] == b"{"  # after its length comes a header in JSON
