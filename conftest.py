"""The notebooks under test (`pytest --nbval notebooks`) get the kernel that `book run` gives them."""

import os
import tempfile
from pathlib import Path

import pytest
from bookbinder import kernel


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("nbval", default=False):
        folder = tempfile.TemporaryDirectory(prefix="book-kernel-")
        config.add_cleanup(folder.cleanup)
        os.environ.update(kernel.environment(Path(folder.name)))
