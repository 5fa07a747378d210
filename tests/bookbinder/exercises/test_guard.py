"""Each wall is tried alone, in a process that it shuts in, with the others left out."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bookbinder.exercises import guard
from bookbinder.exercises.sandbox import Sandbox

on_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in guard._MACHINES,
    reason="system calls are filtered on Linux, on x86_64 and aarch64",
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="there are rights to give up only for root")
HEADERS = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}

BEGIN = """
import ctypes, errno, json, os, platform, resource, socket, stat, subprocess, sys, threading
from pathlib import Path
from bookbinder.exercises import guard

folder, outside, parent = sys.argv[1], sys.argv[2], os.getppid()
os.chdir(folder)
c = ctypes.CDLL(None, use_errno=True)
results = {}

def call(name, *args):
    "What the C library answers: a number, or the name of the error."
    found = getattr(c, name)(*args)
    return errno.errorcode[ctypes.get_errno()] if found == -1 else found

def system_call(name, *args):
    "What the kernel answers to a system call that the C library hides."
    number = guard.CALLS[name][guard._MACHINES[platform.machine()][0]]
    return call("syscall", number, *args)

def forked(name, *args):
    "Whether there is another process now."
    found = system_call(name, *args) if args else call(name)
    if found == 0:
        os._exit(0)
    if isinstance(found, int):
        os.waitpid(found, 0)
    return found

def thread():
    found = []
    one = threading.Thread(target=found.append, args=[1])
    one.start()
    one.join()
    return found

def attempt(title, what):
    try:
        results[title] = what()
    except BaseException as error:
        results[title] = [type(error).__name__, str(error)]
