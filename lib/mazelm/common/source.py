"""Show the library's own code on the page, so that a copy in the text cannot drift from it."""

import inspect
from collections.abc import Callable

from IPython.display import Markdown, display


def show_source(function: Callable) -> None:
    """Display the source of a function or a class of this library as highlighted Python.

    Args:
        function: Anything that `inspect.getsource` can read.
    """
    display(Markdown(f"```python\n{inspect.getsource(function)}```"))
