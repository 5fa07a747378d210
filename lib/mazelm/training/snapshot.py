"""A folder of tensors and numbers that is written whole or not at all.

It is written under another name, forced to the disk, and renamed, so a process that is killed leaves a whole folder or
none. Tensors go into files of safetensors, numbers into `state.json` with the checksums of the others. Nothing in it
can run code when it is read, which a pickle could. Folders of one kind are numbered: `epoch-0003`.

Left out, and needed in production: tensors that are spread over several machines, and writing in the background.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

NUMBERS = "state.json"
Files = Mapping[str, Mapping[str, Tensor]]  # by the name of the file, then by the name of the tensor


def write(folder: Path, kind: str, number: int, *, files: Files, numbers: Mapping[str, Any]) -> Path:
    """Write a numbered folder, whole or not at all; one of the same number is replaced.

    Args:
        folder: Where it stands; made if it is not there.
        kind: The first half of its name.
        number: The second half.
        files: What each file of tensors holds.
        numbers: Fit for JSON.

    Returns:
        The new folder.
    """
    final = folder / f"{kind}-{number:04d}"
    hidden = folder / f".{final.name}.{os.getpid()}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f".{kind}-*.partial"):
        shutil.rmtree(left_over)
    if final.exists():
        _remove(final)
    hidden.mkdir()
    for name, tensors in files.items():
        save_file(_separate(tensors), hidden / name)
    checksums = {name: checksum(hidden / name) for name in files}
    (hidden / NUMBERS).write_text(json.dumps({**numbers, "sha256": checksums}, indent=1), encoding="utf-8")
    for path in (*hidden.iterdir(), hidden):
        _force_to_disk(path)
    hidden.rename(final)  # a rename happens or does not: nobody ever sees half of it
    _force_to_disk(folder)
    return final


def read(path: Path, names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """The numbers and the files of tensors, after a look at whether they are as they were written.

    Args:
        path: What `write` returned.
        names: The files of tensors that it must hold.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: A file is missing or damaged.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    attempt = f"Try: delete {path.name}; the run then goes on from the checkpoint before it"
    try:
        numbers = json.loads((path / NUMBERS).read_text(encoding="utf-8"))
        checksums = {name: numbers["sha256"][name] for name in names}
        for name, expected in checksums.items():
            if checksum(path / name) != expected:
                raise ValueError(f"{path / name} is damaged: it is not what was written. {attempt}")
        return numbers, {name: load_file(path / name) for name in names}
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} is missing. {attempt}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path / NUMBERS} is damaged ({type(error).__name__}: {error}). {attempt}") from error
    except SafetensorError as error:  # it is what was written, and still no safetensors file
        raise ValueError(f"{path} cannot be read ({error}). {attempt}") from error


def numbered(folder: Path, kind: str) -> dict[int, Path]:
    """The folders of one kind by their numbers, the lowest first."""
    name = re.compile(rf"{re.escape(kind)}-(\d+)")
    found = ((name.fullmatch(path.name), path) for path in folder.glob(f"{kind}-*"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def keep_only(folder: Path, kind: str, numbers: set[int]) -> None:
    """Delete the folders of this kind that have other numbers."""
    for number, path in numbered(folder, kind).items():
        if number not in numbers:
            _remove(path)


def require_same(path: Path, what: str, own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Refuse tensors that do not fit those they would replace.

    Raises:
        ValueError: Names or shapes differ; the message says where first.
    """
    for name in (*own, *saved):
        if name not in saved:
            difference = f"{name} is missing in it"
        elif name not in own:
            difference = f"it has {name}, which this {what} lacks"
        elif own[name].shape != saved[name].shape:
            difference = f"{name} has shape {tuple(saved[name].shape)} there and {tuple(own[name].shape)} here"
        else:
            continue
        raise ValueError(f"{path} holds another {what}: {difference}")


def checksum(path: Path) -> str:
    """What changes when a byte of the file does."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies: a file of safetensors does not take tensors that share memory, as parameters in one flat buffer do."""
    return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}


def _remove(path: Path) -> None:
    """Delete a folder; whoever is killed half way through leaves nothing that looks like one."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.old.partial")
    path.rename(hidden)
    shutil.rmtree(hidden)


def _force_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
