import pytest
from bookbinder.errors import CheckFailed, UsageError
from bookbinder.exercises.source import find, read, read_all


def test_an_exercise_is_read_from_the_text(exercise):
    found = exercise("numbers.lift")
    assert (found.name, found.lesson, found.stars, found.minutes) == ("lift", "02-second", "★★", 10)
    assert found.title == "Nothing below the floor"
    assert found.prompt.startswith("Write `lift(values)`")
    assert found.given == ["import numpy as np", "FLOOR = 2.0"]
    assert [wrong for wrong, _ in found.mutants] == ["it cuts at the other end", "the floor is zero"]
    assert not found.written
    assert exercise("numbers.why_half").written


def test_the_solution_comes_without_its_marks_and_the_stub_without_the_solution(exercise):
    found = exercise()
    assert found.solution.splitlines()[2:] == [
        "    if not values:",
        '        raise ValueError("there is nothing to double")',
        "    return [2 * value for value in values]",
    ]
    assert found.stub == (
        'def double_all(values):\n    """Every value, twice as large."""\n'
        "    # your code here\n    raise NotImplementedError"
    )


def test_the_exercises_of_the_book_come_in_its_order(book):
    assert [exercise.id for exercise in read_all(book)] == [
        "numbers.double_all",
        "numbers.lift",
        "numbers.why_half",
    ]


def test_an_unknown_id_names_those_that_are_close_to_it(book):
    with pytest.raises(UsageError, match=r"no exercise is called 'numbers.double'. Try: numbers.double_all or book"):
        find(book, "numbers.double")
    with pytest.raises(UsageError, match="Try: book exercise list"):
        find(book, "words.nothing_like_it")


