import json

import nbformat
import pytest
from bookbinder.errors import CheckFailed
from bookbinder.exercises.reader import Progress, Work, dumped, notebook_of, refresh
from bookbinder.exercises.source import read


@pytest.fixture
def work(book):
    """A reader who has begun with the first chapter."""
    work = Work(book)
    assert work.start(book.sheets[0])
    return work


@pytest.fixture
def notebook(work, book):
    """The reader's notebook."""
    return work.notebook(book.sheets[0])


def opened(path):
    return nbformat.read(path, as_version=4)


def save(path, notebook):
    path.write_text(nbformat.writes(notebook), encoding="utf-8")


def cells_of(path, name, role=None) -> list:
    wanted = {"id": name} | ({"role": role} if role else {})
    return [cell for cell in opened(path).cells if cell.metadata.get("exercise", {}).items() >= wanted.items()]


def answer(path, name, code):
    """Write an answer into its cell."""
    notebook = opened(path)
    for cell in notebook.cells:
        if cell.metadata.get("exercise") == {"id": name, "role": "answer"}:
            cell.source = code
    save(path, notebook)


def test_the_readers_notebook_holds_prompts_stubs_and_checks(book, exercise):
    notebook = notebook_of(book.sheets[0])
    assert notebook.cells[0].source.startswith("# Exercises: numbers")
    assert notebook.cells[1].source == (
        "import numpy as np\n\nfrom bookbinder.exercises.notebook import check, hint, solution"
    )
    roles = [(cell.metadata.exercise.id[8:], cell.metadata.exercise.role) for cell in notebook.cells[2:]]
    assert roles == [
        ("double_all", "prompt"),
        ("double_all", "answer"),
        ("double_all", "check"),
        ("lift", "prompt"),
        ("lift", "given"),
        ("lift", "answer"),
        ("lift", "check"),
        ("why_half", "prompt"),
        ("why_half", "answer"),
        ("why_half", "check"),
    ]
    assert "★★ · 10 minutes · lesson 2 of the chapter" in notebook.cells[5].source
    assert notebook.cells[3].source == exercise().stub
    assert notebook.cells[4].source.splitlines()[0] == 'check("numbers.double_all")'
    assert notebook.cells[-1].source.startswith("# solution(")  # nothing is run for an answer in words


def test_the_readers_notebook_is_the_same_bytes_every_time(book):
    assert dumped(notebook_of(book.sheets[0])) == dumped(notebook_of(book.sheets[0]))
    assert refresh(book.sheets[0])
    assert not refresh(book.sheets[0])


def test_chapters_that_need_no_imports_begin_with_the_helpers(book, sheet, edit):
    edit(sheet, "```{code-cell} ipython3\n:role: setup\n\nimport numpy as np\n```\n", "")
    assert notebook_of(book.sheets[0]).cells[1].source.startswith("from bookbinder")


def test_a_second_start_overwrites_nothing(work, book, notebook):
    answer(notebook, "numbers.lift", "def lift(values):\n    return 7")
    before = notebook.read_bytes()
    assert not work.start(book.sheets[0])
    assert notebook.read_bytes() == before


def test_the_folder_lies_in_the_book_unless_the_environment_names_another(book, tmp_path, monkeypatch):
    assert Work(book).folder == book.root / "my-work"
    monkeypatch.setenv("BOOK_WORK", str(tmp_path / "elsewhere"))
    assert Work(book).folder == tmp_path / "elsewhere"
    monkeypatch.setenv("BOOK_WORK", "~/answers")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Work(book).folder == tmp_path / "answers"


def test_a_relative_folder_is_the_same_wherever_one_stands(book, monkeypatch):
    monkeypatch.setenv("BOOK_WORK", "answers")
    monkeypatch.chdir(book.root / "lib")
    assert Work(book).folder == book.root / "answers"


def test_progress_is_kept(work, book, exercise):
    assert work.of(exercise()) == Progress()
    work.note(exercise(), tries=2, hints=1)
    work.note(exercise("numbers.lift"), right=True)
    assert Work(book).progress() == {"numbers.double_all": Progress(2, False, 1), "numbers.lift": Progress(0, True)}


