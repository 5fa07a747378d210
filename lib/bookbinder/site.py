"""The HTML book: derive Sphinx's source folder from the site, the lessons and the library, and run Sphinx on it.

Everything in `_build/site-src` is derived, and only what changed is written. Lessons keep their names there, so that a
link from one notebook to another is also a link from one page to another.
"""

import functools
import hashlib
import http.server
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from bookbinder import pages
from bookbinder.claims import without_claims
from bookbinder.doctor import direct_requirements, installed_version
from bookbinder.errors import CheckFailed, MissingError, relative
from bookbinder.exercises.page import with_exercises
from bookbinder.exercises.source import Exercise, read
from bookbinder.files import copy_file, write_text
from bookbinder.manifest import Book, Lesson
from bookbinder.pairing import read_notebook

_FOLDED = {"hide-cell": "the code and its output", "hide-input": "the code", "hide-output": "the output"}
_WARNING = re.compile(r"^(?P<path>[^\s:][^:]*):(?P<line>\d+)?:? *(?P<what>(?:WARNING|ERROR|CRITICAL).*)$")
_CELL_LINES = 10_000  # MyST-NB counts lines in a notebook as 10 000 × the cell's number + the line in it


def stage(book: Book) -> Path:
    """Derive Sphinx's source folder from what the book consists of now.

    A file is written only if its content changed, and what no longer belongs there is removed.

    Returns:
        The folder, `_build/site-src`.
    """
    folder = book.root / "_build" / "site-src"
    wanted = _tree(book)
    for name, content in wanted.items():
        if isinstance(content, Path):
            copy_file(content, folder / name)
        else:
            write_text(folder / name, content)
    for path in sorted(folder.rglob("*"), reverse=True):  # a folder comes after what is in it
        if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return folder


def build(book: Book, *, fresh: bool = False) -> Path:
    """Build the HTML book, unless it is there already and nothing that it is made of has changed.

    The new book replaces the old one when it is complete: a build that fails or is killed leaves the old one.

    Args:
        book: The manifest.
        fresh: Forget what earlier builds left, and build all of it.

    Returns:
        The front page, `_build/html/index.html`.

    Raises:
        MissingError: Sphinx is not installed.
        CheckFailed: Sphinx warned of something.
    """
    if importlib.util.find_spec("sphinx") is None:
        raise MissingError("Sphinx is not installed. Try: make book, or pip install -c constraints.txt -e '.[site]'")
    place = book.root / "_build"
    html, parsed, stamp = place / "html", place / "doctrees", place / "html.stamp"
    if fresh:
        stamp.unlink(missing_ok=True)
        shutil.rmtree(place / "site-src", ignore_errors=True)
    source = stage(book)
    machinery, content = _machinery_digest(source), _content_digest(book, source)
    known = stamp.read_text(encoding="utf-8").split() if stamp.is_file() else ["", ""]
    if known == [machinery, content] and (html / "index.html").is_file():
        return html / "index.html"
    if known[0] != machinery:  # Sphinx itself does not notice
        shutil.rmtree(parsed, ignore_errors=True)
    _run_sphinx(book, source, place / "html.new", parsed)
    stamp.unlink(missing_ok=True)
    shutil.rmtree(html, ignore_errors=True)
    (place / "html.new").rename(html)
    write_text(stamp, f"{machinery}\n{content}\n")
    return html / "index.html"


