"""Checkpoints from which a run goes on exactly as if it had never stopped.

A checkpoint is a folder `epoch-0003` with three files: `model.safetensors` holds the weights, ready for anybody who
wants nothing but the model; `state.safetensors` the optimiser's buffers and the states of the random generators;
`state.json` the numbers, what each epoch came to, and the checksums of the other two. Nothing in it can run code when
it is read, which a pickle could.

It is written under another name, forced to the disk, and renamed, so a run that is killed leaves a whole checkpoint or
none. Left out, and needed in production: weights that are spread over several machines, and saving in the background.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mazelm.training.optim import FlatOptimizer

WEIGHTS, STATE, NUMBERS = "model.safetensors", "state.safetensors", "state.json"
_NAME = re.compile(r"epoch-(\d+)")


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
    final, hidden = folder / f"epoch-{epoch:04d}", folder / f".epoch-{epoch:04d}.{os.getpid()}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(".epoch-*.partial"):
        shutil.rmtree(left_over)
    if final.exists():
        _remove(final)
    hidden.mkdir()
    state = optimizer.state_dict()
    buffers = {f"optimizer.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
    save_file(_separate(model.state_dict()), hidden / WEIGHTS)
    save_file({**buffers, "rng": rng.get_state(), "torch_rng": torch.get_rng_state()}, hidden / STATE)
    numbers = {
        "epoch": epoch,
        "records": [dict(record) for record in records],
        "optimizer": {name: value for name, value in state.items() if not isinstance(value, Tensor)},
        "sha256": {name: _checksum(hidden / name) for name in (WEIGHTS, STATE)},
    }
    (hidden / NUMBERS).write_text(json.dumps(numbers, indent=1), encoding="utf-8")
    for path in (*hidden.iterdir(), hidden):
        _force_to_disk(path)
    hidden.rename(final)  # a rename happens or does not: nobody ever sees half of it
    _force_to_disk(folder)
    return final


def latest(folder: Path) -> Path | None:
    """The checkpoint with the most epochs in the folder of a run, or None."""
    found = {int(match[1]): path for path in folder.glob("epoch-*") if (match := _NAME.fullmatch(path.name))}
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
    if not path.is_dir():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    numbers, weights, state = _read(path)
    own = model.state_dict()
    if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in weights.items()}:
        raise ValueError(f"{path} holds another model: {_first_difference(own, weights)}")
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
    for path in folder.glob("epoch-*"):
        match = _NAME.fullmatch(path.name)
        if match and int(match[1]) not in epochs:
            _remove(path)


def _remove(path: Path) -> None:
    """Delete a checkpoint; whoever is killed half way through leaves nothing that looks like one."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.old.partial")
    path.rename(hidden)
    shutil.rmtree(hidden)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """The three files, after a look at whether they are as they were written."""
    attempt = f"Try: delete {path.name}; the run then goes on from the checkpoint before it"
    try:
        numbers = json.loads((path / NUMBERS).read_text(encoding="utf-8"))
        checksums = {name: numbers["sha256"][name] for name in (WEIGHTS, STATE)}
        for name, checksum in checksums.items():
            if _checksum(path / name) != checksum:
                raise ValueError(f"{path / name} is damaged: it is not what was written. {attempt}")
        return numbers, load_file(path / WEIGHTS), load_file(path / STATE)
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} is missing. {attempt}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path / NUMBERS} is damaged ({type(error).__name__}: {error}). {attempt}") from error
    except SafetensorError as error:  # it is what was written, and still no safetensors file
        raise ValueError(f"{path} cannot be read ({error}). {attempt}") from error


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies: a file of safetensors does not take tensors that share memory, as parameters in one flat buffer do."""
    return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _force_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _first_difference(own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> str:
    """In words, where two models differ."""
    for name in (*own, *saved):
        if name not in saved:
            return f"{name} is missing in it"
        if name not in own:
            return f"it has {name}, which this model lacks"
        if own[name].shape != saved[name].shape:
            return f"{name} has shape {tuple(saved[name].shape)} there and {tuple(own[name].shape)} here"
    return "the order differs"