HIDDEN = """def hidden_check(answer, rng):
    expect(answer(np.array([2.0, -7.0, 3.0])), equals=np.array([2.0, 2.0, 3.0]), look="on the floor is not below it")
    expect(answer(np.array([-1.0])), equals=np.array([2.0]), look="one number is enough")
"""
MISTAKES = [  # what an author does wrong, and what is said of it
    ("What undoes a multiplication?", "### A thought\n\nWhat undoes it?", "a heading stands in a text that is folded"),
    ('"id": "numbers.lift"', '"id": "numbers.double_all"', "the id 'numbers.double_all' is used 2 times"),
    ('"id": "numbers.lift"', '"id": "words.lift"', "the id is not of the form numbers.some_name"),
    ('"id": "numbers.lift", ', "", "Nothing below the floor: the id is not of the form"),
    ('"lesson": "02-second"', '"lesson": "the second"', "the lesson 'the second' is not of the form 01-some-words"),
    ('"lesson": "02-second", ', "", "the lesson '' is not of the form"),
    ('"stars": 2', '"stars": 4', "numbers.lift: stars must be 1 to 3"),
    ('"stars": 2', '"stars": "two"', "numbers.lift: stars must be 1 to 3"),
    ('"stars": 2', '"stars": -1', "numbers.lift: stars must be 1 to 3"),
    ('"role": "prompt", "stars": 2', '"role": "prompt"', "numbers.lift: stars must be 1 to 3"),
    ('"minutes": 10', '"minutes": "ten"', "numbers.lift: stars must be 1 to 3 and minutes 1 to 120"),
    ('"minutes": 10', '"minutes": 0', "minutes 1 to 120"),
    ("## Nothing below", "Nothing below", "the prompt has no heading"),
    (":role: given", ":role: gift", "the role 'gift' of a code cell is none of prompt, given"),
    (":role: given\n", "", "the role None of a code cell is none of"),
    (":role: mutant\n:wrong: it adds two", ":role: hint", "the role 'hint' of a code cell is none of"),
    ('{"role": "rubric"}', '{"role": ["rubric"]}', "the role ['rubric'] of a markdown cell is none of"),
    (":role: setup\n", "", "a code cell before the first exercise has the role None"),
    (":role: setup", ":role: given", "a code cell before the first exercise has the role 'given'"),
    ("# Exercises: numbers\n\nAnswer in the cells that wait for it.\n", "", "no text introduces the exercises"),
    ("BEGIN SOLUTION\n    if", "START SOLUTION\n    if", "the answer has no solution between ### BEGIN SOLUTION"),
    ("END SOLUTION", "END OF IT", "the answer has no solution"),
    (
        "def lift(values):\n    ### BEGIN SOLUTION\n    return np.maximum(values, FLOOR)\n    ### END SOLUTION",
        "### BEGIN SOLUTION\ndef lift(values):\n    return np.maximum(values, FLOOR)\n### END SOLUTION",
        "a solution stands outside a function",
    ),
    (
        "def lift(values):\n    ### BEGIN SOLUTION\n    return np.maximum(values, FLOOR)\n",
        "class lift:\n    ### BEGIN SOLUTION\n    def __init__(self, values):\n        self.values = values\n",
        "a solution stands outside a function",
    ),
    (":wrong: it adds two\n", "", "a mutant does not say what is wrong with it"),
    (
        "```{code-cell} ipython3\n:role: mutant\n:wrong: it adds two\n\n",
        '+++ {"role": "explain"}\n\n```\n',
        "1 cells with the role 'mutant'; it takes 2 to 9",
    ),
    (":role: hidden", ":role: show", "0 cells with the role 'hidden'; it takes 1 to 3"),
    (":role: check", ":role: show", "0 cells with the role 'check'; it takes 1 to 3"),
    ("Twice a number is the number added to itself.", "", "0 cells with the role 'explain'; it takes 1"),
    (HIDDEN, "", "0 cells with the role 'hidden'; it takes 1 to 3"),
    ("Go through the list, and build another one.", "", "a text with the role 'hint' is empty"),
    ("Compare each number with the floor.", "", "0 cells with the role 'hint'; it takes 1 to 3"),
    ("* 1 point: it says that the one undoes the other.", "", "0 cells with the role 'rubric'; it takes 1"),
    ("Halving divides by what doubling has multiplied with.", "", "0 cells with the role 'model'; it takes 1"),
    ('{"role": "hint"}\n\nWhat undoes', '{"role": "explain"}\n\nWhat undoes', "'explain' has no place in it"),
    ('{"role": "explain"}\n\nThe larger', '{"role": "model"}\n\nThe larger', "'model' has no place in it"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[f"{i}: {m[2][:40]}" for i, m in enumerate(MISTAKES)])
def test_a_mistake_in_an_exercise_is_named(book, sheet, edit, old, new, message):
    edit(sheet, old, new)
    with pytest.raises(CheckFailed) as caught:
        read(book.sheets[0])
    assert message in str(caught.value)
    assert str(caught.value).startswith("exercises/01-numbers.md: ")


def test_every_mistake_is_named_at_once(book, sheet, edit):
    edit(sheet, '"stars": 2', '"stars": 0')
    edit(sheet, "## Why a half", "Why a half")
    with pytest.raises(CheckFailed) as caught:
        read(book.sheets[0])
    assert len(str(caught.value).splitlines()) == 2


def test_a_text_without_exercises_is_refused(book, sheet):
    sheet.write_text(sheet.read_text(encoding="utf-8").partition("+++")[0], encoding="utf-8")
    with pytest.raises(CheckFailed, match="there is no exercise in it"):
        read(book.sheets[0])


def test_the_methods_of_a_class_have_a_solution_each(book, sheet, edit, exercise):
    old = "def lift(values):\n    ### BEGIN SOLUTION\n    return np.maximum(values, FLOOR)\n    ### END SOLUTION\n"
    part = "        ### BEGIN SOLUTION\n        self.{0} = {0}\n        ### END SOLUTION\n"
    methods = [f"    def {name}(self, {name}):\n{part.format(name)}" for name in ("one", "two")]
    edit(sheet, old, "class lift:\n" + "\n".join(methods))
    answer = next(one for one in read(book.sheets[0]) if one.name == "lift")
    loaded: dict = {"np": None, "FLOOR": 0}
    exec(answer.stub, loaded)  # the reader runs the cell before anything is written
    with pytest.raises(NotImplementedError):
        loaded["lift"]().two(2)
    assert [line.strip() for line in answer.solution_lines] == ["self.one = one", "self.two = two"]
