import json

import pytest
from bookbinder.checks import Source, check_book, exercises_are_current
from bookbinder.exercises import audit, reader
from bookbinder.exercises.source import read


@pytest.fixture
def one_seed(monkeypatch):
    """Most mistakes show with one seed, in a third of the time."""
    monkeypatch.setattr(audit, "SEEDS", (0,))


@pytest.fixture
def found(exercise, one_seed):
    """A function that audits one exercise and returns what is wrong with it."""
    return lambda name="numbers.double_all": [problem.what for problem in audit.audit_one(exercise(name))[1]]


def test_an_exercise_in_order_passes(exercise):
    row, problems = audit.audit_one(exercise())
    assert problems == []
    assert (row.solution, row.stub, row.trivial, row.mutants, row.killed) == (3, 0, 0, 2, 2)
    assert audit.shown(row) == ("passes 3 of 3 seeds", "passes 0 of 2 checks", "0 accepted", "2 of 2")


def test_an_exercise_in_words_has_only_its_hints_audited(exercise):
    row, problems = audit.audit_one(exercise("numbers.why_half"))
    assert problems == []
    assert row.written
    assert audit.shown(row)[0] == "in words"


def test_a_solution_that_fails_with_one_seed_of_three_is_found(exercise, sheet, edit):
    right = "[number + number for number in drawn]"
    edit(sheet, f"equals={right}", f"equals=None if rng.bit_generator.seed_seq.entropy == 2 else {right}")
    row, problems = audit.audit_one(exercise())
    failed = [problem.what for problem in problems if "the solution does not pass" in problem.what]
    assert row.solution == 2
    assert [what.split(":")[1] for what in failed] == [" the solution does not pass with seed 2"]


def test_a_stub_that_passes_is_found(found, sheet, edit):
    edit(sheet, "    many = rng.int", "    return\n    many = rng.int")
    assert "numbers.double_all: the stub passes hidden_check" in found()


def test_a_constant_that_passes_is_found(found, sheet, edit):
    edit(sheet, "equals=np.array([2.0, 5.0])", "equals=np.zeros(2)")
    edit(sheet, "    expect(answer(drawn), equals=expected", "    expect(answer(drawn) * 0, equals=np.zeros(2)")
    assert any("an answer that always returns array([0., 0.]) passes check" in what for what in found("numbers.lift"))


def test_a_check_that_asks_for_one_value_accepts_that_value_always(found, sheet, edit):
    edit(sheet, "    expect(answer(drawn), equals=expected", "    expect(1, equals=1")
    what = "numbers.lift: an answer that always returns array([2., 5.]) passes check"
    assert what in found("numbers.lift")


def test_the_identity_that_passes_is_found(found, sheet, edit):
    edit(sheet, "expect(answer(np.array([1.0, 5.0])), equals=np.array([2.0, 5.0])", "expect(answer(7.0), equals=7.0")
    edit(sheet, "drawn = rng.normal(size=6) * 9", "drawn = rng.uniform(2, 9, 6)")
    assert "numbers.lift: an answer that returns its first argument passes check" in found("numbers.lift")


def test_all_arguments_given_back_are_found(exercise):
    with audit.Judge(exercise()) as verdict_on:
        answers = list(audit.trivial_answers(exercise(), lambda answer, rng: answer([1]), verdict_on.sandbox))
    described = [text for text, _ in answers]
    assert described[-3:] == ["always returns [2]", "returns its first argument", "returns all its arguments"]
    assert answers[-1][1](1, 2, key=3) == (1, 2, 3)


def test_an_answer_that_ends_its_process_does_not_end_the_audit(exercise):
    with audit.Judge(exercise()) as verdict_on:
        before = verdict_on.sandbox
        assert verdict_on("solution", exercise().solution, "check", 0).result == "right"
        assert verdict_on.sandbox is before
        ending = f"import os\ndef {exercise().name}(*args):\n    os._exit(0)"
        assert verdict_on("mutant", ending, "check", 0).result == "wrong"
        assert verdict_on("solution", exercise().solution, "hidden", 1).result == "right"
        assert verdict_on.sandbox is not before


def test_a_mutant_that_survives_is_found(found, sheet, edit):
    edit(sheet, '    expect_error(ValueError, answer, [], look="without numbers there is nothing to return")\n', "")
    what = "numbers.double_all: the check accepts the mutant 'it returns an empty list where it has to refuse'"
    assert what in found()


def test_a_mutant_that_only_the_hidden_check_refuses_survives(found, sheet, edit):
    line = '    expect_error(ValueError, answer, [], look="without numbers there is nothing to return")\n'
    edit(sheet, line, "")
    edit(sheet, "    many = rng", f"{line}    many = rng")
    assert any("the check accepts the mutant" in what for what in found())


