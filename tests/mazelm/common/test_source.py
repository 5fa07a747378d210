"""The library's own code on the page: whole, highlighted, and nothing but it."""

import inspect

import pytest
from mazelm.common import source
from mazelm.common.arguments import as_vector
from mazelm.common.source import show_source


@pytest.fixture
def shown(monkeypatch):
    """What was displayed, in order."""
    outputs = []
    monkeypatch.setattr(source, "display", outputs.append)
    return outputs


def test_a_function_is_shown_as_python(shown):
    show_source(as_vector)
    (output,) = shown
    lines = output.data.splitlines()
    assert lines[0] == "```python"
    assert lines[1].startswith("def as_vector(")
    assert lines[-1] == "```"


def test_the_text_is_that_of_the_file(shown):
    show_source(as_vector)
    code = shown[0].data.removeprefix("```python\n").removesuffix("```")
    assert code in inspect.getsource(inspect.getmodule(as_vector))
    assert code.rstrip().endswith("return array")


def test_what_has_no_source_is_refused(shown):
    with pytest.raises(TypeError):
        show_source(len)
    assert shown == []