"""
WALLS = {
    "limits": "guard._limit(guard.Limits(files=40))",
    "hook": "sys.addaudithook(guard._hook(folder))",
    "seccomp": "c.prctl(38, 1, 0, 0, 0); assert guard._filter_calls(c)",
    "landlock": "c.prctl(38, 1, 0, 0, 0); assert guard._landlock(c, folder)",
    "rights": "guard._drop_rights(c)",
}


@pytest.fixture
def behind(tmp_path):
    """A function that makes some attempts behind one wall, and returns what came of each."""
    scratch, outside = tmp_path / "scratch", tmp_path / "outside"
    scratch.mkdir()
    outside.mkdir()
    (outside / "notes.txt").write_text("mine", encoding="utf-8")

    def run(wall: str, attempts: dict[str, str]) -> dict:
        lines = [f"attempt({title!r}, lambda: {code})" for title, code in attempts.items()]
        script = "\n".join([BEGIN, WALLS[wall], *lines, "print(json.dumps(results, default=repr))"])
        done = subprocess.run(
            [sys.executable, "-I", "-c", script, scratch, outside], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert [path.name for path in outside.iterdir()] == ["notes.txt"]
        assert (outside / "notes.txt").read_text(encoding="utf-8") == "mine"
        return json.loads(done.stdout)

    return run


@on_linux
def test_all_four_walls_stand_here():
    with Sandbox([]) as sandbox:
        assert sorted(sandbox.walls) == ["hook", "landlock", "limits", "seccomp"]


def test_limits_and_hook_stand_everywhere():
    with Sandbox([]) as sandbox:
        assert {"limits", "hook"} <= set(sandbox.walls)


@on_linux
def test_landlock_is_not_claimed_where_a_thread_was_running_before():
    early = "import threading, time\nthreading.Thread(target=time.sleep, args=[1000], daemon=True).start()"
    with Sandbox([early]) as sandbox:
        assert sorted(sandbox.walls) == ["hook", "limits", "seccomp"]
        chmod = "import ctypes\ndef f():\n    return ctypes.CDLL(None).chmod(b'.', 0o700)"
        assert sandbox.load([("In [1]", chmod)], "f")() == -1


@pytest.mark.parametrize(("column", "machine"), list(enumerate(HEADERS)))
def test_the_numbers_of_the_system_calls_are_those_of_the_kernel_s_headers(column, machine):
    header = Path(HEADERS[machine])
    if not header.is_file():
        pytest.skip("the headers of the kernel are not installed")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text(encoding="utf-8")))
    newest = max(int(number) for number in known.values())
    for name, numbers in guard.CALLS.items():
        if numbers[column] <= newest:
            assert numbers[column] == int(known.get(name, 0)), name


LIMITS = {
    "ten gigabytes": "len(bytearray(10 << 30))",
    "a large file": "Path('large').write_bytes(bytes((16 << 20) + 1))",
    "a file": "Path('small').write_bytes(bytes(1 << 20))",
    "many files": "[open(os.devnull) for _ in range(100)]",
    "a file of the dead process": "resource.getrlimit(resource.RLIMIT_CORE)[1]",
}


def test_the_limits_alone(behind):
    found = behind("limits", LIMITS)
    assert found["a large file"][0] == "OSError"
    assert "File too large" in found["a large file"][1]
    assert found["a file"] == 1 << 20
    assert "Too many open files" in found["many files"][1]
    assert found["a file of the dead process"] == 0
    if sys.platform == "linux":
        assert found["ten gigabytes"][0] == "MemoryError"


def test_processor_time_is_limited_whatever_catches_the_signal(tmp_path):
    endless = "\n".join(
        [
            "import signal, sys",
            "from bookbinder.exercises import guard",
            "guard._limit(guard.Limits(seconds=-4))",  # five more are allowed to those whom the clock should stop
            "if sys.argv[1] == 'deaf':",
            "    signal.signal(signal.SIGXCPU, signal.SIG_IGN)",
            "while True:",
            "    pass",
        ]
    )
    ends = {"plain": signal.SIGXCPU, "deaf": signal.SIGKILL}
    running = {how: subprocess.Popen([sys.executable, "-I", "-c", endless, how]) for how in ends}
    assert {how: -process.wait() for how, process in running.items()} == ends


HOOK = {
    "fork": "os.fork()",
    "command": "os.system('true')",
    "program": "subprocess.run(['true'])",
    "another program": "os.execv('/bin/true', ['true'])",
    "signal": "os.kill(parent, 0)",
    "signal to a group": "os.killpg(parent, 0)",
    "network": "socket.create_connection(('127.0.0.1', 9))",
    "name of a machine": "socket.getaddrinfo('localhost', 9)",
    "write": "open(f'{outside}/new.txt', 'w')",
    "append": "open(f'{outside}/notes.txt', 'a')",
    "write by bytes": "open(os.fsencode(outside) + b'/new.txt', 'w')",
    "write by path": "Path(outside, 'new.txt').write_text('')",
    "write by number": "os.open(f'{outside}/new.txt', os.O_CREAT | os.O_WRONLY)",
    "write by detour": "open(f'{folder}/../outside/new.txt', 'w')",
    "write next to it": "open(f'{folder}2', 'w')",
    "write by a pointer": "(c.symlink(outside.encode() + b'/new.txt', b'pointer'), open('pointer', 'w'))",
    "delete": "os.remove(f'{outside}/notes.txt')",
    "delete by bytes": "os.remove(os.fsencode(outside) + b'/notes.txt')",
    "delete by path": "Path(outside, 'notes.txt').unlink()",
    "move away": "os.rename(f'{outside}/notes.txt', 'notes.txt')",
    "move there": "os.rename('inner', f'{outside}/inner')",
    "new folder": "os.mkdir(f'{outside}/new')",
    "mode": "os.chmod(f'{outside}/notes.txt', 0)",
    "times": "os.utime(f'{outside}/notes.txt')",
    "cut": "os.truncate(f'{outside}/notes.txt', 0)",
    "limits": "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))",
}
INNOCENT = {
    "read": "Path(outside, 'notes.txt').read_text()",
    "write inside": "Path('own.txt').write_text('own')",
    "write nowhere": "open(os.devnull, 'w').write('own')",
    "folder inside": "os.mkdir('own')",
    "move inside": "os.rename('own.txt', 'own/own.txt')",
    "delete inside": "os.remove('own/own.txt')",
    "thread": "thread()",
    "limits read": "len(resource.getrlimit(resource.RLIMIT_CPU))",
}
HARMLESS = {
    "read": "mine",
    "write inside": 3,
    "write nowhere": 3,
    "folder inside": None,
    "move inside": None,
    "delete inside": None,
    "thread": [1],
    "limits read": 2,
}


def test_the_hook_alone_refuses_in_words(behind):
    found = behind("hook", {**HOOK, **INNOCENT})
    assert {title: found[title][0] for title in HOOK} == dict.fromkeys(HOOK, "RefusedError")
    assert all(found[title][1].startswith("an answer may not ") for title in HOOK)
    assert {title: found[title] for title in INNOCENT} == HARMLESS


@pytest.mark.parametrize("wall", [wall for wall in WALLS if wall != "hook"])
def test_innocent_answers_notice_no_wall(behind, wall):
    if wall in ("seccomp", "landlock", "rights") and sys.platform != "linux":
        pytest.skip("there is no such wall here")
    assert behind(wall, INNOCENT) == HARMLESS


FILTER = {
    "fork": "forked('fork')",
    "a process by the older call": "forked('clone', 17, 0, 0, 0, 0)",
    "another user space": "call('unshare', 0x10000000)",
    "program": "call('execl', b'/bin/true', b'true', None)",
    "a look into the parent": "system_call('ptrace', 16, parent, 0, 0)",
    "a handle of the parent": "system_call('pidfd_open', parent, 0)",
    "signal": "call('kill', parent, 0)",
    "signal to all": "call('kill', -1, 0)",
    "signal to a group": "call('kill', -parent, 0)",
    "signal to a thread": "system_call('tgkill', parent, parent, 0)",
    "signal by a file": "call('fcntl', 1, 8, parent)",
    "signal by a socket": "call('ioctl', 1, 0x8901, ctypes.byref(ctypes.c_int(parent)))",
    "priority": "call('setpriority', 0, parent, 1)",
    "processor of the parent": "system_call('sched_setaffinity', parent, 8, ctypes.byref(ctypes.c_long(-1)))",
    "socket": "call('socket', socket.AF_INET, socket.SOCK_STREAM, 0)",
    "local socket": "call('socket', socket.AF_UNIX, socket.SOCK_STREAM, 0)",
    "raw socket": "call('socket', 17, socket.SOCK_RAW, 0)",
    "pair that can be addressed": "call('socketpair', 1, 2 | 0o2000000, 0, ctypes.create_string_buffer(8))",
    "mode": "call('chmod', outside.encode() + b'/notes.txt', 0)",
    "owner": "call('chown', outside.encode() + b'/notes.txt', 1, 1)",
    "times": "call('utimensat', -100, outside.encode() + b'/notes.txt', None, 0)",
    "limits": "call('setrlimit', resource.RLIMIT_CORE, ctypes.create_string_buffer(16))",
    "limits of the parent": "call('prlimit', parent, resource.RLIMIT_CORE, ctypes.create_string_buffer(16), None)",
    "limits at an address of which the lower half is 0": (
        "system_call('prlimit64', 0, resource.RLIMIT_CORE, ctypes.c_long(1 << 32), None)"
    ),
    "queue of calls": "system_call('io_uring_setup', 1, ctypes.create_string_buffer(256))",
    "device": "call('mknod', b'device', 0o60600, 0xFE00)",
}
OWN = {
    "signal to itself": ("call('kill', os.getpid(), 0)", 0),
    "pair": ("call('socketpair', 1, 1 | 0o2000000, 0, ctypes.create_string_buffer(8))", 0),
    "processor": ("len(os.sched_getaffinity(0)) > 0 and os.sched_setaffinity(0, os.sched_getaffinity(0))", None),
    "descriptor": ("call('fcntl', 1, 1)", 0),
    "a thread's process": ("forked('clone3', ctypes.create_string_buffer(88), 88)", "ENOSYS"),
}


@on_linux
def test_the_filter_of_system_calls_alone_refuses_machine_code_too(behind):
    found = behind("seccomp", {**FILTER, **{title: code for title, (code, _) in OWN.items()}})
    assert {title: found[title] for title in FILTER} == dict.fromkeys(FILTER, "EPERM")
    assert {title: found[title] for title in OWN} == {title: expected for title, (_, expected) in OWN.items()}


@on_linux
def test_the_filter_of_system_calls_binds_the_threads_that_run_already(tmp_path):
    script = "\n".join(
        [
            "import ctypes, threading",
            "from bookbinder.exercises import guard",
            "c = ctypes.CDLL(None)",
            "go, found = threading.Event(), []",
            "early = threading.Thread(target=lambda: (go.wait(), found.append(c.socket(2, 1, 0))))",
            "early.start()",
            "c.prctl(38, 1, 0, 0, 0)",
            "assert guard._filter_calls(c)",
            "go.set()",
            "early.join()",
            "print(found)",
        ]
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[-1]\n", "")


def error_of(result):
    """The kind of an error that Python raised, or what the C library answered."""
    return result[0] if isinstance(result, list) else result


LANDLOCK = {
    "write": "open(f'{outside}/new.txt', 'w')",
    "append": "open(f'{outside}/notes.txt', 'a')",
    "write by machine code": "call('open', outside.encode() + b'/notes.txt', os.O_WRONLY | os.O_TRUNC)",
    "write next to it": "open(f'{folder}2', 'w')",
    "write into the parent": "open(f'/proc/{parent}/mem', 'r+b')",
    "delete": "os.remove(f'{outside}/notes.txt')",
    "delete by machine code": "call('unlink', outside.encode() + b'/notes.txt')",
    "delete a folder": "os.rmdir(outside)",
    "move away": "os.rename(f'{outside}/notes.txt', 'notes.txt')",
    "move there": "(open('inner', 'w').close(), os.rename('inner', f'{outside}/inner'))",
    "second name": "os.link(f'{outside}/notes.txt', 'notes.txt')",
    "pointer": "os.symlink(folder, f'{outside}/pointer')",
    "write by a pointer": "(os.symlink(f'{outside}/new.txt', 'pointer'), open('pointer', 'w'))",
    "new folder": "os.mkdir(f'{outside}/new')",
    "cut": "os.truncate(f'{outside}/notes.txt', 0)",
    "device": "os.mknod('device', stat.S_IFBLK | 0o600, os.makedev(254, 0))",
}


@on_linux
def test_landlock_alone_refuses_every_change_outside_of_the_folder(behind):
    found = behind("landlock", LANDLOCK)
    refused = ("EACCES", "EPERM", "PermissionError", "OSError")  # OSError: no file moves from one folder to another
    assert {title: result for title, result in found.items() if error_of(result) not in refused} == {}


RIGHTS = {
    "name of the machine": "socket.sethostname(socket.gethostname())",
    "device": "os.mknod('device', stat.S_IFBLK | 0o600, os.makedev(254, 0))",
    "owner": "os.chown('.', 1, 1)",
    "root folder": "os.chroot('.')",
    "clock": "call('adjtimex', ctypes.create_string_buffer(b'\\x01', 256))",
    "other user": "os.setuid(12345)",
}


@on_linux
@as_root
def test_root_gives_up_its_rights(behind):
    found = behind("rights", RIGHTS)
    refused = ("EPERM", "PermissionError")
    assert {title: result for title, result in found.items() if error_of(result) not in refused} == {}
