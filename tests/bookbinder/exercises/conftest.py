"""The small book with three exercises: two that are answered in code, and one in words."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from bookbinder.exercises.source import Exercise, find
from bookbinder.manifest import Book, load_book

TEXT = '''---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
title: 'Exercises: numbers'
---

# Exercises: numbers

Answer in the cells that wait for it.

```{code-cell} ipython3
:role: setup

import numpy as np
```

+++ {"id": "numbers.double_all", "lesson": "01-first", "minutes": 5, "role": "prompt", "stars": 1}

## Double every number

Write `double_all(values)`, which returns a list. Nothing to double raises `ValueError`.

```{code-cell} ipython3
:role: answer

def double_all(values):
    """Every value, twice as large."""
    ### BEGIN SOLUTION
    if not values:
        raise ValueError("there is nothing to double")
    return [2 * value for value in values]
    ### END SOLUTION
```

```{code-cell} ipython3
:role: check

from bookbinder.exercises.expect import expect, expect_error


def check(answer, rng):
    expect(answer([3, 1]), equals=[6, 2], look="two times three is six")
    drawn = rng.integers(1, 100, 5).tolist()
    expect(answer(drawn), equals=[number + number for number in drawn], look="add each number to itself")
    expect_error(ValueError, answer, [], look="without numbers there is nothing to return")
```

```{code-cell} ipython3
:role: hidden

def hidden_check(answer, rng):
    many = rng.integers(-1000, 1000, 20).tolist()
    expect(answer(many), equals=[number + number for number in many], look="negative numbers as well")
    expect(answer([0]), equals=[0], look="zero is its own double")
```

+++ {"role": "hint"}

What is added to 3 to get its double?

+++ {"role": "hint"}

Go through the list, and build another one.

+++ {"role": "explain"}

Twice a number is the number added to itself.

```{code-cell} ipython3
:role: show

print(double_all([1, 2]))
```

```{code-cell} ipython3
:role: mutant
:wrong: it adds two

def double_all(values):
    if not values:
        raise ValueError("nothing to add to")
    return [value + 2 for value in values]
```

```{code-cell} ipython3
:role: mutant
:wrong: it returns an empty list where it has to refuse

def double_all(values):
    return [value * 2 for value in values]
```

+++ {"id": "numbers.lift", "lesson": "02-second", "minutes": 10, "role": "prompt", "stars": 2}

## Nothing below the floor

Write `lift(values)`: an array in which everything below `FLOOR` is `FLOOR`.

```{code-cell} ipython3
:role: given

FLOOR = 2.0
```

```{code-cell} ipython3
:role: answer

def lift(values):
    ### BEGIN SOLUTION
    return np.maximum(values, FLOOR)
    ### END SOLUTION
```

```{code-cell} ipython3
:role: check

from bookbinder.exercises.expect import expect


def check(answer, rng):
    drawn = rng.normal(size=6) * 9
    expected = np.array([number if number > FLOOR else FLOOR for number in drawn])
    expect(answer(np.array([1.0, 5.0])), equals=np.array([2.0, 5.0]), look="1 lies below the floor")
    expect(answer(drawn), equals=expected, look="one number at a time")
```

```{code-cell} ipython3
:role: hidden

def hidden_check(answer, rng):
    expect(answer(np.array([2.0, -7.0, 3.0])), equals=np.array([2.0, 2.0, 3.0]), look="on the floor is not below it")
    expect(answer(np.array([-1.0])), equals=np.array([2.0]), look="one number is enough")
```

+++ {"role": "hint"}

Compare each number with the floor.

+++ {"role": "explain"}

The larger one of the two is never below the floor.

```{code-cell} ipython3
:role: mutant
:wrong: it cuts at the other end

def lift(values):
    return np.minimum(values, FLOOR)
```

```{code-cell} ipython3
:role: mutant
:wrong: the floor is zero

def lift(values):
    return np.clip(values, 0, None)
```

+++ {"id": "numbers.why_half", "lesson": "01-first", "minutes": 3, "role": "prompt", "stars": 1}

## Why a half

Why is half of the double of a number the number itself? Answer in words.

+++ {"role": "hint"}

What undoes a multiplication?

+++ {"role": "model"}

Halving divides by what doubling has multiplied with.

+++ {"role": "rubric"}

* 1 point: it says that the one undoes the other.
'''
LISTED = {  # the lines with which the lessons list them
    "01-first": "1. Double every number (★, 5 minutes): `numbers.double_all`\n"
    "1. Why a half (★, 3 minutes): `numbers.why_half`\n",
    "02-second": "1. Nothing below the floor (★★, 10 minutes): `numbers.lift`\n",
}
RIGHT = {  # answers in other words than the solutions
    "numbers.double_all": "def double_all(values):\n"
    "    if len(values) == 0:\n"
    '        raise ValueError("empty")\n'
    "    return [v + v for v in values]\n",
    "numbers.lift": "def lift(values):\n    return np.where(values < FLOOR, FLOOR, values)\n",
}


@pytest.fixture
def book(book: Book, monkeypatch: pytest.MonkeyPatch) -> Book:
    """The small book with exercises to its first chapter; a reader's folder lies in it, as it does by default."""
    monkeypatch.delenv("BOOK_WORK", raising=False)
    folder = book.root / "exercises"
    folder.mkdir()
    (folder / "01-numbers.md").write_text(TEXT, encoding="utf-8")
    settings = Path(__file__).parents[3] / "exercises" / "jupytext.toml"
    (folder / "jupytext.toml").write_text(settings.read_text(encoding="utf-8"), encoding="utf-8")
    for slug, lines in LISTED.items():
        lesson = book.root / "chapters" / "01-numbers" / f"{slug}.md"
        lesson.write_text(f"{lesson.read_text(encoding='utf-8')}\n## Exercises\n\n{lines}", encoding="utf-8")
    return load_book(book.root)


@pytest.fixture
def sheet(book: Book) -> Path:
    """The text of the exercises."""
    return book.sheets[0].text


@pytest.fixture
def right() -> dict[str, str]:
    """Right answers by id, in other words than the solutions."""
    return dict(RIGHT)


@pytest.fixture
def exercise(book: Book) -> Callable[..., Exercise]:
    """A function that reads an exercise, by default the first, from the text as it is now."""
    return lambda name="numbers.double_all": find(book, name)


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where the folders of answers are made; nothing may be left there, and no process that worked there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert [process.pid for process in psutil.process_iter() if works_in(process, str(folder))] == []


def works_in(process, folder):
    try:
        return any(folder in word for word in process.cmdline())
    except psutil.Error:
        return False
