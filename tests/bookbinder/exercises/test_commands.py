"""A reader's way through the exercises, by the command line."""

import json
import shutil
import subprocess
import sys
from io import StringIO

import nbformat
import pytest
from bookbinder.exercises import audit


@pytest.fixture
def notebook(book, call):
    """The reader's notebook, with nothing in it yet."""
    assert call("exercise", "start", "01")[0] == 0
    return book.root / "my-work" / "01-numbers" / "exercises.ipynb"


def write(path, answers, order=1, without=()):
    """Write answers into a notebook, turn the order of its cells round, or leave some roles out."""
    found = nbformat.read(path, as_version=4)
    for cell in found.cells:
        facts = cell.metadata.get("exercise", {})
        if facts.get("role") == "answer" and facts["id"] in answers:
            cell.source = answers[facts["id"]]
    found.cells = [c for c in found.cells if c.metadata.get("exercise", {}).get("role") not in without][::order]
    path.write_text(nbformat.writes(found), encoding="utf-8")


def snapshot(root) -> dict:
    """All files of the book but the reader's, and what is in them."""
    files = [path for path in root.rglob("*") if path.is_file() and "my-work" not in path.parts]
    return {path: path.read_bytes() for path in files}


def test_the_exercises_are_listed(call):
    code, out, _ = call("exercise", "list")
    assert code == 0
    assert out.splitlines() == [
        "★      5 min  numbers.double_all  Double every number",
        "★★    10 min  numbers.lift  Nothing below the floor",
        "★      3 min  numbers.why_half  Why a half, in words",
    ]
    first = json.loads(call("exercise", "list", "1", "--json")[1])[0]
    assert first == {
        "id": "numbers.double_all",
        "title": "Double every number",
        "lesson": "01-first",
        "stars": "★",
        "minutes": 5,
        "written": False,
    }


def test_a_second_start_changes_nothing(call, notebook, right):
    write(notebook, right)
    before = notebook.read_bytes()
    code, out, _ = call("exercise", "start", "numbers")
    assert code == 0
    assert "was there already; nothing in it was changed" in out
    assert "Open it with: jupyter lab my-work/01-numbers/exercises.ipynb" in out
    assert notebook.read_bytes() == before


def test_the_whole_way(call, book, notebook, right):
    before = snapshot(book.root)
    code, out, _ = call("exercise", "check")
    assert code == 1
    assert out.count("no answer yet") == 2
    write(notebook, {"numbers.lift": right["numbers.lift"]})
    code, out, _ = call("exercise", "check", "--json")
    assert code == 1
    assert [verdict["result"] for verdict in json.loads(out)] == ["missing", "right"]
    assert "Hint 1 of 2" in call("exercise", "hint", "numbers.double_all")[1]
    assert "```python\ndef double_all(values):" in call("exercise", "solution", "numbers.double_all")[1]
    write(notebook, right)
    code, out, err = call("exercise", "check")
    assert (code, err) == (0, "")
    assert out == "numbers.double_all: right, in 3 calls\nnumbers.lift: right, in 2 calls\n"
    rows = json.loads(call("exercise", "status", "--json")[1])
    assert rows == [
        {"id": "numbers.double_all", "result": "right", "tries": 1, "right": True, "hints": 1, "solution": True},
        {"id": "numbers.lift", "result": "right", "tries": 2, "right": True, "hints": 0, "solution": False},
        {"id": "numbers.why_half", "result": "–"},
    ]
    code, out, _ = call("exercise", "reset", "numbers.lift")
    assert code == 0
    assert out == (
        "1 exercise begins again\nYour answers so far are in my-work/01-numbers/exercises.before-reset-1.ipynb\n"
    )
    shown = call("exercise", "status")[1]
    assert "1 of 2 coded exercises are right" in shown
    assert "numbers.double_all" in shown  # an id is never cut short
    assert snapshot(book.root) == before


def test_a_reader_may_work_in_another_folder(call, book, tmp_path, monkeypatch):
    elsewhere = tmp_path / "some where"
    monkeypatch.setenv("BOOK_WORK", str(elsewhere))
    out = call("exercise", "start", "01")[1]
    assert f"jupyter lab '{elsewhere}/01-numbers/exercises.ipynb'" in out
    call("exercise", "hint", "numbers.lift")
    assert sorted(path.name for path in elsewhere.rglob("*")) == ["01-numbers", "exercises.ipynb", "progress.json"]
    assert not (book.root / "my-work").exists()


