"""Making the environment, with an interpreter that only pretends: nothing is installed and no network is used."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bookbinder import bootstrap

ROOT = Path(__file__).resolve().parents[2]

# It notes how it was called, makes what only looks like a virtual environment, and fails or waits when it is told to.
PRETENDER = """#!/bin/sh
echo "$*" >> "$FAKE_CALLS"
case "$*" in
"-c "*) echo ${FAKE_VERSION:-3 12 1} ;;
"-m venv "*)
    mkdir -p "$3/bin"
    if [ -n "$FAKE_BROKEN_VENV" ]; then echo "ensurepip is not available"; exit 1; fi
    cp "$0" "$3/bin/python"
    printf 'version = 3.12.1\\ncommand = %s -m venv %s\\n' "$0" "$3" > "$3/pyvenv.cfg" ;;
"-m pip install "*)
    echo "path=$PYTHONPATH user=$PIP_USER"
    if [ -n "$FAKE_WAIT" ]; then touch "$FAKE_WAIT.begun"; n=0
        while [ ! -e "$FAKE_WAIT" ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done; fi
    if [ -n "$FAKE_ERROR" ]; then echo "$FAKE_ERROR"; exit 1; fi ;;
esac
"""
INSTALL = "-m pip install --no-input -c constraints.txt "
TORCH, REST = INSTALL + "torch hatchling", INSTALL + "--no-build-isolation -e .[all]"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder with what the bootstrap reads of the repository. The spaces in its name are meant."""
    root = tmp_path / "a clone of the book"
    (root / "lib/bookbinder").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "lib/bookbinder/bootstrap.py"):
        shutil.copy(ROOT / name, root / name)
    pretender = tmp_path / "python that pretends"
    pretender.write_text(PRETENDER)
    pretender.chmod(0o755)
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("PYTHON", str(pretender))
    return root


@pytest.fixture
def calls(tmp_path):
    """A function that gives the calls of the pretender since the last time, but for questions about it."""

    def since() -> list[str]:
        path = tmp_path / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith(("-c", "-m pip --version"))]

    return since


def command(root: Path) -> list[str]:
    return [sys.executable, str(root / "lib/bookbinder/bootstrap.py")]


def bootstrapped(root: Path) -> subprocess.CompletedProcess:
    return subprocess.run(command(root), capture_output=True, text=True, timeout=60)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.02)


def test_the_first_run_makes_everything_with_torch_first_and_pinned(clone, calls):
    answer = bootstrapped(clone)
    assert answer.returncode == 0, answer.stderr
    assert calls() == [f"-m venv {clone}/.venv", TORCH, REST]
    said = answer.stderr.splitlines()
    assert [line.split()[1] for line in said] == ["making", "installing", "installing", "the"]
    assert answer.stdout == ""


def test_the_second_run_does_nothing_and_at_once(clone, calls, monkeypatch):
    bootstrapped(clone)
    calls()
    monkeypatch.delenv("PYTHON")  # as a newcomer has it
    monkeypatch.setattr(subprocess, "Popen", None)  # any attempt to start a program fails
    started = time.perf_counter()
    bootstrap.ensure_environment(clone)
    assert time.perf_counter() - started < 0.1
    assert calls() == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_wanted_installs_again_into_the_same_environment(clone, calls, name):
    bootstrapped(clone)
    calls()
    (clone / name).write_text((clone / name).read_text() + "\n")
    bootstrapped(clone)
    assert calls() == [TORCH, REST]
    assert bootstrap.is_complete(clone)


def test_a_change_that_failed_half_way_and_was_taken_back_is_not_taken_for_complete(clone, monkeypatch):
    bootstrapped(clone)
    before = (clone / "constraints.txt").read_text()
    (clone / "constraints.txt").write_text("numpy==1.0\n")
    monkeypatch.setenv("FAKE_ERROR", "half of it is installed")
    assert bootstrapped(clone).returncode == 3
    (clone / "constraints.txt").write_text(before)
    assert not bootstrap.is_complete(clone)


def test_a_clone_that_moved_gets_a_new_environment(clone, calls):
    bootstrapped(clone)
    calls()
    elsewhere = clone.rename(clone.with_name("elsewhere"))
    bootstrapped(elsewhere)
    assert calls() == [f"-m venv {elsewhere}/.venv", TORCH, REST]


def test_another_wanted_version_gets_a_new_environment(clone, calls, monkeypatch):
    bootstrapped(clone)
    calls()
    monkeypatch.setenv("FAKE_VERSION", "3 13 0")
    assert not bootstrap.is_complete(clone)
    assert not bootstrap.is_usable(clone)
    monkeypatch.setenv("FAKE_VERSION", "3 12 9")  # a bug-fix release fits as well
    assert bootstrap.is_complete(clone)