def test_a_mutant_of_another_name_is_found(found, sheet, edit):
    edit(sheet, "def lift(values):\n    return np.minimum", "def left(values):\n    return np.minimum")
    assert found("numbers.lift") == [
        "numbers.lift: the mutant 'it cuts at the other end' does not define lift",
    ]


@pytest.mark.parametrize("code", ["return np.minimum(values,", "1 / 0"])
def test_a_mutant_that_does_not_even_run_refutes_nothing(found, sheet, edit, code):
    edit(sheet, "def lift(values):\n    return np.minimum(values, FLOOR)", f"def lift(values):\n    pass\n{code}")
    assert any(
        "the mutant 'it cuts at the other end' fails before it is called" in what for what in found("numbers.lift")
    )


def test_a_check_that_expects_what_the_answer_says_is_found(found, sheet, edit):
    edit(sheet, "expect(answer(drawn), equals=expected", "expect(answer(drawn), equals=answer(drawn)")
    assert any("check: expect in line 8 expects what comes from the answer" in what for what in found("numbers.lift"))


def test_a_check_that_does_not_run_is_told_with_the_other_problems(book, one_seed, sheet, edit):
    edit(sheet, "    drawn = rng.normal", "    drawn = = rng.normal")
    reader.refresh(book.sheets[0])
    _, problems = audit.audit(book, read(book.sheets[0]), jobs=1, notify=lambda row: None)
    (problem,) = problems
    assert problem.what.startswith("numbers.lift: its check fails by itself: SyntaxError")
    assert '"numbers.lift"' in sheet.read_text(encoding="utf-8").splitlines()[problem.line - 1]


HINTS = [  # what a hint is replaced by, and what is said of it
    ("Write\n\n    return  [2 * value for value in values]", "hint 2 holds the solution's line 'return [2 * value"),
    ("Try `return [2 * value for value in values]`.", "hint 2 holds the solution's line"),
    ("```python\nreturn [2 * value for value in values]\n```", "hint 2 holds the solution's line"),
]


@pytest.mark.parametrize(("hint", "message"), HINTS)
def test_a_hint_that_tells_the_solution_is_found(exercise, sheet, edit, hint, message):
    edit(sheet, "Go through the list, and build another one.", hint)
    (problem,) = audit.hints_that_tell(exercise())
    assert message in problem.what


def test_a_hint_may_name_what_the_stub_shows(exercise, sheet, edit):
    edit(sheet, "Go through the list, and build another one.", "Begin with `def double_all(values):`, and `else:`.")
    assert list(audit.hints_that_tell(exercise())) == []


def test_a_hint_that_is_the_model_answer_is_found(exercise, sheet, edit):
    edit(sheet, "What undoes a multiplication?", "Halving divides by what doubling has multiplied with.")
    (problem,) = audit.hints_that_tell(exercise("numbers.why_half"))
    assert "hint 1 stands in the model answer" in problem.what


def test_an_exercise_that_its_lesson_does_not_list_is_found(book, exercise, edit):
    lesson = book.lessons[1]
    assert list(audit.unreferenced(book, exercise("numbers.lift"))) == []
    edit(lesson.text, "(★★, 10 minutes)", "(★★, 15 minutes)")
    (problem,) = audit.unreferenced(book, exercise("numbers.lift"))
    assert problem.file == "chapters/01-numbers/02-second.md"
    assert "1. Nothing below the floor (★★, 10 minutes): `numbers.lift`" in problem.attempt


def test_an_exercise_of_no_lesson_is_found(book, exercise, sheet, edit):
    edit(sheet, '"lesson": "02-second"', '"lesson": "03-third"')
    (problem,) = audit.unreferenced(book, exercise("numbers.lift"))
    assert "its lesson '03-third' is none of the chapter's" in problem.what


SECRETS = [
    "    return [2 * value for value in values]",  # the solution
    "    many = rng.integers(-1000, 1000, 20).tolist()",  # the hidden check
    "[value + 2 for value in values]\n    return [value + 2   for value in values]",  # a mutant, spaced otherwise
    "Twice a number is the number added to itself.",  # the explanation
]


@pytest.mark.parametrize("line", SECRETS)
def test_what_a_reader_should_not_see_is_found_in_the_notebook(book, exercise, line):
    path = book.sheets[0].for_readers
    reader.refresh(book.sheets[0])
    assert list(audit.leaks(exercise())) == []
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][3]["source"] = ["# a remark\n", f"{line}\n"]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (problem,) = audit.leaks(exercise())
    assert problem.what.startswith("numbers.double_all: it holds ")
    assert problem.file == "notebooks/01-numbers/exercises.ipynb"
    assert problem.attempt == "book sync exercises/01-numbers"


