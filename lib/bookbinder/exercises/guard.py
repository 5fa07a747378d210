"""Shut a process in: what the code of a stranger may use, and what it may not.

Standard library only: this runs inside the process that it shuts in. Four walls stand behind one another:

- resource limits, on every Unix: processor time, memory, size and number of files;
- an audit hook, wherever Python runs: it refuses with a sentence that a person understands, but machine code gets by it;
- a filter of system calls (seccomp), on Linux: no new process, no signal to another one, no socket to another machine.
  It binds root as well, which a limit on the number of processes does not;
- Landlock, on Linux since 5.13: writing, renaming and deleting only below one folder.

`fortify` says which of them stand. A person's own answers are safe to run behind the first two. For the answers of
strangers use Linux, where all four stand.
"""

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of the packet filter
_CLONE_THREAD = 0x00010000
_LANDLOCK = {"create": 444, "add": 445, "restrict": 446}
# Numbers of system calls. Refused outright: whatever makes, becomes or touches another process, and io_uring, which
# would get by the filter. Refused for other processes than this one: signals, and changing limits.
_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "x86_64": {
        "audit": 0xC000003E,
        "never": (57, 58, 59, 322, 101, 310, 311, 129, 297, 434, 424, 425, 200, 272, 165, 166, 169, 175, 246, 308),
        "own": (62, 234, 302),
        "clone": 56,
        "socket": 41,
    },
    "aarch64": {
        "audit": 0xC00000B7,
        "never": (221, 281, 117, 270, 271, 138, 240, 434, 424, 425, 130, 97, 40, 39, 142, 105, 104, 268),
        "own": (129, 131, 261),
        "clone": 220,
        "socket": 198,
    },
}
_CLONE3 = 435  # its flags are out of the filter's sight; "not implemented" makes the C library use clone


@dataclass(frozen=True)
class Limits:
    """What an answer may use up."""

    seconds: float = 10.0  # of the clock, for one check
    memory_bytes: int = 2 << 30  # beyond what its imports have taken
    file_bytes: int = 16 << 20  # of one file
    files: int = 256  # open at a time


class RefusedError(PermissionError):
    """The answer tried something that an exercise does not need."""


def fortify(folder: str, limits: Limits) -> list[str]:
    """Shut this process in, for good.

    Args:
        folder: The only one that it may write to.
        limits: What it may use up.

    Returns:
        The walls that stand: some of "limits", "hook", "seccomp", "landlock".
    """
    _limit(limits)
    walls = ["limits"]
    if sys.platform == "linux" and platform.machine() in _ARCHITECTURES and sys.maxsize > 2**32:
        c = ctypes.CDLL(None, use_errno=True)
        c.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        walls += ["landlock"] if _landlock(c, folder) else []
        walls += ["seccomp"] if _filter_calls(c) else []
    sys.addaudithook(_hook(os.path.realpath(folder)))
    return [*walls, "hook"]


def _limit(limits: Limits) -> None:
    seconds = int(limits.seconds) + 5 + int(sum(os.times()[:2]))  # the parent stops it earlier, unless it was killed
    wanted = {"CPU": seconds, "FSIZE": limits.file_bytes, "NOFILE": limits.files, "CORE": 0}
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        wanted["AS"] = taken + limits.memory_bytes
    for name, most in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _hook(folder: str) -> Callable[[str, tuple], None]:
    """The audit hook: a refusal that says what was tried and what to do instead."""
    processes = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen", "pty.spawn"}
    network = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}
    signals = {"os.kill", "os.killpg", "signal.pthread_kill"}
    changes = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.link"}
    changes |= {"os.symlink", "os.utime", "shutil.rmtree"}
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    inside = (folder, os.devnull)
    real_path, fspath = os.path.realpath, os.fspath

    def outside(path: object) -> bool:
        if path is None or isinstance(path, int):  # the working folder, or what is open already
            return False
        name = real_path(os.fsdecode(fspath(path)))  # type: ignore[call-overload]
        return not any(name == place or name.startswith(place + os.sep) for place in inside)

    def refuse(event: str, args: tuple) -> None:
        if event in processes:
            raise RefusedError("an answer may not start another process. Try: compute it in Python")
        if event in network:
            raise RefusedError("an answer may not use the network. Try: use what the exercise gives")
        if event in signals:
            raise RefusedError("an answer may not send signals to processes")
        if event == "open" and isinstance(args[2], int) and args[2] & writing and outside(args[0]):
            raise RefusedError(f"an answer may not write to {args[0]!r}. Try: return the value instead")
        if event in changes and any(outside(path) for path in args[:2] if isinstance(path, str | bytes)):
            raise RefusedError(f"an answer may not change {args[0]!r}. Try: leave files alone")

    return refuse


def _filter_calls(c: ctypes.CDLL) -> bool:
    """Load a filter that the kernel applies to every system call from now on."""
    calls = _ARCHITECTURES[platform.machine()]
    own = os.getpid()
    program: list[tuple[int, int, int, int]] = []  # operation, jump if true, jump if false, operand
    refuse = (_RETURN, 0, 0, _REFUSE | errno.EPERM)

    def when(number: int, *then: tuple[int, int, int, int]) -> None:
        """If the call has this number, which is loaded, go on with these; they end in a return."""
        program.extend([(_EQUAL, 0, len(then), number), *then])

    program += [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, calls["audit"]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    program += [(_AT_LEAST, 0, 1, 0x40000000), refuse]  # the numbers of a second table, on x86_64
    allow, first, low = (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, 16), 16
    for number in calls["never"]:
        when(number, refuse)
    when(_CLONE3, (_RETURN, 0, 0, _REFUSE | errno.ENOSYS))
    when(calls["clone"], first, (_ANY_BIT, 0, 1, _CLONE_THREAD), allow, refuse)
    when(calls["socket"], (_LOAD, 0, 0, low), (_EQUAL, 0, 1, 1), allow, refuse)  # 1 is AF_UNIX
    for number in calls["own"]:
        when(number, first, (_EQUAL, 1, 0, own), (_EQUAL, 0, 1, 0), allow, refuse)
    program.append(allow)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    done = c.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0)
    return done == 0


def _landlock(c: ctypes.CDLL, folder: str) -> bool:
    """Let this process change files below one folder only, and signal none but itself where the kernel can see to it."""
    version = c.syscall(_LANDLOCK["create"], None, 0, 1)
    if version < 1:
        return False
    changes = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))  # write, remove and make of every kind
    changes |= (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)  # to link across, to truncate
    attributes = struct.pack("QQQ", changes, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = c.syscall(_LANDLOCK["create"], ctypes.c_char_p(attributes), size, 0)
    if rules < 0:
        return False
    for path, allowed in ((folder, changes), (os.devnull, 1 << 1)):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        c.syscall(_LANDLOCK["add"], rules, 1, ctypes.c_char_p(struct.pack("<Qi", allowed, handle)), 0)
        os.close(handle)
    done = c.syscall(_LANDLOCK["restrict"], rules, 0)
    os.close(rules)
    return done == 0
