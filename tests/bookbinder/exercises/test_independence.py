import textwrap

import pytest
from bookbinder.exercises.independence import self_references

HELPERS = """
memory = {}

def run(function, value):
    return function(value)

def right(value):
    return 2 * value

def remember(function, value):
    memory[value] = function(value)

def alike(first, second, /):
    return first == second

def same(first, second):
    return first == second

def all_the_same(*results):
    return results[0] == results[-1]

def expect_double(function, *values):
    for value in values:
        expect(function(value), equals=2 * value, look="")

def is_sorted(values):
    return values == sorted(values)
"""


def read(body, head="def check(answer, rng):"):
    return self_references(f"{HELPERS}\n{head}\n{textwrap.indent(textwrap.dedent(body), '    ')}", "check", "double")


DEPENDENT = {  # what each check expects comes from the answer
    "itself": 'expect(answer(1), equals=answer(1), look="")',
    "a variable": 'e = answer(1)\nexpect(answer(1), equals=e, look="")',
    "an annotated variable": 'e: int = answer(1)\nexpect(answer(1), equals=e, look="")',
    "a sum": 'e = 0\ne += answer(1)\nexpect(answer(1), equals=e, look="")',
    "a list's append": 'e = []\ne.append(answer(1))\nexpect(answer(1), equals=e[0], look="")',
    "a list's extend": 'e = []\ne.extend(answer(v) for v in (1, 2))\nexpect(answer(1), equals=e[0], look="")',
    "a dictionary's item": 'e = {}\ne["a"] = answer(1)\nexpect(answer(1), equals=e["a"], look="")',
    "a dictionary's update": 'e = {}\ne.update(a=answer(1))\nexpect(answer(1), equals=e["a"], look="")',
    "a dictionary": 'e = {"a": answer(1)}\nexpect(answer(1), equals=e["a"], look="")',
    "a dictionary made in a loop": 'e = {v: answer(v) for v in (1, 2)}\nexpect(answer(1), equals=e[1], look="")',
    "a comprehension": 'e = [answer(v) for v in (1, 2)]\nexpect(answer(1), equals=e[0], look="")',
    "a name in a comprehension": 'e = [f(1) for f in (answer,)]\nexpect(answer(1), equals=e[0], look="")',
    "map": 'expect(answer(1), equals=next(map(answer, [1])), look="")',
    "a helper": 'expect(answer(1), equals=run(answer, 1), look="")',
    "a helper's keyword": 'expect(answer(1), equals=run(function=answer, value=1), look="")',
    "a helper inside": 'def ask(v):\n    return answer(v)\nexpect(answer(1), equals=ask(1), look="")',
    "what a helper remembers": 'remember(answer, 1)\nexpect(answer(1), equals=memory[1], look="")',
    "a lambda": 'ask = lambda v: answer(v)\nexpect(answer(1), equals=ask(1), look="")',
    "another name": 'other = answer\nexpect(answer(1), equals=other(1), look="")',
    "one of two names": 'e, f = answer(1), 2\nexpect(answer(1), equals=e, look="")',
    "an unpacked result": 'e, *f = answer(1)\nexpect(answer(1), equals=f, look="")',
    "a walrus": 'expect((e := answer(1)), equals=e, look="")',
    "an attribute": 'box.value = answer(1)\nexpect(answer(1), equals=box.value, look="")',
    "a loop": 'for e in answer([1]):\n    expect(answer(1), equals=e, look="")',
    "a loop over pairs": 'for v, e in zip((1,), answer([1])):\n    expect(answer(v), equals=e, look="")',
    "a numbered loop": 'for i, e in enumerate(answer([1])):\n    expect(answer(i), equals=e, look="")',
    "a table": 'for v, e in ((1, answer(1)), (2, 4)):\n    expect(answer(v), equals=e, look="")',
    "a with": 'with answer(1) as e:\n    expect(answer(1), equals=e, look="")',
    "NumPy": 'expect(answer(1), equals=np.asarray(answer(1)), look="")',
    "the tolerance": 'expect(answer(1), equals=2, within=abs(answer(1)), look="")',
    "another spelling of expect": 'expecting.expect(answer(1), equals=answer(1), look="")',
    "two results": 'require(answer(1) == answer(1), that="", look="")',
    "two results, in one comparison of three": 'require(answer(1) == 2 == answer(1), that="", look="")',
    "two variables": 'a = answer(1)\nb = answer(1)\nrequire(a == b, that="", look="")',
    "two items": 'r = [answer(1), answer(1)]\nrequire(r[0] == r[1], that="", look="")',
    "two items of a list that grew": 'r = []\nr.append(answer(1))\nrequire(r[0] == r[-1], that="", look="")',
    "two items of a comprehension": 'r = [answer(v) for v in (1, 2)]\nrequire(r[0] == r[1], that="", look="")',
    "a name with two meanings": 'r = answer(1)\nr = [r, *answer(2)]\nrequire(r[0] == r[1], that="", look="")',
    "one of a list": 'require(answer(1) in [answer(1)], that="", look="")',
    "a difference of two results": 'expect(answer(1) - answer(1), equals=0, look="")',
    "a quotient of two results": 'a, b = answer(1), answer(1)\nrequire(a / b > 0.99, that="", look="")',
    "two results in NumPy": 'require(np.allclose(answer(1), answer(1)), that="", look="")',
    "two results in math": 'require(math.isclose(a=answer(1), b=answer(1)), that="", look="")',
    "two results in a helper": 'require(alike(answer(1), answer(1)), that="", look="")',
    "two results by name": 'require(same(first=answer(1), second=answer(1)), that="", look="")',
    "any number of results": 'require(all_the_same(answer(1), answer(2)), that="", look="")',
    "two results in a lambda": 'same = lambda a, b: a == b\nrequire(same(answer(1), answer(1)), that="", look="")',
    "unpacked into a helper": 'pair = answer(1), answer(1)\nrequire(alike(*pair), that="", look="")',
    "nothing of the answer": 'expect(right(1), equals=2, look="")',
    "an error of something else": 'expect_error(ValueError, right, 1, look="")',
    "an error for a result": 'expect_error(ValueError, answer, answer(1), look="")',
    "the reader's name": 'expect(answer(1), equals=double(1), look="")',
    "a bare assert": 'expect(answer(1), equals=2, look="")\nassert answer(1) == 2',
    "an assert of NumPy": 'expect(answer(1), equals=2, look="")\nnp.testing.assert_allclose(answer(1), 2)',
    "nothing": "answer(1)",
    "another name for expect": 'from x import expect as e\nexpect(answer(1), equals=2, look="")',
}


