"""Execute what changed, and store outputs that are the same bytes every time."""

import asyncio
import atexit
import datetime
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from bookbinder import kernel, report
from bookbinder.errors import CheckFailed, relative
from bookbinder.exercises import reader
from bookbinder.files import write_text
from bookbinder.imports import library_digest
from bookbinder.manifest import Book, Lesson, Sheet
from bookbinder.pairing import (
    LANGUAGE,
    State,
    as_notebook,
    as_text,
    code_digest,
    line_of,
    read_notebook,
    read_text,
    state,
    sync,
    write_notebook,
)

CELL_TIMEOUT_S = 120
_RECORDING = threading.Lock()
_RANDOM_ID = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True)
class Outcome:
    """What became of one lesson."""

    lesson: Lesson
    ran: bool
    seconds: float = 0.0
    memory_mb: float = 0.0
    error: str = ""


def is_fresh(lesson: Lesson) -> bool:
    """Whether the stored outputs are those of the present code: the lesson's own, and the library's that it imports."""
    if not lesson.notebook.is_file():
        return False
    notebook = read_notebook(lesson)
    stored = notebook.metadata.get("book", {})
    return (
        stored.get("code") == code_digest(read_text(lesson))
        and stored.get("library") == library_digest(notebook, lesson.root)
        and all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code" and cell.source)
    )


def run(
    book: Book, lessons: tuple[Lesson, ...], *, jobs: int, force: bool, notify: Callable[[Outcome], None]
) -> list[Outcome]:
    """Execute the lessons whose outputs are out of date, a few at a time, longest first.

    An edit on either side of a lesson is carried over before it runs. A lesson that fails leaves its notebook as it
    was, and the others go on.

    Args:
        book: The manifest.
        lessons: Which to look at.
        jobs: How many kernels at a time.
        force: Execute the fresh ones as well.
        notify: Called with each outcome as it comes.

    Raises:
        CheckFailed: Both sides of a lesson were edited.
    """
    for lesson in lessons:
        if state(lesson) is State.NO_NOTEBOOK:
            write_text(lesson.text, as_text(read_text(lesson)))
        else:
            sync(lesson)
        if isinstance(lesson, Sheet):
            reader.refresh(lesson)
    stale = [lesson for lesson in lessons if force or not is_fresh(lesson)]
    outcomes = [Outcome(lesson, ran=False) for lesson in lessons if lesson not in stale]
    for outcome in outcomes:
        notify(outcome)
    known = report.load(book)["lessons"]
    stale.sort(key=lambda lesson: -known.get(lesson.id, {}).get("seconds", 0.0))
    return outcomes + _run_all(book, stale, jobs, notify)


def _run_all(book: Book, lessons: list[Lesson], jobs: int, notify: Callable[[Outcome], None]) -> list[Outcome]:
    """Run the lessons in threads, because nbclient would take Ctrl-C for itself in the main one."""
    with tempfile.TemporaryDirectory(prefix="book-kernel-") as folder, ThreadPoolExecutor(jobs) as pool:
        environment = kernel.environment(Path(folder))
        waiting, outcomes = [], []
        try:
            waiting += [pool.submit(_run_one, book, lesson, environment) for lesson in lessons]
            for future in as_completed(waiting):
                outcomes.append(future.result())
                notify(outcomes[-1])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in waiting):  # a thread may be about to start its kernel
                for kernel_process in psutil.Process().children(recursive=True):
                    kernel_process.kill()  # the thread that waits for it ends then
                time.sleep(0.05)
            raise
        return outcomes


def _run_one(book: Book, lesson: Lesson, environment: dict[str, str]) -> Outcome:
    source = read_text(lesson)
    notebook = as_notebook(source, read_notebook(lesson) if lesson.notebook.is_file() else None)
    began = time.monotonic()
    try:
        facts = _execute(notebook, lesson, environment)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return Outcome(lesson, ran=True, seconds=time.monotonic() - began, error=_explain(lesson, notebook, error))
    seconds = time.monotonic() - began
    _make_stable(notebook)
    claims = {name: float(f"{value:.12g}") for name, value in facts["claims"].items()}
    notebook.metadata["book"] |= {
        "code": code_digest(source),
        "library": library_digest(source, book.root),
        "claims": claims,
    }
    write_notebook(lesson, notebook)
    entry = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(facts["cpu_seconds"], 1),
        "memory_mb": round(facts["memory_mb"]),
        "size_kb": round(lesson.notebook.stat().st_size / 1000),
        "claims": len(claims),
        "date": datetime.date.today().isoformat(),
    }
    with _RECORDING:
        report.record(book, lesson, entry, facts["versions"])
    return Outcome(lesson, ran=True, seconds=seconds, memory_mb=facts["memory_mb"])


def _execute(notebook: NotebookNode, lesson: Lesson, environment: dict[str, str]) -> dict:
    """Run every cell in place, and one more that says goodbye; return what that one printed."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    lesson.notebook.parent.mkdir(parents=True, exist_ok=True)  # the kernel works there
    last = nbformat.v4.new_code_cell("from bookbinder.kernel import farewell\nfarewell()")
    notebook.cells.append(last)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(lesson.notebook.parent)}},
    )
    try:
        asyncio.run(client.async_execute(env=environment))
    finally:
        notebook.cells.remove(last)
        atexit.unregister(client._cleanup_kernel)  # nbclient forgets to when its kernel dies while it starts
    printed = "".join(output.get("text", "") for output in last.outputs)
    return json.loads(printed.split(kernel.MARK, 1)[1])


def _make_stable(notebook: NotebookNode) -> None:
    """Take out of the outputs what differs from run to run without meaning anything."""
    notebook.metadata["language_info"] = dict(LANGUAGE)  # the kernel put the version of Python there
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            for kind, value in output.get("data", {}).items():
                if isinstance(value, str) and kind.startswith(("text/", "image/svg")):
                    output["data"][kind] = _numbered_ids(value)


def _numbered_ids(text: str) -> str:
    """Replace random identifiers by numbers in the order of their appearance."""
    seen: dict[str, str] = {}
    return _RANDOM_ID.sub(lambda match: seen.setdefault(match[0], f"{len(seen):032x}"), text)


def _explain(lesson: Lesson, notebook: NotebookNode, error: Exception) -> str:
    """File, line and reason of a failed cell."""
    where = relative(lesson.text, lesson.root)
    if isinstance(error, CellExecutionError):
        failed = next(cell for cell in notebook.cells if any(o.output_type == "error" for o in cell.get("outputs", [])))
        reason = f"{error.ename}: {error.evalue}"
        line = line_of(lesson, failed.source) + _line_in_cell(failed)
        return f"{where}:{line}: the cell raised {reason}. Try: open the lesson in JupyterLab and run it up to there"
    if isinstance(error, CellTimeoutError):
        return f"{where}: a cell took longer than {CELL_TIMEOUT_S} s. Try: make it smaller, or split it"
    return f"{where}: the kernel died, perhaps for want of memory. Try: run it in JupyterLab and watch its memory"


def _line_in_cell(cell: NotebookNode) -> int:
    """How far below its first line a cell failed, as its traceback says; 0 when that cannot be read."""
    frames = "\n".join(line for output in cell.outputs for line in output.get("traceback", []))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", frames)
    found = re.search(r"Cell In\[\d+\], line (\d+)", plain)
    return int(found[1]) - 1 if found else 0


def require_success(outcomes: list[Outcome]) -> None:
    """Raise for the lessons that failed.

    Raises:
        CheckFailed: At least one did.
    """
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if errors:
        raise CheckFailed("\n".join(errors))
