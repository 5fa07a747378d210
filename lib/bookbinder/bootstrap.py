"""Make the environment that the book runs in: `.venv`, with the versions of constraints.txt.

    python3 lib/bookbinder/bootstrap.py [--browser]

`make` calls it before anything is installed, so it needs the standard library only, and is written in a Python that old
interpreters can read: they say which version is needed instead of failing on syntax. A stamp in `.venv` tells that the
installation is complete and what it was made from. While that holds nothing is done and the network is not used; an
installation that was killed is taken up where it stopped.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List, NoReturn, Optional, Tuple

ROOT = Path(__file__).resolve().parents[2]
OLDEST, NEWEST = (3, 11), (3, 13)
SPACE_NEEDED = 2.5e9  # bytes, with torch's CPU build
HEARTBEAT_S = 20.0  # a long step says this often that it is alive
LOG = "_build/install.log"
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
BROWSER_ADVICE = (
    "the browser tests need Chromium or Chrome: install it (Debian: sudo apt install chromium), "
    "or set MAZELM_CHROMIUM to its path"
)
_OFFLINE_SIGNS = ("NewConnectionError", "ConnectionError", "ProxyError", "SSLError", "timed out", "name resolution")


def main(arguments: List[str]) -> int:
    """Make or complete the environment and return the exit status: 0 ready, 3 something is missing."""
    parser = argparse.ArgumentParser(description="Make the environment that the book runs in.")
    parser.add_argument("--browser", action="store_true", help="also try to install Chromium, for the browser tests")
    options = parser.parse_args(arguments)
    if os.name != "posix":
        missing("this needs Linux or macOS", "on Windows use WSL, the Linux that Windows brings: wsl --install")
    try:
        ensure_environment(ROOT)
        if options.browser:
            ensure_browser(ROOT)
    except KeyboardInterrupt:
        say("interrupted; the next run goes on from here")
        return 130
    return 0


def ensure_environment(root: Path) -> None:
    """Leave a complete `.venv` behind, or exit with status 3 and a sentence on what is missing."""
    if is_complete(root):
        return
    (root / LOG).parent.mkdir(exist_ok=True)
    with only_one(root) as lock:
        if is_complete(root):  # whoever held the lock has done it
            return
        started = time.monotonic()
        (root / LOG).write_bytes(b"")
        if not is_usable(root):
            require_space(root)
            make_venv(root, *find_python(os.environ.get("PYTHON")), lock)
        install(root, lock)
        stamp(root).write_text(expected_stamp(root), encoding="utf-8")
        say(f"the environment is ready, after {time.monotonic() - started:.0f} s")


def is_complete(root: Path) -> bool:
    """Whether `.venv` was made from these two files, in this place, by the Python that is wanted."""
    try:
        if stamp(root).read_text(encoding="utf-8") != expected_stamp(root):
            return False
    except OSError:
        return False
    return os.access(str(venv_python(root)), os.X_OK) and is_wanted(root)


def expected_stamp(root: Path) -> str:
    """What the stamp of a complete environment says: all that it was made from, and where."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    return f"{digest.hexdigest()}\nPython {dotted(venv_version(root))}\n{root}\n"


def is_usable(root: Path) -> bool:
    """Whether `.venv` can be installed into: made in this place, by a Python that fits, and with a pip that starts."""
    fits = OLDEST <= venv_version(root)[:2] <= NEWEST and is_wanted(root)
    in_place = venv_config(root).get("command", "").endswith(f" {root / '.venv'}")
    return fits and in_place and starts([str(venv_python(root)), "-m", "pip", "--version"])


def is_wanted(root: Path) -> bool:
    """Whether `.venv` has the version of the interpreter that PYTHON names, if it names one."""
    wanted = os.environ.get("PYTHON")
    return not wanted or python_version(wanted)[:2] == venv_version(root)[:2]