def test_an_environment_whose_python_is_gone_is_made_anew(clone, calls):
    bootstrapped(clone)
    calls()
    (clone / ".venv/bin/python").unlink()
    bootstrapped(clone)
    assert calls()[0] == f"-m venv {clone}/.venv"


def test_without_the_module_venv_nothing_half_made_is_left_and_the_remedy_is_named(clone, monkeypatch):
    monkeypatch.setenv("FAKE_BROKEN_VENV", "1")
    answer = bootstrapped(clone)
    assert answer.returncode == 3
    assert not (clone / ".venv").exists()
    assert "ensurepip is not available" in answer.stderr
    assert "sudo apt install python3-venv (or python3.12-venv)" in answer.stderr


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("NewConnectionError: Temporary failure in name resolution", "see whether the network works"),
        ("OSError: [Errno 28] No space left on device", "free 2.5 GB"),
        ("ResolutionImpossible: see dependency-resolution", "read _build/install.log"),
        ("something else", "the same command again; if that fails too, read _build/install.log"),
    ],
)
def test_what_pip_said_last_is_shown_with_advice(clone, monkeypatch, error, remedy):
    monkeypatch.setenv("FAKE_ERROR", error)
    answer = bootstrapped(clone)
    assert answer.returncode == 3
    assert error in answer.stderr
    assert remedy in answer.stderr
    assert not bootstrap.is_complete(clone)
    monkeypatch.delenv("FAKE_ERROR")
    assert bootstrapped(clone).returncode == 0


def test_a_run_that_was_killed_is_taken_up_and_waits_for_the_pip_it_left(clone, calls, monkeypatch, tmp_path):
    go = tmp_path / "go"
    monkeypatch.setenv("FAKE_WAIT", str(go))
    killed = subprocess.Popen(command(clone), stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "go.begun")
    killed.kill()
    killed.wait()
    assert not (clone / ".venv/.installed").exists()

    second = subprocess.Popen(command(clone), stderr=subprocess.PIPE, text=True)
    assert "waiting" in second.stderr.readline()  # the first one's pip is still at work
    go.touch()
    _, said = second.communicate(timeout=30)
    assert second.returncode == 0, said
    assert calls() == [f"-m venv {clone}/.venv", TORCH, TORCH, REST]  # the environment was not made twice
    assert bootstrap.is_complete(clone)


