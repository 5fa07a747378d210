"""A reader's code, cell by cell: where a name is defined, and which other cells that definition stands on.

Only those cells are run when an exercise is checked. A mistake in another exercise, a cell that was deleted and a
notebook that was renamed then make no difference.
"""

import ast
import builtins
import re
import symtable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from bookbinder.errors import UsageError

_MARKER = re.compile(r"^(?=# ?%%)", re.MULTILINE)
_STATEMENT = re.compile(r"^(?=(?:async def|def|class|import|from)\b)", re.MULTILINE)
_MAGIC = re.compile(r"^([ \t]*)[%!?].*$", re.MULTILINE)
_BINDING = re.compile(r"^(?:async[ ]+def|def|class)[ ]+(\w+)|^(\w+)[ ]*=(?!=)", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A piece of code, and what messages call it."""

    title: str
    code: str

    def names(self) -> tuple[set[str], set[str]]:
        """The names that it defines, and the global ones that it uses."""
        try:
            table = symtable.symtable(self.code, self.title, "exec")
        except (SyntaxError, ValueError):
            return {name for found in _BINDING.findall(self.code) for name in found if name}, set()
        top = table.get_symbols()
        defined = {s.get_name() for s in top if s.is_assigned() or s.is_imported() or s.is_namespace()}
        return defined, _globals_used(table)


def from_history(history: Sequence[str]) -> list[Cell]:
    """The cells that a kernel has executed, in that order."""
    return [Cell(f"In [{number}]", _plain(code)) for number, code in enumerate(history) if code.strip()]


def from_file(path: Path) -> list[Cell]:
    """The code cells of a notebook, or the parts of a script.

    Raises:
        UsageError: The file does not exist, or is neither a notebook nor a script.
    """
    if path.suffix not in (".ipynb", ".py"):
        raise UsageError(f"{path.name} is neither a notebook (.ipynb) nor a script (.py)")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            return _of_script(text, path.name)
        cells = nbformat.reads(text, as_version=4).cells
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist. Try: book exercise start, or another file") from None
    except Exception as error:  # nbformat raises whatever a damaged file provokes
        raise UsageError(f"{path.name} cannot be read as a notebook: {type(error).__name__}: {error}") from error
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    return [Cell(f"code cell {n}", _plain(source)) for n, source in enumerate(code, start=1) if source.strip()]


def needed(cells: Sequence[Cell], name: str, given: set[str]) -> list[Cell]:
    """The cells that define a name, and those that they stand on, in order; empty if none defines it.

    Where several cells define a name, the last one counts.

    Args:
        cells: All of them.
        name: What to look for.
        given: Names that are there without any cell.
    """
    facts = [cell.names() for cell in cells]
    chosen: set[int] = set()
    waiting, seen = [name], set(given) | set(dir(builtins))
    while waiting:
        wanted = waiting.pop()
        seen.add(wanted)
        where = max((i for i, (defined, _) in enumerate(facts) if wanted in defined), default=None)
        if where is not None and where not in chosen:
            chosen.add(where)
            waiting += sorted(facts[where][1] - seen)
    return [cells[i] for i in sorted(chosen)]


def defined_by(codes: Sequence[str]) -> set[str]:
    """All names that some code defines."""
    return {name for code in codes for name in Cell("given", code).names()[0]}


def _globals_used(table: symtable.SymbolTable) -> set[str]:
    """Names that a scope or one inside it reads from the outermost one."""
    own = {
        s.get_name()
        for s in table.get_symbols()
        if s.is_referenced() and (table.get_type() == "module" or s.is_global())
    }
    return own.union(*(_globals_used(child) for child in table.get_children()))


def _of_script(text: str, title: str) -> list[Cell]:
    """A script as one cell or, with `# %%` marks in it, as several; one that is no Python is cut at its definitions."""
    marker = _MARKER if _MARKER.search(text) else None if _is_python(text) else _STATEMENT
    parts = marker.split(text) if marker else [text]
    cells, lines = [], 0
    for part in parts:
        if part.strip():
            cells.append(Cell(title, "\n" * lines + part))  # the line numbers stay those of the file
        lines += part.count("\n")
    return cells


def _plain(code: str) -> str:
    """The code without IPython's own commands, if it has any: a line may also begin with Python's %."""
    return code if _is_python(code) else _MAGIC.sub(r"\1pass", code)


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True
