"""Checkpoints from which a run goes on exactly as if it had never stopped.

A checkpoint is a folder `epoch-0003` with three files: `model.safetensors` holds the weights, ready for anybody who
wants nothing but the model; `state.safetensors` the optimiser's buffers and the states of the random generators;
`state.json` the numbers, what each epoch came to, and the checksums of the other two. It is written whole or not at
all, by `snapshot.py`.

Left out: what a run of reinforcement learning needs besides; `mazelm.policy.resume` has it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mazelm.training import snapshot
from mazelm.training.optim import FlatOptimizer

WEIGHTS, STATE = "model.safetensors", "state.safetensors"
_KIND = "epoch"


class Progress(NamedTuple):
    """How far a run had come."""

    epoch: int
    records: list[dict[str, Any]]  # what each epoch came to


def save(
    folder: Path,
    *,
    model: nn.Module,
    optimizer: FlatOptimizer,
    rng: torch.Generator,
    epoch: int,
    records: Sequence[Mapping[str, Any]],
) -> Path:
    """Write the checkpoint of an epoch, whole or not at all.

    Args:
        folder: Of the run; made if it is not there.
        model: Its weights and buffers are written.
        optimizer: Its state is written.
        rng: The generator that shuffles. The state of torch's own generator, from which dropout draws, is written too.
        epoch: How many epochs are done.
        records: What each of them came to, fit for JSON.

    Returns:
        The checkpoint's folder.
    """
    state = optimizer.state_dict()
    buffers = {f"optimizer.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    generators = {"rng": rng.get_state(), "torch_rng": torch.get_rng_state()}
    numbers = {
        "epoch": epoch,
        "records": [dict(record) for record in records],
        "optimizer": {name: value for name, value in state.items() if not isinstance(value, Tensor)},
    }
    files = {WEIGHTS: model.state_dict(), STATE: {**buffers, **generators}}
    return snapshot.write(folder, _KIND, epoch, files=files, numbers=numbers)


def latest(folder: Path) -> Path | None:
    """The checkpoint with the most epochs in the folder of a run, or None."""
    found = snapshot.numbered(folder, _KIND)
    return found[max(found)] if found else None


def load(
    path: Path, *, model: nn.Module, optimizer: FlatOptimizer | None = None, rng: torch.Generator | None = None
) -> Progress:
    """Put a model back into the state of a checkpoint, and for a run that goes on also its optimiser and generators.

    Nothing is changed unless everything can be read.

    Args:
        path: The checkpoint's folder.
        model: Of the same shape as the one that was saved.
        optimizer: Of the same kind and for the same parameters; None if the run does not go on.
        rng: The generator that shuffles. With it torch's own generator goes back to its state too.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: A file is missing or damaged, or the model or optimiser is another one.
    """
    numbers, files = snapshot.read(path, (WEIGHTS, STATE))
    weights, state = files[WEIGHTS], files[STATE]
    snapshot.require_same(path, "model", model.state_dict(), weights)
    if optimizer is not None:
        buffers = {name.removeprefix("optimizer."): state[name] for name in state if name.startswith("optimizer.")}
        optimizer.load_state_dict({**numbers["optimizer"], **buffers})
    model.load_state_dict(weights)
    if rng is not None:
        rng.set_state(state["rng"])
        torch.set_rng_state(state["torch_rng"])
    return Progress(numbers["epoch"], numbers["records"])


def keep_only(folder: Path, epochs: set[int]) -> None:
    """Delete the checkpoints of all other epochs."""
    snapshot.keep_only(folder, _KIND, epochs)
