import itertools
import os
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
import torch
from bookbinder.exercises import expect as expecting
from bookbinder.exercises import sandbox as module
from bookbinder.exercises.expect import AnswerError
from bookbinder.exercises.guard import Limits
from bookbinder.exercises.sandbox import Sandbox, StoppedError

pytestmark = pytest.mark.usefixtures("scratch")
SHORT = Limits(seconds=0.5)  # for answers that never end
CHANNEL = "import os, struct, sys\nchannel = int(sys.argv[1])\n"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="all four walls stand on Linux only")


def asked(code, *args, given=(), limits=None):
    """What comes back from the function f of this code."""
    with Sandbox(given, limits) as sandbox:
        return sandbox.load([("In [1]", code)], "f")(*args)


def ended(code, **options):
    """Why the process of this code was ended."""
    with pytest.raises(StoppedError) as caught:
        asked(code, **options)
    return str(caught.value)


def test_a_value_comes_back():
    found = asked("def f(a, b=2.5):\n    return {'sum': a + b, 'all': (a, [b])}", 1)
    assert found == {"sum": 3.5, "all": (1, [2.5])}


def test_arrays_go_and_come():
    given = ["import numpy as np"]
    assert asked("def f(x):\n    return np.cumsum(x)", np.array([1, 2, 3]), given=given).tolist() == [1, 3, 6]


@pytest.mark.parametrize("statement", ["np.log(np.zeros(1))", "np.inf * np.zeros(1)", "warnings.warn('careful')"])
def test_a_warning_is_an_error_where_the_check_says_so(statement):
    code, given = f"def f(x):\n    {statement}\n    return x", ["import warnings\n\nimport numpy as np"]
    assert asked(code, 1, given=given) == 1
    with np.errstate(all="raise"), pytest.raises(AnswerError):
        asked(code, 1, given=given)


def test_a_number_too_small_to_be_held_is_no_warning():
    with np.errstate(all="raise"):
        assert asked("def f(x):\n    return np.exp(x)", -1000.0, given=["import numpy as np"]) == 0


def test_what_is_given_is_there_and_the_cells_run_in_their_order():
    with Sandbox(["base = 10", "step = base // 5"]) as sandbox:
        answer = sandbox.load([("a", "x = step"), ("b", "def f():\n    return x + base")], "f")
        assert answer() == 12


def test_a_plain_value_under_the_name_is_sent_and_none_where_there_is_no_such_name():
    with Sandbox([]) as sandbox:
        assert sandbox.load([("a", "f = 3")], "f") == 3
        assert sandbox.load([("a", "")], "g") is None


def test_the_check_keeps_its_own_arguments():
    mine = [3, 1, 2]
    assert asked("def f(values):\n    values.sort()\n    return values", mine) == [1, 2, 3]
    assert mine == [3, 1, 2]


def test_a_function_that_is_returned_can_be_called():
    with Sandbox([]) as sandbox:
        add = sandbox.load([("a", "def f(n):\n    return lambda x: x + n")], "f")(2)
        assert add(3) == 5


def test_an_object_that_is_returned_can_be_used():
    code = (
        "class f:\n    def __init__(self):\n        self.seen = []\n    def push(self, x):\n        self.seen.append(x)"
    )
    with Sandbox([]) as sandbox:
        one = sandbox.load([("a", code)], "f")()
        one.push(3)
        assert one.seen == [3]
        with pytest.raises(AnswerError, match="AttributeError: 'f' object has no attribute 'pull'"):
            one.pull()
        assert repr(one) == "<f object>"


@pytest.mark.parametrize(
    "returned", ["(n * n for n in range(3))", "map(lambda n: n * n, range(3))", "{0: 0, 1: 1, 4: 4}.values()"]
)
def test_what_can_be_iterated_can_be_iterated_here(returned):
    with Sandbox([]) as sandbox:
        assert list(sandbox.load([("a", f"def f():\n    return {returned}")], "f")()) == [0, 1, 4]


