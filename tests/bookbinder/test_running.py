import os
import signal
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from bookbinder import report
from bookbinder.errors import CheckFailed
from bookbinder.pairing import read_notebook, sync
from bookbinder.running import is_fresh, require_success, run


def run_all(book, names=(), *, force=False):
    return run(book, book.select(list(names)), jobs=2, force=force, notify=lambda outcome: None)


def ran(outcomes) -> set[str]:
    return {outcome.lesson.slug for outcome in outcomes if outcome.ran}


@pytest.fixture
def executed(book):
    """The small book, run once."""
    require_success(run_all(book))
    return book


def printed(lesson) -> str:
    cells = read_notebook(lesson).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


def test_a_run_stores_outputs_claims_and_costs(executed):
    for lesson in executed.lessons:
        assert printed(lesson) == "6\nlast\n"
        assert read_notebook(lesson).metadata["book"]["claims"] == {"doubled": 6.0, "half": 0.5}
        assert is_fresh(lesson)
    entry = report.load(executed)["lessons"]["01-numbers/01-first"]
    assert entry["claims"] == 2
    assert entry["cpu_seconds"] > 0
    assert 20 < entry["memory_mb"] < 1000


def test_a_notebook_is_the_same_whichever_python_ran_it(executed):
    assert "language_info" in (metadata := read_notebook(executed.lessons[0]).metadata)
    assert "version" not in metadata["language_info"]


def test_nothing_is_left_of_the_cell_that_says_goodbye(executed):
    assert "farewell" not in executed.lessons[0].notebook.read_text()


def test_two_runs_give_the_same_bytes(executed):
    before = [lesson.notebook.read_bytes() for lesson in executed.lessons]
    for lesson in executed.lessons[:1]:
        lesson.notebook.unlink()  # made anew, and run over the old one
    run_all(executed, force=True)
    assert [lesson.notebook.read_bytes() for lesson in executed.lessons] == before


def test_only_what_changed_runs_again(executed, edit):
    first, second = executed.lessons
    assert ran(run_all(executed)) == set()
    edit(first.text, "The double of three", "Twice three")
    assert ran(run_all(executed)) == set()  # prose alone runs nothing, and reaches the notebook
    assert "Twice three" in read_notebook(first).cells[0].source
    edit(second.text, 'print("last")', 'print("end")')
    assert ran(run_all(executed)) == {"02-second"}
    edit(executed.root / "lib" / "small" / "numbers" / "basic.py", "x + y", "y + x")
    assert ran(run_all(executed)) == {"01-first", "02-second"}  # imported by what they import


def test_an_edit_of_the_notebook_survives_a_run(executed):
    lesson = executed.lessons[0]
    notebook = read_notebook(lesson)
    notebook.cells[-1].source = 'print("from JupyterLab")'
    nbformat.write(notebook, lesson.notebook)
    assert ran(run_all(executed)) == {"01-first"}
    assert "from JupyterLab" in lesson.text.read_text()
    assert "from JupyterLab" in printed(lesson)


def test_a_failing_cell_is_told_with_file_line_and_reason_and_the_others_go_on(book, edit):
    edit(book.lessons[0].text, 'print("last")', 'x = 1\nraise KeyError("gone")')
    sync(book.lessons[0])
    before = book.lessons[0].notebook.read_bytes()
    outcomes = run_all(book)
    failed = next(outcome for outcome in outcomes if outcome.error)
    line = next(i for i, text in enumerate(book.lessons[0].text.read_text().splitlines(), 1) if "KeyError" in text)
    assert f"chapters/01-numbers/01-first.md:{line}: the cell raised KeyError: 'gone'" in failed.error
    assert book.lessons[0].notebook.read_bytes() == before
    assert is_fresh(book.lessons[1])
    with pytest.raises(CheckFailed, match="KeyError"):
        require_success(outcomes)


def test_the_network_is_blocked_in_the_kernel(book, edit):
    edit(book.lessons[0].text, 'print("last")', 'import socket\nsocket.create_connection(("192.0.2.1", 80))')
    error = run_all(book, ["01-first"])[0].error
    assert "NetworkBlockedError" in error


def test_random_identifiers_in_outputs_are_numbered(book, edit):
    code = 'import uuid\nfrom IPython.display import HTML\nHTML(f"<p id={uuid.uuid4().hex}></p>")'
    edit(book.lessons[0].text, 'print("last")', code)
    run_all(book, ["01-first"])
    before = book.lessons[0].notebook.read_bytes()
    assert b"id=00000000000000000000000000000000" in before
    run_all(book, ["01-first"], force=True)
    assert book.lessons[0].notebook.read_bytes() == before


def test_ctrl_c_ends_it_at_once_and_leaves_what_was(executed, edit):
    edit(executed.lessons[0].text, 'print("last")', "import time\ntime.sleep(60)")
    sync(executed.lessons[0])
    before = executed.lessons[0].notebook.read_bytes()
    command = [sys.executable, "-c", "from bookbinder.cli import main; main()", "run"]
    process = subprocess.Popen(command, cwd=executed.root, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not psutil.Process(process.pid).children() and time.monotonic() < deadline:
        time.sleep(0.1)  # until its kernel is there
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("book: interrupted")
    assert executed.lessons[0].notebook.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.4, 0.9, 1.4, 1.9, 2.4])
def test_a_run_that_was_killed_and_started_again_ends_with_the_same_bytes(executed, delay):
    want = {lesson.id: lesson.notebook.read_bytes() for lesson in executed.lessons}
    for lesson in executed.lessons:
        lesson.notebook.unlink()
    command = [sys.executable, "-c", "from bookbinder.cli import main; main()", "run", "--force", "--jobs", "1"]
    process = subprocess.Popen(command, cwd=executed.root, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for lesson in executed.lessons:  # whole or absent, never half
        assert not lesson.notebook.is_file() or lesson.notebook.read_bytes() == want[lesson.id]
    assert not [path for path in (executed.root / "notebooks").rglob("*") if path.suffix not in ("", ".ipynb", ".json")]
    require_success(run_all(executed))
    assert {lesson.id: lesson.notebook.read_bytes() for lesson in executed.lessons} == want
