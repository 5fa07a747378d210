"""Shut a process in: what the code of a stranger may use, and what it may not.

Standard library only: this runs inside the process that it shuts in. Four walls stand behind one another:

- resource limits, on every Unix: processor time, memory, size and number of files;
- an audit hook, wherever Python runs: it refuses in words that a person understands, but machine code gets by it;
- a filter of system calls (seccomp), on Linux: no new process, no signal to another one, no socket, and no way out of
  the limits. It binds root as well, which a limit on the number of processes does not;
- Landlock, on Linux since 5.13: writing, renaming and deleting only below one folder.

On Linux the process also gives up the rights of root, but for reading. All four walls let it read and start threads:
what an answer may not know must not lie where it runs.

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

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06  # of the packet filter
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, (16, 24, 32, 40, 48, 56)  # where the filter finds what it looks at
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_THREAD = 0x00010000
_STREAM = 1
_SET_OWNER = {"fcntl": (8, 15), "ioctl": (0x8901, 0x8902)}  # ask for a signal to whoever is named
_CAP_READ_ALL = 1 << 2  # the one right of root that is left: files may belong to somebody else
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column below, name in the filter
# Numbers of system calls on x86_64 and aarch64, 0 where there is no such call. The first ones are refused outright.
_REFUSED = {
    # to make, to become, to look into or to disturb another process
    "fork": (57, 0),
    "vfork": (58, 0),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "tkill": (200, 130),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # to reach another machine, or a server on this one
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    # to change what Landlock does not look at: mode, owner, times and attributes of a file
    "chmod": (90, 0),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, 0),
    "lchown": (94, 0),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "utime": (132, 0),
    "utimes": (235, 0),
    "futimesat": (261, 0),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    # to get out: of the limits, of the filter, of the rights that are left
    "setrlimit": (160, 164),
    "io_uring_setup": (425, 425),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "mknod": (133, 0),
    "mknodat": (259, 33),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "kexec_load": (246, 104),
}
_OWN = {"kill": (62, 129), "tgkill": (234, 131), "sched_setaffinity": (203, 122)}  # allowed on this process
_OTHERS = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "prlimit64": (302, 261),
    "socketpair": (53, 199),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
CALLS = {**_REFUSED, **_OWN, **_OTHERS}


@dataclass(frozen=True)
class Limits:
    """What an answer may use up."""

    seconds: float = 10.0  # of the clock, for one check
    answers: int = 1  # that one process checks, one after the other
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
    if sys.platform == "linux" and platform.machine() in _MACHINES and sys.maxsize > 2**32:
        c = ctypes.CDLL(None, use_errno=True)
        c.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _drop_rights(c)
        alone = len(os.listdir("/proc/self/task")) == 1  # Landlock would not bind a thread that runs already
        walls += ["landlock"] if _landlock(c, folder) and alone else []
        walls += ["seccomp"] if _filter_calls(c) else []
    sys.addaudithook(_hook(os.path.realpath(folder)))
    return [*walls, "hook"]


def _limit(limits: Limits) -> None:
    seconds = (
        int(limits.seconds * limits.answers) + 6 + int(sum(os.times()[:2]))
    )  # the parent stops it earlier, unless it was killed
    wanted = {"CPU": seconds, "FSIZE": limits.file_bytes, "NOFILE": limits.files, "CORE": 0}
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        wanted["AS"] = taken + limits.memory_bytes
    for name, most in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        early = name == "CPU" and most > 1  # a signal that tells what is over, a second before one that always kills
        resource.setrlimit(kind, (most - 1 if early else most, most))


def _drop_rights(c: ctypes.CDLL) -> None:
    """Give up what only root may do, such as to mount, to make devices or to set the clock, but for reading."""
    header, rights = struct.pack("Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    if c.capget(header, rights) == 0:
        effective, permitted, *_ = struct.unpack("6I", rights)
        left = struct.pack("6I", effective & _CAP_READ_ALL, permitted & _CAP_READ_ALL, 0, 0, 0, 0)
        c.capset(header, left)


def _hook(folder: str) -> Callable[[str, tuple], None]:
    """The audit hook: a refusal that says what was tried and what to do instead."""
    processes = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.system", "subprocess.Popen", "pty.spawn"}
    network = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}
    signals = {"os.kill", "os.killpg", "signal.pthread_kill"}
    changes = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.link"}
    changes |= {"os.symlink", "os.utime", "os.setxattr", "os.removexattr", "shutil.rmtree"}
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
        if event in ("resource.setrlimit", "resource.prlimit"):
            raise RefusedError("an answer may not change its limits. Try: use less time and memory")
        if event == "open" and isinstance(args[2], int) and args[2] & writing and outside(args[0]):
            raise RefusedError(f"an answer may not write to {args[0]!r}. Try: return the value instead")
        if event in changes and any(outside(path) for path in args[:2] if isinstance(path, str | bytes)):
            raise RefusedError(f"an answer may not change {args[0]!r}. Try: leave files alone")

    return refuse


def _filter_calls(c: ctypes.CDLL) -> bool:
    """Load a filter that the kernel applies to every system call of every thread from now on."""
    column, architecture = _MACHINES[platform.machine()]
    program: list[tuple[int, int, int, int]] = []  # operation, steps to skip if true, and if false, operand
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE | errno.EPERM)
    first, second, third = ((_LOAD, 0, 0, place) for place in _ARGUMENTS[:3])

    def when(name: str, *then: tuple[int, int, int, int]) -> None:
        """If it is this call, whose number is loaded, go on with these; they end in a return."""
        number = CALLS[name][column]
        if number:
            program.extend([(_EQUAL, 0, len(then), number), *then])

    program += [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    program += [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, 0x40000000), refuse]  # a second table of calls, on x86_64
    for name in _REFUSED:
        when(name, refuse)
    for name in _OWN:
        when(name, first, (_EQUAL, 1, 0, os.getpid()), (_EQUAL, 0, 1, 0), allow, refuse)
    for name, (one, other) in _SET_OWNER.items():
        when(name, second, (_EQUAL, 2, 0, one), (_EQUAL, 1, 0, other), allow, refuse)
    when("clone", first, (_ANY_BIT, 0, 1, _CLONE_THREAD), allow, refuse)
    when("clone3", (_RETURN, 0, 0, _REFUSE | errno.ENOSYS))  # its flags are out of sight; the C library then uses clone
    when("socketpair", second, (_AND, 0, 0, 0xF), (_EQUAL, 0, 1, _STREAM), allow, refuse)  # others can be addressed
    upper = (_LOAD, 0, 0, _ARGUMENTS[2] + 4)  # the other half of an address: of new limits, or null to read the old
    when("prlimit64", third, (_EQUAL, 0, 3, 0), upper, (_EQUAL, 0, 1, 0), allow, refuse)
    program.append(allow)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    for_all_threads, load = 1, 1
    return c.syscall(CALLS["seccomp"][column], load, for_all_threads, ctypes.c_char_p(header)) == 0


def _landlock(c: ctypes.CDLL, folder: str) -> bool:
    """Let this process change files below one folder only and, where the kernel can see to it, signal only itself."""
    column = _MACHINES[platform.machine()][0]
    steps = ("create_ruleset", "add_rule", "restrict_self")
    create, add, restrict = (CALLS[f"landlock_{step}"][column] for step in steps)
    version = c.syscall(create, None, 0, 1)
    if version < 1:
        return False
    changes = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))  # write, remove and make of every kind
    devices = 1 << 6 | 1 << 11  # whoever can make the device of a disk can write to the disk
    changes |= (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)  # to link across, to truncate
    attributes = struct.pack("QQQ", changes, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = c.syscall(create, ctypes.c_char_p(attributes), size, 0)
    if rules < 0:
        return False
    for path, allowed in ((folder, changes & ~devices), (os.devnull, 1 << 1)):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        c.syscall(add, rules, 1, ctypes.c_char_p(struct.pack("<Qi", allowed, handle)), 0)
        os.close(handle)
    done = c.syscall(restrict, rules, 0)
    os.close(rules)
    return done == 0