@pytest.mark.parametrize("body", DEPENDENT.values(), ids=DEPENDENT)
def test_a_check_that_depends_on_the_answer_is_found(body):
    assert read(body)


INDEPENDENT = {  # fair checks
    "a step within one result": 'r = answer([1, 2])\nexpect(r[1] - r[0], equals=2, look="")',
    "a number": 'expect(answer(1), equals=2, look="")',
    "a helper of its own": 'expect(answer(1), equals=right(1), look="")',
    "a variable of its own": 'e = right(1)\nexpect(answer(1), equals=e, look="")',
    "a part of the result": 'expect(answer([1, 2])[0], equals=2, look="")',
    "a result by steps": 'got = answer([1, 2])\nlast = got[-1]\nexpect(last + 1, equals=5, look="")',
    "what the result comes to": 'expect(sum(answer([1, 2])), equals=6, look="")',
    "got and right in one line": 'got, e = answer(1), 2\nexpect(got, equals=e, look="")',
    "a table": 'for v, e in ((1, 2), (2, 4)):\n    expect(answer(v), equals=e, look="")',
    "a table of results": 'for got, e in ((answer(1), 2), (answer(2), 4)):\n    expect(got, equals=e, look="")',
    "kept by its argument": (
        'got = {}\nfor k in (1, 2):\n    got[k] = answer(k)\n    expect(got[k], equals=2 * k, look="")'
    ),
    "pairs": 'for v, got in zip([1], answer([1]), strict=True):\n    expect(got, equals=2 * v, look="")',
    "numbered": 'for i, got in enumerate(answer([0, 1])):\n    expect(got, equals=2 * i, look="")',
    "numbered pairs": (
        'for i, (v, got) in enumerate(zip([1], answer([1]))):\n    expect(got, equals=2 * v + i * 0, look="")'
    ),
    "a helper that expects": "expect_double(answer, 1, 2)",
    "a helper inside that expects": (
        'def ask(function, v):\n    expect(function(v), equals=2 * v, look="")\nask(answer, 1)\nask(answer, 2)'
    ),
    "a helper inside that sees the answer": 'def ask(v):\n    expect(answer(v), equals=2 * v, look="")\nask(1)\nask(2)',
    "a helper that asks": 'expect(run(answer, 1), equals=2, look="")',
    "the text says what came back": 'got = answer(1)\nexpect(got, equals=2, look=f"you returned {got}")',
    "an error": 'expect_error(ValueError, answer, [], look="")',
    "an error with a keyword": 'expect_error(ValueError, answer, [1], times=-1, look="")',
    "a kind": 'got = answer(1)\nrequire(isinstance(got, list) and len(got) == 2, that="", look="", returned=got)',
    "a bound": 'require(0 <= answer(1) <= 3, that="", look="")',
    "an order in one result": 'low, high = answer(1)\nrequire(low <= high, that="", look="")',
    "more for more": 'require(answer(1) < answer(2), that="", look="")',
    "sorted": 'got = answer([2, 1])\nrequire(got == sorted(got), that="", look="")',
    "sorted, in NumPy": 'a = np.array(answer([2]))\nrequire(np.array_equal(a, np.sort(a)), that="", look="")',
    "sorted, as a helper says it": 'require(is_sorted(answer([2, 1])), that="", look="")',
    "no two alike": 'got = answer([2, 1])\nrequire(len(set(got)) == len(got), that="", look="")',
    "a norm": 'u = answer([3, 4])\nexpect(np.dot(u, u), equals=1, look="")',
    "the largest of two": 'expect(max(answer(1), answer(2)), equals=4, look="")',
    "neighbours": 'got = answer([1, 2])\nrequire(all(a < b for a, b in zip(got, got[1:])), that="", look="")',
    "keys": 'got = answer(1)\nrequire(set(got) == {"a", "b"}, that="", look="")\nexpect(got["a"], equals=2, look="")',
    "a result as an argument": 'expect(answer(answer(1)), equals=4, look="")',
    "a state that the answer moves on": (
        'q, e = 1, 1\nfor _ in range(3):\n    q = answer(q)\n    e = right(e)\n    expect(q, equals=e, look="")'
    ),
    "drawn after a result was shuffled": (
        'got = rng.permutation(answer([1]))\nv = rng.normal()\nexpect(answer(v), equals=2 * v, look="")'
    ),
    "made by a module that got a result": (
        'got = torch.tensor(answer(1))\ne = torch.zeros(2)\nexpect(got, equals=e, look="")'
    ),
    "an argument that must stay as it is": (
        'v, kept = [1, 2], [1, 2]\nexpect(answer(v), equals=4, look="")\nrequire(v == kept, that="", look="")'
    ),
}


@pytest.mark.parametrize("body", INDEPENDENT.values(), ids=INDEPENDENT)
def test_a_fair_check_is_left_alone(body):
    assert read(body) == []


def test_a_check_takes_the_answer_and_a_generator():
    body = 'expect(answer(1), equals=2, look="")'
    assert read(body, "def check(answer):") == ["there is no check(answer, rng)"]
    assert read(body, "def examine(answer, rng):") == ["there is no check(answer, rng)"]


def test_a_problem_names_its_line():
    code = 'def check(answer, rng):\n    x = 1\n    expect(answer(1), equals=answer(1), look="")'
    assert self_references(code, "check", "double") == ["expect in line 3 expects what comes from the answer"]


def test_helpers_that_call_each_other_come_to_an_end():
    code = "def a(f, n):\n    b(f, n)\ndef b(f, n):\n    a(f, n)\n    expect(f(n), equals=2 * n, look='')\n"
    assert self_references(f"{code}def check(answer, rng):\n    a(answer, 1)", "check", "double") == []
