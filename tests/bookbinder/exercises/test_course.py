"""An assignment for nbgrader: what is in it, what students get of it, and what they are given for their answers."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bookbinder import kernel
from bookbinder.exercises import notebook
from bookbinder.exercises.audit import leaked
from bookbinder.exercises.course import LATER, assignment, export
from bookbinder.exercises.grading import NotRightError, grade
from bookbinder.exercises.reader import ANSWER_HERE
from bookbinder.exercises.source import read
from bookbinder.manifest import load_book

ROOT = Path(__file__).parents[3]
WHOLE, PART = "01-metrics", "lesson-1"  # two assignments: the chapter, and what a teacher may leave of it
# What each student hands in. The whole chapter is answered once; the rest is seen on its first lesson.
RIGHT, HALF, EMPTY, REPLACED = "right", "half", "empty", "replaced"
UNREAD = "right, before anybody has read the answers in words"
MARK_BY_HAND = """
import sys
from nbgrader.api import Gradebook
assignment, student = sys.argv[1:]
with Gradebook("sqlite:///gradebook.db") as gradebook:
    submission = gradebook.find_submission(assignment, student)
    print(submission.score)
    for notebook in submission.notebooks:
        for grade in notebook.grades:
            if grade.needs_manual_grade:
                grade.manual_score, grade.needs_manual_grade = grade.max_score, False
    gradebook.db.commit()
"""


def by_name(cells) -> dict:
    return {cell.metadata.nbgrader.grade_id: cell for cell in cells if "nbgrader" in cell.metadata}


def test_an_assignment_asks_takes_an_answer_and_gives_points(book, exercise):
    cells = by_name(assignment(book.sheets[0]).cells)
    assert list(cells) == [
        "introduction",
        "setup",
        *("double_all-1", "double_all-answer", "double_all-check", "double_all-hidden"),
        *("lift-1", "lift-2", "lift-answer", "lift-check", "lift-hidden"),
        *("why_half-1", "why_half-answer"),
    ]
    points = {name: cell.metadata.nbgrader.points for name, cell in cells.items() if cell.metadata.nbgrader.grade}
    assert points == {
        "double_all-check": 1,
        "double_all-hidden": 1,
        "lift-check": 2,
        "lift-hidden": 2,
        "why_half-answer": 1,
    }
    assert [name for name, cell in cells.items() if not cell.metadata.nbgrader.locked] == [
        name for name in cells if name.endswith("-answer")
    ]
    assert cells["introduction"].source.startswith("# Exercises: numbers\n\nWrite your answers")
    assert cells["setup"].source == "import numpy as np\n\nfrom bookbinder.exercises.grading import grade"
    assert cells["lift-2"].source == "FLOOR = 2.0"
    assert cells["double_all-answer"].source == exercise().texts("answer")[0]
    assert cells["lift-check"].source == 'grade("numbers.lift")'
    assert 'HIDDEN TESTS\ngrade("numbers.lift", hidden=True)\n### END HIDDEN TESTS' in cells["lift-hidden"].source
    assert cells["why_half-answer"].source == ANSWER_HERE


def test_an_assignment_holds_the_solutions_and_nothing_else_that_is_not_for_students(book):
    cells = assignment(book.sheets[0]).cells
    text = "\n".join(cell.source for cell in cells if not cell.source.startswith("def "))
    for exercise in read(book.sheets[0]):
        assert leaked(exercise, text) == set()
        assert not [hint for hint in exercise.texts("hint") if hint in text]


def test_the_rubric_lies_where_nothing_is_handed_out(book, call):
    code, out, _ = call("course", "export", "01", "--to", "my course")
    assert code == 0
    made = ["source/01-numbers/exercises.ipynb", "rubrics/01-numbers.md", "nbgrader_config.py"]
    assert out.splitlines() == [f"my course/{name} is written" for name in made]
    text = (book.root / "my course" / "rubrics" / "01-numbers.md").read_text(encoding="utf-8")
    assert "## Why a half\n\n`why_half-answer` in the gradebook, ★" in text
    assert "Halving divides by what doubling has multiplied with." in text
    assert "* 1 point: it says that the one undoes the other." in text
    assert "double" not in text.replace("the double of", "").replace("doubling", "")  # only what is answered in words


def test_a_second_export_overwrites_nothing_that_a_teacher_has_changed(book, tmp_path, call, edit):
    sheet, course = book.sheets[0], tmp_path / "course"
    made = export(book, sheet, course)
    assert export(book, sheet, course) == []
    edit(course / "nbgrader_config.py", "120", "60")
    assert export(book, sheet, course) == []
    edit(made[0], '"points": 2', '"points": 5')
    before = made[0].read_bytes()
    code, _, err = call("course", "export", "numbers", "--to", str(course))
    assert code == 2
    assert "exercises.ipynb is there already, and differs. Try: move it away" in " ".join(err.split())
    assert made[0].read_bytes() == before


@pytest.fixture
def answer(book, monkeypatch):
    """A function that lets this process be a kernel in which some cells were run, in the folder of a submission."""
    folder = book.root / "submitted" / "somebody"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return lambda *codes: monkeypatch.setattr(notebook, "_executed", lambda: ["", *codes])


def test_a_right_answer_is_let_pass_and_is_no_reader_s_progress(book, answer, right):
    answer(right["numbers.lift"])
    grade("numbers.lift")
    grade("numbers.lift", hidden=True)
    assert not (book.root / "my-work").exists()


def test_an_answer_that_only_the_hidden_check_refuses(answer):
    answer("def double_all(values):\n    if not values: raise ValueError\n    return [2 * abs(v) for v in values]")
    grade("numbers.double_all")
    with pytest.raises(NotRightError, match=r"^numbers.double_all: not yet\n(.|\n)*negative numbers as well"):
        grade("numbers.double_all", hidden=True)


def test_what_a_student_sees_is_the_report_and_no_path(answer):
    answer("def lift(values):\n    return 7")
    with pytest.raises(AssertionError) as caught:
        grade("numbers.lift")
    shown = caught.value._render_traceback_()
    assert shown[0] == "numbers.lift: not yet"
    assert "  returned  7" in shown
    assert str(ROOT) not in "\n".join(shown)


def test_a_book_that_a_student_hands_in_is_not_asked(book, answer):
    Path("book.toml").write_text("title = 'Everything is right'\nparts = []\n", encoding="utf-8")
    answer("x = 1")
    with pytest.raises(NotRightError, match=r"^numbers.double_all: no answer yet"):
        grade("numbers.double_all")


def test_a_course_that_lies_elsewhere_asks_the_book_that_is_installed(tmp_path):
    assert notebook.book_above(tmp_path) == ROOT


def test_an_answer_that_is_being_checked_asks_for_no_grade(monkeypatch):
    monkeypatch.setattr(notebook, "SANDBOXED", True)
    grade("numbers.nothing")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The real exercises as they are now: grading takes a while, and an author may be at work on them."""
    root = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "book.toml", root)
    (root / "exercises").mkdir()
    for name in ("01-metrics.md", "jupytext.toml"):
        shutil.copy(ROOT / "exercises" / name, root / "exercises")
    return load_book(root)