def test_of_a_generator_without_end_the_beginning_can_be_read():
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("a", "import itertools\ndef f():\n    return itertools.count(5)")], "f")
        assert list(itertools.islice(answer(), 3)) == [5, 6, 7]


def test_an_error_in_a_generator_is_an_error_of_the_answer():
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("In [3]", "def f():\n    yield 1\n    raise KeyError('here')")], "f")
        with pytest.raises(AnswerError) as caught:
            list(answer())
    assert str(caught.value) == "KeyError: 'here'\nIn [3], line 3: raise KeyError('here')"


def test_an_error_names_its_classes_and_the_last_line_of_the_answer():
    code = "import json\ndef f():\n    inner()\ndef inner():\n    json.loads('{')"
    with pytest.raises(AnswerError) as caught:
        asked(code)
    assert caught.value.kinds[:2] == ("JSONDecodeError", "ValueError")
    assert caught.value.place == "In [1], line 5: json.loads('{')"


@pytest.mark.parametrize(
    ("statement", "kind", "message"),
    [
        ("raise SystemExit(0)", "SystemExit", "0"),
        ("import sys; sys.exit('right')", "SystemExit", "right"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("exit()", "SystemExit", "None"),
        ("raise type('Odd', (ValueError,), {'__str__': lambda self: 1 / 0})", "Odd", "an error that cannot be shown"),
        ("raise type('Odd', (ValueError,), {'__str__': lambda self: 5})", "Odd", "an error that cannot be shown"),
        (r"raise ValueError('\udc80\x1b[2J')", "ValueError", r"\udc80\x1b[2J"),
        ("raise ExceptionGroup('two', [ValueError(1), KeyError(2)])", "ExceptionGroup", "two (2 sub-exceptions)"),
        ("return f()", "RecursionError", "maximum recursion depth exceeded"),
    ],
)
def test_whatever_an_answer_raises_is_told(statement, kind, message):
    with pytest.raises(AnswerError) as caught:
        asked(f"def f():\n    {statement}")
    assert caught.value.kinds[0] == kind
    assert caught.value.message.startswith(message)


def test_an_error_of_any_length_is_told_briefly():
    with pytest.raises(AnswerError) as caught:
        asked("def f():\n    raise ValueError('x' * 2 * 10**7)")
    assert caught.value.kinds[0] == "ValueError"
    assert len(str(caught.value)) < 3000


def test_the_calls_are_counted_and_the_last_one_is_known(monkeypatch):
    trace = expecting.Trace()
    monkeypatch.setattr(module, "TRACE", trace)
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("a", "def f(x, n=1):\n    return x")], "f")
        answer(1)
        answer([2], n=3)
    assert (trace.calls, trace.called) == (2, "f([2], n=3)")


def test_a_call_of_what_was_returned_is_told_from_a_call_of_the_answer(monkeypatch):
    trace = expecting.Trace()
    monkeypatch.setattr(module, "TRACE", trace)
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("a", "def f(x):\n    return x, lambda y: y")], "f")
        answer(1)[1](5)
    assert trace.called == "f(…)(5)"


def test_what_is_printed_is_there_at_once_and_in_full():
    code = "import sys\ndef f():\n    print('one')\n    print('two', file=sys.stderr)\n    return 1"
    for _ in range(5):
        with Sandbox([]) as sandbox:
            assert sandbox.load([("a", code)], "f")() == 1
            assert sandbox.printed == "one\ntwo\n"


def test_what_was_printed_is_known_of_a_process_that_had_to_be_ended():
    with Sandbox([], SHORT) as sandbox:
        answer = sandbox.load([("a", "def f():\n    print('still here')\n    while True: pass")], "f")
        with pytest.raises(StoppedError):
            answer()
        assert sandbox.printed == "still here\n"


def test_an_answer_prints_no_more_once_its_prints_were_read():
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("a", "def f():\n    print('more')")], "f")
        assert sandbox.printed == ""
        with pytest.raises(StoppedError):
            answer()


