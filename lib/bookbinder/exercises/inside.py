"""The process that an answer runs in: load what is given, shut itself in, load the answer, and do what it is asked to.

    python -I -m bookbinder.exercises.inside CHANNEL FOLDER

The requests come from a process that is trusted, as pickles. The replies go to one that does not trust them.
"""

import builtins
import linecache
import os
import pickle
import sys
import traceback
import types
import warnings
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bookbinder.exercises import guard, values

SANDBOXED = "BOOK_EXERCISE_SANDBOX"


class Room:
    """The answer's names, and the objects that stay here because they cannot be sent."""

    def __init__(self, given: list[str]) -> None:
        self.given, self.kept, self.is_used = given, list[object](), False
        self.begin()

    def begin(self) -> None:
        """Forget the names, and load what is given."""
        self.module = types.ModuleType("answer")
        sys.modules["answer"] = self.module  # data classes look their module up
        for number, code in enumerate(self.given):
            self.run(f"given cell {number + 1}", code)

    def load(self, cells: list[tuple[str, str]]) -> None:
        """Execute the cells of an answer, which finds nothing of the one before it."""
        if self.is_used:
            self.begin()
        self.is_used = True
        for title, code in cells:
            self.run(title, code)

    def run(self, title: str, code: str) -> None:
        """Execute a cell; its lines can be shown when it fails."""
        linecache.cache[title] = (len(code), None, code.splitlines(keepends=True), title)
        exec(compile(code, title, "exec"), self.module.__dict__)

    def keep(self, value: object) -> int:
        """Store an object and return its number."""
        self.kept.append(value)
        return len(self.kept) - 1


def main() -> None:
    """Answer requests until there are no more."""
    channel, folder = Connection(int(sys.argv[1])), sys.argv[2]
    request = pickle.loads(channel.recv_bytes())
    room = Room(request["given"])
    channel.send_bytes(values.write(guard.fortify(folder, request["limits"]), room.keep))
    while True:
        try:
            request = pickle.loads(channel.recv_bytes())
        except EOFError:
            return
        channel.send_bytes(reply(room, request))


def reply(room: Room, request: dict[str, Any]) -> bytes:
    """Do what is asked and say what came of it: ["value", …] or ["error", names of its classes, message, place]."""
    try:
        found = ["value", perform(room, request)]
    except BaseException as error:  # SystemExit and KeyboardInterrupt of the answer included
        found = described(error)
    try:
        return values.write(found, room.keep)
    except BaseException as error:  # no error of the answer, which must not pass for one that it was to raise
        return values.write(["unwritable", described(error)[2]], room.keep)


def perform(room: Room, request: dict[str, Any]) -> object:
    """One request: load the answer's cells, or use an object that is kept here."""
    if request["do"] == "load":
        room.load(request["cells"])
        # A function stays here and is called here; a plain value is sent.
        return vars(room.module).get(request["name"])
    target: Any = room.kept[request["target"]]
    if request["do"] == "call":
        with np.errstate(**request["errors"]), warnings.catch_warnings(action=request["warnings"]):
            return target(*request["args"], **request["kwargs"])
    if request["do"] == "iterate":
        return iter(target)
    if request["do"] == "next":
        return next(target)
    return getattr(target, request["name"])


def described(error: BaseException) -> list:
    """The names of its classes, what it says, and where it was raised."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, BaseException)]
    try:
        return ["error", kinds, str(error)[:2000], place_of(error)]
    except BaseException:  # an error whose own methods raise
        return ["error", kinds, "an error that cannot be shown", ""]


def place_of(error: BaseException) -> str:
    """The last line of the answer's own code that the error went through."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {(error.text or '').strip()}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in linecache.cache]
    own = [frame for frame in frames if not os.path.isabs(frame.filename) and not frame.filename.startswith("<")]
    return f"{own[-1].filename}, line {own[-1].lineno}: {own[-1].line}" if own else ""


if __name__ == "__main__":
    builtins.input = lambda prompt="": ""  # nobody is there to answer
    main()
