import pytest
from bookbinder.errors import BookError, UsageError
from bookbinder.manifest import find_root, load_book


def test_lessons_come_in_the_order_of_the_manifest(book):
    assert [lesson.id for lesson in book.lessons] == ["01-numbers/01-first", "01-numbers/02-second"]
    assert [lesson.number for lesson in book.lessons] == ["1.1", "1.2"]


@pytest.mark.parametrize(
    "name",
    [
        "01-numbers/02-second",
        "02-second",
        "1.2",
        "chapters/01-numbers/02-second.md",
        "notebooks/01-numbers/02-second.ipynb",
    ],
)
def test_a_lesson_goes_by_many_names(book, name):
    assert book.select([name]) == (book.lessons[1],)


def test_a_chapter_stands_for_its_lessons_and_no_name_for_all(book):
    assert book.select(["01-numbers"]) == book.lessons == book.select([])


def test_the_selection_is_in_book_order_and_without_repetition(book):
    assert book.select(["1.2", "1.1", "01-numbers"]) == book.lessons


def test_an_unknown_name_is_refused_with_the_known_ones(book):
    with pytest.raises(UsageError, match=r"'09-none' is neither .* 01-numbers/01-first"):
        book.select(["09-none"])


def test_the_root_is_found_from_below(book):
    assert find_root(book.root / "chapters" / "01-numbers") == book.root


def test_no_root_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"no book\.toml"):
        find_root(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "A small book"', "title = ", "not valid TOML"),
        ('subtitle = "for tests"', "", "lacks the entry 'subtitle'"),
        ('"01-first"', '"First Lesson"', "not of the form"),
        ('"01-first"', '"02-second"', "lists a lesson twice"),
    ],
)
def test_a_broken_manifest_is_explained(book, edit, old, new, message):
    edit(book.root / "book.toml", old, new)
    with pytest.raises(BookError, match=message):
        load_book(book.root)


def test_the_book_itself_loads():
    assert load_book(find_root()).lessons