def test_an_answer_may_define_data_classes():
    code = """
from __future__ import annotations
import dataclasses, pickle
@dataclasses.dataclass
class Point:
    x: int
def f():
    return pickle.loads(pickle.dumps(Point(3))).x
"""
    assert asked(code) == 3


def test_much_that_is_printed_is_cut_and_does_not_stop_the_answer():
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("a", "def f():\n    return print('x' * 10_000_000)")], "f")
        assert answer() is None
        printed = sandbox.printed
    assert printed == 2000 * "x" + "\n… and 9,998,001 bytes more"


def test_what_is_printed_cannot_move_the_cursor():
    with Sandbox([]) as sandbox:
        sandbox.load([("a", r"print('\x1b[2J\rnumbers.double_all: right \x00')")], "f")
        assert sandbox.printed == "\\x1b[2J\\rnumbers.double_all: right \\x00\n"


def test_the_process_sees_an_empty_folder_an_empty_environment_and_no_keyboard(scratch, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    monkeypatch.setenv("PYTHONSTARTUP", "abc")
    code = (
        "import os, sys\ndef f():\n    return os.getcwd(), os.listdir(), dict(os.environ), sys.stdin.read(), input('?')"
    )
    folder, files, environment, typed, line = asked(code)
    assert os.path.dirname(folder) == str(scratch.resolve())
    assert (files, typed, line) == ([], "", "")
    assert "SECRET_TOKEN" not in environment
    assert "PYTHONSTARTUP" not in environment
    assert environment["HOME"] == environment["TMPDIR"] == folder


def test_the_process_does_not_read_what_is_typed_here():
    typed, keyboard = os.pipe()
    os.write(keyboard, b"6, 2")
    os.close(keyboard)
    own = os.dup(0)
    os.dup2(typed, 0)
    try:
        assert asked("import os\ndef f():\n    return os.read(0, 9).decode()") == ""
    finally:
        os.dup2(own, 0)
        os.close(own)
        os.close(typed)


def test_the_process_has_no_file_of_this_one_open(tmp_path):
    with open(tmp_path / "secret.txt", "w", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)
        code = "import os\ndef f(n):\n    os.fstat(n)"
        with pytest.raises(AnswerError, match="Bad file descriptor"):
            asked(code, file.fileno())


ENDS = {
    "a loop": (
        "def f():\n    while True: pass",
        SHORT,
        "did not finish within 0.5 s. Is there a loop that never ends?",
    ),
    "os._exit": ("import os\ndef f():\n    os._exit(0)", None, "ended its process: something in it exits"),
    "a crash": ("import ctypes\ndef f():\n    ctypes.string_at(0)", None, "broke down (SIGSEGV)"),
    "an abort": ("import os\ndef f():\n    os.abort()", None, "broke down (SIGABRT)"),
    "a closed channel": (f"{CHANNEL}def f():\n    os.close(channel)\n    while True: pass", None, "closed the channel"),
    "a closed reading end": (
        f"{CHANNEL}import socket\ndef f():\n    socket.socket(fileno=channel).shutdown(2)\n    while True: pass",
        None,
        "closed the channel",
    ),
    "a sleeping process": (
        "import ctypes\ndef f():\n    ctypes.CDLL(None).pause()",
        SHORT,
        "did not finish within 0.5 s",
    ),
    "a stopped process": (
        "import ctypes, signal\ndef f():\n    getattr(ctypes.CDLL(None), 'raise')(signal.SIGSTOP)",
        SHORT,
        "did not finish within 0.5 s",
    ),
    "a large array": ("import numpy as np\ndef f():\n    return np.ones(100 << 17)", None, "16 MB, not 100"),
    "a circle": (
        "def f():\n    x = []\n    x.append(x)\n    return x",
        None,
        "cannot be sent: maximum recursion depth",
    ),
    "a deep list": ("def f():\n    x = []\n    for _ in range(9**5): x = [x]\n    return x", None, "cannot be sent"),
    "a number of many digits": ("def f():\n    return 10**5000", None, "cannot be sent: Exceeds the limit"),
}


@pytest.mark.parametrize(("code", "limits", "reason"), ENDS.values(), ids=ENDS)
def test_an_answer_that_does_not_return_is_stopped_for_a_reason(code, limits, reason):
    assert reason in ended(code, limits=limits)


def test_a_value_that_cannot_be_sent_is_no_error_that_an_exercise_asks_for():
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("a", "def f():\n    return 10**5000")], "f")
        with pytest.raises(expecting.ExpectationError):
            expecting.expect_error(ValueError, answer, look="-")


