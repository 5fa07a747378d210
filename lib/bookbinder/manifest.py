"""The manifest: book.toml as parts, chapters and lessons in the order of reading."""

import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bookbinder.errors import BookError, UsageError

_SLUG = re.compile(r"\d\d-[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Lesson:
    """One lesson: a text source and an executed notebook of the same name."""

    root: Path
    chapter: str  # the chapter's slug, 01-metrics
    slug: str  # 02-thresholds-and-ranking
    index: int  # 1 is the first lesson of the chapter

    @property
    def id(self) -> str:
        """01-metrics/02-thresholds-and-ranking."""
        return f"{self.chapter}/{self.slug}"

    @property
    def number(self) -> str:
        """1.2: as the book prints it."""
        return f"{int(self.chapter[:2])}.{self.index}"

    @property
    def text(self) -> Path:
        """The MyST Markdown source."""
        return self.root / "chapters" / self.chapter / f"{self.slug}.md"

    @property
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.root / "notebooks" / self.chapter / f"{self.slug}.ipynb"


@dataclass(frozen=True)
class Sheet(Lesson):
    """The exercises of a chapter: one text source, and the notebook in which their solutions were executed."""

    @property
    def id(self) -> str:
        """exercises/01-metrics."""
        return f"exercises/{self.chapter}"

    @property
    def text(self) -> Path:
        """The MyST Markdown source."""
        return self.root / "exercises" / f"{self.chapter}.md"

    @property
    def notebook(self) -> Path:
        """The source with the outputs of its solutions: for authors and for the site, never for readers."""
        return self.root / "exercises" / f"{self.chapter}.ipynb"

    @property
    def for_readers(self) -> Path:
        """The notebook in which a reader answers."""
        return self.root / "notebooks" / self.chapter / "exercises.ipynb"


@dataclass(frozen=True)
class Chapter:
    """A chapter: its lessons, and the packages of mazelm that it introduces."""

    slug: str
    title: str
    summary: str
    packages: tuple[str, ...]
    lessons: tuple[Lesson, ...]

    @property
    def number(self) -> int:
        """The number that the slug begins with."""
        return int(self.slug[:2])

    @property
    def topic(self) -> str:
        """The slug without its number: the first word of the ids of its exercises."""
        return self.slug[3:]


@dataclass(frozen=True)
class Part:
    """A part: a title over some chapters."""

    title: str
    chapters: tuple[Chapter, ...]


@dataclass(frozen=True)
class Book:
    """The whole book, as book.toml describes it."""

    root: Path
    title: str
    subtitle: str
    authors: tuple[str, ...]
    parts: tuple[Part, ...] = field(default=())

    @cached_property
    def chapters(self) -> tuple[Chapter, ...]:
        """All chapters in order."""
        return tuple(chapter for part in self.parts for chapter in part.chapters)

    @cached_property
    def lessons(self) -> tuple[Lesson, ...]:
        """All lessons in order."""
        return tuple(lesson for chapter in self.chapters for lesson in chapter.lessons)

    @cached_property
    def sheets(self) -> tuple[Sheet, ...]:
        """The exercises of the chapters that have some."""
        sheets = (Sheet(self.root, chapter.slug, chapter.slug, 0) for chapter in self.chapters)
        return tuple(sheet for sheet in sheets if sheet.text.is_file())

    @cached_property
    def sources(self) -> tuple[Lesson, ...]:
        """Everything that is written as text and executed as a notebook: the lessons, then the exercises."""
        return self.lessons + self.sheets

    def select(self, names: list[str]) -> tuple[Lesson, ...]:
        """The sources that the names stand for: a lesson's id or slug, a chapter's slug, or a path; no name means all.

        Raises:
            UsageError: A name is neither a lesson nor a chapter.
        """
        if not names:
            return self.sources
        chosen = {source for name in names for source in self._named(name)}
        return tuple(source for source in self.sources if source in chosen)

    def select_sheets(self, names: list[str]) -> tuple[Sheet, ...]:
        """The exercises of the chapters that the names stand for: a slug, a number, or the topic; no name means all.

        Raises:
            UsageError: A name is no chapter with exercises.
        """
        known = {sheet.chapter: sheet for sheet in self.sheets}
        chosen = []
        for name in names:
            key = Path(name).stem
            found = [slug for slug in known if key in (slug, slug[:2], slug[:2].lstrip("0"), slug[3:])]
            if not found:
                raise UsageError(f"{name!r} is no chapter with exercises. Known: {', '.join(known) or 'none'}")
            chosen += found
        return tuple(sheet for slug, sheet in known.items() if not names or slug in chosen)

    def _named(self, name: str) -> list[Lesson]:
        key = re.sub(r"^.*?(chapters|notebooks)/", "", name.strip("/"))
        key = re.sub(r"\.(md|ipynb)$", "", key)
        found = [source for source in self.sources if key in (source.id, source.slug, source.chapter, source.number)]
        if not found:
            known = ", ".join([chapter.slug for chapter in self.chapters] + [source.id for source in self.sources])
            raise UsageError(f"{name!r} is neither a lesson nor a chapter of the book. Known: {known}")
        return found


def find_root(start: Path | None = None) -> Path:
    """The repository: the nearest folder at or above the start that holds book.toml.

    Raises:
        UsageError: There is none.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "book.toml").is_file():
            return folder
    raise UsageError(f"no book.toml in {start} or above it. Try: change into the book's folder")


def load_book(root: Path | None = None) -> Book:
    """Read book.toml.

    Raises:
        BookError: It is not TOML, lacks an entry, or has one that is not of the right form.
    """
    root = root or find_root()
    path = root / "book.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        parts = tuple(
            Part(part["title"], tuple(_chapter(root, chapter) for chapter in part["chapters"]))
            for part in data["parts"]
        )
        book = Book(root, data["title"], data["subtitle"], tuple(data["authors"]), parts)
    except tomllib.TOMLDecodeError as error:
        raise BookError(f"book.toml is not valid TOML: {error}") from error
    except KeyError as error:
        raise BookError(f"book.toml lacks the entry {error}. Try: compare with the chapters already there") from error
    ids = [lesson.id for lesson in book.lessons]
    if len(set(ids)) < len(ids):
        raise BookError(f"book.toml lists a lesson twice: {sorted({i for i in ids if ids.count(i) > 1})}")
    return book


def _chapter(root: Path, data: dict) -> Chapter:
    slug = _checked(data["slug"])
    lessons = tuple(Lesson(root, slug, _checked(name), i) for i, name in enumerate(data["lessons"], start=1))
    return Chapter(slug, data["title"], data["summary"].strip(), tuple(data["packages"]), lessons)


def _checked(slug: str) -> str:
    if not _SLUG.fullmatch(slug):
        raise BookError(f"book.toml: {slug!r} is not of the form 01-some-words")
    return slug
