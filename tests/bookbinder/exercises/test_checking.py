import pytest
from bookbinder.errors import CheckFailed
from bookbinder.exercises.cells import Cell
from bookbinder.exercises.checking import examine, judge


def judged(exercise, *codes, **options):
    return judge(exercise, [Cell(f"In [{i}]", code) for i, code in enumerate(codes, start=1)], **options)


def test_a_right_answer_in_other_words_is_right(exercise, right):
    verdict = judged(exercise(), right["numbers.double_all"])
    assert (verdict.result, verdict.calls) == ("right", 3)
    assert str(verdict) == "numbers.double_all: right, in 3 calls"
    assert judged(exercise("numbers.lift"), right["numbers.lift"]).result == "right"


def test_the_calls_of_all_seeds_are_counted(exercise, right):
    assert judged(exercise(), right["numbers.double_all"], seeds=(0, 1)).calls == 6


def test_an_answer_counts_also_where_something_given_has_its_name(exercise, right, sheet, edit):
    edit(sheet, "FLOOR = 2.0", "FLOOR = 2.0\nlift = None")
    assert judged(exercise("numbers.lift"), right["numbers.lift"]).result == "right"


def test_the_hidden_check_looks_further(exercise):
    positive = "def double_all(values):\n    if not values:\n        raise ValueError\n"
    positive += "    return [2 * abs(value) for value in values]"
    assert judged(exercise(), positive).result == "right"
    verdict = judged(exercise(), positive, part="hidden")
    assert verdict.result == "wrong"
    assert "look at   negative numbers as well" in verdict.lines


def test_a_wrong_answer_is_told_what_was_called_what_came_back_and_what_was_expected(exercise):
    verdict = judged(exercise(), "def double_all(values):\n    print('here I am')\n    return values")
    heading, *lines = str(verdict).splitlines()
    assert heading == "numbers.double_all: not yet"
    facts = [line.strip() for line in lines]
    assert facts[:3] == ["called    double_all([3, 1])", "returned  [3, 1]", "expected  [6, 2]"]
    assert facts[-2:] == ["look at   two times three is six", "printed   here I am"]
    assert verdict.calls == 1


def test_an_error_is_told_with_its_line(exercise):
    verdict = judged(exercise(), "def double_all(values):\n    return values / 2")
    assert verdict.lines[0] == "called    double_all([3, 1])"
    assert verdict.lines[1].startswith("raised    TypeError: unsupported operand")
    assert verdict.lines[1].endswith("In [1], line 2: return values / 2")


def test_no_answer_is_told_as_such(exercise):
    verdict = judged(exercise(), "x = 1")
    assert verdict.result == "missing"
    assert verdict.lines == ["nothing is called double_all. Try: define it in a cell, and run that cell"]


def test_a_stub_is_no_answer_yet(exercise):
    for name in ("numbers.double_all", "numbers.lift"):
        verdict = judged(exercise(name), exercise(name).stub)
        assert verdict.result == "missing"
        assert "it is still to be written" in verdict.lines[0]


def test_a_stub_is_no_answer_yet_where_the_check_begins_with_an_error(exercise, sheet, edit):
    begin = "def check(answer, rng):\n    expect(answer([3, 1])"
    first = 'def check(answer, rng):\n    expect_error(ValueError, answer, [], look="empty")\n    expect(answer([3, 1])'
    edit(sheet, begin, first)
    assert judged(exercise(), exercise().stub).result == "missing"


def test_a_mistake_in_a_cell_that_the_answer_needs_is_shown(exercise, right):
    verdict = judged(exercise(), "def half(x:\n    pass", right["numbers.double_all"] + "\nhalf(1)")
    assert verdict.result == "wrong"
    assert "SyntaxError" in verdict.lines[0]
    assert "In [1], line 1: def half(x:" in verdict.lines[0]


def test_the_cell_of_an_answer_may_ask_for_its_check(exercise, right):
    helpers = "from bookbinder.exercises.notebook import check, hint, solution"
    cell = f"{right['numbers.double_all']}\ncheck('numbers.double_all')\nhint('numbers.double_all')"
    assert judged(exercise(), helpers, cell).result == "right"


def test_a_mistake_in_any_other_cell_makes_no_difference(exercise, right):
    verdict = judged(exercise(), "def half(x:\n    pass", "1 / 0", right["numbers.double_all"])
    assert verdict.result == "right"


def test_a_report_holds_nothing_of_the_exercise_before(exercise, right):
    assert judged(exercise(), right["numbers.double_all"]).calls == 3
    verdict = judged(exercise("numbers.lift"), "def lift(values:\n    pass")
    assert verdict.calls == 0
    assert not any("double_all" in line for line in verdict.lines)


def test_an_answer_that_is_no_function_is_told(exercise):
    assert judged(exercise(), "double_all = [6, 2]").lines == ["raised    double_all is [6, 2], and no function"]


def test_a_helper_of_the_same_name_as_something_given_is_not_needed(exercise, right):
    changed = "FLOOR = -100.0"  # the reader played with what is given; the check does not
    assert judged(exercise("numbers.lift"), changed, right["numbers.lift"]).result == "right"


def test_a_value_of_another_kind_is_told_and_not_raised(exercise, sheet, edit):
    edit(sheet, "expect(answer([3, 1]), equals", "expect(answer([3, 1])['both'], equals")
    verdict = judged(exercise(), "def double_all(values):\n    return None")
    assert "the check could not use it (TypeError" in str(verdict)


def test_a_check_that_is_broken_by_itself_blames_the_book(exercise, sheet, edit):
    edit(sheet, "    drawn = rng.normal", "    drawn = = rng.normal")
    with pytest.raises(CheckFailed, match=r"numbers.lift: its check fails by itself: SyntaxError"):
        judged(exercise("numbers.lift"), "def lift(values): pass")


def test_a_check_without_its_function_blames_the_book(exercise, sheet, edit):
    edit(sheet, "def hidden_check(answer, rng):\n    many", "def hidden(answer, rng):\n    many")
    with pytest.raises(CheckFailed, match=r"does not define hidden_check\(answer, rng\)"):
        judged(exercise(), "def double_all(values): pass", part="hidden")


def test_equal_seeds_ask_equal_questions():
    seen = []
    for seed in (0, 0, 1):
        examine(lambda answer, rng: answer(rng.integers(1000, size=3).tolist()), seen.append, seed)
    assert seen[0] == seen[1] != seen[2]


def test_an_error_that_the_check_overlooks_is_told_at_its_end(exercise, sheet, edit):
    last = "    expect_error(ValueError, answer, [], look="
    edit(sheet, last, f"    answer([])\n{last}")
    verdict = judge(exercise(), [Cell("answer", exercise().solution)])
    assert verdict.result == "wrong"
    assert any("there is nothing to double" in line for line in verdict.lines)
