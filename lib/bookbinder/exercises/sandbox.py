"""Run an answer in a process of its own, and talk to it.

The process has an empty folder to work in, a clean environment, no network, and limits on time, memory, files and
processes (`guard`). What the answer returns comes back as plain data (`values`), and every decision is taken on this
side: how the process ends, and what it prints, decides nothing.
"""

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from multiprocessing import Pipe
from typing import Any

import numpy as np

from bookbinder.exercises import guard, values
from bookbinder.exercises.expect import TRACE, AnswerError, plain

START_SECONDS = 120  # for the imports of what is given: torch on a slow disk takes a while
_ALL_BYTES = 64 << 20  # of all that an answer returns: a check may collect what a generator yields
_PRINTED_BYTES = 2000
_OPTIONS = ["-I", "-B", "-u", "-m", "bookbinder.exercises.inside"]  # -u: what was printed is here before the reply


class StoppedError(AnswerError):
    """The answer's process is gone, or does not keep to the rules of the talk."""

    def __init__(self, message: str):
        super().__init__(["Stopped"], message)

    def described(self) -> str:
        """Only the message: the answer raised nothing."""
        return self.message


class Remote:
    """An object that lives in the answer's process: call it, iterate over it, or read its attributes."""

    def __init__(self, sandbox: "Sandbox", number: int, name: str, description: str):
        self._sandbox, self._number, self._name, self._description = sandbox, number, name, description

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Call the object there and return what it returned.

        Raises:
            AnswerError: It raised an error.
            StoppedError: It used up what it may, or its process ended.
        """
        TRACE.record(self._name, args, kwargs)
        errors = np.geterr() | {"under": "ignore"}  # of the check: where it wants errors, any warning is one
        request = {"do": "call", "target": self._number, "args": args, "kwargs": kwargs, "errors": errors}
        request["warnings"] = "error" if errors["invalid"] == "raise" else None
        return self._sandbox.ask(request, f"{self._name}(…)")  # so is called what it returns

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks for, to copy or to pickle
            raise AttributeError(name)
        request = {"do": "attribute", "target": self._number, "name": name}
        return self._sandbox.ask(request, f"{self._name}.{name}")

    def __iter__(self) -> Iterator[Any]:
        return self._sandbox.ask({"do": "iterate", "target": self._number}, self._name)

    def __next__(self) -> Any:
        try:
            return self._sandbox.ask({"do": "next", "target": self._number}, f"next({self._name})")
        except AnswerError as error:
            if "StopIteration" in error.kinds:
                raise StopIteration from None
            raise

    def __repr__(self) -> str:
        return f"<{self._description}>"


class Sandbox:
    """A process for one answer. Use it in a `with` statement, which ends the process in any case."""

    def __init__(self, given: Sequence[str], limits: guard.Limits | None = None):
        self.limits = limits or guard.Limits()
        self._given = list(given)
        self._ended_because = ""
        self._printed, self._printed_bytes = bytearray(), 0
        self._bytes_left = _ALL_BYTES
        self._timer: threading.Timer | None = None

    def __enter__(self) -> "Sandbox":
        with contextlib.ExitStack() as stack:
            self._folder = tempfile.mkdtemp(prefix="book-answer-")
            stack.callback(_remove, self._folder)
            self._channel, theirs = Pipe()
            stack.enter_context(self._channel)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, *_OPTIONS, str(theirs.fileno()), self._folder],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=self._folder,
                    env=_environment(self._folder),
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            self._reader = threading.Thread(target=self._drain, daemon=True)
            self._reader.start()
            stack.callback(self._end)
            self._watch(START_SECONDS)
            self._send({"given": self._given, "limits": self.limits})  # it loads while this process goes on
            self._exits = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def load(self, cells: Sequence[tuple[str, str]], name: str) -> Any:
        """Execute the answer's cells, pairs of a title and the code, and return the object of this name.

        The time and the bytes that it may take count from here.

        Raises:
            AnswerError: The cells raised an error.
        """
        assert self.walls
        self._watch(self.limits.seconds)
        self._bytes_left = _ALL_BYTES
        return self.ask({"do": "load", "cells": list(cells), "name": name}, name)

    def ask(self, request: dict[str, Any], name: str) -> Any:
        """Send a request and return the value that comes back; `name` is for an object that stays there."""
        reply = self._talk(request, name)
        match reply:
            case ["value", value]:
                return value
            case ["error", [str(), *_] as kinds, str() as message, str() as place]:
                raise AnswerError(
                    [plain(kind, 100) for kind in kinds if isinstance(kind, str)], plain(message), plain(place, 500)
                )
            case ["unwritable", str() as reason]:
                raise StoppedError(f"what the answer returned cannot be sent: {plain(reason)}")
        raise StoppedError("the answer wrote into the channel that it is asked through")

    @cached_property
    def walls(self) -> list[str]:
        """What shuts the process in, which has loaded what is given by then."""
        return self._receive("")

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    @property
    def printed(self) -> str:
        """What the answer has printed, cut if it is long. Its process ends, so that this is all: ask nothing more."""
        self._kill("")
        self._reader.join(timeout=1)  # a process that got away may hold the pipe open
        shown = plain(bytes(self._printed).decode(errors="replace"))
        left = self._printed_bytes - len(self._printed)
        return f"{shown}\n… and {left:,} bytes more" if left else shown

    def _talk(self, request: dict[str, Any], name: str) -> Any:
        self._send(request)
        return self._receive(name)

    def _send(self, request: dict[str, Any]) -> None:
        data = pickle.dumps(request)
        try:
            self._channel.send_bytes(data)
        except OSError as error:
            raise StoppedError(self._why_ended()) from error

    def _receive(self, name: str) -> Any:
        try:
            received = self._channel.recv_bytes(min(values.MESSAGE_BYTES, self._bytes_left))
        except (EOFError, OSError) as error:
            if not self._channel.readable:  # so a message leaves it that is longer than allowed
                raise StoppedError("the answer returned more than a check can take") from error
            raise StoppedError(self._why_ended()) from error
        self._bytes_left -= len(received)
        try:
            return values.read(
                received, lambda number, description: Remote(self, number, name or description, description)
            )
        except values.ForgedError as error:
            raise StoppedError("the answer returned something that is no value") from error

    def _why_ended(self) -> str:
        if self._ended_because:
            return self._ended_because
        self._kill("")
        status = self._process.wait()
        if status == -signal.SIGXCPU:
            return f"the answer took more than {self.limits.seconds:g} s of processor time"
        if status == -signal.SIGKILL:
            return "the answer took all memory, or closed the channel that it is asked through"
        if status < 0:
            return f"the answer's process broke down ({signal.Signals(-status).name})"
        return "the answer ended its process: something in it exits instead of returning"

    def _watch(self, seconds: float) -> None:
        """End the process when so many seconds of the clock have passed from now."""
        if self._timer:
            self._timer.cancel()
        reason = f"the answer did not finish within {seconds:g} s. Is there a loop that never ends?"
        self._timer = threading.Timer(seconds, self._kill, [reason])
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._kill("")
        self._process.wait()
        self._reader.join(timeout=1)

    def _kill(self, reason: str) -> None:
        self._ended_because = self._ended_because or reason
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _drain(self) -> None:
        """Read all that the answer prints, so that it never waits, and keep the beginning."""
        stream = self._process.stdout
        assert stream is not None
        with stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._printed += chunk[: _PRINTED_BYTES - len(self._printed)]
                self._printed_bytes += len(chunk)


def _remove(folder: str) -> None:
    """Remove a folder, however deep the folders in it are: those too deep for rmtree move up first."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        with contextlib.suppress(OSError):
            while inner := _folders(folder):
                for path in inner:
                    for deeper in _folders(path):
                        os.rename(deeper, os.path.join(folder, os.urandom(8).hex()))
                    shutil.rmtree(path)
        shutil.rmtree(folder, ignore_errors=True)


def _folders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _environment(folder: str) -> dict[str, str]:
    """Nothing of this process's environment but what finds the interpreter and its libraries."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "HOME": folder,
        "TMPDIR": folder,
        "MPLCONFIGDIR": folder,
        "MPLBACKEND": "Agg",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HF_HUB_OFFLINE": "1",
        "BOOK_EXERCISE_SANDBOX": "1",
        "OMP_NUM_THREADS": "1",  # a second thread that waits for a busy core makes small work many times slower
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "JOBLIB_MULTIPROCESSING": "0",  # or scikit-learn would warn that it may not start processes
    }