@pytest.fixture(scope="module")
def nbgrader(copy, tmp_path_factory):
    """A function that calls nbgrader, or a program of ours, in the folder of the course."""
    folder, own = copy.root / "course", tmp_path_factory.mktemp("own")
    folder.mkdir()
    environment = kernel.environment(own)  # in which the network is blocked
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"JUPYTER_CONFIG_DIR": str(own), "JUPYTER_DATA_DIR": str(own), "BOOK_WORK": str(own / "work")}

    def run(*arguments: str) -> str:
        done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def exercises(copy):
    """Those of the chapter."""
    return read(copy.sheets[0])


@pytest.fixture(scope="module")
def course(copy, nbgrader, exercises):
    """The course's folder with both assignments, as students may have them."""
    folder = copy.root / "course"
    whole = export(copy, copy.sheets[0], folder)[0]
    kept = {"introduction", "setup"} | {one.name for one in exercises if one.lesson == exercises[0].lesson}
    part = nbformat.read(whole, as_version=4)
    part.cells = [cell for cell in part.cells if cell.id in kept or cell.id.rpartition("-")[0] in kept]
    (folder / "source" / PART).mkdir()
    nbformat.write(part, folder / "source" / PART / whole.name)
    for name in (WHOLE, PART):
        nbgrader("nbgrader", "generate_assignment", name)
    return folder


def coded(exercises, lesson: str | None = None) -> list:
    return [one for one in exercises if not one.written and one.lesson in (lesson or one.lesson)]


def worth(exercises) -> int:
    return sum(len(one.stars) * (1 if one.written else 2) for one in exercises)


def hand_in(course: Path, student: str, name: str, change) -> None:
    """Let a student change the cells of a released assignment, and hand it in."""
    content = nbformat.read(course / "release" / name / "exercises.ipynb", as_version=4)
    change(content.cells, by_name(content.cells))
    path = course / "submitted" / student / name / "exercises.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(content, path)


def tamper(named: dict) -> None:
    """Make every test cell pass and be worth more, and define another `grade` where the real one is imported."""
    named["setup"].source = "def grade(*names, **options):\n    pass"
    for name, cell in named.items():
        if name.endswith(("-check", "-hidden")):
            cell.source, cell.metadata.nbgrader.points = "pass", 100


def replace(cells: list, named: dict) -> None:
    """Put another `grade` after the cell that imports it: a cell of the student's own, which nobody puts back."""
    cells.insert(2, nbformat.v4.new_code_cell("def grade(*names, **options):\n    pass"))


