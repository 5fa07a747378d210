import nbformat
import pytest
from bookbinder import report
from bookbinder.checks import bibliography, check_book, glossary
from bookbinder.imports import library_digest
from bookbinder.manifest import find_root, load_book
from bookbinder.pairing import code_digest, read_notebook, read_text, sync, write_notebook


@pytest.fixture
def executed(book):
    """The small book with the outputs that a run would store, without running it."""
    for lesson in book.lessons:
        store_outputs(book, lesson)
    return book


def store_outputs(book, lesson, output=None):
    sync(lesson, "text")
    notebook = read_notebook(lesson)
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="6\n")]
    if output is not None:
        cell.outputs = [output]
    source = read_text(lesson)
    notebook.metadata["book"] |= {
        "code": code_digest(source),
        "library": library_digest(source, book.root),
        "claims": {"doubled": 6.0, "half": 0.5},
    }
    write_notebook(lesson, notebook)
    entry = {"seconds": 1, "cpu_seconds": 1, "memory_mb": 100, "size_kb": 5, "claims": 2, "date": "2026-01-01"}
    report.record(book, lesson, entry, {})


def found(book) -> list[str]:
    return [problem.what for problem in check_book(book, book.lessons)]


def test_a_book_in_order_has_no_problems(executed):
    assert found(executed) == []


EDITS = [  # what an author does wrong in the text, and what the check says
    ("title: First", "title: Other", "title 'Other' is not the first heading 'First'"),
    ("- Add two numbers.\n", "", "objectives must be three to five"),
    ("minutes: 5", "minutes: soon", "minutes must be a whole number"),
    ("gpu: false", "gpu: true", "gpu must be false"),
    ("gpu: false", "gpu: false\nbudget_s: 500", "budget_s must be one of"),
    (
        "prerequisites: []",
        "prerequisites: [01-numbers/02-second]",
        "prerequisite '01-numbers/02-second' is no earlier lesson",
    ),
    ("someone2000", "nobody1999", "the citation 'nobody1999' is unknown"),
    ("{term}`doubling`", "{term}`tripling`", "the term 'tripling' is not in the glossary"),
    ("(eq-double)", "(eq-triple)", "the equation eq-triple has no test"),
    ("is 6<!--", "is 7<!--", "the text says 7, the notebook computed doubled = 6"),
    ('print("last")', "\n".join(["x = 1"] * 25), "a cell of 25 lines"),
    (
        "from small.numbers.double import double",
        "import mazelm.later.thing\ndouble = abs",
        "which a later chapter introduces",
    ),
    ("from small.numbers.double import double", "import bookbinder.cli\ndouble = abs", "imports bookbinder.cli"),
    ("# First\n", "# First\n\n![](picture.png)\n", "an image without alternative text"),
    ("# First\n", "# First\n\n![a maze](https://example.org/a.png)\n", "comes from the network"),
]


@pytest.mark.parametrize(("old", "new", "message"), EDITS, ids=[message[:30] for *_, message in EDITS])
def test_a_mistake_in_the_text_is_found(executed, edit, old, new, message):
    lesson = executed.lessons[0]
    edit(lesson.text, old, new)
    store_outputs(executed, lesson)
    assert any(message in what for what in found(executed)), found(executed)


PNG = {"image/png": "iVBORw0KGgo="}
OUTPUTS = [
    (nbformat.v4.new_output("error", ename="ValueError", evalue="no"), "a traceback in the output"),
    (nbformat.v4.new_output("stream", name="stderr", text="UserWarning: old"), "a warning in the output"),
    (nbformat.v4.new_output("stream", name="stdout", text="<object at 0x7f3a9c001234>"), "differs by machine"),
    (nbformat.v4.new_output("stream", name="stdout", text="/home/someone/file"), "differs by machine"),
    (nbformat.v4.new_output("display_data", data=PNG), "a figure without alternative text"),
    (nbformat.v4.new_output("display_data", data=PNG), "a figure without a caption"),
    (
        nbformat.v4.new_output("display_data", data={"text/html": '<script src="https://example.org/x.js"></script>'}),
        "an output that would fetch something",
    ),
]


@pytest.mark.parametrize(("output", "message"), OUTPUTS)
def test_a_bad_output_is_found(executed, output, message):
    store_outputs(executed, executed.lessons[0], output)
    assert any(message in what for what in found(executed)), found(executed)


def test_outputs_older_than_the_library_are_found(executed, edit):
    edit(executed.root / "lib" / "small" / "numbers" / "basic.py", "x + y", "x - y")
    assert all("older than the lesson's code" in what for what in found(executed))
    assert len(found(executed)) == 2


def test_sides_that_disagree_are_found(executed, edit):
    edit(executed.lessons[0].text, "# First", "# First\n\nMore.")
    assert found(executed) == ["text and notebook disagree (text edited)"]


def test_a_text_out_of_normal_form_is_found(executed, edit):
    edit(executed.lessons[0].text, "minutes: 5\n", "minutes:   5\n")
    assert found(executed) == ["the text is not in its normal form"]


def test_a_notebook_that_prints_nothing_is_found(executed):
    lesson = executed.lessons[0]
    notebook = read_notebook(lesson)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    write_notebook(lesson, notebook)
    assert found(executed) == ["no printed output that a later run could be compared with"]


@pytest.mark.parametrize(
    ("key", "value", "message"), [("cpu_seconds", 9, "9 s of compute"), ("memory_mb", 2000, "2000 MB")]
)
def test_a_lesson_over_budget_is_found(executed, key, value, message):
    lesson = executed.lessons[0]
    entry = report.load(executed)["lessons"][lesson.id] | {key: value}
    report.record(executed, lesson, entry, {})
    assert any(message in what for what in found(executed))


def test_a_file_that_the_manifest_does_not_list_is_found(executed):
    (executed.root / "chapters" / "01-numbers" / "03-extra.md").write_text("# Extra\n")
    assert found(executed) == ["it belongs to nothing that book.toml lists"]


def test_a_missing_lesson_is_told_and_stops_nothing(executed):
    executed.lessons[0].text.unlink()
    executed.lessons[0].notebook.unlink()
    assert len(found(executed)) == 1


def test_problems_name_file_and_line(executed, edit):
    lesson = executed.lessons[0]
    edit(lesson.text, "someone2000", "nobody1999")
    store_outputs(executed, lesson)
    (problem,) = check_book(executed, executed.lessons)
    assert "nobody1999" in lesson.text.read_text().splitlines()[problem.line - 1]
    assert str(problem).startswith(f"chapters/01-numbers/01-first.md:{problem.line}: ")
    assert "Try: add it to site/references.bib" in str(problem)


def test_bibliography_and_glossary_are_read(book):
    assert bibliography(book.root) == {"someone2000"}
    assert glossary(book.root) == {"doubling"}


def test_every_glossary_entry_of_the_book_has_its_chinese_term():
    root = find_root()
    entries = (root / "site" / "glossary.md").read_text(encoding="utf-8").split(":::{glossary}")[1]
    definitions = [line for line in entries.splitlines() if line.startswith(": ")]
    assert len(definitions) == len(glossary(root))
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in line.split("·")[0]) for line in definitions)


def test_the_book_itself_is_in_order():
    book = load_book(find_root())
    assert [str(problem) for problem in check_book(book, book.lessons)] == []