DAMAGED = ["", "{", "[]", "7", '{"a": 3}', '{"a": {"tries": "many"}}', '{"a": {"tries": true}}', '{"a": {"luck": 1}}']


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_progress_is_told_and_not_overwritten(work, exercise, content):
    path = work.folder / "progress.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CheckFailed, match=r"progress.json cannot be read: .* Try: move it away"):
        work.note(exercise(), tries=1)
    assert path.read_text(encoding="utf-8") == content


def test_a_reset_brings_the_stub_back_and_leaves_the_other_answers(work, notebook, exercise):
    answer(notebook, "numbers.double_all", "mine = 1")
    answer(notebook, "numbers.lift", "mine = 2")
    work.note(exercise(), tries=3)
    work.note(exercise("numbers.lift"), tries=4)
    before = notebook.read_bytes()
    (backup,) = work.reset([exercise()])
    assert cells_of(notebook, "numbers.double_all", "answer")[0].source == exercise().stub
    assert cells_of(notebook, "numbers.lift", "answer")[0].source == "mine = 2"
    assert backup.read_bytes() == before
    assert work.progress() == {"numbers.lift": Progress(4)}


def test_every_reset_keeps_a_copy_of_its_own(work, notebook, exercise):
    copies = [work.reset([exercise()])[0].name for _ in range(2)]
    assert copies == ["exercises.before-reset-1.ipynb", "exercises.before-reset-2.ipynb"]


def test_a_reset_brings_deleted_cells_back(work, notebook, exercise):
    original = dumped(opened(notebook))
    changed = opened(notebook)
    changed.cells = [cell for cell in changed.cells if cell.metadata.get("exercise", {}).get("id") != "numbers.lift"]
    save(notebook, changed)
    work.reset([exercise("numbers.lift")])
    assert len(cells_of(notebook, "numbers.lift")) == 4
    work.reset([exercise("numbers.why_half")])  # and nothing is there twice
    assert sorted(json.dumps(cell) for cell in opened(notebook).cells) == sorted(
        json.dumps(cell) for cell in nbformat.reads(original, as_version=4).cells
    )


def test_a_reset_of_everything_gives_the_first_notebook_again(work, book, notebook):
    original = notebook.read_bytes()
    for name in ("numbers.double_all", "numbers.lift"):
        answer(notebook, name, "mine = 1")
    work.reset(read(book.sheets[0]))
    assert notebook.read_bytes() == original


def test_a_reset_keeps_the_readers_own_cells_where_they_are(work, notebook, exercise):
    changed = opened(notebook)
    changed.cells.insert(3, nbformat.v4.new_code_cell("my_note = 1"))
    save(notebook, changed)
    work.reset([exercise()])
    sources = [cell.source for cell in opened(notebook).cells]
    assert "my_note = 1" in sources
    assert [cell.metadata.exercise.role for cell in opened(notebook).cells[2:5]] == ["prompt", "answer", "check"]


@pytest.mark.parametrize("minor", [2, 4, 5])
def test_a_notebook_that_another_program_saved_without_ids_can_be_reset(work, notebook, exercise, minor):
    changed = json.loads(notebook.read_text(encoding="utf-8"))
    changed["nbformat_minor"] = minor
    for cell in changed["cells"]:
        del cell["id"]
    notebook.write_text(json.dumps(changed), encoding="utf-8")
    work.reset([exercise()])
    nbformat.validate(opened(notebook))


def test_a_damaged_notebook_is_told_and_left_as_it_is(work, notebook, exercise):
    notebook.write_text("{", encoding="utf-8")
    work.note(exercise(), tries=1)
    with pytest.raises(CheckFailed, match=r"cannot be read as a notebook: .* Try: move it away"):
        work.reset([exercise()])
    assert notebook.read_text(encoding="utf-8") == "{"
    assert work.of(exercise()).tries == 1
    assert sorted(path.name for path in notebook.parent.iterdir()) == ["exercises.ipynb"]


def test_an_exercise_that_was_never_started_can_be_reset(book, exercise):
    assert Work(book).reset([exercise()]) == []