def test_a_secret_in_an_output_or_in_the_metadata_is_found(book, exercise):
    path = book.sheets[0].for_readers
    notebook = reader.notebook_of(book.sheets[0])
    notebook.cells[1].metadata["note"] = "Halving divides by what doubling has multiplied with."
    path.parent.mkdir(parents=True)
    path.write_text(reader.dumped(notebook), encoding="utf-8")
    assert len(list(audit.leaks(exercise("numbers.why_half")))) == 1


def test_lines_that_the_reader_is_given_are_no_secret(exercise):
    text = "\n".join(
        [exercise().stub, *exercise().given, *exercise().texts("check"), "import numpy as np", ")", "else:"]
    )
    assert audit.leaked(exercise(), text) == set()


def test_a_missing_or_damaged_notebook_for_readers_is_found(book, exercise):
    (problem,) = audit.leaks(exercise())
    assert problem.what == "the readers' notebook does not exist"
    path = book.sheets[0].for_readers
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    (problem,) = audit.leaks(exercise())
    assert "is damaged" in problem.what


def test_the_result_is_the_same_bytes_every_time(book, one_seed):
    reader.refresh(book.sheets[0])
    seen, path = [], audit.path_of(book)
    assert audit.audit_all(book, jobs=2, notify=seen.append) == []
    stored = path.read_bytes()
    assert [row["id"] for row in json.loads(stored)["rows"]] == [
        "numbers.double_all",
        "numbers.lift",
        "numbers.why_half",
    ]
    assert [row.id for row in seen] == [row["id"] for row in json.loads(stored)["rows"]]
    assert audit.audit_all(book, jobs=1, notify=seen.append) == []
    assert path.read_bytes() == stored


def test_nothing_is_stored_while_something_is_wrong(book, sheet):
    text = sheet.read_text(encoding="utf-8")
    begin, end = text.index('+++ {"id": "numbers.double_all"'), text.index('+++ {"id": "numbers.why_half"')
    sheet.write_text(text[:begin] + text[end:], encoding="utf-8")  # an exercise in words is audited quickly
    (problem,) = audit.audit_all(book, jobs=1, notify=lambda row: None)
    assert problem.what == "the readers' notebook does not exist"
    assert not audit.path_of(book).exists()


@pytest.fixture
def current(book):
    """The book with everything that is derived from its exercises."""
    reader.refresh(book.sheets[0])
    audit.store(book, [])
    return book


def stale(book) -> list[str]:
    return [problem.what for problem in exercises_are_current(Source(book, book.sheets[0]))]


def test_what_is_derived_from_the_exercises_is_current(current):
    assert stale(current) == []


def test_an_edit_of_the_exercises_makes_notebook_and_audit_stale(current, sheet, edit):
    edit(sheet, "which returns a list", "which returns a new list")
    assert stale(current) == [
        "the readers' notebook is not what the exercises give",
        "exercises or library have changed since the audit",
    ]


def test_an_edit_of_a_mutant_makes_only_the_audit_stale(current, sheet, edit):
    edit(sheet, "value + 2 for", "value + 3 for")
    assert stale(current) == ["exercises or library have changed since the audit"]


def test_an_edit_of_the_library_makes_the_audit_stale(current, sheet, edit):
    edit(sheet, "import numpy as np\n", "import numpy as np\nfrom small.numbers.double import double\n")
    reader.refresh(current.sheets[0])
    audit.store(current, [])
    assert stale(current) == []
    edit(current.root / "lib" / "small" / "numbers" / "basic.py", "x + y", "y + x")
    assert stale(current) == ["exercises or library have changed since the audit"]


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_missing_or_damaged_result_is_stale(current, content):
    path = audit.path_of(current)
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    assert stale(current) == ["exercises or library have changed since the audit"]


@pytest.mark.parametrize("content", [None, "{"])
def test_a_missing_or_damaged_notebook_for_readers_is_stale(current, content):
    path = current.sheets[0].for_readers
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    assert stale(current) == ["the readers' notebook is not what the exercises give"]


def test_code_that_is_no_python_stops_no_check(current, sheet, edit):
    edit(sheet, "return np.minimum(values, FLOOR)", "return np.minimum(values")
    assert stale(current) == ["exercises or library have changed since the audit"]


def test_exercises_without_a_run_are_told_by_the_check_of_the_book(current):
    (problem,) = check_book(current, (current.sheets[0],))
    assert str(problem).endswith("Try: book run exercises/01-numbers")
