"""nbval compares what a notebook prints with what it printed when it was stored: proved by changing one of the two."""

import subprocess
import sys
from pathlib import Path

import pytest
from bookbinder.running import require_success, run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nbval(book):
    """Run the small book once, and return a function that compares its first lesson as `make test` does."""
    require_success(run(book, book.lessons[:1], jobs=1, force=False, notify=lambda outcome: None))
    (book.root / "conftest.py").write_bytes((ROOT / "conftest.py").read_bytes())

    def compare() -> subprocess.CompletedProcess[str]:
        sanitize = ROOT / "tests" / "nbval_sanitize.cfg"
        command = [sys.executable, "-m", "pytest", "-q", "--nbval", "notebooks", "--nbval-sanitize-with", str(sanitize)]
        return subprocess.run([*command, "-p", "no:cacheprovider"], cwd=book.root, capture_output=True, text=True)

    return compare


def test_a_printed_number_that_changed_is_found(nbval, book, edit):
    first = nbval()
    assert "2 passed" in first.stdout
    assert first.returncode == 0
    edit(book.lessons[0].notebook, '"6\\n"', '"7\\n"')
    second = nbval()
    assert "1 failed, 1 passed" in second.stdout
    assert second.returncode == 1


def test_code_of_the_library_that_changed_is_found(nbval, book, edit):
    longer = "x - y  # Python compares sizes and seconds"
    edit(book.root / "lib" / "small" / "numbers" / "basic.py", "x + y", longer)
    assert "1 failed, 1 passed" in nbval().stdout


def test_the_network_is_blocked_here_too(nbval, book, edit):
    attempt = 'import socket; socket.create_connection((\\"192.0.2.1\\", 80))'
    edit(book.lessons[0].notebook, 'print(\\"last\\")', attempt)
    assert "NetworkBlockedError" in nbval().stdout
