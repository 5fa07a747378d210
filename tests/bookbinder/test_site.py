import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from bookbinder import pages, pairing, report, site
from bookbinder.errors import CheckFailed, MissingError
from bookbinder.exercises import audit
from bookbinder.exercises.source import Exercise
from bookbinder.manifest import Book, load_book

REPOSITORY = Path(__file__).parents[2]
SOURCE = (
    "@book{someone2000,\n  author = {Someone, A.},\n  title = {A title},\n  publisher = {B},\n  year = {2000},\n}\n"
)
FRONT = """# A small book

## Contents

% contents

% navigation

```{toctree}
:hidden:

glossary
bibliography
reference/index
status
```
"""
SECOND_PART = """
[[parts]]
title = "Second part"

[[parts.chapters]]
slug = "03-more"
title = "More"
summary = "About more."
packages = []
lessons = ["01-third"]
"""

EXERCISES = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Exercises

+++ {"id": "TOPIC.in_words", "lesson": "LESSON", "minutes": 5, "role": "prompt", "stars": 2}

## In your own words

What is half of 0.50<!-- = half -->?

+++ {"role": "hint"}

Half of it.

See it twice.

+++ {"role": "model"}

A quarter.

```{code-cell} ipython3
:role: show

print(1 / 4)
```

+++ {"role": "rubric"}

