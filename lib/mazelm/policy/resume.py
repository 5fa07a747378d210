"""Checkpoints from which a run of reinforcement learning goes on exactly as if it had never stopped.

Weights, the optimiser's buffers, a memory of steps and the state of the random generator can be written down. The state
of an environment cannot, in general: Gymnasium has no function for it. So at each save all environments begin new
episodes, with a seed drawn from the run's generator, **in an uninterrupted run too**. Then a run that was killed and
started again takes the same steps, bit for bit, as one that was not. The price is that the episodes under way at a save
are dropped, so save seldom beside the length of an episode; and a run without checkpoints, which never restarts, takes
other steps than one with them.

A checkpoint is a folder `record-0120` with one file of safetensors for each part of the run, and `state.json` with the
numbers and the records. It is written whole or not at all; the latest two are kept.

Left out: torch's own generator, from which no loop of these chapters draws.
"""

import json
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mazelm.policy.rollout import Collector
from mazelm.tabular.episodes import Episode
from mazelm.training import snapshot

_KIND = "record"
R = TypeVar("R")


@runtime_checkable
class Stateful(Protocol):
    """A part of a run that can be written down: a module, an optimiser, a memory."""

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors, arrays, and numbers that JSON knows, by name."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Go on from such a state."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: Of the run. None: nothing is written or read, and no environment restarts.
        every: How many records lie between two saves, at least 1.
        collector: Steps through the environments of the run.
        parts: All that changes in the run besides, by name: modules, optimisers, memories. A part has `state_dict` and
            `load_state_dict`, or it is a dict of arrays and numbers, which are put back in place.
        config: Of the run, a dataclass. A checkpoint of another config is refused.
        rng: The generator from which all chance in the run comes; PCG64, as `np.random.default_rng` makes it.

    Raises:
        ValueError: every is less than 1, or the generator is of another kind.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        every: int,
        collector: Collector,
        parts: Mapping[str, Stateful | MutableMapping[str, Any]],
        config: Any,
        rng: np.random.Generator,
    ):
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        if folder is not None and not isinstance(rng.bit_generator, np.random.PCG64):
            raise ValueError(f"rng must be a PCG64 generator to be saved, got {rng}. Try: np.random.default_rng(seed)")
        self.folder, self.every, self.collector, self.rng = folder, every, collector, rng
        self.parts = {name: _Dict(part) if isinstance(part, MutableMapping) else part for name, part in parts.items()}
        self.run = {**_as_json(asdict(config)), "every": every, "environments": collector.envs.num_envs}

    def load(self, record: Callable[..., R]) -> list[R]:
        """Go on from the latest checkpoint, if there is one.

        Nothing is changed unless everything can be read. The environments then begin new episodes, as they did when it
        was saved.

        Args:
            record: The named tuple that records are; a field `episodes` holds a list of `Episode`.

        Returns:
            All records so far, to be yielded again. Their number says how far the run had come.

        Raises:
            ValueError: The checkpoint is damaged, or it is of another run.
        """
        found = snapshot.numbered(self.folder, _KIND) if self.folder else {}
        if not found:
            return []
        path = found[max(found)]
        numbers, files = snapshot.read(path, tuple(f"{name}.safetensors" for name in self.parts))
        self._require_same_run(path, numbers["run"])
        states = {}
        for name, part in self.parts.items():
            own, tensors = part.state_dict(), files[f"{name}.safetensors"]
            snapshot.require_same(path, name, _split(own)[0], tensors)
            states[name] = _joined(own, tensors, numbers["parts"][name])
        for name, part in self.parts.items():
            part.load_state_dict(states[name])
        self.rng.bit_generator.state = numbers["rng"]
        self.collector.restart()
        return [_record(record, fields) for fields in numbers["records"]]

    def save(self, records: Sequence[Any]) -> bool:
        """Write a checkpoint if one is due, and begin new episodes in all environments.

        Call it when a record was made, and before it is yielded. Whoever holds a memory of steps tells it that the
        episodes under way are broken off.

        Args:
            records: All records so far, named tuples.

        Returns:
            Whether the environments began new episodes.
        """
        if self.folder is None or len(records) % self.every:
            return False
        assert not self.collector.finished, "episodes have ended that are in no record"
        states = {name: _split(part.state_dict()) for name, part in self.parts.items()}
        numbers = {
            "run": self.run,
            "rng": self.rng.bit_generator.state,
            "parts": {name: _as_json(rest) for name, (_, rest) in states.items()},
            "records": [_as_json(record._asdict()) for record in records],
        }
        files = {f"{name}.safetensors": tensors for name, (tensors, _) in states.items()}
        snapshot.write(self.folder, _KIND, len(records), files=files, numbers=numbers)
        snapshot.keep_only(self.folder, _KIND, {len(records) - self.every, len(records)})
        self.collector.restart()
        return True

    def _require_same_run(self, path: Path, saved: dict[str, Any]) -> None:
        if saved == self.run:
            return
        name = next(name for name in {**self.run, **saved} if self.run.get(name) != saved.get(name))
        raise ValueError(
            f"{path} is of another run: {name} was {saved.get(name)} there and is {self.run.get(name)} here. "
            "Try: another folder"
        )


class _Dict:
    """A dict of arrays and numbers as a part of a run."""

    def __init__(self, entries: MutableMapping[str, Any]):
        self.entries = entries

    def state_dict(self) -> Mapping[str, Any]:
        return self.entries

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                self.entries[name][...] = value
            else:
                self.entries[name] = value


def _split(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What goes into a file of tensors, and what goes into JSON."""
    tensors = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in state.items()
        if isinstance(value, np.ndarray | Tensor)
    }
    return tensors, {name: value for name, value in state.items() if name not in tensors}


def _joined(own: Mapping[str, Any], tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The state as the part gave it: arrays where it has arrays."""
    arrays = {name: tensor.numpy() if isinstance(own[name], np.ndarray) else tensor for name, tensor in tensors.items()}
    return {**numbers, **arrays}


def _as_json(value: Any) -> Any:
    """The same as it comes back from a file: tuples as lists, numbers of NumPy as Python's."""
    return json.loads(json.dumps(value, default=lambda number: number.item()))


def _record(kind: Callable[..., R], fields: dict[str, Any]) -> R:
    if "episodes" in fields:
        fields["episodes"] = [Episode(*episode) for episode in fields["episodes"]]
    return kind(**fields)
