import nbformat
import pytest
from bookbinder.errors import UsageError
from bookbinder.exercises.cells import Cell, defined_by, from_file, from_history, needed

SCRIPT = """import math

LIMIT = 3


def helper(x):
    return min(x, LIMIT)


def other(x):
    return nothing_of_the_kind(x)


print(other(1))


@math.cos.__class__
def decorated(x):
    return helper(x)
"""


def codes(cells) -> list[str]:
    return [cell.code.strip() for cell in cells]


def chosen(codes_, name, given=frozenset()) -> list[str]:
    return codes(needed([Cell(f"cell {i}", code) for i, code in enumerate(codes_)], name, set(given)))


@pytest.fixture
def write(tmp_path):
    """A function that writes a file and returns the cells that are read from it."""

    def make(name, content):
        path = tmp_path / name
        if isinstance(content, list):
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in content])
            content = nbformat.writes(notebook)
        path.write_text(content, encoding="utf-8")
        return from_file(path)

    return make


def test_only_the_cells_that_an_answer_stands_on_are_taken():
    answer = "def f(x):\n    return g(x)"
    cells = ["import math", "A = 2", "def g(x):\n    return A * x", "print('not this')", answer, "def h(): 1 / 0"]
    assert chosen(cells, "f") == ["A = 2", "def g(x):\n    return A * x", answer]


def test_the_last_definition_counts_wherever_it_stands():
    assert chosen(["f = 1", "f = 2", "g = 3"], "f") == ["f = 2"]
    assert chosen(["def f(): return g()", "def g(): 1", "def g(): 2"], "f") == ["def f(): return g()", "def g(): 2"]


def test_cells_in_another_order_are_found():
    assert chosen(["def f(): return g()", "def g(): return A", "A = 1"], "f") == [
        "def f(): return g()",
        "def g(): return A",
        "A = 1",
    ]


def test_what_is_given_is_not_looked_for():
    assert chosen(["A = 1", "f = lambda: A"], "f", {"A"}) == ["f = lambda: A"]


def test_a_name_that_nothing_defines_gives_no_cells():
    assert chosen(["g = f", "print(f)"], "f") == []


def test_local_names_need_no_cell():
    answer = "def f(x):\n    total = 0\n    for value in x:\n        total += value\n    return [total for total in x]"
    assert chosen(["total = 1 / 0", "x = 1 / 0", "value = 1 / 0", answer], "f") == [answer]


@pytest.mark.parametrize(
    "definition",
    [
        "def a(): pass",
        "async def a(): pass",
        "class a: pass",
        "a = 1",
        "a: int = 1",
        "a, b = 1, 2",
        "for a in (): pass",
        "import a",
        "import math as a",
        "from math import pi as a",
        "if True:\n    def a(): pass",
        "(a := 1)",
        "with open('x') as a: pass",
    ],
)
def test_every_way_to_define_a_name_is_known(definition):
    assert chosen([definition, "b = 1"], "a") == [definition]


def test_a_name_may_come_from_an_import_of_everything():
    answer = "def f(x):\n    return sqrt(x)"
    assert chosen(["from math import *", answer], "f") == ["from math import *", answer]
    assert chosen(["from math import *"], "f") == []


def test_a_cell_that_is_no_python_is_found_by_the_name_that_it_begins_to_define():
    assert chosen(["def f(:\n    pass", "g = 1"], "f") == ["def f(:\n    pass"]
    assert chosen(["f = (", "g = 1"], "f") == ["f = ("]
    assert chosen(["def g(:\n    pass", "f = 1"], "f") == ["f = 1"]


def test_a_kernels_cells_are_called_by_their_number_and_its_own_commands_are_left_out():
    cells = from_history(["", "%matplotlib inline\nx = 1", "!ls", "  ", "%%time\ny = 2", "z = 7 \\\n% 4"])
    assert [cell.title for cell in cells] == ["In [1]", "In [2]", "In [4]", "In [5]"]
    assert codes(cells) == ["pass\nx = 1", "pass", "pass\ny = 2", "z = 7 \\\n% 4"]  # the last % is Python's


def test_a_notebook_gives_its_code_cells(write):
    cells = write("any name.ipynb", ["x = 1", "", "%timeit x"])
    assert [(cell.title, cell.code) for cell in cells] == [("code cell 1", "x = 1"), ("code cell 3", "pass")]


def test_a_script_is_cut_at_its_marks(write):
    cells = write("answers.py", "import math\n# %%\ndef f(:\n    pass\n#%% another\nx = 1\n")
    assert codes(cells) == ["import math", "# %%\ndef f(:\n    pass", "#%% another\nx = 1"]
    assert cells[2].code.splitlines()[5] == "x = 1"  # in the file too it is line 6


def test_a_script_without_marks_is_cut_at_its_definitions(write):
    cells = write("answers.py", SCRIPT)
    assert [cell.code.strip().splitlines()[0] for cell in cells] == [
        "import math",
        "def helper(x):",
        "def other(x):",
        "@math.cos.__class__",
    ]


def test_the_parts_of_a_script_that_an_answer_stands_on_keep_their_lines(write):
    (decorated,) = needed(write("answers.py", SCRIPT), "decorated", set())
    whole = SCRIPT.splitlines()
    assert [(i, line) for i, line in enumerate(decorated.code.splitlines()) if line] == [
        (i, line) for i, line in enumerate(whole) if line and not 8 < i < 14
    ]


def test_a_text_in_a_script_is_not_cut(write):
    text = 'WORDS = """\nfrom here\ndef to(there):\n"""\n\n\ndef f():\n    return WORDS\n'
    assert needed(write("answers.py", text), "f", set())[0].code == text


def test_a_mistake_in_one_part_of_a_script_leaves_the_others_alone(write):
    cells = write("answers.py", SCRIPT.replace("def other(x)", "def other(x"))
    (answer,) = needed(cells, "decorated", set())
    compile(answer.code, "answers.py", "exec")
    assert codes(needed(cells, "other", set()))[0].startswith("def other(x:")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("answers.txt", "x = 1", r"answers.txt is neither a notebook \(.ipynb\) nor a script"),
        ("answers.ipynb", "{", "answers.ipynb cannot be read"),
        ("answers.ipynb", "[]", "answers.ipynb cannot be read"),
        ("answers.ipynb", '{"cells": 3}', "answers.ipynb cannot be read"),
    ],
)
def test_a_file_that_is_neither_is_refused(write, name, content, message):
    with pytest.raises(UsageError, match=message):
        write(name, content)


def test_a_file_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"does not exist\. Try: book exercise start"):
        from_file(tmp_path / "nothing.ipynb")


def test_a_script_of_any_bytes_is_refused(tmp_path):
    (tmp_path / "answers.py").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        from_file(tmp_path / "answers.py")


def test_a_notebook_without_ids_is_read(write):
    old = '{"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [{"cell_type": "code", "source": ["a = 1\\n",'
    old += ' "b = 2"], "metadata": {}, "outputs": [], "execution_count": null}]}'
    assert codes(write("answers.ipynb", old)) == ["a = 1\nb = 2"]
    assert codes(write("answers.ipynb", old.replace('"nbformat_minor": 2', '"nbformat_minor": 5'))) == ["a = 1\nb = 2"]


def test_what_is_given_defines_names():
    assert defined_by(["import numpy as np\nA = 1", "def f(): b = 2"]) == {"np", "A", "f"}