def serve(book: Book, port: int) -> None:
    """Serve the built book on this machine only, until Ctrl-C.

    Args:
        book: The manifest.
        port: Where; 0 picks a free one.
    """
    handler = functools.partial(_QuietHandler, directory=str(book.root / "_build" / "html"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"The book is at http://127.0.0.1:{server.server_port}/ until Ctrl-C", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _tree(book: Book) -> dict[str, str | Path]:
    """The whole source folder: for each name in it the text, or the file to copy."""
    tree: dict[str, str | Path] = {
        path.relative_to(book.root / "site").as_posix(): path
        for path in sorted((book.root / "site").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    tree |= {path.name.lower(): path for path in (book.root / "CONTRIBUTING.md", book.root / "CHANGELOG.md")}
    tree |= {f"downloads/{name}.txt": book.root / name for name in ("LICENSE", "LICENSE-TEXT")}
    notebooks = {lesson.id: read_notebook(lesson) for lesson in book.lessons}
    exercises = [exercise for sheet in book.sheets for exercise in read(sheet, executed=True)]
    downloads = [(sheet.chapter, sheet.for_readers) for sheet in book.sheets]
    for lesson in book.lessons:
        tree[f"{lesson.id}.ipynb"] = _staged_lesson(book, lesson, notebooks, exercises)
        downloads += [(lesson.chapter, path) for path in (lesson.notebook, lesson.text)]
    for chapter, path in downloads:
        tree[f"downloads/{chapter}/{path.name}"] = path
        tree[f"extra/downloads/{chapter}/{path.name}.js"] = pages.download_script(path)
    tree |= pages.generated(book, notebooks, exercises)
    tree = {name: content for name, content in tree.items() if isinstance(content, str) or content.is_file()}
    if "index.md" in tree:
        tree["index.md"] = pages.front_page(book, notebooks, _written(book, "index.md"))
    if "glossary.md" in tree:
        tree["glossary.md"] = pages.glossary(_written(book, "glossary.md"))
    return tree


def _written(book: Book, name: str) -> str:
    return (book.root / "site" / name).read_text(encoding="utf-8")


def _staged_lesson(book: Book, lesson: Lesson, notebooks: dict[str, NotebookNode], exercises: list[Exercise]) -> str:
    """A lesson as Sphinx reads it: facts under its heading, exercises at its end, no names of claims."""
    notebook = nbformat.from_dict(notebooks[lesson.id])
    heading, _, rest = notebook.cells[0].source.strip().partition("\n")
    notebook.cells[0].source = f"{heading}\n\n{pages.lesson_strip(book, lesson, notebooks)}\n{rest}"
    notebook.cells = with_exercises(lesson, notebook.cells, exercises)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_claims(cell.source)
        for tag in cell.metadata.get("tags", []):
            if tag in _FOLDED:
                prompts = {f"code_prompt_{verb.lower()}": f"{verb} {_FOLDED[tag]}" for verb in ("Show", "Hide")}
                cell.metadata["mystnb"] = {**prompts, **cell.metadata.get("mystnb", {})}
    notebook.metadata = {key: notebook.metadata[key] for key in ("kernelspec", "language_info")}
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def _machinery_digest(source: Path) -> str:
    """What a parsed page depends on besides its own text: the configuration, and the versions that read it."""
    versions = [f"{name} {installed_version(name)}" for name in direct_requirements("site")]
    return hashlib.sha256((source / "conf.py").read_bytes() + "\n".join(versions).encode()).hexdigest()


def _content_digest(book: Book, source: Path) -> str:
    """Everything that the pages are made of: the source folder, and the library that the reference imports."""
    total = hashlib.sha256()
    for folder in (source, book.root / "lib" / pages.PACKAGE):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                data = path.read_bytes()
                total.update(f"{relative(path, book.root)}\n{len(data)}\n".encode() + data)
    return total.hexdigest()


def _run_sphinx(book: Book, source: Path, target: Path, parsed: Path) -> None:
    """Write all the pages, and turn what Sphinx warns of into one error."""
    shutil.rmtree(target, ignore_errors=True)
    options = ["-b", "html", "-W", "--keep-going", "-n", "-q", "--no-color", "-d", str(parsed)]
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(target)],
        cwd=book.root,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if result.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        said = (result.stderr or result.stdout).strip().splitlines()
        raise CheckFailed("Sphinx refused the book:\n" + "\n".join(_located(book, source, line) for line in said))


def _located(book: Book, source: Path, warning: str) -> str:
    """A warning with the place that a person would edit, instead of the copy that Sphinx saw."""
    match = _WARNING.match(warning.replace(f"{source}{os.sep}", ""))
    if match is None:
        return warning
    name, line, what = match["path"], int(match["line"] or 0), match["what"]
    for lesson in book.lessons:
        if name == f"{lesson.id}.ipynb":
            name, line = _written_at(book, lesson, source / name, line)
    if (book.root / "site" / name).is_file():
        name = f"site/{name}"
    name = {path.name.lower(): path.name for path in book.root.glob("*.md")}.get(name, name)
    return f"{name}:{line}: {what}" if line else f"{name}: {what}"


def _written_at(book: Book, lesson: Lesson, staged: Path, line: int) -> tuple[str, int]:
    """The file, and the line in it, where someone wrote what MyST-NB counts as a line of a staged lesson."""
    cells = nbformat.read(staged, as_version=4).cells
    number, within = divmod(line, _CELL_LINES)
    cell = cells[number - 1] if 1 <= number <= len(cells) else None
    name = cell.metadata.get("exercise", "") if cell else ""
    path = next((sheet.text for sheet in book.sheets if name and sheet.chapter == lesson.chapter), lesson.text)
    text = without_claims(path.read_text(encoding="utf-8"))
    start = max(text.find(f'"{name}"'), 0)
    within = max(within - 1, 0)
    if cell is None:
        return relative(path, book.root), 0
    for snippet, offset in ((cell.source, within), ("\n".join(cell.source.split("\n")[within : within + 1]), 0)):
        if snippet and (found := text.find(snippet, start)) >= 0:
            return relative(path, book.root), text.count("\n", 0, found) + 1 + offset
    return relative(path, book.root), text.count("\n", 0, start) + 1
