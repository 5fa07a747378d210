import nbformat
import pytest
from bookbinder.errors import CheckFailed, UsageError
from bookbinder.exercises import answers
from bookbinder.exercises.reader import Progress, Work
from bookbinder.pairing import read_notebook, sync, write_notebook

BOTH = ["numbers.double_all", "numbers.lift"]


@pytest.fixture
def check(book):
    """A function that checks answers and returns what became of each: its id and the result."""

    def run(*names, hidden=False, history=None):
        return [(v.id, v.result) for v in answers.check(book, list(names), hidden=hidden, history=history)]

    return run


@pytest.fixture
def script(book, right):
    """A file with right answers to both exercises."""
    path = book.root / "mine.py"
    path.write_text("\n\n".join(right.values()), encoding="utf-8")
    return path


def test_names_stand_for_exercises_and_chapters_and_each_comes_once(book):
    def selected(*names):
        return [exercise.id for exercise in answers.select(book, list(names))]

    everything = ["numbers.double_all", "numbers.lift", "numbers.why_half"]
    assert selected() == selected("01") == selected("numbers") == selected("01-numbers") == everything
    assert selected("numbers.lift") == ["numbers.lift"]
    assert selected("numbers.lift", "1") == everything
    assert selected("numbers.lift", "numbers.double_all", "numbers.lift") == ["numbers.lift", "numbers.double_all"]


@pytest.mark.parametrize("name", ["nothing", "7", "numbers.nothing", "02-later"])
def test_a_name_that_stands_for_nothing_is_told(book, name):
    with pytest.raises(UsageError, match=name):
        answers.select(book, [name])


def test_a_file_is_asked_for_every_answer_in_it(check, script):
    assert check(str(script)) == [(name, "right") for name in BOTH]


def test_a_file_and_an_id_ask_for_that_answer_only(check, script):
    assert check("numbers.lift", str(script)) == [("numbers.lift", "right")]


def test_an_answer_that_a_file_lacks_is_missing_where_it_was_asked_for(check, script, right):
    script.write_text(right["numbers.lift"], encoding="utf-8")
    assert check(str(script)) == [("numbers.lift", "right")]
    assert check("numbers", str(script)) == [("numbers.double_all", "missing"), ("numbers.lift", "right")]


def test_answers_may_be_spread_over_files(check, script, right, book):
    other = book.root / "other.py"
    script.write_text("def double_all(values):\n    return once_more(values)", encoding="utf-8")
    other.write_text(right["numbers.double_all"].replace("double_all", "once_more"), encoding="utf-8")
    assert check(str(script), str(other)) == [("numbers.double_all", "right")]


def test_what_a_kernel_has_run_is_read_instead_of_a_file(check, right):
    history = ["", "import numpy as np", "FLOOR = 1", right["numbers.lift"]]
    assert check("numbers.lift", history=history) == [("numbers.lift", "right")]
    assert check("numbers.double_all", history=history) == [("numbers.double_all", "missing")]


def test_what_came_of_it_is_noted(book, check, script):
    check("numbers.lift", history=["def lift(values): return values"])
    assert Work(book).progress() == {"numbers.lift": Progress(tries=1)}
    check("numbers.lift", str(script))
    check("numbers.lift", history=["def lift(values): return values"])
    assert Work(book).progress() == {"numbers.lift": Progress(tries=3, right=True)}  # right once is right


def test_no_answer_is_no_try(book, check):
    check("numbers.lift", history=["x = 1"])
    check("numbers.lift", history=["def lift(values):\n    raise NotImplementedError"])
    assert Work(book).progress() == {}


def test_a_teacher_asks_more_and_nothing_is_noted(book, check, right):
    shy = right["numbers.double_all"].replace("v + v", "2 * abs(v)")
    assert check("numbers.double_all", history=[shy]) == [("numbers.double_all", "right")]
    noted = Work(book).progress()
    assert check("numbers.double_all", history=[shy], hidden=True) == [("numbers.double_all", "wrong")]
    assert Work(book).progress() == noted


def test_an_answer_in_words_cannot_be_checked(check, book):
    with pytest.raises(UsageError, match=r"answered in words\. Try: compare yours with book exercise solution"):
        check("numbers.why_half")


def test_nothing_to_check_is_no_success(check, script):
    with pytest.raises(UsageError, match=r"no answer to check in my-work\. Try: book exercise start"):
        check()
    script.write_text("x = 1", encoding="utf-8")
    with pytest.raises(UsageError, match=r"no answer to check in mine.py"):
        check(str(script))


def test_a_chapter_that_was_not_started_is_told(check):
    with pytest.raises(UsageError, match=r"exercises.ipynb does not exist. Try: book exercise start 01-numbers"):
        check("numbers.lift")


def test_a_file_of_another_kind_is_told(check, book):
    (book.root / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match=r"notes.txt is neither a notebook"):
        check("notes.txt")


def test_damaged_progress_is_told_before_anything_is_checked(book, check, monkeypatch):
    (book.root / "my-work").mkdir()
    (book.root / "my-work" / "progress.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(answers, "judge", None)
    with pytest.raises(CheckFailed, match=r"progress\.json cannot be read"):
        check("numbers.lift", history=["def lift(values): return values"])


def test_hints_come_one_more_each_time(book):
    first = answers.next_hint(book, "numbers.double_all")
    assert first == "**Hint 1 of 2.** What is added to 3 to get its double?"
    second = answers.next_hint(book, "numbers.double_all")
    assert second.startswith(f"{first}\n\n**Hint 2 of 2.** Go through the list, and build another one.")
    assert "book exercise solution numbers.double_all" in second  # there is no third
    assert answers.next_hint(book, "numbers.double_all") == second
    assert Work(book).progress() == {"numbers.double_all": Progress(hints=2)}


def test_an_exercise_without_hints_leads_to_its_solution(book, sheet, edit):
    edit(sheet, '+++ {"role": "hint"}\n\nWhat undoes a multiplication?\n\n', "")
    assert "Its solution: `book exercise solution numbers.why_half`" in answers.next_hint(book, "numbers.why_half")
    assert Work(book).progress() == {}


def test_a_solution_comes_with_its_explanation(book, exercise):
    shown = answers.solution(book, "numbers.double_all")
    assert shown.startswith(f"```python\n{exercise().solution}\n```\n\nTwice a number is the number added to itself.")
    assert Work(book).progress()["numbers.double_all"].solution


def test_a_solution_comes_with_what_was_measured(book):
    sheet = book.sheets[0]
    sync(sheet, "text")
    notebook = read_notebook(sheet)
    (show,) = (cell for cell in notebook.cells if cell.metadata.get("role") == "show")
    show.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="[2, 4]\n"),
        nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0K\nGgo="}),
    ]
    show.metadata["mystnb"] = {"image": {"alt": "two bars"}}
    write_notebook(sheet, notebook)
    shown = answers.solution(book, "numbers.double_all")
    assert shown.endswith("```python\nprint(double_all([1, 2]))\n```\n\n```\n[2, 4]\n```\n\n[Figure: two bars]")
    drawn = answers.solution(book, "numbers.double_all", figures=True)
    assert drawn.endswith("![two bars](data:image/png;base64,iVBORw0KGgo=)")


def test_a_model_answer_comes_with_its_rubric(book):
    assert answers.solution(book, "numbers.why_half") == (
        "**A model answer**\n\nHalving divides by what doubling has multiplied with.\n\n"
        "**What earns a point**\n\n* 1 point: it says that the one undoes the other."
    )
