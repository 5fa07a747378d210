import nbformat
import pytest
from bookbinder import pairing
from bookbinder.exercises import audit, page
from bookbinder.exercises.source import Exercise, read
from bookbinder.manifest import Book
from nbformat import NotebookNode

PRINTED = nbformat.v4.new_output("stream", name="stdout", text="[2, 4]\n")
FIRST = """## Exercises

Answer in the [notebook](exercises.ipynb), in any order.

1. Double every number (★, 5 minutes): `numbers.double_all`
1. Why a half (★, 3 minutes): `numbers.why_half`

## Read further

Nothing."""


@pytest.fixture
def exercises(book: Book) -> list[Exercise]:
    """Those of the executed notebook: its `show` cell has printed something."""
    (sheet,) = book.sheets
    pairing.sync(sheet)
    notebook = pairing.read_notebook(sheet)
    for cell in notebook.cells:
        if cell.metadata.get("role") == "show":
            cell.metadata["mystnb"] = {"figure": {"name": "fig-doubled"}}
            cell.outputs = [PRINTED]
    pairing.write_notebook(sheet, notebook)
    return read(sheet, executed=True)


@pytest.fixture
def cells(book: Book, exercises: list[Exercise]) -> list[NotebookNode]:
    """The last part of the first lesson, with its exercises."""
    written = [nbformat.v4.new_code_cell("print('last')"), nbformat.v4.new_markdown_cell(FIRST)]
    return page.with_exercises(book.lessons[0], written, exercises)


def of(cells: list[NotebookNode], name: str) -> list[NotebookNode]:
    return [cell for cell in cells if cell.metadata.get("exercise") == name]


def sources(cells: list[NotebookNode]) -> list[str]:
    return [cell.source for cell in cells]


def folds(cells: list[NotebookNode]) -> dict[str, list[NotebookNode]]:
    """What is folded, by the line that is seen while it is."""
    found: dict[str, list[NotebookNode]] = {}
    inside = None
    for cell in cells:
        if cell.source.startswith("<details"):
            assert inside is None
            summary = cell.source.partition("<summary>")[2].removesuffix("</summary>")
            inside = found.setdefault(summary, [])
        elif cell.source == "</details>":
            inside = None
        elif inside is not None:
            inside.append(cell)
    assert inside is None
    return found


def test_the_exercises_replace_the_list_and_nothing_else(cells):
    before = sources(cells)[: sources(cells).index(of(cells, "numbers.double_all")[0].source)]
    assert before[0] == "print('last')"
    assert before[1].startswith("## Exercises\n\nAnswer in the ")
    assert before[1].endswith(", in any order.")
    assert cells[-1].source == "## Read further\n\nNothing."
    names = [cell.metadata.get("exercise") for cell in cells]
    assert list(dict.fromkeys(filter(None, names))) == ["numbers.double_all", "numbers.why_half"]
    assert not any("1. Double every number" in text for text in sources(cells))


def test_they_are_numbered_within_their_lesson(book, cells, exercises):
    heads = [cell.source for cell in cells if cell.source.startswith("(numbers.")]
    assert [head.splitlines()[1] for head in heads] == [
        "### Exercise 1: Double every number",
        "### Exercise 2: Why a half",
    ]
    line = audit.listed(exercises[1])
    second = page.with_exercises(book.lessons[1], [nbformat.v4.new_markdown_cell(line)], exercises)
    assert second[0].source.startswith("(numbers.lift)=\n### Exercise 1: Nothing below the floor\n")


def test_the_facts_can_be_read_aloud(cells):
    facts = of(cells, "numbers.double_all")[0].source.splitlines()[-1]
    stars = '<span class="stars" role="img" aria-label="one star of three">★</span>'
    assert facts == f"{stars} · 5 minutes · `numbers.double_all`"
    assert 'aria-label="three stars of three">★★★<' in page.stars(3)


def test_a_coded_exercise(cells):
    """Prompt and stub in the open; folded, two hints and the solution with what it printed."""
    found = of(cells, "numbers.double_all")
    assert found[1].source == "Write `double_all(values)`, which returns a list. Nothing to double raises `ValueError`."
    stub = found[2]
    assert (stub.cell_type, stub.outputs) == ("code", [])
    assert stub.source.endswith("# your code here\n    raise NotImplementedError")
    folded = folds(found)
    assert list(folded) == ["Hint 1 of 2", "Hint 2 of 2", "Solution"]
    assert sources(folded["Hint 2 of 2"]) == ["Go through the list, and build another one."]
    answer, explanation, shown = folded["Solution"]
    assert answer.cell_type == "code"
    assert answer.source.endswith("    return [2 * value for value in values]")
    assert "SOLUTION" not in answer.source
    assert explanation.source == "Twice a number is the number added to itself."
    assert (shown.cell_type, shown.outputs) == ("code", [PRINTED])
    assert shown.metadata["mystnb"] == {"figure": {"name": "fig-doubled"}}


def test_a_written_exercise(cells):
    found = of(cells, "numbers.why_half")
    assert not any(cell.cell_type == "code" for cell in found)
    folded = folds(found)
    assert list(folded) == ["Hint 1 of 1", "A model answer", "What earns a point"]
    assert sources(folded["A model answer"]) == ["Halving divides by what doubling has multiplied with."]
    assert sources(folded["What earns a point"]) == ["* 1 point: it says that the one undoes the other."]


def test_what_is_given_is_code_without_outputs(exercises):
    given = page.cells_of(exercises[1], 1)[2]
    assert (given.cell_type, given.source, given.outputs) == ("code", "FLOOR = 2.0", [])


def test_neither_checks_nor_mutants_are_shown(exercises):
    for exercise in exercises:
        text = "\n".join(sources(page.cells_of(exercise, 1)))
        assert audit.leaked(exercise, text, solution=False) == set()
        assert not any(code in text for code in exercise.texts("check"))
        assert not any(wrong in text for wrong, _ in exercise.mutants)


def test_the_notebook_for_readers_is_downloaded(cells):
    assert (
        "Answer in the {download}`notebook </downloads/01-numbers/exercises.ipynb>`, in any order." in cells[1].source
    )


def test_a_lesson_without_a_list_stays_as_it_is(book, exercises):
    written = [nbformat.v4.new_markdown_cell(FIRST), nbformat.v4.new_code_cell("1")]
    expected = sources(written)
    expected[0] = expected[0].replace(
        "[notebook](exercises.ipynb)", "{download}`notebook </downloads/01-numbers/exercises.ipynb>`"
    )
    assert sources(page.with_exercises(book.lessons[1], written, exercises)) == expected


def test_equal_exercises_give_equal_bytes(book, exercises):
    def made() -> str:
        cells = page.with_exercises(book.lessons[0], [nbformat.v4.new_markdown_cell(FIRST)], exercises)
        assert len({cell["id"] for cell in cells}) == len(cells)
        return nbformat.writes(nbformat.v4.new_notebook(cells=cells))

    assert made() == made()
