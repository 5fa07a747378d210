"""Which of our own modules a lesson stands on: found from its import statements, and theirs, and so on."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from bookbinder.pairing import digest

SOURCE_ROOTS = ("lib", "envs")
_MAGIC = re.compile(r"^\s*[%!?].*$", re.MULTILINE)


def imported_names(code: str) -> Iterator[str]:
    """Every dotted name that an import statement in the code mentions.

    `from a.b import c` gives a.b and a.b.c, because c may be a module.

    Raises:
        SyntaxError: The code is not Python.
    """
    for node in ast.walk(ast.parse(_MAGIC.sub("pass", code))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def notebook_imports(notebook: NotebookNode) -> set[str]:
    """The dotted names that a notebook's code imports; a cell that is not Python is left to the kernel to refuse."""
    names: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                names.update(imported_names(cell.source))
            except SyntaxError:
                continue
    return names


def library_files(names: set[str], root: Path) -> list[Path]:
    """The files of this repository behind the names, their packages' with the data in them, and what those import."""
    found: set[Path] = set()
    waiting = set(names)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for path in _module_files(name, root):
            if path not in found:
                found.add(path)
                if path.suffix == ".py":
                    waiting.update(imported_names(path.read_text(encoding="utf-8")))
    return sorted(found)


def library_digest(notebook: NotebookNode, root: Path) -> str:
    """Digest of all our own code that a notebook runs."""
    parts: list[str] = []
    for path in library_files(notebook_imports(notebook), root):
        parts += [path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")]
    return digest(parts)


def _module_files(name: str, root: Path) -> Iterator[Path]:
    """The module's file, and each package above it with the data that lie in its folder, where they are ours."""
    words = name.split(".")
    for source in SOURCE_ROOTS:
        for depth in range(1, len(words) + 1):
            base = root.joinpath(source, *words[:depth])
            if (base / "__init__.py").is_file():
                yield base / "__init__.py"
                yield from (path for path in base.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc"))
            if base.with_suffix(".py").is_file():
                yield base.with_suffix(".py")
