import json
import subprocess
import sys

import pytest
from bookbinder import kernel


def in_a_process(code: str) -> str:
    """What a fresh interpreter with the network blocked prints."""
    program = f"from bookbinder.kernel import block_network\nblock_network()\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "socket.socket().connect(('192.0.2.1', 80))",
        "socket.socket().connect_ex(('192.0.2.1', 80))",
        "socket.getaddrinfo('example.org', 80)",
        "urllib.request.urlopen('http://example.org', timeout=1)",
    ],
)
def test_an_attempt_to_leave_the_machine_raises(attempt):
    code = (
        f"import socket, urllib.request\ntry:\n    {attempt}\nexcept Exception as error:\n    print(type(error), error)"
    )
    printed = in_a_process(code)
    assert "the book runs without a network" in printed
    assert "example.org" in printed or "192.0.2.1" in printed


def test_this_machine_stays_reachable():
    code = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname()[:2])
client.sendall(b"x")
print(server.accept()[0].recv(1))
"""
    assert in_a_process(code) == "b'x'"


def test_the_environment_fixes_what_a_reader_may_have_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("MATPLOTLIBRC", "mine")
    variables = kernel.environment(tmp_path)
    assert variables["OMP_NUM_THREADS"] == "1"
    assert variables["MATPLOTLIBRC"] == str(tmp_path / "matplotlibrc")
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "00-network.py"
    assert "block_network()" in startup.read_text()


def test_farewell_tells_what_was_claimed_and_what_it_cost():
    code = (
        "from mazelm.common.claims import claim\nclaim('x', 1 / 3)\nfrom bookbinder.kernel import farewell\nfarewell()"
    )
    facts = json.loads(in_a_process(code).removeprefix(kernel.MARK))
    assert facts["claims"] == {"x": 1 / 3}
    assert 5 < facts["memory_mb"] < 1000
    assert 0 < facts["cpu_seconds"] < 20
    assert facts["versions"]["python"] == sys.version.split()[0]
