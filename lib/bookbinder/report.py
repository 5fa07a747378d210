"""What a run of each lesson cost, kept in notebooks/report.json and shown on the site's status page."""

import json
import platform
from pathlib import Path

from bookbinder.errors import CheckFailed
from bookbinder.files import write_text
from bookbinder.manifest import Book, Lesson

BUDGET_SIZE_KB = 600
BUDGET_MEMORY_MB = 1500
BUDGET_CPU_S = (8, 20, 60)  # most lessons; where learning needs it; a few training lessons


def path(book: Book) -> Path:
    """Where the report lies."""
    return book.root / "notebooks" / "report.json"


def load(book: Book) -> dict:
    """The report: `machine`, `versions`, and per lesson seconds, cpu_seconds, memory_mb, size_kb, claims and date.

    Raises:
        CheckFailed: The file is not JSON.
    """
    if not path(book).is_file():
        return {"machine": "", "versions": {}, "lessons": {}}
    try:
        return json.loads(path(book).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckFailed(
            f"notebooks/report.json is not JSON: {error}. Try: delete it, then book run --force"
        ) from error


def record(book: Book, lesson: Lesson, entry: dict, versions: dict[str, str]) -> None:
    """Put one lesson's figures into the report, and drop lessons that the book no longer has."""
    report = load(book)
    known = {known.id: report["lessons"].get(known.id) for known in book.sources}
    known[lesson.id] = entry
    report["lessons"] = {name: figures for name, figures in known.items() if figures}
    report["versions"] = dict(sorted({**report["versions"], **versions}.items()))
    report["machine"] = f"{platform.system()} {platform.machine()}"
    write_text(path(book), json.dumps(report, indent=1, ensure_ascii=False) + "\n")
