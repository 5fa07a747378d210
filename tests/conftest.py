"""What every test shares."""

import signal

import jaxtyping
import pytest
from hypothesis import settings

# A shell starts what runs in the background with Ctrl-C ignored, and processes inherit that. Those that the tests
# interrupt have to hear it, wherever the tests run.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, and no deadline: the machine that runs the tests may be busy.
settings.register_profile("book", derandomize=True, deadline=None, database=None, max_examples=100)
settings.load_profile("book")


@pytest.fixture
def unchecked():
    """Switch the shape checks off, so that a bad argument reaches the library's own error."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
