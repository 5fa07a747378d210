import nbformat
import pytest
from bookbinder.errors import CheckFailed, MissingError
from bookbinder.pairing import (
    State,
    as_notebook,
    as_text,
    code_digest,
    digest,
    line_of,
    read_notebook,
    read_text,
    state,
    sync,
    write_notebook,
)


@pytest.fixture
def lesson(book):
    """The first lesson, its two sides in step."""
    lesson = book.lessons[0]
    sync(lesson)
    return lesson


def change_notebook(lesson, cell: int, source: str) -> None:
    notebook = read_notebook(lesson)
    notebook.cells[cell].source = source
    nbformat.write(notebook, lesson.notebook)


def test_the_normal_form_is_a_fixed_point(lesson):
    text = lesson.text.read_text()
    assert as_text(read_text(lesson)) == text == as_text(read_notebook(lesson))


def test_nothing_is_lost_on_the_way_to_a_notebook_and_back(book, edit):
    lesson = book.lessons[0]
    edit(lesson.text, "```{code-cell} ipython3\nprint", "```{code-cell} ipython3\n:tags: [hide-cell]\n\nprint")
    before = read_text(lesson)
    sync(lesson)
    after = read_notebook(lesson)
    assert [(c.cell_type, c.source, c.metadata) for c in after.cells] == [
        (c.cell_type, c.source, c.metadata) for c in before.cells
    ]
    assert after.metadata["objectives"] == before.metadata["objectives"]
    assert "hide-cell" in lesson.text.read_text()


def test_an_edited_text_reaches_the_notebook(lesson, edit):
    edit(lesson.text, "# First", "# First\n\nA new paragraph.")
    assert state(lesson) is State.TEXT_EDITED
    assert sync(lesson) is State.TEXT_EDITED
    assert "A new paragraph." in read_notebook(lesson).cells[0].source
    assert state(lesson) is State.AGREE


def test_an_edited_notebook_reaches_the_text(lesson):
    change_notebook(lesson, 0, "# First\n\nWritten in JupyterLab.")
    assert state(lesson) is State.NOTEBOOK_EDITED
    assert sync(lesson) is State.NOTEBOOK_EDITED
    assert "Written in JupyterLab." in lesson.text.read_text()
    assert state(lesson) is State.AGREE


def test_file_times_do_not_matter(lesson, edit):
    change_notebook(lesson, 0, "# First\n\nWritten in JupyterLab.")
    lesson.text.touch()  # the text is now the younger file, yet the notebook is the one that was edited
    sync(lesson)
    assert "Written in JupyterLab." in lesson.text.read_text()


def test_edits_on_both_sides_are_refused_and_nothing_is_written(lesson, edit):
    edit(lesson.text, "# First", "# First\n\nHere.")
    change_notebook(lesson, 0, "# First\n\nThere.")
    before = lesson.text.read_bytes(), lesson.notebook.read_bytes()
    with pytest.raises(CheckFailed, match="both edited"):
        sync(lesson)
    assert before == (lesson.text.read_bytes(), lesson.notebook.read_bytes())


@pytest.mark.parametrize(("side", "kept"), [("text", "Here."), ("notebook", "There.")])
def test_a_conflict_is_settled_by_naming_the_side(lesson, edit, side, kept):
    edit(lesson.text, "# First", "# First\n\nHere.")
    change_notebook(lesson, 0, "# First\n\nThere.")
    sync(lesson, side)
    assert kept in lesson.text.read_text()
    assert kept in read_notebook(lesson).cells[0].source


def test_a_notebook_made_anew_has_the_same_bytes(lesson):
    before = lesson.notebook.read_bytes()
    lesson.notebook.unlink()
    sync(lesson)
    assert lesson.notebook.read_bytes() == before


def test_equal_cells_get_different_ids(lesson, edit):
    edit(lesson.text, 'print("last")\n```\n', 'print("last")\n```\n\n```{code-cell} ipython3\nprint("last")\n```\n')
    sync(lesson)
    ids = [cell.id for cell in read_notebook(lesson).cells]
    assert len(set(ids)) == len(ids)


def test_outputs_are_kept_up_to_the_first_changed_code_cell(lesson):
    notebook = read_notebook(lesson)
    for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell.outputs = [nbformat.v4.new_output("stream", text=f"{count}")]
        cell.execution_count = count
    source = read_text(lesson)
    text_only = as_notebook(source, notebook)
    assert [len(c.outputs) for c in text_only.cells if c.cell_type == "code"] == [1, 1]
    first = next(c for c in source.cells if c.cell_type == "code")
    first.source += "\nx = 1"
    assert [len(c.outputs) for c in as_notebook(source, notebook).cells if c.cell_type == "code"] == [0, 0]


def test_what_an_editor_leaves_in_the_metadata_is_no_edit(lesson):
    notebook = read_notebook(lesson)
    notebook.metadata["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebook.metadata["language_info"]["version"] = "3.13.0"
    notebook.cells[1].metadata["execution"] = {"iopub.status.busy": "now"}
    notebook.cells[1].metadata["collapsed"] = True
    nbformat.write(notebook, lesson.notebook)
    assert state(lesson) is State.AGREE


def test_the_code_digest_sees_code_and_nothing_else(lesson, edit):
    before = code_digest(read_text(lesson))
    edit(lesson.text, "# First", "# First\n\nMore prose.")
    assert code_digest(read_text(lesson)) == before
    edit(lesson.text, 'print("last")', 'print("end")')
    assert code_digest(read_text(lesson)) != before


def test_a_digest_knows_where_one_text_ends():
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_line_of_a_cell(lesson):
    assert lesson.text.read_text().splitlines()[line_of(lesson, 'print("last")') - 1] == 'print("last")'
    assert line_of(lesson, "not there") == 0


def test_missing_and_broken_files_are_explained(book):
    lesson = book.lessons[0]
    with pytest.raises(MissingError, match=r"01-first\.ipynb does not exist. Try: book run"):
        read_notebook(lesson)
    lesson.notebook.parent.mkdir(parents=True)
    lesson.notebook.write_text("{")
    with pytest.raises(CheckFailed, match="not a notebook"):
        read_notebook(lesson)
    lesson.text.unlink()
    with pytest.raises(MissingError, match="Try: book new lesson"):
        read_text(lesson)


def test_an_unchanged_notebook_is_not_written_again(lesson):
    before = lesson.notebook.stat().st_mtime_ns
    assert not write_notebook(lesson, read_notebook(lesson))
    assert lesson.notebook.stat().st_mtime_ns == before