@pytest.fixture(scope="module")
def graded(course, nbgrader, exercises):
    """What the gradebook exports: each student's score, and how many points there are."""
    part = coded(exercises, exercises[0].lesson)

    def all_right(cells, named):
        for one in exercises:
            named[f"{one.name}-answer"].source = one.texts("model")[0] if one.written else one.solution

    def half_right(cells, named):
        for i, one in enumerate(part):
            named[f"{one.name}-answer"].source = one.solution if i % 2 == 0 else f"def {one.name}(*args):\n    return 7"
        tamper(named)

    hand_in(course, RIGHT, WHOLE, all_right)
    changes = {HALF: half_right, EMPTY: lambda cells, named: None, REPLACED: replace}
    for student, change in changes.items():
        hand_in(course, student, PART, change)
    for name in (WHOLE, PART):
        nbgrader("nbgrader", "autograde", name)
    by_machine = float(nbgrader(sys.executable, "-c", MARK_BY_HAND, WHOLE, RIGHT))
    nbgrader("nbgrader", "generate_feedback", PART)
    nbgrader("nbgrader", "export")
    with open(course / "grades.csv", encoding="utf-8") as file:
        rows = {(row["assignment"], row["student_id"]): row for row in csv.DictReader(file)}
    chosen = {student: rows[WHOLE if student == RIGHT else PART, student] for student in (RIGHT, *changes)}
    scores = {student: (float(row["score"]), float(row["max_score"])) for student, row in chosen.items()}
    return scores | {UNREAD: by_machine}


@pytest.mark.slow
def test_students_get_stubs_and_nothing_that_tells(course, exercises):
    released = sorted(path.relative_to(course).as_posix() for path in (course / "release").rglob("*") if path.is_file())
    assert released == [f"release/{name}/exercises.ipynb" for name in (WHOLE, PART)]
    path = course / "release" / WHOLE / "exercises.ipynb"
    assert " SOLUTION" not in path.read_text(encoding="utf-8")
    assert " HIDDEN TESTS" not in path.read_text(encoding="utf-8")
    cells = by_name(nbformat.read(path, as_version=4).cells)
    text = "\n".join(cell.source for cell in cells.values())
    for exercise in exercises:
        assert leaked(exercise, text) == set()
        assert not [hint for hint in exercise.texts("hint") if hint in text]
        assert cells[f"{exercise.name}-answer"].source == (ANSWER_HERE if exercise.written else exercise.stub)
    hidden = [cell.source for name, cell in cells.items() if name.endswith("-hidden")]
    assert hidden == [LATER] * len(coded(exercises))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_right_answers_get_every_point_and_the_written_ones_wait_for_a_person(graded, exercises):
    assert graded[UNREAD] == worth(coded(exercises))
    assert graded[RIGHT] == (worth(exercises), worth(exercises))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_half_of_the_answers_get_their_half_and_no_answers_get_nothing(graded, exercises):
    part = [one for one in exercises if one.lesson == exercises[0].lesson]
    assert graded[HALF] == (worth(coded(part)[::2]), worth(part))
    assert 0 < graded[HALF][0] < worth(coded(part))
    assert graded[EMPTY] == (0, worth(part))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_feedback_tells_what_went_wrong(graded, course, exercises):
    wrong = coded(exercises, exercises[0].lesson)[1]
    page = (course / "feedback" / HALF / PART / "exercises.html").read_text(encoding="utf-8")
    assert f"{wrong.id}: not yet" in page
    assert f"called    {wrong.name}(" in page
    assert "returned  7" in page
    assert str(ROOT) not in page


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_test_cells_that_a_student_changed_are_put_back(graded, course, exercises):
    first = coded(exercises, exercises[0].lesson)[0]
    given, done = (
        by_name(nbformat.read(course / stage / HALF / PART / "exercises.ipynb", as_version=4).cells)
        for stage in ("submitted", "autograded")
    )
    assert given[f"{first.name}-hidden"].source == given[f"{first.name}-check"].source == "pass"
    assert done["setup"].source.endswith("import grade")
    assert done[f"{first.name}-check"].source == f'grade("{first.id}")'
    assert f'grade("{first.id}", hidden=True)' in done[f"{first.name}-hidden"].source
    assert done[f"{first.name}-check"].metadata.nbgrader.points == len(first.stars)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_grade_that_a_student_replaced_is_found_from_outside(graded, course, exercises, call, monkeypatch):
    monkeypatch.chdir(course)
    part = coded(exercises, exercises[0].lesson)
    assert graded[REPLACED][0] == worth(part)  # nbgrader believes the student's kernel
    for student, result in ((REPLACED, "no answer yet"), (HALF, "right")):
        path = course / "submitted" / student / PART / "exercises.ipynb"
        code, out, _ = call("exercise", "check", "--hidden", *(one.id for one in part), str(path))
        assert code == 1
        assert f"{part[0].id}: {result}" in out
    assert out.count(": right, in") == len(part[::2])
