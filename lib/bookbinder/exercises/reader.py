"""What a reader works with: the notebook of a chapter's exercises, and a folder for answers and progress."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from bookbinder.errors import CheckFailed, UsageError, relative
from bookbinder.exercises.source import Exercise, read
from bookbinder.exercises.wording import readable
from bookbinder.files import write_text
from bookbinder.manifest import Book, Sheet
from bookbinder.pairing import KERNEL, LANGUAGE, digest, read_text

FOLDER = "my-work"
VARIABLE = "BOOK_WORK"  # names another folder
ANSWER_HERE = "*Your answer:*"
_HELPERS = "from bookbinder.exercises.notebook import check, hint, solution"


@dataclass
class Progress:
    """How far a reader has come with one exercise."""

    tries: int = 0
    right: bool = False
    hints: int = 0  # how many of them have been read
    solution: bool = False  # whether it has been read

    def __post_init__(self):
        for field, value in vars(self).items():
            if type(value) is not type(getattr(Progress, field)):
                raise ValueError(f"{field} cannot be {value!r}")


class Work:
    """A reader's own folder: a copy of each chapter's notebook, and progress.json."""

    def __init__(self, book: Book):
        self.book = book
        named = Path(os.environ.get(VARIABLE) or FOLDER).expanduser()
        self.folder = (book.root / named).resolve()  # the same one, whatever folder the command is called in

    def notebook(self, sheet: Sheet) -> Path:
        """The reader's copy of a chapter's notebook."""
        return self.folder / sheet.chapter / "exercises.ipynb"

    def start(self, sheet: Sheet) -> bool:
        """Put a copy of the notebook into the folder, unless there is one, and return whether it was put there."""
        path = self.notebook(sheet)
        if path.exists():
            return False
        return write_text(path, dumped(notebook_of(sheet)))

    def reset(self, exercises: list[Exercise]) -> list[Path]:
        """Put the stubs of these exercises back, and return the copies in which the answers so far are kept.

        Raises:
            CheckFailed: A notebook of the reader, or progress.json, was damaged.
        """
        found, backups = self.progress(), list[Path]()
        for sheet in dict.fromkeys(exercise.sheet for exercise in exercises):
            path = self.notebook(sheet)
            if path.is_file():
                fresh = _reset(_opened(path), [exercise for exercise in exercises if exercise.sheet == sheet])
                backups.append(_free_name(path))
                write_text(backups[-1], path.read_text(encoding="utf-8"))
                write_text(path, dumped(fresh))
        names = {exercise.id for exercise in exercises}
        self._store({name: progress for name, progress in found.items() if name not in names})
        return backups

    def progress(self) -> dict[str, Progress]:
        """What is known of each exercise, by id.

        Raises:
            CheckFailed: progress.json was damaged.
        """
        path = self.folder / "progress.json"
        if not path.is_file():
            return {}
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            return {name: Progress(**entry) for name, entry in entries.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckFailed(
                f"{path} cannot be read: {error}. Try: move it away; only the progress is in it"
            ) from error

    def note(self, exercise: Exercise, **changes: object) -> Progress:
        """Change what is known of an exercise and return it."""
        found = self.progress()
        entry = found.setdefault(exercise.id, Progress())
        for name, value in changes.items():
            setattr(entry, name, value)
        self._store(found)
        return entry

    def of(self, exercise: Exercise) -> Progress:
        """What is known of an exercise."""
        return self.progress().get(exercise.id, Progress())

    def _store(self, found: dict[str, Progress]) -> None:
        content = {name: asdict(entry) for name, entry in found.items()}
        write_text(self.folder / "progress.json", json.dumps(content, indent=1) + "\n")


def notebook_of(sheet: Sheet) -> NotebookNode:
    """The notebook for readers: prompts, what is given, stubs and cells that check; no solution and no check's code."""
    introduction = next(cell for cell in read_text(sheet).cells if cell.cell_type == "markdown")
    exercises = read(sheet)
    made = [
        _cell("markdown", readable(introduction.source, sheet.root)),
        _cell("code", f"{exercises[0].setup}\n\n{_HELPERS}".lstrip()),
    ]
    for exercise in exercises:
        made += cells_of(exercise)
    metadata = {"kernelspec": dict(KERNEL), "language_info": dict(LANGUAGE)}
    return nbformat.v4.new_notebook(cells=made, metadata=metadata, nbformat_minor=5)


