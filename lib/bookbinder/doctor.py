"""Look at this machine: is everything here that the book needs, and how is what is missing got?"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bookbinder import bootstrap

COMPILED = "numpy, scipy, sklearn, matplotlib.pyplot, torch, zmq"  # may be installed and yet not load


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str  # what was found
    remedy: str  # what to try if that is not as it should be
    required: bool = True  # whether the book cannot be run without it


def examine(root: Path) -> list[Finding]:
    """Everything that the book needs, in the order in which to mend it."""
    browser, git, free = bootstrap.find_browser(), shutil.which("git"), shutil.disk_usage(root).free
    threads = os.environ.get("OMP_NUM_THREADS", "not set")
    return [
        _python(),
        _environment(root),
        *_packages(root),
        _loading(),
        _kernel(),
        Finding("threads", threads == "1", f"OMP_NUM_THREADS is {threads}", "export OMP_NUM_THREADS=1", required=False),
        Finding("git", git is not None, git or "not found", "sudo apt install git, or the like", required=False),
        Finding("browser", browser is not None, browser or "not found", bootstrap.BROWSER_ADVICE, required=False),
        Finding("disk", free > 5e8, f"{free / 1e9:.1f} GB free", "free at least half a gigabyte", required=False),
    ]


def _python() -> Finding:
    fits = bootstrap.OLDEST <= sys.version_info[:2] <= bootstrap.NEWEST
    return Finding("Python", fits, f"{sys.version.split()[0]} at {sys.executable}", "install Python 3.11, 3.12 or 3.13")


def _environment(root: Path) -> Finding:
    if Path(sys.prefix).resolve() != (root / ".venv").resolve():
        ok, detail = False, f"this runs in {sys.prefix}, not in the book's .venv"
    elif bootstrap.is_complete(root):
        ok, detail = True, "complete"
    else:
        ok, detail = False, "pyproject.toml or constraints.txt changed since it was made, or make did not make it"
    return Finding("environment", ok, detail, "make book", required=False)


def _packages(root: Path) -> Iterator[Finding]:
    """One finding for each set of packages, which names those that are absent or of another version."""
    pins = pinned_versions(root)
    for extra in ("", "site", "test", "teach"):
        names = direct_requirements(extra)
        wrong = [
            f"{name} {installed_version(name) or 'is absent'} (tested with {pins.get(name)})"
            for name in names
            if installed_version(name) != pins.get(name)
        ]
        detail = ", ".join(wrong) or f"{len(names)} installed as tested"
        what = f"'.[{extra}]'" if extra else "."
        yield Finding(f"packages {extra}".strip(), not wrong, detail, f"pip install -c constraints.txt -e {what}")


def pinned_versions(root: Path) -> dict[str, str]:
    """The versions of constraints.txt, by normalised name."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): number for name, number in pairs}


def direct_requirements(extra: str = "") -> list[str]:
    """The normalised names that pyproject.toml asks for: those that everybody needs, or those of an extra."""
    names: list[str] = []
    for requirement in map(Requirement, requires("mazelm") or []):
        marker = requirement.marker
        applies = marker is None or marker.evaluate({"extra": extra})
        if applies and ("extra" in str(marker)) == bool(extra):
            names.append(canonicalize_name(requirement.name))
    return names


def installed_version(name: str) -> str | None:
    """The version without the label of its build (2.13.0 for 2.13.0+cpu), or None when it is absent."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def _loading() -> Finding:
    """Import what may be installed and yet not load, in a process of its own, because it may crash."""
    answer = subprocess.run([sys.executable, "-c", f"import {COMPILED}"], capture_output=True, text=True)
    said = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
    ok = answer.returncode == 0
    return Finding("compiled packages", ok, f"{COMPILED} load" if ok else said[-1], "rm -rf .venv, then: make book")


def _kernel() -> Finding:
    spec = Path(sys.prefix, "share/jupyter/kernels/python3/kernel.json")
    remedy = "pip install --force-reinstall -c constraints.txt ipykernel"
    return Finding("kernel", spec.is_file(), f"python3 {'is' if spec.is_file() else 'is not'} at {spec.parent}", remedy)
