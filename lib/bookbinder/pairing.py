"""A lesson is two files that say the same: the text source and the notebook. This reads, writes and reconciles them.

jupytext converts. What is added here is a normal form (so that equal content means equal bytes) and a memory: the
notebook stores the digest of the text that both sides last agreed on. That tells which side was edited since, where
file times, which `git clone` sets at random, do not.
"""

import hashlib
import re
from collections.abc import Iterable
from enum import StrEnum

import jupytext
import nbformat
import yaml
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode

from bookbinder.errors import CheckFailed, MissingError, relative
from bookbinder.files import write_text
from bookbinder.manifest import Lesson

FRONT_MATTER = ("title", "objectives", "minutes", "prerequisites", "gpu", "budget_s")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}
_HEADER = {
    "jupytext": {"text_representation": {"extension": ".md", "format_name": "myst", "format_version": 0.13}},
    "kernelspec": KERNEL,
}
_VOLATILE = {"execution", "papermill", "collapsed", "scrolled", "trusted", "ExecuteTime"}


class State(StrEnum):
    """How the two sides of a lesson stand to each other."""

    AGREE = "agree"
    TEXT_EDITED = "text edited"
    NOTEBOOK_EDITED = "notebook edited"
    BOTH_EDITED = "both edited"
    NO_TEXT = "no text"
    NO_NOTEBOOK = "no notebook"


def digest(parts: Iterable[str]) -> str:
    """SHA-256 of some texts, in hexadecimal; the boundaries between them count."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def read_text(lesson: Lesson) -> NotebookNode:
    """The text source as a notebook without outputs.

    Raises:
        MissingError: There is no such file.
        CheckFailed: It is not a MyST notebook.
    """
    where = relative(lesson.text, lesson.root)
    if not lesson.text.is_file():
        raise MissingError(f"{where} does not exist. Try: book new lesson {lesson.id}, or take it out of book.toml")
    try:
        config = load_jupytext_config(str(lesson.text))
        return jupytext.reads(lesson.text.read_text(encoding="utf-8"), fmt="md:myst", config=config)
    except Exception as error:  # jupytext has no error class of its own for a text it cannot read
        raise CheckFailed(
            f"{where}: not a MyST notebook: {error}. Try: compare its header with another lesson"
        ) from error


def read_notebook(lesson: Lesson) -> NotebookNode:
    """The executed notebook.

    Raises:
        MissingError: There is no such file.
        CheckFailed: It is not a notebook.
    """
    where = relative(lesson.notebook, lesson.root)
    if not lesson.notebook.is_file():
        raise MissingError(f"{where} does not exist. Try: book run {lesson.id}")
    try:
        return nbformat.read(lesson.notebook, as_version=4)
    except Exception as error:
        raise CheckFailed(f"{where}: not a notebook: {error}. Try: delete it, then book run {lesson.id}") from error


def as_text(notebook: NotebookNode) -> str:
    """The normal form of a notebook's text: equal content gives equal bytes."""
    metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    copy = nbformat.v4.new_notebook(metadata=metadata, cells=[_bare_cell(c) for c in notebook.cells])
    body = jupytext.writes(copy, fmt="md:myst")
    body = re.sub(r"\A---\n.*?\n---\n", "", body, flags=re.DOTALL)
    header = {**_HEADER, **{key: notebook.metadata[key] for key in FRONT_MATTER if key in notebook.metadata}}
    plain = nbformat.from_dict(header)
    dumped = yaml.safe_dump(_plain(plain), sort_keys=False, allow_unicode=True, width=116, default_flow_style=False)
    return f"---\n{dumped}---\n{body}"