def test_after_its_end_an_answer_stays_ended():
    with Sandbox([]) as sandbox:
        answer = sandbox.load([("a", "import os\ndef f():\n    os._exit(3)")], "f")
        for _ in range(2):
            with pytest.raises(StoppedError):
                answer()


ONE_LONG = """
def f():
    os.write(channel, struct.pack("!i", 100 << 20))
    while True:
        os.write(channel, bytes(1 << 20))
"""
NO_END = """
def f():
    os.write(channel, struct.pack("!iQ", -1, 1 << 62))
    while True:
        os.write(channel, bytes(1 << 20))
"""
MANY = "def f():\n    while True:\n        yield 'x' * (4 << 20)"


@pytest.mark.parametrize("code", [ONE_LONG, NO_END, MANY], ids=["one message", "one without end", "many messages"])
def test_the_memory_of_this_process_stays_bounded_whatever_is_sent(code):
    tracemalloc.start()
    try:
        with Sandbox([]) as sandbox:
            answer = sandbox.load([("a", CHANNEL + code)], "f")
            with pytest.raises(StoppedError, match="returned more than a check can take"):
                list(answer())
        assert tracemalloc.get_traced_memory()[1] < 150 << 20
    finally:
        tracemalloc.stop()


def test_a_message_that_is_announced_and_never_comes_is_waited_for_only_as_long_as_the_answer_may_run():
    announced = f"{CHANNEL}def f():\n    os.write(channel, struct.pack('!i', 1000))\n    while True: pass"
    assert "did not finish within 0.5 s" in ended(announced, limits=SHORT)


def test_the_clock_runs_for_all_calls_together():
    code = "import time\ndef f():\n    begin = time.monotonic()\n    while time.monotonic() < begin + 0.2: pass"
    with Sandbox([], SHORT) as sandbox:
        answer = sandbox.load([("a", code)], "f")
        answer()
        with pytest.raises(StoppedError, match=r"within 0\.5 s"):
            [answer() for _ in range(10)]


def test_a_thread_that_goes_on_after_the_return_ends_with_the_process():
    code = """
import threading
def spin():
    while True: pass
def f():
    threading.Thread(target=spin, daemon=True).start()
    threading.Thread(target=spin).start()
    return 1
"""
    assert asked(code) == 1  # and the fixture looks for what is left


@on_linux
def test_threads_are_allowed_and_processes_are_not():
    code = """
from concurrent.futures import ThreadPoolExecutor, ProcessPoolExecutor
import asyncio
def f():
    with ThreadPoolExecutor(4) as pool:
        threads = sum(pool.map(abs, range(-10, 0)))
    later = asyncio.run(asyncio.sleep(0, 'later'))
    try:
        ProcessPoolExecutor(1).submit(abs, 1)
    except PermissionError:
        return threads, later
"""
    assert asked(code) == (55, "later")


def test_files_in_its_folder_are_gone_afterwards(scratch):
    code = "import os\ndef f():\n    os.makedirs('a/b')\n    open('a/b/c', 'w').close()\n    os.mkdir('closed', 0)"
    assert asked(code) is None
    assert list(scratch.iterdir()) == []


@on_linux
def test_folders_deeper_than_python_can_follow_are_gone_afterwards(scratch):
    code = """
import ctypes
c = ctypes.CDLL(None)
def f():
    for _ in range(1500):
        c.mkdir(b'deep', 0o700), c.chdir(b'deep')
"""
    asked(code)
    assert list(scratch.iterdir()) == []