def cells_of(exercise: Exercise) -> list[NotebookNode]:
    """The cells of one exercise in the readers' notebook."""
    facts = f"{exercise.stars} · {exercise.minutes} minutes · lesson {int(exercise.lesson[:2])} of the chapter"
    prompt = readable(exercise.prompt, exercise.sheet.root)
    cells = [_cell("markdown", f"## {exercise.title}\n\n{facts}\n\n{prompt}", exercise, "prompt")]
    cells += [_cell("code", code, exercise, "given") for code in exercise.texts("given")]
    if exercise.written:
        return [
            *cells,
            _cell("markdown", ANSWER_HERE, exercise, "answer"),
            _cell("code", f'# solution("{exercise.id}")  # a model answer, and what earns a point', exercise, "check"),
        ]
    code = f'check("{exercise.id}")\n# hint("{exercise.id}")\n# solution("{exercise.id}")'
    return [*cells, _cell("code", exercise.stub, exercise, "answer"), _cell("code", code, exercise, "check")]


def dumped(notebook: NotebookNode) -> str:
    """A notebook as the text of its file."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def refresh(sheet: Sheet) -> bool:
    """Write the readers' notebook anew where it differs from the source, and return whether it did."""
    return write_text(sheet.for_readers, dumped(notebook_of(sheet)))


def require_started(path: Path, book: Book) -> Path:
    """A reader's notebook that exists.

    Raises:
        UsageError: It does not.
    """
    if not path.is_file():
        chapter = path.parent.name
        raise UsageError(f"{relative(path, book.root)} does not exist. Try: book exercise start {chapter}")
    return path


def _cell(kind: str, source: str, exercise: Exercise | None = None, role: str = "") -> NotebookNode:
    """A cell whose id follows from what it says, so that a notebook made anew is the same bytes."""
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}[kind]
    metadata = {"exercise": {"id": exercise.id, "role": role}} if exercise else {}
    return make(source, metadata=metadata, id=digest([kind, source, exercise.id if exercise else ""])[:12])


def _opened(path: Path) -> NotebookNode:
    """A reader's notebook in the format of ours, in which a cell has an id, whatever program has saved it."""
    try:
        notebook = nbformat.v4.reads(path.read_text(encoding="utf-8"))
        for place, cell in enumerate(notebook.cells):
            cell.setdefault("id", f"cell-{place}")
    except Exception as error:  # nbformat raises whatever a damaged file provokes
        attempt = "move it away, then book exercise start"
        raise CheckFailed(f"{path} cannot be read as a notebook: {error!r}. Try: {attempt}") from error
    notebook.nbformat_minor = 5
    return notebook


def _reset(notebook: NotebookNode, exercises: list[Exercise]) -> NotebookNode:
    """The reader's notebook with the original cells of some exercises, also where they had been deleted."""
    for exercise in exercises:
        places = [i for i, cell in enumerate(notebook.cells) if _belongs(cell, exercise)]
        at = places[0] if places else len(notebook.cells)
        kept = [
            [cell for cell in part if not _belongs(cell, exercise)]
            for part in (notebook.cells[:at], notebook.cells[at:])
        ]
        notebook.cells = [*kept[0], *cells_of(exercise), *kept[1]]
    return notebook


def _belongs(cell: NotebookNode, exercise: Exercise) -> bool:
    return cell.metadata.get("exercise", {}).get("id") == exercise.id


def _free_name(path: Path) -> Path:
    """A name beside a file that no file has."""
    number = 1
    while (found := path.with_name(f"{path.stem}.before-reset-{number}{path.suffix}")).exists():
        number += 1
    return found