def as_notebook(source: NotebookNode, previous: NotebookNode | None = None) -> NotebookNode:
    """The notebook of a text: cells with stable ids, and the previous notebook's outputs as far as they still hold.

    Outputs are kept up to the first code cell that changed: what follows may depend on it.
    """
    cells = [_bare_cell(cell) for cell in source.cells]
    for cell, name in zip(cells, _cell_ids(cells), strict=True):
        cell["id"] = name
    old = [] if previous is None else [cell for cell in previous.cells if cell.cell_type == "code"]
    for new, before in zip((cell for cell in cells if cell.cell_type == "code"), old, strict=False):
        if new.source != before.source:
            break
        new.outputs, new.execution_count = before.outputs, before.execution_count
    metadata = {key: source.metadata[key] for key in FRONT_MATTER if key in source.metadata}
    metadata["kernelspec"], metadata["language_info"] = dict(KERNEL), dict(LANGUAGE)
    metadata["book"] = dict(previous.metadata.get("book", {})) if previous is not None else {}
    metadata["book"]["text"] = digest([as_text(source)])
    return nbformat.v4.new_notebook(metadata=metadata, cells=cells, nbformat_minor=5)


def write_notebook(lesson: Lesson, notebook: NotebookNode) -> bool:
    """Write the notebook whole or not at all; return whether its bytes changed."""
    nbformat.validate(notebook)
    return write_text(lesson.notebook, nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n")


def state(lesson: Lesson) -> State:
    """Compare the two sides with each other, and each with what both last agreed on."""
    if not lesson.text.is_file():
        return State.NO_TEXT
    if not lesson.notebook.is_file():
        return State.NO_NOTEBOOK
    notebook = read_notebook(lesson)
    here, there = as_text(read_text(lesson)), as_text(notebook)
    if here == there:
        return State.AGREE
    agreed = notebook.metadata.get("book", {}).get("text")
    if digest([there]) == agreed:
        return State.TEXT_EDITED
    return State.NOTEBOOK_EDITED if digest([here]) == agreed else State.BOTH_EDITED


def sync(lesson: Lesson, source: str | None = None) -> State:
    """Carry the edited side to the other, and put the text into its normal form.

    Args:
        source: "text" or "notebook" decides which side wins; without it both sides edited is an error.

    Returns:
        How the two stood before.

    Raises:
        CheckFailed: Both sides were edited since they last agreed, and source does not say which one to keep.
    """
    before = state(lesson)
    if before is State.BOTH_EDITED and source is None:
        text, notebook = relative(lesson.text, lesson.root), relative(lesson.notebook, lesson.root)
        raise CheckFailed(
            f"{text} and {notebook} were both edited since they last agreed. Try: git diff, copy what you want to "
            f"keep into one of them, then book sync {lesson.id} --from text (or --from notebook)"
        )
    from_notebook = before in (State.NOTEBOOK_EDITED, State.NO_TEXT) if source is None else source == "notebook"
    content = read_notebook(lesson) if from_notebook else read_text(lesson)
    write_text(lesson.text, as_text(content))
    previous = read_notebook(lesson) if lesson.notebook.is_file() else None
    write_notebook(lesson, as_notebook(content, previous))
    return before


def code_digest(notebook: NotebookNode) -> str:
    """Digest of everything in a notebook that is executed."""
    return digest(cell.source for cell in notebook.cells if cell.cell_type == "code")


def line_of(lesson: Lesson, snippet: str) -> int:
    """The line of the text source where a cell or a phrase begins; 0 when it is not found."""
    text = lesson.text.read_text(encoding="utf-8") if lesson.text.is_file() else ""
    position = text.find(snippet)
    return text.count("\n", 0, position) + 1 if snippet and position >= 0 else 0


def _bare_cell(cell: NotebookNode) -> NotebookNode:
    """Type, source and lasting metadata of a cell; nothing that a run or an editor leaves behind."""
    metadata = _plain({key: value for key, value in cell.metadata.items() if key not in _VOLATILE})
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    return make.get(cell.cell_type, nbformat.v4.new_raw_cell)(cell.source.strip("\n"), metadata=metadata)


def _plain(value):
    """Dictionaries and lists as Python's own, in the order of their keys below the top."""
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    return _sorted(value)


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value


def _cell_ids(cells: list[NotebookNode]) -> list[str]:
    """Ids that follow from the content, so that a notebook made anew has the same ones."""
    seen: dict[str, int] = {}
    names = []
    for cell in cells:
        key = digest([cell.cell_type, cell.source])[:12]
        seen[key] = seen.get(key, 0) + 1
        names.append(key if seen[key] == 1 else f"{key}-{seen[key]}")
    return names
