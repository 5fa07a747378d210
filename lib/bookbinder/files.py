"""Write a file so that nobody ever sees half of it."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def write_text(path: Path, text: str) -> bool:
    """Write a whole file, or none of it; a file that already says the same is left alone.

    The text goes to a temporary file in `_build/tmp` of the repository first and is renamed: a process killed at any
    moment leaves the old file or the new one, and no scrap beside it.

    Returns:
        Whether anything was written.
    """
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=_scratch(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes it private
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    return True


def copy_file(source: Path, target: Path) -> bool:
    """Copy a file unless the target already has the same bytes and return whether it was copied."""
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return True


def _scratch(path: Path) -> Path:
    """A folder on the same disk as the file, where a scrap does no harm."""
    for folder in path.resolve().parents:
        if (folder / "book.toml").is_file():
            scratch = folder / "_build" / "tmp"
            scratch.mkdir(parents=True, exist_ok=True)
            return scratch
    return path.parent
