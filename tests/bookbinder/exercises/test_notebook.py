"""The readers' notebook in a real kernel."""

import asyncio
import os
from pathlib import Path

import nbformat
import pytest
from bookbinder import kernel
from bookbinder.exercises.reader import notebook_of
from bookbinder.exercises.source import read
from bookbinder.manifest import find_root, load_book
from nbclient import NotebookClient


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """A function that runs a notebook in a folder, and returns what each code cell has shown."""

    def run(notebook, folder) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": folder}})
        asyncio.run(client.async_execute(env=kernel.environment(tmp_path / "kernel") | extra))
        return [shown(cell) for cell in notebook.cells if cell.cell_type == "code"]

    extra = {"BOOK_WORK": str(tmp_path / "work")}
    return run


def shown(cell) -> str:
    """The text of a cell's outputs."""
    texts = [output.get("text", "") + output.get("data", {}).get("text/markdown", "") for output in cell.outputs]
    return "".join(texts)


def of_codes(*codes):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes])


HELPERS = "from bookbinder.exercises.notebook import check, hint, solution"
RIGHT = "def double_all(values):\n    if not values:\n        raise ValueError\n    return [twice(v) for v in values]"
WRONG = "def double_all(values):\n    return values"


def filled(sheet):
    """The readers' notebook with the solutions in place of the stubs."""
    notebook = notebook_of(sheet)
    solutions = {exercise.id: exercise.solution for exercise in read(sheet) if not exercise.written}
    for cell in notebook.cells:
        found = cell.metadata.get("exercise", {})
        if cell.cell_type == "code" and found.get("role") == "answer":
            cell.source = solutions[found["id"]]
    return notebook


def verdicts(notebook) -> list[str]:
    """What each check has said of an exercise."""
    cells = [cell for cell in notebook.cells if cell.source.startswith("check(")]
    return [shown(cell).partition("\n")[0].partition(":")[2].strip() for cell in cells]


def test_a_notebook_without_answers_runs_to_its_end(execute, book):
    notebook = notebook_of(book.sheets[0])
    execute(notebook, book.root / "my-work")
    assert verdicts(notebook) == ["no answer yet"] * 2


def test_answers_from_all_over_the_notebook_are_right_wherever_the_notebook_lies(execute, book):
    notebook = of_codes(
        "%matplotlib inline\nimport numpy as np",
        HELPERS,
        WRONG,
        "%%time\ndef twice(v):\n    return v + v",
        f"{RIGHT}\n\n%time double_all([1])\ncheck('numbers.double_all')",
        "def another(x): return not_defined",
        "double_all = [",  # a reader's cell that fails
        "hint('numbers.double_all')",
        "hint('numbers.double_all')",
        "solution('numbers.why_half')",
        "check('numbers.why_half')",
        "check('numbers.half_of_it')",
    )
    notebook.cells[6].metadata["tags"] = ["raises-exception"]
    texts = execute(notebook, book.root / "a folder" / "below")
    assert texts[4].endswith("numbers.double_all: right, in 3 calls\n")
    assert texts[7] == "**Hint 1 of 2.** What is added to 3 to get its double?\n"
    assert "**Hint 2 of 2.** Go through the list" in texts[8]
    assert "**What earns a point**" in texts[9]
    assert texts[10] == (
        "book: numbers.why_half is answered in words. Try: compare yours with book exercise solution numbers.why_half\n"
    )
    assert texts[11].startswith("book: no exercise is called 'numbers.half_of_it'. Try: ")


def test_what_the_kernel_does_to_itself_makes_no_wrong_answer_right(execute, book):
    texts = execute(
        of_codes(
            HELPERS,
            WRONG,
            "import builtins, math, sys\n"
            "import numpy as np\n"
            "from bookbinder.exercises import checking, expect\n"
            "np.testing.assert_allclose = np.allclose = np.array_equal = lambda *args, **kwargs: True\n"
            "expect.expect = expect.agree = expect.require = lambda *args, **kwargs: True\n"
            "checking.examine = lambda *args: 3\n"
            "builtins.abs = builtins.all = lambda *args: True",
            "check('numbers.double_all')",
            "In[:] = []\nOut.clear()\ncheck('numbers.double_all')",
            "import os\nopen(os.environ['BOOK_WORK'] + '/progress.json', 'w').write('[')\ncheck('numbers.double_all')",
        ),
        book.root,
    )
    assert "numbers.double_all: not yet" in texts[3]
    assert "returned  [3, 1]" in texts[3]
    assert texts[4] == texts[3]  # what was run is not read from a name that a cell can change
    assert "progress.json cannot be read" in texts[5]


@pytest.mark.slow
@pytest.mark.parametrize("sheet", load_book(find_root(Path(__file__))).sheets, ids=lambda sheet: sheet.chapter)
def test_the_readers_notebooks_of_the_book_run_outside_it_with_and_without_answers(execute, tmp_path, sheet):
    folder = tmp_path / "far away"
    assert not any((parent / "book.toml").exists() for parent in folder.parents)
    coded = [exercise for exercise in read(sheet) if not exercise.written]
    empty, full = notebook_of(sheet), filled(sheet)
    execute(empty, folder)
    assert verdicts(empty) == ["no answer yet"] * len(coded)
    execute(full, folder)
    assert {verdict.partition(",")[0] for verdict in verdicts(full)} == {"right"}
    assert len(verdicts(full)) == len(coded)
    assert sorted(os.listdir(tmp_path / "work")) == ["progress.json"]
