"""A reader's code, cell by cell: where a name is defined, and which other cells that definition stands on.

Only those cells are run when an exercise is checked. A mistake in another exercise, a cell that was deleted and a
notebook that was renamed then make no difference.
"""

import ast
import builtins
import json
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bookbinder.errors import UsageError

_MARKER = re.compile(r"^(?=# ?%%)", re.MULTILINE)
_STATEMENT = re.compile(r"^(?:@.*\n)*(?:async def|def|class|import|from)\b", re.MULTILINE)
_STAR = "*"  # what a cell defines that imports whatever a module has
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
        stars = {_STAR for node in ast.parse(self.code).body if _imports_all(node)}
        defined = {s.get_name() for s in top if s.is_assigned() or s.is_imported() or s.is_namespace()}
        return defined | stars, _globals_used(table)


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
        cells = json.loads(text)["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist. Try: book exercise start, or another file") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        kind = "a notebook" if path.suffix == ".ipynb" else "Python"
        raise UsageError(f"{path.name} cannot be read as {kind}: {error!r}. Try: open it and save it anew") from error
    return [Cell(f"code cell {n}", _plain(source)) for n, source in enumerate(code, start=1) if source.strip()]


def needed(cells: Sequence[Cell], name: str, given: set[str]) -> list[Cell]:
    """The cells that define a name, and those that they stand on, in order; empty if none defines it.

    Where several cells define a name, the last one counts. A name that none defines may come from an `import *`.

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
        places = [i for i, (defined, _) in enumerate(facts) if wanted in defined][-1:]
        if not places and wanted != name:
            places = [i for i, (defined, _) in enumerate(facts) if _STAR in defined]
        for where in set(places) - chosen:
            chosen.add(where)
            waiting += sorted(facts[where][1] - seen)
    return _joined([cells[i] for i in sorted(chosen)])


def defined_by(codes: Sequence[str]) -> set[str]:
    """All names that some code defines."""
    return {name for code in codes for name in Cell("given", code).names()[0]}


def _joined(cells: list[Cell]) -> list[Cell]:
    """The parts of one script as one cell again, without those left out, so that its lines can be shown."""
    found: list[Cell] = []
    for cell in cells:
        lines = found[-1].code.count("\n") if found and found[-1].title == cell.title else -1
        if lines >= 0 and not cell.code[:lines].strip("\n"):
            found[-1] = Cell(cell.title, found[-1].code + cell.code[lines:])
        else:
            found.append(cell)
    return found


def _globals_used(table: symtable.SymbolTable) -> set[str]:
    """Names that a scope or one inside it reads from the outermost one."""
    own = {
        s.get_name()
        for s in table.get_symbols()
        if s.is_referenced() and (table.get_type() == "module" or s.is_global())
    }
    return own.union(*(_globals_used(child) for child in table.get_children()))


def _of_script(text: str, title: str) -> list[Cell]:
    """A script as cells: cut at its `# %%` marks or, where it has none, before each definition and import."""
    starts = [found.start() for found in _MARKER.finditer(text)] or list(_starts(text))
    cuts = sorted({0, *starts, len(text)})
    parts = [(begin, text[begin:end]) for begin, end in pairwise(cuts)]
    # The empty lines before a part keep the numbers of its lines those of the file.
    return [Cell(title, "\n" * text.count("\n", 0, begin) + part) for begin, part in parts if part.strip()]


def _starts(text: str) -> Iterator[int]:
    """Where the definitions and imports of a script begin, with what decorates them; also in one that is no Python."""
    if not _is_python(text):
        yield from (found.start() for found in _STATEMENT.finditer(text))
        return
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
            yield lines[first - 1]


def _imports_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _plain(code: str) -> str:
    """The code without IPython's own commands, if it has any: a line may also begin with Python's %."""
    return code if _is_python(code) else _MAGIC.sub(r"\1pass", code)


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True
