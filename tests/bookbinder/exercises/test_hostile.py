"""Answers that want to pass without being right, or to do harm. None may pass, none may leave anything behind."""

import pickle
import socket
import sys
import time

import nbformat
import pytest
from bookbinder.exercises import answers
from bookbinder.exercises.cells import Cell
from bookbinder.exercises.checking import judge
from bookbinder.exercises.guard import Limits
from bookbinder.exercises.reader import Work

pytestmark = pytest.mark.usefixtures("scratch")
SHORT = Limits(seconds=0.5)  # for answers that never end
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="machine code can be held back on Linux only")
IMPORTS = """
import base64, builtins, ctypes, errno, json, os, pickle, signal, socket, struct, sys, threading
import numpy as np
"""
CHANNEL = """
channel = int(sys.argv[1])
def packed(value):
    if isinstance(value, (list, tuple)):
        return {"t": type(value).__name__, "v": [packed(item) for item in value]}
    return value
def deep(depth):
    return [deep(depth - 1)] if depth else []
def send(data):
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    os.write(channel, struct.pack("!i", len(data)) + data)
def reply(value):
    send(packed(["value", value]))
"""


@pytest.fixture
def judged(exercise):
    """A function that judges an answer to the first exercise, which is called double_all."""

    def run(code: str, **options):
        return judge(exercise(), [Cell("In [1]", IMPORTS + code)], **options)

    return run


NEVER_END = {
    "a loop": "def double_all(values):\n    while True: pass",
    "a loop while it is loaded": "while True: pass\ndef double_all(values): pass",
    "a loop that catches everything": """
def double_all(values):
    while True:
        try:
            while True: pass
        except BaseException:
            pass
""",
    "a loop that ignores every signal": """
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
def double_all(values):
    while True: pass
""",
    "a wait for somebody": "def double_all(values):\n    threading.Event().wait()",
    "a loop that prints": "def double_all(values):\n    while True: print('right ' * 1000)",
    "a loop in machine code": "def double_all(values):\n    return sum(range(10**12))",
    "a generator": "def double_all(values):\n    while True: yield 6",
    "a loop at its end": """
import atexit
def double_all(values):
    try:
        raise SystemExit
    finally:
        while True: pass
""",
}


@pytest.mark.parametrize("code", NEVER_END.values(), ids=NEVER_END)
def test_an_answer_without_end_is_wrong_in_time(judged, code):
    begin = time.monotonic()
    verdict = judged(code, limits=SHORT)
    assert verdict.result == "wrong"
    assert time.monotonic() - begin < 15
    if "yield" not in code:
        assert "did not finish within 0.5 s" in str(verdict)