def test_control_c_ends_pip_too_and_leaves_no_stamp(clone, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_WAIT", str(tmp_path / "never"))
    running = subprocess.Popen(command(clone), stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "never.begun")
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "the next run goes on from here" in said
    monkeypatch.delenv("FAKE_WAIT")
    started = time.monotonic()
    assert bootstrapped(clone).returncode == 0
    assert time.monotonic() - started < 15  # the pip that waits for half a minute holds the lock no more


def test_a_package_that_pip_was_killed_in_is_installed_again(clone):
    site_packages = clone / ".venv/lib/python3.12/site-packages"
    for name, whole in (("half-1.0.dist-info", False), ("whole-1.0.dist-info", True)):
        (site_packages / name).mkdir(parents=True)
        (site_packages / name / "METADATA").touch()
        if whole:
            (site_packages / name / "INSTALLER").write_text("pip\n")
    bootstrap.forget_halves(clone)
    assert [path.name for path in site_packages.iterdir()] == ["whole-1.0.dist-info"]


def test_pip_is_not_led_astray_by_the_surroundings(clone, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PIP_USER", "1")
    bootstrapped(clone)
    assert "path= user=0" in (clone / bootstrap.LOG).read_text()


def test_a_long_step_says_that_it_is_alive(clone, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "HEARTBEAT_S", 0.1)
    (clone / "_build").mkdir()
    assert bootstrap.run(clone, ["sh", "-c", "echo Collecting torch; sleep 0.3; exit 7"]) == 7
    assert "0 s: Collecting torch" in capsys.readouterr().err


def test_a_full_disk_is_noticed_before_anything_is_made(clone, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e9))
    with pytest.raises(SystemExit) as stop:
        bootstrap.ensure_environment(clone)
    assert stop.value.code == 3
    assert "needs 2.5 GB on this disk, and 1.0 GB are free" in capsys.readouterr().err
    assert not (clone / ".venv").exists()


def test_the_running_python_is_taken_if_it_fits():
    name, version = bootstrap.find_python(None)
    assert version == sys.version_info[:3]
    assert Path(name).resolve() == Path(sys.executable).resolve()
    assert not name.startswith(sys.prefix)  # not the one of a virtual environment, which may be about to be remade


def versions(monkeypatch, **known):
    """Let interpreters report these versions, and any other not run."""
    table = {name.replace("_", "."): number for name, number in known.items()}
    monkeypatch.setattr(bootstrap, "python_version", lambda name: table.get(name, ()))


def test_else_the_newest_that_runs(monkeypatch):
    versions(monkeypatch, python3_12=(3, 12, 1), python3_11=(3, 11, 7))  # python3.13 may be a shim that fails
    assert bootstrap.find_python(None) == ("python3.12", (3, 12, 1))


@pytest.mark.parametrize("number", [(3, 9, 18), (3, 10, 13), (3, 14, 0), (2, 7, 18)])
def test_a_python_that_does_not_fit_is_named_with_its_version(monkeypatch, capsys, number):
    versions(monkeypatch, mine=number)
    with pytest.raises(SystemExit) as stop:
        bootstrap.find_python("mine")
    assert stop.value.code == 3
    said = capsys.readouterr().err
    assert f"the book needs Python 3.11, 3.12 or 3.13; mine is {'.'.join(map(str, number))}" in said
    assert "sudo apt install python3" in said


def test_a_command_that_is_no_python_has_no_version(tmp_path):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 'python3.12: command not found'\nexit 127\n")
    shim.chmod(0o755)
    assert bootstrap.python_version(str(shim)) == ()
    assert bootstrap.python_version(str(tmp_path / "absent")) == ()
    assert bootstrap.python_version(sys.executable) == sys.version_info[:3]


def test_windows_is_told_about_wsl(monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "os", SimpleNamespace(name="nt"))
    with pytest.raises(SystemExit) as stop:
        bootstrap.main([])
    assert stop.value.code == 3
    assert "wsl --install" in capsys.readouterr().err


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A function that puts a small program on a PATH that has nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("MAZELM_CHROMIUM", raising=False)
    monkeypatch.setattr(bootstrap, "BROWSERS", ("chromium", "google-chrome"))

    def add(name: str, script: str = "exit 0") -> Path:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        return folder / name

    return add


def test_a_browser_counts_only_if_it_starts(programs, monkeypatch):
    assert bootstrap.find_browser() is None
    programs("chromium", "echo 'install the snap first'; exit 1")
    assert bootstrap.find_browser() is None
    chrome = programs("google-chrome")
    assert bootstrap.find_browser() == str(chrome)
    own = programs("my-browser")
    monkeypatch.setenv("MAZELM_CHROMIUM", str(own))
    assert bootstrap.find_browser() == str(own)
    monkeypatch.setenv("MAZELM_CHROMIUM", "/nowhere")  # a wrong choice is not replaced in silence
    assert bootstrap.find_browser() is None


def test_without_apt_the_remedy_is_named_and_nothing_fails(programs, clone, capsys):
    bootstrap.ensure_browser(clone)
    assert bootstrap.BROWSER_ADVICE in capsys.readouterr().err


def pretend_apt(programs, result: str) -> None:
    programs("env", 'while [ "$1" != apt-get ]; do shift; done; exec "$@"')
    programs("apt-get", f'echo "$*" >> "$FAKE_CALLS"; {result}')


def test_root_installs_chromium_with_apt(programs, clone, calls, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    chromium = tmp_path / "bin/chromium"
    pretend_apt(programs, f"echo '#!/bin/sh' > '{chromium}'; /bin/chmod +x '{chromium}'")
    bootstrap.ensure_browser(clone)
    assert [line.split()[-1] for line in calls()] == ["update", "chromium"]
    bootstrap.ensure_browser(clone)
    assert calls() == []


def test_an_apt_that_fails_is_not_asked_again_the_same_day(programs, clone, calls, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    pretend_apt(programs, "echo 'Temporary failure resolving'; exit 100")
    bootstrap.ensure_browser(clone)
    assert len(calls()) == 2
    assert "is not tried again today" in capsys.readouterr().err
    bootstrap.ensure_browser(clone)
    assert calls() == []
    os.utime(clone / "_build/no-browser", (0, 0))
    bootstrap.ensure_browser(clone)
    assert len(calls()) == 2


def test_apt_is_used_only_where_it_asks_no_question(programs, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert bootstrap.apt_prefix() is None
    programs("apt-get")
    assert bootstrap.apt_prefix() is None
    programs("sudo", 'test "$*" = "-n true" && exit 1')  # it would ask for a password
    assert bootstrap.apt_prefix() is None
    programs("sudo", 'test "$*" = "-n true"')
    assert bootstrap.apt_prefix() == ["sudo", "-n"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert bootstrap.apt_prefix() == []