* One point for a quarter.
"""


def with_exercises(book: Book, chapter: str, number: int) -> Book:
    """The book with an exercise to one of its lessons, and a notebook for readers."""
    lesson = book.lessons[number]
    text = EXERCISES.replace("TOPIC", chapter[3:]).replace("LESSON", lesson.slug)
    for path, content in {
        book.root / "exercises" / f"{chapter}.md": text,
        book.root / "notebooks" / chapter / "exercises.ipynb": '{"for": "readers"}',
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    lines = f"\n## Exercises\n\n1. In your own words (★★, 5 minutes): `{chapter[3:]}.in_words`\n"
    lesson.text.write_text(lesson.text.read_text() + lines)
    book = load_book(book.root)
    for source in (book.lessons[number], *book.sheets):
        pairing.sync(source)
    return book


@pytest.fixture
def staged(book: Book) -> Book:
    """The small book with a front page, a bibliography, a library and notebooks that were not run."""
    (book.root / "site" / "index.md").write_text(FRONT)
    (book.root / "site" / "bibliography.md").write_text("# Bibliography\n\n```{bibliography}\n```\n")
    (book.root / "site" / "references.bib").write_text(SOURCE)
    module = book.root / "lib" / "mazelm" / "numbers" / "halves.py"
    module.parent.mkdir(parents=True)
    module.write_text('"""Halve a number\nexactly.\n\nMore words.\n"""\n')
    (module.parents[1] / "__init__.py").write_text('"""The library."""\n')
    (module.parent / "__init__.py").write_text('"""Numbers, small ones."""\n')
    for lesson in book.lessons:
        pairing.sync(lesson)
    return book


def staged_text(book: Book, name: str) -> str:
    return (site.stage(book) / name).read_text(encoding="utf-8")


def first_cell(book: Book, number: int) -> str:
    name = f"{book.lessons[number].id}.ipynb"
    return nbformat.reads(staged_text(book, name), as_version=4).cells[0].source


def modified(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_importing_it_does_not_load_sphinx():
    code = "import sys, bookbinder.site; assert 'sphinx' not in sys.modules and 'docutils' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_contents_and_navigation_follow_the_manifest(staged):
    text = staged_text(staged, "index.md")
    assert text.index("1.1 First") < text.index("1.2 Second") < text.index("2 Later")
    assert "- [1.2 Second](01-numbers/02-second.ipynb) [5 minutes]{.quiet}" in text
    assert "```{toctree}\n:hidden:\n:caption: Part\n\n01-numbers/index\n02-later/index\n```" in text
    assert "% contents" not in text
    assert "% navigation" not in text


def test_each_part_has_a_table_of_contents_of_its_own(staged):
    with (staged.root / "book.toml").open("a") as file:
        file.write(SECOND_PART.replace('"01-third"', ""))
    text = staged_text(load_book(staged.root), "index.md")
    assert text.index(":caption: Part\n\n01-numbers/index") < text.index(":caption: Second part\n\n03-more/index")


def test_a_chapter_lists_its_lessons_with_their_objectives(staged):
    text = staged_text(staged, "01-numbers/index.md")
    assert text.startswith("# Numbers\n\nAbout numbers.\n\n## [1.1 First](../01-numbers/01-first.ipynb)\n")
    assert text.index("- Add two numbers.") < text.index("## [1.2 Second]")
    assert text.rstrip().endswith("```{toctree}\n:hidden:\n\n01-first\n02-second\n```")


def test_the_facts_stand_under_the_heading(staged):
    first, second = first_cell(staged, 0), first_cell(staged, 1)
    assert first.startswith("# First\n\n{.lesson-facts}\n- 5 minutes of reading\n- runs without a GPU\n")
    assert "- builds on no other lesson" in first
    assert "- builds on [1.1 First](../01-numbers/01-first.ipynb)\n" in second
    assert "{download}`notebook </downloads/01-numbers/02-second.ipynb>`" in second
    assert "{download}`text </downloads/01-numbers/02-second.md>`" in second
    box = second[second.index(":::{admonition}") :]
    assert box.startswith(":::{admonition} After this lesson you can\n:class: objectives\n\n- Add two numbers.\n")
    assert second.index(":::\n") < second.index("The double of three")


def test_what_a_run_cost_is_among_the_facts(staged):
    figures = {"seconds": 4.2, "memory_mb": 310, "size_kb": 210, "claims": 12, "date": "2026-01-02"}
    report.record(staged, staged.lessons[0], figures, {"python": "3.11.7"})
    assert "- the notebook runs in 4 s and takes 310 MB of memory\n" in first_cell(staged, 0)
    assert "of memory" not in first_cell(staged, 1)
    status = staged_text(staged, "status.md")
    assert "| [1.1 First](01-numbers/01-first.ipynb) | 4.2 | 310 | 210 | 12 | 2026-01-02 |" in status
    assert "| [1.2 Second](01-numbers/02-second.ipynb) | – | – | – | – | – |" in status
    assert "| python | 3.11.7 |" in status
    assert "8 s for most, 20 s where" in status


def test_a_lesson_ends_with_its_exercises(staged):
    book = with_exercises(staged, "01-numbers", 1)
    cells = nbformat.reads(staged_text(book, "01-numbers/02-second.ipynb"), as_version=4).cells
    sources = [cell.source for cell in cells]
    assert "(numbers.in_words)=\n### Exercise 1: In your own words" in "\n".join(sources)
    assert "What is half of 0.50?" in sources  # no claim
    assert "print(1 / 4)" in sources
    assert not any("1. In your own words" in source for source in sources)
    assert "numbers.in_words" not in staged_text(book, "01-numbers/01-first.ipynb")


def test_the_page_of_exercises(staged):
    """It links each one and shows the result of the audit, for those that are answered in code."""
    assert not (site.stage(staged) / "exercises.md").exists()
    book = with_exercises(staged, "01-numbers", 1)
    text = staged_text(book, "exercises.md")
    assert "1 exercises, 1 of them answered in words" in text
    stars = '<span class="stars" role="img" aria-label="two stars of three">★★</span>'
    row = f"| [In your own words](#numbers.in_words) | {stars} | 5 | `numbers.in_words` |"
    assert "### [1.2 Second](01-numbers/02-second.ipynb)\n\n| exercise | stars | minutes | id |" in text
    assert row in text
    assert "book exercise start 01-numbers\n" in text
    assert "| [Exercises](exercises.md) | – |" in staged_text(book, "status.md")


def test_the_result_of_the_audit_is_shown(staged):
    exercise = Exercise(
        with_exercises(staged, "01-numbers", 1).sheets[0],
        "",
        (
            nbformat.v4.new_markdown_cell("## Write it", metadata={"id": "numbers.write_it", "stars": 1, "minutes": 5}),
            nbformat.v4.new_code_cell("", metadata={"role": "answer"}),
        ),
    )
    text = pages.exercises_page(staged, {}, [exercise])
    assert "| [Write it](#numbers.write_it) | – | – | – | – |" in text
    row = audit.Row("numbers.write_it", 1, False, solution=3, stub=0, trivial=0, mutants=5, killed=4)
    audit.store(staged, [row])
    text = pages.exercises_page(staged, {}, [exercise])
    assert (
        "| [Write it](#numbers.write_it) | passes 3 of 3 seeds | passes 0 of 2 checks | 0 accepted | 4 of 5 |\n" in text
    )


def test_readers_can_download_their_notebook_and_no_other(staged):
    book = with_exercises(staged, "01-numbers", 1)
    folder = site.stage(book)
    assert (folder / "downloads/01-numbers/exercises.ipynb").read_text() == '{"for": "readers"}'
    script = (folder / "extra/downloads/01-numbers/exercises.ipynb.js").read_text()
    assert script == 'bookDownload("exercises.ipynb", "{\\"for\\": \\"readers\\"}");\n'
    solved = book.sheets[0].notebook.read_bytes()
    assert not [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == solved]


def test_nothing_of_the_machinery_is_printed(staged, edit):
    for lesson in staged.lessons:
        edit(lesson.text, '```{code-cell} ipython3\nprint("last")', "```{code-cell} ipython3\n:tags: [hide-cell]\n\n1")
        pairing.sync(lesson)
    notebook = nbformat.reads(staged_text(staged, "01-numbers/01-first.ipynb"), as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "is 6, and a half is 0.50. See" in notebook.cells[0].source  # no claim, and no space where it stood
    assert notebook.cells[-1].metadata["mystnb"]["code_prompt_show"] == "Show the code and its output"


def test_downloads_are_the_files_themselves(staged):
    folder = site.stage(staged) / "downloads"
    for lesson in staged.lessons:
        assert (folder / f"{lesson.id}.ipynb").read_bytes() == lesson.notebook.read_bytes()
        assert (folder / f"{lesson.id}.md").read_bytes() == lesson.text.read_bytes()


def test_numbers_come_from_the_manifest(staged):
    numbers = json.loads(staged_text(staged, "book.json"))["numbers"]
    assert numbers == {
        "01-numbers/index": [1],
        "02-later/index": [2],
        "01-numbers/01-first": [1, 1],
        "01-numbers/02-second": [1, 2],
    }


def test_the_glossary_is_put_into_the_form_that_sphinx_reads(staged):
    glossary = staged.root / "site" / "glossary.md"
    glossary.write_text(
        "# Glossary\n\n:::{glossary}\none\n: 一 (数) · The first.\ntwo\n: The second · in a row.\n:::\n"
    )
    assert staged_text(staged, "glossary.md") == (
        "# Glossary\n\n:::{glossary}\n\none\n  [一 (数)]{.zh .language-zh-Hans} The first.\n\n"
        "two\n  The second · in a row.\n:::\n"
    )


def test_the_reference_has_a_page_for_each_module(staged):
    index = staged_text(staged, "reference/index.md")
    assert "## mazelm.numbers\n\nNumbers, small ones.\n" in index
    assert "[`mazelm.numbers.halves`](mazelm.numbers.halves.rst)\n: Halve a number exactly.\n" in index
    assert ".. automodule:: mazelm.numbers.halves\n" in staged_text(staged, "reference/mazelm.numbers.halves.rst")


def test_only_what_changed_is_written(staged, edit):
    folder = site.stage(staged)
    before = modified(folder)
    site.stage(staged)
    assert modified(folder) == before
    edit(staged.root / "site" / "references.bib", "A title", "Another title")
    site.stage(staged)
    assert {name for name, time in modified(folder).items() if time != before[name]} == {"references.bib"}


def test_what_is_no_longer_there_disappears(staged, edit):
    folder = site.stage(staged)
    (folder / "old").mkdir()
    (folder / "old" / "page.md").write_text("# Old\n")
    edit(staged.root / "book.toml", '["01-first", "02-second"]', '["01-first"]')
    shrunk = load_book(staged.root)
    assert site.stage(shrunk) == folder
    names = set(modified(folder))
    assert "01-numbers/01-first.ipynb" in names
    assert not any("02-second" in name for name in names)
    assert not (folder / "old").exists()
    assert "02-second" not in (folder / "index.md").read_text()


def test_a_lesson_that_was_never_run_is_named(staged):
    staged.lessons[1].notebook.unlink()
    with pytest.raises(MissingError, match=r"notebooks/01-numbers/02-second\.ipynb.*book run"):
        site.stage(staged)


def test_serve_answers_on_this_machine_only(staged):
    html = staged.root / "_build" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("a small book")
    code = "from bookbinder import manifest, site; site.serve(manifest.load_book(), 0)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(address[0]) as answer:
                assert answer.read() == b"a small book"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()


def test_build(staged, edit):
    """Two parts numbered through; nothing is done twice; a warning names file and line and leaves the old book."""
    with (staged.root / "book.toml").open("a") as file:
        file.write(SECOND_PART)
    for name in ("conf.py", "_templates"):
        source, target = REPOSITORY / "site" / name, staged.root / "site" / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for name in ("book.css", "book.js", "favicon.svg"):
        (staged.root / "site" / "_static").mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / "site" / "_static" / name, staged.root / "site" / "_static" / name)
    (staged.root / "site" / "licence.md").write_text("---\norphan: true\n---\n# Licence\n")
    text = staged.lessons[0].text.read_text().replace("First", "Third").replace("eq-double", "eq-third")
    lesson = staged.root / "chapters" / "03-more" / "01-third.md"
    lesson.parent.mkdir()
    lesson.write_text(text.replace("The double", "With $x$, see {eq}`eq-double` and {eq}`eq-third`. The double"))
    edit(staged.lessons[1].text, "(eq-double)", "(eq-again)")
    book = load_book(staged.root)
    for one in book.lessons:
        pairing.sync(one)

    index = site.build(book)
    html = index.parent
    page = (html / "03-more" / "01-third.html").read_text()
    assert '<span class="section-number">3.1 </span>Third' in page
    assert ">(1.1)<" in page
    assert ">(3.1)<" in page
    assert ">2000</a>)" in page
    assert '<span class="unbroken"><span class="math notranslate nohighlight">\\(x\\)</span>,</span>' in page

    built = modified(html)
    os.utime(book.root / "site" / "index.md")
    assert site.build(book) == index
    assert modified(html) == built

    lesson.write_text(lesson.read_text().replace("{eq}`eq-third`", "{eq}`eq-nowhere`"))
    pairing.sync(book.lessons[-1])
    line = lesson.read_text()[: lesson.read_text().index("eq-nowhere")].count("\n") + 1
    with pytest.raises(CheckFailed, match=r"eq-nowhere") as failure:
        site.build(book)
    found = re.search(r"chapters/03-more/01-third\.md:(\d+): WARNING", str(failure.value))
    assert found is not None, str(failure.value)
    assert abs(int(found[1]) - line) <= 3
    assert modified(html) == built
    assert not (html.parent / "html.new").exists()

    edit(lesson, "{eq}`eq-nowhere`", "{eq}`eq-third`")
    edit(book.root / "site" / "index.md", "glossary\n", "glossary\nexercises\nrunning\n")
    (book.root / "site" / "running.md").write_text("# Run it yourself\n")
    book = with_exercises(book, "03-more", 2)
    text = book.sheets[0].text
    edit(text, "See it twice.", "See {eq}`eq-elsewhere` twice.")
    pairing.sync(book.sheets[0])
    line = text.read_text()[: text.read_text().index("eq-elsewhere")].count("\n") + 1
    with pytest.raises(CheckFailed, match=r"eq-elsewhere") as failure:
        site.build(book)
    found = re.search(r"exercises/03-more\.md:(\d+): WARNING", str(failure.value))
    assert found is not None, str(failure.value)
    assert abs(int(found[1]) - line) <= 1  # MyST counts the lines of some roles from 0
    edit(text, "{eq}`eq-elsewhere`", "it")
    pairing.sync(book.sheets[0])
    site.build(book)
    assert 'href="03-more/01-third.html#more-in-words"' in (html / "exercises.html").read_text()
    assert 'id="more-in-words"' in (html / "03-more" / "01-third.html").read_text()

    text.unlink()
    edit(book.root / "site" / "index.md", "glossary\nexercises\n", "glossary\n")
    edit(book.root / "book.toml", '["01-third"]', "[]")
    site.build(load_book(staged.root))
    assert not (html / "03-more" / "01-third.html").exists()