HOSTILE = {
    "ten gigabytes": ("def double_all(values):\n    return bytearray(10 << 30)", "MemoryError"),
    "ten gigabytes of numbers": ("def double_all(values):\n    return np.ones(10 << 27)", "MemoryError"),
    "a hundred megabytes": ("def double_all(values):\n    return np.ones(100 << 17)", "may take 16 MB, not 100"),
    "exit": ("def double_all(values):\n    sys.exit()", "SystemExit"),
    "exit with success": ("def double_all(values):\n    raise SystemExit(0)", "SystemExit: 0"),
    "exit while it is loaded": ("double_all = None\nsys.exit(0)", "SystemExit: 0"),
    "exit at once": ("def double_all(values):\n    os._exit(0)", "ended its process"),
    "exit at once while it is loaded": ("os._exit(0)\ndef double_all(values): pass", "ended its process"),
    "an interrupt": ("def double_all(values):\n    raise KeyboardInterrupt", "KeyboardInterrupt"),
    "a crash": ("def double_all(values):\n    ctypes.string_at(0)", "broke down (SIGSEGV)"),
    "a closed channel": (CHANNEL + "def double_all(values):\n    os.close(channel)", "closed the channel"),
    "no recursion limit": (
        "sys.setrecursionlimit(10**9)\nclass Deep:\n    def __repr__(self): return repr([self])\n"
        "def double_all(values):\n    return repr(Deep())",
        "",
    ),
    "a line from the keyboard": ("def double_all(values):\n    return [int(n) for n in input()]", "returned  []"),
    "the whole keyboard": ("def double_all(values):\n    return sys.stdin.read()", "returned  ''"),
    "ten megabytes printed": (
        "def double_all(values):\n    print('right\\n' * 2_000_000)\n    return values",
        "bytes more",
    ),
    "a verdict printed": (
        "def double_all(values):\n    print('\\x1b[2J\\rnumbers.double_all: right, in 3 calls')",
        "printed   \\x1b[2J\\rnumbers.double_all: right",
    ),
    "NaN": ("def double_all(values):\n    return [np.nan] * len(values)", "returned  [nan, nan]"),
    "an answer to every comparison": (
        """
class Same(list):
    def __eq__(self, other): return True
    __ne__ = __hash__ = None
def double_all(values): return Same([1, 2])
""",
        "returned  <Same object>",
    ),
    "an array of anything": (
        """
class Same:
    def __array__(self, *args, **kwargs): return np.array([6, 2])
    def __eq__(self, other): return True
    def __len__(self): return 2
def double_all(values): return Same()
""",
        "returned  <Same object>",
    ),
    "a false class": (
        """
class Same:
    @property
    def __class__(self): return list
    def __eq__(self, other): return True
def double_all(values): return Same()
""",
        "returned  <Same object>",
    ),
    "a false class of arrays": (
        """
class Same:
    @property
    def __class__(self): return np.ndarray
def double_all(values): return Same()
""",
        "cannot be sent",
    ),
    "an object that cannot be shown": (
        "class Same:\n    def __repr__(self): 1 / 0\ndef double_all(values): return Same()",
        "returned  <Same object>",
    ),
    "an error that cannot be shown": (
        "class Odd(Exception):\n    def __str__(self): 1 / 0\ndef double_all(values): raise Odd",
        "Odd: an error that cannot be shown",
    ),
    "a circle": ("def double_all(values):\n    values.append(values)\n    return values", "cannot be sent"),
    "a generator": ("def double_all(values):\n    yield from [6, 2]", "returned  <generator object>"),
    "itself": ("def double_all(values):\n    return double_all", "returned  <function object>"),
    "no function": ("double_all = [6, 2]", "and no function"),
    "numpy.testing and all of numpy's comparisons replaced": (
        """
always = lambda *args, **kwargs: True
for name in dir(np.testing):
    if name.startswith("assert"): setattr(np.testing, name, always)
np.allclose = np.array_equal = np.all = np.isclose = np.asarray = always
def double_all(values): return values
""",
        "",
    ),
    "the builtin functions replaced": (
        """
def double_all(values): return values
for name in ("abs", "all", "bool", "isinstance", "len", "type", "zip"):
    setattr(builtins, name, lambda *args, **kwargs: True)
""",
        "",
    ),
    "the checks replaced": (
        """
import bookbinder.exercises.expect as expecting, bookbinder.exercises.checking as checking
expecting.agree = lambda *args: True
expecting.expect = expecting.expect_error = expecting.require = lambda *args, **kwargs: None
checking.judge = checking.examine = lambda *args, **kwargs: 3
def double_all(values): return values
""",
        "returned  [3, 1]",
    ),
    "the writing of values replaced": (
        """
import bookbinder.exercises.values as values_
write = values_.write
values_.write = lambda value, keep: write(["value", [6, 2]], keep)
def double_all(values): return values
""",
        "",
    ),
    "json replaced": ("json.dumps = lambda value: '[]'\ndef double_all(values): return values", "no value"),
    "every error turned into the one asked for": (
        "def double_all(values):\n    raise ValueError",
        "raised    ValueError",
    ),
    "the caller's names": (
        """
def double_all(values):
    frame = sys._getframe()
    while frame:
        for name in ("equals", "expected", "right"):
            if name in frame.f_locals: return frame.f_locals[name]
        frame = frame.f_back
""",
        "returned  None",
    ),
}


