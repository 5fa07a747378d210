import json
import sys

import pytest
from bookbinder import cli
from bookbinder.pairing import sync


def test_list(call):
    code, out, _ = call("list")
    assert code == 0
    assert "1.2  01-numbers/02-second" in out
    assert json.loads(call("list", "--json")[1])[1] == {"id": "01-numbers/02-second", "number": "1.2"}


def test_run_check_claims_status(call, book):
    code, out, err = call("run")
    assert (code, out) == (0, "")
    assert sorted(line.split("] ")[1].split(" in ")[0] for line in err.splitlines()) == [
        "01-numbers/01-first: ran",
        "01-numbers/02-second: ran",
    ]
    assert "up to date" in call("run", "1.1")[2]
    code, out, _ = call("check")
    assert (code, out) == (0, "2 lessons checked, nothing found\n")
    assert call("claims") == (0, "4 numbers in the text agree with the notebooks\n", "")
    rows = json.loads(call("status", "--json")[1])
    assert [(row["pair"], row["outputs"], row["claims"]) for row in rows] == [("agree", "fresh", 2)] * 2
    assert "01-numbers/01-first" in call("status")[1]


def test_a_number_that_drifted_fails_the_claims(call, book, edit):
    call("run")
    edit(book.lessons[0].text, "is 6<!--", "is 7<!--")
    code, out, err = call("claims")
    assert code == 1
    assert "the text says 7, the notebook computed doubled = 6" in out
    assert "1 problem found" in err
    (problem,) = json.loads(call("claims", "--json")[1])
    assert problem["file"] == "chapters/01-numbers/01-first.md"


def test_a_failing_lesson_fails_the_run(call, book, edit):
    edit(book.lessons[0].text, 'print("last")', "1 / 0")
    code, _, err = call("run")
    assert code == 1
    assert "ZeroDivisionError" in err
    assert "02-second: ran" in err


def test_sync_tells_which_side_was_carried(call, book, edit):
    sync(book.lessons[0])
    edit(book.lessons[0].text, "# First", "# First\n\nMore.")
    assert "01-numbers/01-first: text edited; now in step" in call("sync", "1.1")[2]
    assert "in step" in call("sync", "1.1")[2]


def test_new_lesson(call, book):
    code, out, _ = call("new", "lesson", "01-numbers/03-third-lesson")
    assert code == 0
    assert '"03-third-lesson"' in out
    text = (book.root / "chapters/01-numbers/03-third-lesson.md").read_text()
    assert "# Third lesson" in text
    assert "kernelspec" in text
    assert call("new", "lesson", "01-numbers/03-third-lesson")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nothing"], 2, "'nothing' is neither a lesson nor a chapter"),
        (["run", "--jobs", "0"], 2, "jobs"),
        (["dance"], 2, "dance"),
        (["new", "lesson", "words"], 2, "not of the form"),
        (["open"], 3, "Try: book build"),
        (["serve"], 3, "Try: book build"),
        (["claims"], 3, "Try: book run"),
    ],
)
def test_exit_codes(call, arguments, code, message):
    got, _, err = call(*arguments)
    assert got == code
    assert message in err


def test_outside_the_book(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("list")
    assert code == 2
    assert "no book.toml" in err


def test_a_missing_package_is_told(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbclient", None)
    monkeypatch.delitem(sys.modules, "bookbinder.running", raising=False)
    monkeypatch.delattr("bookbinder.running", raising=False)
    code, _, err = call("run")
    assert code == 3
    assert "nbclient is not installed. Try: make book" in err


def test_ctrl_c_is_told(call, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_book", interrupt)
    code, _, err = call("list")
    assert code == 130
    assert "interrupted" in err