def test_nothing_is_left_when_the_process_cannot_be_started(scratch, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError), Sandbox([]):
        pass
    assert list(scratch.iterdir()) == []


def test_nothing_is_left_when_what_is_given_fails(scratch):
    with pytest.raises(StoppedError), Sandbox(["1 / 0"]) as sandbox:
        sandbox.load([], "f")
    assert list(scratch.iterdir()) == []


def test_a_second_answer_in_one_process_finds_nothing_of_the_first():
    with Sandbox(["import numpy as np\nweights = np.ones(2)"]) as sandbox:
        assert sandbox.load([("a", "weights[:] = 5\nleft_over = 1\nx = weights")], "x").tolist() == [5, 5]
        assert sandbox.load([("b", "x = weights, 'left_over' in globals()")], "x")[1] is False
        assert sandbox.load([("c", "x = weights")], "x").tolist() == [1, 1]


def test_each_answer_has_the_whole_time():
    with Sandbox([], Limits(seconds=0.8, answers=3)) as sandbox:
        for _ in range(3):
            assert sandbox.load([("a", "import time\ntime.sleep(0.4)\nx = 1")], "x") == 1


def test_what_is_given_loads_while_this_process_goes_on():
    begin = time.perf_counter()
    with Sandbox(["import time\ntime.sleep(1)"]) as sandbox:
        assert time.perf_counter() - begin < 0.9
        assert not sandbox.has_ended
        assert sandbox.load([("a", "x = 1")], "x") == 1
        assert time.perf_counter() - begin >= 1


def test_tensors_go_as_they_are_and_come_back_as_arrays():
    code = """
def f(x):
    y = (x * torch.ones(2, requires_grad=True)).sum(dim=1)
    return [y, (x.shape, x.dtype is torch.float32), {"half": y.bfloat16(), "mask": y > 0}]
"""
    given = ["import torch"]
    total, (shape, is_single), more = asked(code, torch.tensor([[1.0, 2.0], [3.0, 4.5]]), given=given)
    assert (type(total), total.dtype, total.tolist()) == (np.ndarray, np.float32, [3, 7.5])
    assert is_single is True
    assert shape == (2, 2)
    assert more["half"].tolist() == [3, 7.5]
    assert more["mask"].dtype == bool


def test_a_module_stays_there_and_can_be_called():
    code = "def f(n):\n    layer = nn.Linear(n, 1, bias=False)\n    nn.init.ones_(layer.weight)\n    return layer"
    with Sandbox(["import torch\nfrom torch import nn"]) as sandbox:
        layer = sandbox.load([("a", code)], "f")(3)
        assert layer(torch.tensor([[1.0, 2.0, 4.0]])).tolist() == [[7]]
        assert layer.weight.tolist() == [[1, 1, 1]]


def test_nothing_is_left_when_the_reader_interrupts(scratch):
    with pytest.raises(KeyboardInterrupt), Sandbox([]):
        raise KeyboardInterrupt
    assert list(scratch.iterdir()) == []


def test_no_process_of_the_answer_is_in_the_group_that_a_terminal_interrupts():
    with Sandbox([]) as sandbox:
        assert sandbox.load([("a", "import os\nx = os.getpgrp()")], "x") != os.getpgrp()


def test_a_small_exercise_is_questioned_in_well_under_two_seconds():
    def once():
        begin = time.perf_counter()
        assert asked("def f(x):\n    return np.sum(x)", np.ones(9), given=["import numpy as np"]) == 9
        return time.perf_counter() - begin

    assert min(once() for _ in range(3)) < 2


def test_starting_is_not_counted_as_the_answer_s_time():
    assert asked("def f():\n    return 1", given=["import time\ntime.sleep(0.6)"], limits=SHORT) == 1


def test_the_module_that_runs_inside_is_started_apart_from_the_reader_s_own_modules(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert subprocess.run([sys.executable, "-c", "import random"], capture_output=True, check=False).returncode == 1
    assert asked("import random\ndef f():\n    return random.Random(0).randint(1, 1)") == 1
