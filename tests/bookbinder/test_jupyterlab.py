"""What happens when an author edits in JupyterLab, whose contents manager is called here without the server."""

import pytest
from bookbinder.pairing import State, as_text, read_notebook, read_text, state, sync
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from jupytext import build_sync_jupytext_contents_manager_class
from nbformat.sign import MemorySignatureStore


@pytest.fixture
def manager(book):
    """JupyterLab's way of opening and saving files, with the book's pairing."""
    for lesson in book.lessons:
        sync(lesson)
    manager = build_sync_jupytext_contents_manager_class(LargeFileManager)(root_dir=str(book.root))
    manager.notary.store = MemorySignatureStore()
    return manager


def save(manager, path: str, old: str, new: str) -> None:
    """Open a notebook, change a cell, save."""
    model = manager.get(path, type="notebook")
    cell = next(cell for cell in model["content"].cells if old in cell.source)
    cell.source = cell.source.replace(old, new)
    cell.metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    manager.save(model, path)


@pytest.mark.parametrize("path", ["chapters/01-numbers/01-first.md", "notebooks/01-numbers/01-first.ipynb"])
def test_an_edit_made_in_jupyterlab_is_on_both_sides_after_a_sync(manager, book, path):
    lesson = book.lessons[0]
    before = as_text(read_text(lesson))
    save(manager, path, 'print("last")', 'print("edited in JupyterLab")')
    sync(lesson)
    want = before.replace('print("last")', 'print("edited in JupyterLab")')
    assert lesson.text.read_text(encoding="utf-8") == want
    assert as_text(read_notebook(lesson)) == want
    assert state(lesson) is State.AGREE


def test_opening_and_saving_without_an_edit_changes_nothing(manager, book):
    lesson = book.lessons[0]
    before = lesson.text.read_bytes(), lesson.notebook.read_bytes()
    path = "chapters/01-numbers/01-first.md"
    manager.save(manager.get(path, type="notebook"), path)
    sync(lesson)
    assert (lesson.text.read_bytes(), lesson.notebook.read_bytes()) == before


def test_a_reader_opens_a_notebook_whose_text_is_older_and_different(manager, book, edit):
    edit(book.lessons[0].text, "# First", "# First\n\nThe author wrote on.")
    model = manager.get("notebooks/01-numbers/01-first.ipynb", type="notebook")
    assert "The author wrote on." not in model["content"].cells[0].source