def find_python(wanted: Optional[str]) -> Tuple[str, Tuple[int, ...]]:
    """An interpreter that the book runs on and its version: the one that is wanted, or else the first that fits."""
    running = os.path.realpath(sys.executable) if sys.prefix != sys.base_prefix else sys.executable
    names = [wanted] if wanted else [running] + [f"python3.{n}" for n in range(NEWEST[1], OLDEST[1] - 1, -1)]
    seen = []
    for name in names:
        version = python_version(name)
        if OLDEST <= version[:2] <= NEWEST:
            return name, version
        seen.append(f"{name} is {dotted(version)}" if version else f"{name} does not run")
    missing(
        "the book needs Python 3.11, 3.12 or 3.13; " + ", ".join(seen),
        "install one (Debian or Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python@3.13), "
        "or name one that you have: make book PYTHON=/path/to/python3.12",
    )


def python_version(command: str) -> Tuple[int, ...]:
    """The version that an interpreter tells of itself; empty when it does not run, as shims may do."""
    code = "import sys; print(*sys.version_info[:3])"
    try:
        answer = subprocess.run([command, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        return tuple(int(part) for part in answer.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def require_space(root: Path) -> None:
    """Refuse to begin an installation that the disk has no room for."""
    free = shutil.disk_usage(str(root)).free
    if free < SPACE_NEEDED:
        amounts = f"{SPACE_NEEDED / 1e9:.1f} GB on this disk, and {free / 1e9:.1f} GB are free"
        missing("the environment needs " + amounts, "free some space, or clone the book to another disk")


def make_venv(root: Path, interpreter: str, version: Tuple[int, ...], lock: int) -> None:
    """Make `.venv` anew. A failure leaves none behind."""
    folder = str(root / ".venv")
    say(f"making .venv with Python {dotted(version)} (some seconds)")
    shutil.rmtree(folder, ignore_errors=True)
    if run(root, [interpreter, "-m", "venv", folder], lock) == 0 and is_usable(root):
        return
    shutil.rmtree(folder, ignore_errors=True)
    missing(
        "Python could not make a virtual environment; most often its parts venv and ensurepip are not installed\n"
        + log_tail(root, 6),
        f"Debian or Ubuntu: sudo apt install python3-venv (or python{dotted(version[:2])}-venv), then the same again",
    )


def install(root: Path, lock: int) -> None:
    """Install the pinned versions into `.venv`; torch first, so that no other package brings another build of it."""
    with contextlib.suppress(OSError):
        stamp(root).unlink()
    forget_halves(root)
    pip = [str(venv_python(root)), "-m", "pip", "install", "--no-input", "-c", "constraints.txt"]
    steps = [
        ("installing torch (1 of 2: about a minute, longer on a slow line)", ["torch", "hatchling"]),
        ("installing the rest (2 of 2: one to three minutes)", ["--no-build-isolation", "-e", ".[all]"]),
    ]
    for title, what in steps:
        say(title)
        if run(root, pip + what, lock) != 0:
            missing("pip could not install it:\n" + log_tail(root, 12), advice(log_tail(root, 40)))


def forget_halves(root: Path) -> None:
    """Have pip install again the package that it was killed in: near the end of each it writes a file INSTALLER."""
    for folder in (root / ".venv").glob("lib/python3*/site-packages/*.dist-info"):
        if not (folder / "INSTALLER").is_file():
            shutil.rmtree(str(folder), ignore_errors=True)


def advice(log: str) -> str:
    """What to try, from what pip said last."""
    if "No space left" in log:
        return f"free {SPACE_NEEDED / 1e9:.1f} GB of disk space, then the same command again"
    if any(sign in log for sign in _OFFLINE_SIGNS):
        return "see whether the network works (behind a proxy, set HTTPS_PROXY), then the same command again"
    return f"the same command again; if that fails too, read {LOG}, or remove the folder .venv to begin afresh"


def ensure_browser(root: Path) -> None:
    """Install Chromium with apt where no question has to be asked; otherwise say how to enable the browser tests."""
    if find_browser():
        return
    marker = root / "_build" / "no-browser"
    failed_today = marker.is_file() and time.time() - marker.stat().st_mtime < 24 * 3600
    prefix = apt_prefix()
    if prefix is None or failed_today or os.environ.get("MAZELM_CHROMIUM"):
        say(BROWSER_ADVICE)
        return
    say("installing Chromium with apt, for the browser tests (about a minute)")
    limits = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "DPkg::Lock::Timeout=60"]
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q", *limits]
    (root / LOG).parent.mkdir(exist_ok=True)
    run(root, [*apt, "update"])
    run(root, [*apt, "install", "--no-install-recommends", "chromium"])
    if not find_browser():
        marker.touch()
        say(f"that failed (see {LOG}), and is not tried again today; {BROWSER_ADVICE}")


def find_browser() -> Optional[str]:
    """The path of a Chromium or Chrome that starts: from MAZELM_CHROMIUM, or else one in the usual places; or None."""
    chosen = os.environ.get("MAZELM_CHROMIUM")
    for name in (chosen,) if chosen else BROWSERS:
        path = shutil.which(name)
        if path and starts([path, "--version"]):
            return path
    return None


def apt_prefix() -> Optional[List[str]]:
    """What stands before apt-get so that it may install; None where it may not, or would ask for a password."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if starts(["sudo", "-n", "true"]) else None


def venv_python(root: Path) -> Path:
    """The interpreter of `.venv`."""
    return root / ".venv" / "bin" / "python"


def venv_config(root: Path) -> Dict[str, str]:
    """What `.venv` says of itself; nothing when there is none."""
    try:
        lines = (root / ".venv" / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def venv_version(root: Path) -> Tuple[int, ...]:
    """The version of the Python in `.venv`; empty when there is none."""
    return tuple(int(part) for part in venv_config(root).get("version", "").split(".") if part.isdigit())


def stamp(root: Path) -> Path:
    """The file that says that the installation is complete."""
    return root / ".venv" / ".installed"


def starts(command: List[str]) -> bool:
    """Whether a command runs and succeeds."""
    try:
        quiet = subprocess.DEVNULL
        return subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[int]:
    """Wait until no other installation is at work. A pip whose parent was killed still counts: it inherits the lock."""
    import fcntl  # not on Windows

    with open(str(root / "_build" / "install.lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another installation into .venv is at work; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def run(root: Path, command: List[str], lock: Optional[int] = None) -> int:
    """Run a command with its output in the log, say now and then that it is alive, and return its exit status."""
    ours = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET")}
    ours["PIP_USER"] = "0"
    started = time.monotonic()
    with open(str(root / LOG), "ab") as log:
        log.write("\n$ {}\n".format(" ".join(command)).encode())
        log.flush()
        inherited = () if lock is None else (lock,)
        process = subprocess.Popen(
            command, cwd=str(root), env=ours, pass_fds=inherited, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            while True:
                try:
                    return process.wait(timeout=HEARTBEAT_S)
                except subprocess.TimeoutExpired:
                    say(f"  {time.monotonic() - started:.0f} s: {log_tail(root, 1):.80}")
        finally:
            process.kill()  # does nothing when it has ended
            process.wait()


def log_tail(root: Path, count: int) -> str:
    """The last lines of the log, each of them cut to a length that can be read."""
    lines = (root / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line[:200] for line in lines if line.strip()][-count:])


def dotted(version: Tuple[int, ...]) -> str:
    """(3, 11, 7) as 3.11.7."""
    return ".".join(map(str, version))


def say(line: str) -> None:
    """One line of progress, on stderr."""
    print("[setup] " + line, file=sys.stderr, flush=True)


def missing(what: str, remedy: str) -> NoReturn:
    """Exit with status 3, having said what is missing and how to get it."""
    say(what)
    say("what to do: " + remedy)
    sys.exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