def test_a_notebook_in_any_state_is_checked(call, book, notebook, right):
    write(notebook, right, order=-1, without=("prompt", "given", "check"))
    moved = book.root / "renamed by me.ipynb"
    shutil.move(notebook, moved)
    code, out, _ = call("exercise", "check", str(moved))
    assert (code, out.count("right")) == (0, 2)


SCRIPTS = {  # an exercise that is answered, and another one with a mistake
    "in parts": "# %%\n{answer}\n# %%\ndef double_all(values:\n    pass\n",
    "in one piece": "{answer}\n\ndef double_all(values:\n    pass\n",
    "with a call that fails": "{answer}\n\ndef double_all(values):\n    raise NotImplementedError\n\ndouble_all([1])\n",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_mistake_in_another_exercise_does_no_harm(call, book, right, script):
    (book.root / "mine.py").write_text(script.format(answer=right["numbers.lift"]), encoding="utf-8")
    code, out, _ = call("exercise", "check", "mine.py", "--json")
    assert code == 1
    assert [verdict["result"] for verdict in json.loads(out)][1] == "right"


def test_a_wrong_line_of_a_script_is_named(call, book):
    text = "import math\n\n\ndef other():\n    pass\n\n\ndef lift(values):\n    return math.nothing\n"
    (book.root / "mine.py").write_text(text, encoding="utf-8")
    out = call("exercise", "check", "mine.py")[1]
    assert "mine.py, line 9: return math.nothing" in out


def test_deleted_cells_come_back(call, notebook, right):
    write(notebook, right, without=("answer",))
    assert call("exercise", "reset", "numbers")[1].startswith("3 exercises begin again\n")
    assert call("exercise", "check")[1].count("no answer yet") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "numbers.lifted"], 2, "no exercise is called 'numbers.lifted'. Try: numbers.lift or"),
        (["hint", "numbers.nothing_alike"], 2, "Try: book exercise list"),
        (["solution", "lift"], 2, "no exercise is called 'lift'. Try: numbers.lift or"),
        (["start", "09"], 2, "'09' is no chapter with exercises. Known: 01-numbers"),
        (["start"], 2, "Missing argument"),
        (["reset", "numbers.nothing"], 2, "no exercise is called"),
        (["check", "nowhere.ipynb"], 2, "nowhere.ipynb does not exist. Try: book exercise start"),
        (["check"], 2, "there is no answer to check in my-work. Try: book exercise start"),
        (["check", "numbers.why_half"], 2, "is answered in words"),
        (["status", "9"], 2, "'9' is no chapter"),
        (["dance"], 2, "dance"),
    ],
)
def test_a_wrong_call_is_told_with_what_to_try(call, arguments, code, message):
    got, out, err = call("exercise", *arguments)
    assert (got, out) == (code, "")
    assert message in err


@pytest.mark.parametrize("words", [["check"], ["status"], ["hint", "numbers.lift"], ["reset", "numbers"]])
def test_damaged_progress_is_told_by_every_command(call, book, notebook, words):
    path = book.root / "my-work" / "progress.json"
    path.write_text("[", encoding="utf-8")
    code, _, err = call("exercise", *words)
    assert code == 1
    assert "progress.json cannot be read" in err
    assert "Try: move it away" in err
    assert path.read_text(encoding="utf-8") == "["


@pytest.mark.parametrize("words", [["check"], ["reset", "numbers"]])
def test_a_damaged_notebook_is_told(call, notebook, words):
    notebook.write_text("{", encoding="utf-8")
    code, _, err = call("exercise", *words)
    assert code in (1, 2)
    assert "exercises.ipynb cannot be read as a notebook" in err
    assert "Try: " in err


def test_the_cells_of_a_kernel_come_as_json(call, right, monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO(json.dumps(["", right["numbers.lift"]])))
    assert call("exercise", "check", "numbers.lift", "--cells", "-")[1] == "numbers.lift: right, in 2 calls\n"


def test_the_audit_tells_each_exercise_and_what_is_wrong(call, monkeypatch):
    monkeypatch.setattr(audit, "SEEDS", (0,))
    code, out, err = call("exercise", "audit", "-j", "1")
    assert code == 1
    assert "numbers.double_all" in out
    assert "notebooks/01-numbers/exercises.ipynb: the readers' notebook does not exist. Try: book sync" in out
    assert "3 problems found" in err


def test_a_check_loads_nothing_that_it_does_not_need(book, notebook):
    program = (
        "import sys\nfrom bookbinder import cli\nsys.argv = ['book', 'exercise', 'check']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "slow = {'lark', 'torch', 'sklearn', 'matplotlib', 'IPython', 'sphinx', 'nbclient'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=book.root, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
