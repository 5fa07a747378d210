"""For every run of pytest: notebooks get the kernel that `book run` gives them, and a crash is no success."""

import os
import tempfile
from pathlib import Path

import pytest
from bookbinder import kernel

crashed = False


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("nbval", default=False):
        folder = tempfile.TemporaryDirectory(prefix="book-kernel-")
        config.add_cleanup(folder.cleanup)
        os.environ.update(kernel.environment(Path(folder.name)))


def pytest_internalerror(excrepr: object) -> None:
    global crashed
    crashed = True


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if crashed:  # pytest-xdist would end with success when a worker's report cannot be sent
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
