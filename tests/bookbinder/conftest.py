"""A book of two small lessons in a temporary folder, with a library of its own."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bookbinder import cli
from bookbinder.manifest import Book, load_book

MANIFEST = """
title = "A small book"
subtitle = "for tests"
authors = ["Nobody"]

[[parts]]
title = "Part"

[[parts.chapters]]
slug = "01-numbers"
title = "Numbers"
summary = "About numbers."
packages = ["numbers"]
lessons = ["01-first", "02-second"]

[[parts.chapters]]
slug = "02-later"
title = "Later"
summary = "About the rest."
packages = ["later"]
lessons = []
"""

LESSON = """---
title: {title}
objectives:
- Add two numbers.
- Double a number.
- Read a claim.
minutes: 5
prerequisites: {prerequisites}
gpu: false
---

# {title}

The double of three is 6<!-- = doubled -->, and a half is 0.50<!-- = half ± 0.01 -->. See {{cite:t}}`someone2000` on
{{term}}`doubling`.

```{{code-cell}} ipython3
from mazelm.common.claims import claim
from small.numbers.double import double

claim("doubled", double(3))
claim("half", 0.5)
print(double(3))
```

$$
d(x) = 2x
$$ (eq-double)

```{{code-cell}} ipython3
print("last")
```
"""

FILES = {
    "book.toml": MANIFEST,
    "chapters/jupytext.toml": Path(__file__).parents[2] / "chapters" / "jupytext.toml",
    "chapters/01-numbers/01-first.md": LESSON.format(title="First", prerequisites="[]"),
    "chapters/01-numbers/02-second.md": LESSON.format(title="Second", prerequisites="[01-numbers/01-first]"),
    "lib/small/__init__.py": "",
    "lib/small/numbers/__init__.py": "",
    "lib/small/numbers/double.py": "from small.numbers import basic\n\n\ndef double(x):\n    return basic.add(x, x)\n",
    "lib/small/numbers/basic.py": "def add(x, y):\n    return x + y\n",
    "site/references.bib": "@book{someone2000,\n  title = {A title},\n}\n",
    "site/glossary.md": "# Glossary\n\n:::{glossary}\ndoubling\n: 加倍 · Adding a number to itself.\n:::\n",
    "tests/test_numbers.py": "def test_eq_double():\n    pass\n",
}


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    """The small book, not yet run; its library is importable in kernels."""
    root = tmp_path / "a small book"  # the space is meant
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else content.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(root / "lib"))
    monkeypatch.chdir(root)
    return load_book(root)


@pytest.fixture
def edit() -> Callable[[Path, str, str], None]:
    """A function that replaces a text, which must be there, in a file."""

    def replace(path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path.name}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    return replace


@pytest.fixture
def call(book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable:
    """Run the command in the small book: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["book", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        streams = capsys.readouterr()
        return code, streams.out, streams.err

    return run
