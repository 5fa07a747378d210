"""Time several candidates in one process, turn by turn, so that a busy or a throttled moment hits all of them alike."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_limits


def side_by_side(candidates: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of each candidate in each round, on one thread; every other round goes through them backwards.

    Each candidate runs once before the first round, so that imports, caches and memory are warm.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    with threadpool_limits(1):
        for candidate in candidates.values():
            candidate()
        for i in range(rounds):
            for name in list(candidates) if i % 2 == 0 else reversed(candidates):
                start = time.perf_counter()
                candidates[name]()
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_ratio(slower: list[float], faster: list[float]) -> float:
    """The median over the rounds of slower / faster: how many times as fast the second one is."""
    return statistics.median(slow / fast for slow, fast in zip(slower, faster, strict=True))


def machine(*packages: str) -> str:
    """One line about the machine and the versions that were measured."""
    described = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
    return f"{_cpu_model()}, {os.cpu_count()} logical cores, {platform.system()}, one thread; {described}"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        if models:
            return models[0]
    return platform.processor() or platform.machine()
