import nbformat
import pytest
from bookbinder.claims import compare, prose, quotes, without_claims
from bookbinder.manifest import Sheet
from bookbinder.pairing import read_notebook, sync, write_notebook

HEADER = "---\ntitle: First\n---\n\n# First\n\n"


@pytest.fixture
def check(book):
    """Write a text and recorded claims, and compare them."""
    lesson = book.lessons[0]

    def write_and_compare(text: str, **recorded: float):
        lesson.text.write_text(HEADER + text + "\n", encoding="utf-8")
        sync(lesson, "text")
        notebook = read_notebook(lesson)
        notebook.metadata["book"]["claims"] = recorded
        write_notebook(lesson, notebook)
        count, problems = compare(lesson)
        return count, [problem.what for problem in problems]

    return write_and_compare


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It is 0.969 <!-- = x --> here.", 0.96949),
        ("It is **0.969**<!-- = x -->.", 0.9685001),
        ("It is 97.2 %<!-- = x -->.", 0.97249),
        ("It is 97.2%<!-- = x -->.", 0.9715001),
        (r"It is $0.5$<!-- = x -->.", 0.5),
        ("It is 1,797 <!-- = x --> images.", 1797),
        ("It is −25 <!-- = x ± 6 --> a game.", -30.9),
        ("It is -25 <!-- = x --> a game.", -25.4),
        ("| a | 12 <!-- = x --> |", 12.4),
        ("A range 3–5<!-- = x -->.", 5),
        ("Between 0.5 and 7<!-- = x -->, {cite:t}`someone2000`", 7.3),
    ],
)
def test_a_number_that_agrees(check, text, value):
    assert check(text, x=value) == (1, [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("It is 0.969 <!-- = x --> here.", 0.9696),
        ("It is 0.969 <!-- = x --> here.", -0.969),
        ("It is 97.2 %<!-- = x -->.", 97.2),
        ("It is 1,797 <!-- = x --> images.", 1798),
        ("It is −25 <!-- = x ± 6 --> a game.", -31.1),
        ("It is −25 <!-- = x ± 6 --> a game.", 25),
    ],
)
def test_a_number_that_drifted(check, text, value):
    count, problems = check(text, x=value)
    assert count == 1
    assert len(problems) == 1
    assert "the notebook computed x" in problems[0]


def test_a_name_that_no_cell_records(check):
    assert check("It is 3<!-- = nothing -->.")[1] == ["no cell records 'nothing' (known: none)"]


def test_a_claim_that_the_text_never_quotes(check):
    assert check("No number.", x=1.0)[1] == ["the claim 'x' is never quoted"]


def test_a_comment_without_a_number(check):
    assert "no number stands before" in check("Some words<!-- = x -->.", x=1.0)[1][0]


def test_a_comment_that_begins_a_line_would_break_the_paragraph(check):
    assert "begins the line" in check("It is 3\n<!-- = x -->.", x=3.0)[1][0]


def test_a_claim_before_a_comma_needs_no_gap(check):
    assert check("It is 3<!-- = x -->, and more.", x=3.0) == (1, [])
    assert "a space would stand before the ','" in check("It is 3 <!-- = x -->, and more.", x=3.0)[1][0]


def test_a_decimal_number_needs_a_claim(check):
    assert check("It is 0.25 and\nmore.")[1] == ["the number 0.25 is bound to nothing"]


@pytest.mark.parametrize(
    "text",
    [
        "See section 6.5 or Figure 1.2.",
        "The code `x = 0.25` and the formula $p = 0.25$.",
        "As {cite:t}`someone2000` found, it is 0.25.",
        "IoU over 0.50:0.95 by steps.",
        "[a link](a-0.25.html) and 17 lessons.",
        "$$\nx = 0.25\n$$",
        "```python\n0.25\n```",
    ],
)
def test_numbers_that_need_none(check, text):
    assert check(text)[1] == []


def test_a_tolerance_is_no_number_of_the_text(check):
    assert check("It is 0.50<!-- = x ± 0.25 -->.", x=0.6) == (1, [])


def test_an_exercise_sets_its_own_numbers_and_its_explanations_do_not(book):
    sheet = Sheet(book.root, "01-numbers", "01-numbers", 0)
    cells = {
        "prompt": "Take 0.25.",
        "hint": "Not 0.5.",
        "explain": "It is 0.75.",
        "model": "Or 1.25.",
        "rubric": "1.5.",
    }
    texts = [f'+++ {{"role": "{role}"}}\n\n{text}\n' for role, text in cells.items()]
    sheet.text.parent.mkdir()
    sheet.text.write_text("\n".join(texts))
    sheet.notebook.write_text(nbformat.writes(nbformat.v4.new_notebook()))
    assert [problem.what[11:15] for problem in compare(sheet)[1]] == ["0.75", "1.25"]


def test_readers_do_not_see_what_numbers_are_called():
    text = "It is 0.25 <!-- = x ± 0.1 -->, or 3<!-- = y -->. <!-- a note -->"
    assert without_claims(text) == "It is 0.25, or 3. <!-- a note -->"


def test_prose_leaves_out_header_and_code():
    text = "---\ntitle: x\n---\nfirst\n````\n```\nin\n```\n````\nlast\n"
    assert list(prose(text)) == [(4, "first"), (10, "last")]


def test_lines_are_those_of_the_file(book):
    found, problems = quotes(book.lessons[0])
    lines = book.lessons[0].text.read_text().splitlines()
    assert [quote.name for quote in found] == ["doubled", "half"]
    assert all(quote.name in lines[quote.line - 1] for quote in found)
    assert problems == []