@pytest.mark.parametrize(("code", "said"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_wrong_and_it_is_told_why(judged, right, code, said):
    verdict = judged(code)
    assert verdict.result == "wrong"
    assert said in str(verdict)
    assert len(str(verdict)) < 8000
    assert judged(right["numbers.double_all"]).result == "right"  # for the next reader nothing has changed


FORGED = {
    "the first answer": "reply([6, 2])",
    "several answers": "for _ in range(9): reply([6, 2])",
    "an error that is asked for": "send(packed(['error', ['ValueError'], '', '']))",
    "only errors that are asked for": "for _ in range(9): send(packed(['error', ['ValueError'], '', '']))",
    "nothing": "send(b'')",
    "no value": "send(b'6, 2')",
    "a value without its wrapping": "send([6, 2])",
    "another word": "send(packed(['right', [6, 2]]))",
    "a verdict": "send(packed(['value']))",
    "an error without a class": "send(packed(['error', [], '', '']))",
    "an error of deep classes": "send(packed(['error', ['A', deep(300)], '', '']))",
    "an error of very long classes": "send(packed(['error', ['A' * 10**6], 'B' * 10**6, 'C' * 10**6]))",
    "a deep list": "reply(deep(300))",
    "a long text among numbers": "reply(['x' * 100_000, *range(3000)])",
    "an error of no text": "send(packed(['error', [1], 2, 3]))",
    "a handle of nothing": "send(packed(['value', {'t': 'handle', 'v': [10**9, 'x']}]))",
    "a handle below nothing": "send(packed(['value', {'t': 'handle', 'v': [-10**99, 'x']}]))",
    "bytes without a length": "os.write(channel, b'x' * 1000)",
    "a negative length": "os.write(channel, struct.pack('!i', -5))",
    "a huge length": "os.write(channel, struct.pack('!i', 2**31 - 1))",
    "a huger length": "os.write(channel, struct.pack('!iQ', -1, 2**64 - 1))",
    "a length and less": "os.write(channel, struct.pack('!i', 100) + b'x'); os._exit(0)",
    "very deep lists": "send(b'[' * 10**6)",
    "deep values": 'send(b\'{"t":"list","v":[\' * 10**5)',
    "objects as numbers": "send({'t': 'array', 'v': ['O', [1], base64.b64encode(bytes(8)).decode()]})",
    "a negative shape": "send({'t': 'array', 'v': ['<i8', [-1, -2], base64.b64encode(bytes(16)).decode()]})",
    "an array out of nothing": "send({'t': 'array', 'v': ['<U0', [10**9], '']})",
    "a table of one hash": "send({'t': 'set', 'v': [n * (2**61 - 1) for n in range(300_000)]})",
    "a class of the standard library": "send({'t': 'record', 'v': ['subprocess', 'Popen', {'args': 'true'}]})",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_is_written_into_the_channel_does_not_pass(judged, forge):
    begin = time.monotonic()
    verdict = judged(f"{CHANNEL}def double_all(values):\n    {forge}\n    return [values[0]]")
    assert verdict.result == "wrong"
    assert len(str(verdict)) < 8000
    assert time.monotonic() - begin < 8  # no wait for the end of the answer's time


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_is_written_into_the_channel_beforehand_does_not_pass(judged, forge):
    assert judged(f"{CHANNEL}{forge}\ndef double_all(values):\n    return values").result == "wrong"


def test_memory_taken_piece_by_piece_comes_to_an_end(judged):
    code = "def double_all(values):\n    held = []\n    while True: held.append(bytearray(1 << 22))"
    assert "MemoryError" in str(judged(code, limits=Limits(memory_bytes=200 << 20)))


class Touch:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_code_of_an_answer_runs_on_this_side(judged, tmp_path, protocol):
    marker = tmp_path / "touched"
    bomb = pickle.dumps(Touch(marker), protocol)
    assert judged(f"{CHANNEL}def double_all(values):\n    send({bomb!r})").result == "wrong"
    assert not marker.exists()


FORKS = {
    "by Python": "os.fork()",
    "by the C library": "c.fork()",
    "by a system call": "c.syscall({'x86_64': 57, 'aarch64': 220}[os.uname().machine], 17, 0, 0, 0, 0)",
    "by another system call": "c.syscall({'x86_64': 56, 'aarch64': 220}[os.uname().machine], 17, 0, 0, 0, 0)",
    "by the newest system call": "c.syscall(435, struct.pack('11Q', *[0] * 4, 17, *[0] * 6), 88)",
}
FORK_ON = """
c = ctypes.CDLL(None)
def double_all(values):
    made = refused = 0
    for _ in range(100):  # this is where it ends, should nothing else stop it
        try:
            child = {fork}
        except OSError:
            child = -1
        if child == 0:
            os._exit(0)
        if child > 0:
            os.waitpid(child, 0)
            made += 1
        refused += child < 0
    return ["children", made, "refused", refused]
"""


@on_linux
@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
def test_an_answer_that_forks_on_and_on_makes_no_child(judged, fork):
    assert "returned  ['children', 0, 'refused', 100]" in str(judged(FORK_ON.replace("{fork}", fork)))


@on_linux
def test_an_answer_may_use_threads(judged):
    code = """
from concurrent.futures import ThreadPoolExecutor
def double_all(values):
    if not values: raise ValueError
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda value: 2 * value, values))
"""
    assert judged(code).result == "right"


PROCESSES = {
    "a signal": "os.kill(os.getppid(), signal.SIGTERM)",
    "a signal to all": "os.kill(-1, signal.SIGKILL)",
    "a command": "os.system('true')",
    "a program": "__import__('subprocess').run(['true'])",
    "another program in its place": "os.execv('/bin/true', ['true'])",
    "a spawned program": "os.posix_spawn('/bin/true', ['true'], {})",
    "a pool of processes": "__import__('multiprocessing').Pool(2).map(abs, values)",
}


@pytest.mark.parametrize("deed", PROCESSES.values(), ids=PROCESSES)
def test_an_answer_does_nothing_to_other_processes(judged, deed):
    verdict = judged(f"def double_all(values):\n    {deed}\n    return [6, 2]")
    assert verdict.result == "wrong"
    assert "PermissionError" in str(verdict) or "RefusedError: an answer may not" in str(verdict)


@on_linux
def test_machine_code_does_nothing_to_other_processes(judged):
    code = """
c = ctypes.CDLL(None)
def double_all(values):
    return [c.kill(os.getppid(), 15), c.kill(-1, 9), c.killpg(os.getppid(), 9), c.execl(b'/bin/true', b'true', None)]
"""
    assert "returned  [-1, -1, -1, -1]" in str(judged(code))


@pytest.mark.parametrize("cell", ["os.remove({!r})", "open({!r}, 'w')", "os.rename({!r}, 'mine')"])
def test_an_answer_cannot_change_the_reader_s_notebook(judged, tmp_path, cell):
    mine = tmp_path / "exercises.ipynb"
    mine.write_text("work of a week", encoding="utf-8")
    verdict = judged(f"def double_all(values):\n    {cell.format(str(mine))}\n    return [6, 2]")
    assert "RefusedError: an answer may not" in str(verdict)
    assert mine.read_text(encoding="utf-8") == "work of a week"


@on_linux
@pytest.mark.parametrize(
    "call",
    [
        "c.unlink(mine)",
        "c.open(mine, os.O_WRONLY | os.O_TRUNC)",
        "c.truncate(mine, ctypes.c_long(0))",
        "c.rename(mine, b'mine')",
        "c.rename(b'own', mine)",
        "c.chmod(mine, 0)",
        "c.link(mine, b'mine')",
        "c.rmdir(os.path.dirname(mine))",
    ],
)
def test_machine_code_cannot_change_the_reader_s_notebook(judged, tmp_path, call):
    mine = tmp_path / "exercises.ipynb"
    mine.write_text("work of a week", encoding="utf-8")
    before = mine.stat()
    names = f"c = ctypes.CDLL(None)\nmine = {str(mine).encode()!r}\nopen('own', 'w').close()"
    verdict = judged(f"{names}\ndef double_all(values):\n    return ['done', {call}]")
    assert "returned  ['done', -1]" in str(verdict)
    assert mine.read_text(encoding="utf-8") == "work of a week"
    assert (mine.stat().st_mode, mine.stat().st_nlink) == (before.st_mode, before.st_nlink)


CONNECT = """
def double_all(values):
    with socket.create_connection(("127.0.0.1", {port}), timeout=2) as connection:
        connection.sendall(b"all my data")
    return [6, 2]
"""
CONNECT_BY_MACHINE_CODE = """
c = ctypes.CDLL(None)
def double_all(values):
    one = c.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    address = struct.pack("=H", socket.AF_INET) + struct.pack(">H", {port}) + bytes([127, 0, 0, 1]) + bytes(8)
    return ["done", one, c.connect(one, address, 16)]
"""


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening
        with pytest.raises(BlockingIOError):  # nobody has called
            listening.accept()


def test_an_answer_reaches_no_server(judged, server):
    verdict = judged(CONNECT.replace("{port}", str(server.getsockname()[1])))
    assert verdict.result == "wrong"
    assert "RefusedError: an answer may not use the network" in str(verdict) or "PermissionError" in str(verdict)


@on_linux
def test_machine_code_reaches_no_server(judged, server):
    verdict = judged(CONNECT_BY_MACHINE_CODE.replace("{port}", str(server.getsockname()[1])))
    assert "returned  ['done', -1, -1]" in str(verdict)


@on_linux
def test_machine_code_reaches_no_server_by_the_name_of_a_file(judged, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind("server")  # such a server may obey root
        listening.listen()
        listening.setblocking(False)
        code = f"""
c = ctypes.CDLL(None)
def double_all(values):
    one = c.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
    return ["done", one, c.connect(one, struct.pack("=H", 1) + {bytes(tmp_path)!r} + b"/server\\0", 110)]
"""
        assert "returned  ['done', -1, -1]" in str(judged(code))
        with pytest.raises(BlockingIOError):
            listening.accept()


LIMITS = {
    "by Python": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "by the C library": "ctypes.CDLL(None).setrlimit(9, struct.pack('qq', -1, -1))",
    "by prlimit": "ctypes.CDLL(None).prlimit(0, 9, struct.pack('qq', -1, -1), None)",
    "by prlimit for its own number": "ctypes.CDLL(None).prlimit(os.getpid(), 9, struct.pack('qq', -1, -1), None)",
}


@on_linux
@pytest.mark.parametrize("lift", LIMITS.values(), ids=LIMITS)
def test_an_answer_cannot_lift_its_limits(judged, lift):
    code = f"""
def double_all(values):
    try:
        {lift}
    except OSError:
        pass
    return len(bytearray(4 << 30))
"""
    assert "MemoryError" in str(judged(code))


@on_linux
def test_an_answer_cannot_read_what_the_check_holds(judged):
    code = """
def double_all(values):
    found = []
    for name in ("mem", "environ", "maps", "fd/0", "cwd/secret"):
        try:
            with open(f"/proc/{os.getppid()}/{name}", "rb") as file:
                found.append(file.read(1) is None)
        except OSError as error:
            found.append(type(error).__name__)
    return found
"""
    assert "returned  ['PermissionError', 'PermissionError', 'PermissionError'" in str(judged(code))


def test_a_daemon_that_goes_on_after_the_return_changes_nothing(judged, right):
    code = """
def flood():
    while True:
        try:
            print("right")
        except BaseException:
            pass
threading.Thread(target=flood, daemon=True).start()
"""
    assert judged(code + right["numbers.double_all"]).result == "right"  # and the fixture looks for what is left


def test_a_small_exercise_is_judged_in_well_under_two_seconds(judged, right):
    def once():
        begin = time.perf_counter()
        assert judged(right["numbers.double_all"]).result == "right"
        return time.perf_counter() - begin

    assert min(once() for _ in range(3)) < 2


@pytest.fixture
def mine(book):
    """The reader's notebook, and a function that writes answers into its cells."""
    work = Work(book)
    sheet = book.sheets[0]
    work.start(sheet)
    path = work.notebook(sheet)

    def write(codes: dict[str, str], *, without: bool = False):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            facts = cell.metadata.get("exercise", {})
            if facts.get("role") == "answer" and facts["id"] in codes:
                cell.source = codes[facts["id"]]
        if without:
            notebook.cells = [cell for cell in notebook.cells if cell.source in codes.values()]
        nbformat.write(notebook, path)

    return path, write


def results(book, *names):
    verdicts = answers.check(book, [str(name) for name in names], hidden=False, history=None)
    return {verdict.id: verdict.result for verdict in verdicts}


BESIDE = {
    "a syntax error": "def double_all(values:\n    return",
    "an error while it is loaded": "1 / 0\ndef double_all(values): pass",
    "an exit while it is loaded": "import os\nos._exit(0)\ndef double_all(values): pass",
    "replacing numpy's comparisons": "import numpy\nnumpy.where = numpy.maximum = None\ndef double_all(values): pass",
    "the same name as what is given": "FLOOR = 100\ndef double_all(values): return values",
    "nothing that is text": "def double_all(values):\n    return '\\x00\\ud800'",
}


@pytest.mark.parametrize("code", BESIDE.values(), ids=BESIDE)
def test_an_answer_changes_no_other_exercise(book, mine, right, code):
    _, write = mine
    write({**right, "numbers.double_all": code})
    assert results(book) == {"numbers.double_all": "wrong", "numbers.lift": "right"}


def test_deleting_all_other_cells_changes_no_result(book, mine, right):
    path, write = mine
    write(right, without=True)
    assert len(nbformat.read(path, as_version=4).cells) == 2
    assert results(book) == dict.fromkeys(right, "right")


def test_renaming_the_notebook_changes_no_result(book, mine, right, tmp_path):
    path, write = mine
    write(right)
    renamed = path.rename(tmp_path / "Übung (copy 2).ipynb")
    assert results(book, renamed) == dict.fromkeys(right, "right")


def test_an_answer_that_deletes_the_notebook_it_stands_in_leaves_it_there(book, mine, right):
    path, write = mine
    write({**right, "numbers.double_all": f"import os\ndef double_all(values):\n    os.remove({str(path)!r})"})
    before = path.read_bytes()
    assert results(book) == {"numbers.double_all": "wrong", "numbers.lift": "right"}
    assert path.read_bytes() == before


def test_an_answer_cannot_note_itself_as_right(book, mine):
    path, write = mine
    progress = path.parents[1] / "progress.json"
    cheat = f"def double_all(values):\n    open({str(progress)!r}, 'w').write('{{}}')\n    return values"
    write({"numbers.double_all": cheat})
    assert results(book, "numbers.double_all") == {"numbers.double_all": "wrong"}
    assert Work(book).progress()["numbers.double_all"].right is False
