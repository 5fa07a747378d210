import os
import stat

import pytest
from bookbinder.files import copy_file, write_text


def test_a_file_is_written_with_its_folder(book):
    path = book.root / "new" / "file.txt"
    assert write_text(path, "困惑度\n")
    assert path.read_text(encoding="utf-8") == "困惑度\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_same_text_is_not_written_again(book):
    path = book.root / "file.txt"
    write_text(path, "a")
    inode = path.stat().st_ino
    assert not write_text(path, "a")
    assert path.stat().st_ino == inode


def test_a_write_that_fails_leaves_the_old_file_and_no_scrap(book, monkeypatch):
    path = book.root / "file.txt"
    write_text(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert not list((book.root / "_build" / "tmp").iterdir())


def test_a_copy_only_when_the_bytes_differ(book):
    source, target = book.root / "book.toml", book.root / "copy" / "book.toml"
    assert copy_file(source, target)
    assert not copy_file(source, target)
    assert target.read_bytes() == source.read_bytes()
