import pytest
from bookbinder.imports import imported_names, library_digest, library_files, notebook_imports
from bookbinder.pairing import read_text


def test_every_form_of_import_is_seen():
    code = "import a.b as x, c\nfrom d.e import f, g\ndef h():\n    from i import j\n"
    assert set(imported_names(code)) == {"a.b", "c", "d.e", "d.e.f", "d.e.g", "i", "i.j"}


def test_magics_are_skipped_and_what_is_no_python_is_left_to_the_kernel(book, edit):
    assert list(imported_names("%matplotlib inline\n!ls\nimport a")) == ["a"]
    edit(book.lessons[0].text, 'print("last")', "this is no python")
    assert "small.numbers.double" in notebook_imports(read_text(book.lessons[0]))


def test_files_are_found_through_imports_of_imports(book):
    files = library_files({"small.numbers.double.double", "numpy"}, book.root)
    assert [path.relative_to(book.root / "lib" / "small").as_posix() for path in files] == [
        "__init__.py",
        "numbers/__init__.py",
        "numbers/basic.py",
        "numbers/double.py",
    ]


@pytest.mark.parametrize(("module", "changes"), [("numbers/basic.py", True), ("numbers/unrelated.py", False)])
def test_the_digest_changes_with_what_is_imported_and_only_then(book, module, changes):
    notebook = read_text(book.lessons[0])
    path = book.root / "lib" / "small" / module
    path.touch()
    before = library_digest(notebook, book.root)
    path.write_text(path.read_text() + "\nextra = 1\n")
    assert (library_digest(notebook, book.root) != before) == changes


def test_the_data_of_a_package_count_as_its_code(book):
    folder = book.root / "lib" / "small" / "numbers"
    before = library_digest(read_text(book.lessons[0]), book.root)
    (folder / "table.txt").write_text("1 2 3\n")
    with_data = library_digest(read_text(book.lessons[0]), book.root)
    (folder / "table.txt").write_text("1 2 4\n")
    assert len({before, with_data, library_digest(read_text(book.lessons[0]), book.root)}) == 3
