"""Claims: what is recorded, and what is refused."""

import math

import numpy as np
import pytest
from mazelm.common import claims
from mazelm.common.claims import claim, recorded


@pytest.fixture(autouse=True)
def _fresh_record(monkeypatch):
    monkeypatch.setattr(claims, "_recorded", {})


def test_values_are_recorded_in_order_and_unrounded():
    claim("macro_f1", 1 / 3)
    claim("accuracy", 0.99)
    assert list(recorded().items()) == [("macro_f1", 1 / 3), ("accuracy", 0.99)]


def test_recording_again_replaces():
    claim("steps", 12.0)
    claim("steps", 13.0)
    assert recorded() == {"steps": 13.0}


def test_numpy_numbers_become_plain_ones():
    claim("mean", np.float64(0.25))
    assert type(recorded()["mean"]) is float


def test_the_record_is_a_copy():
    claim("steps", 12.0)
    recorded()["steps"] = 0
    assert recorded() == {"steps": 12.0}


def test_nothing_is_displayed(capsys):
    assert claim("steps", 12.0) is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["", "Macro", "macro f1", "macro-f1", "1st", "_f1", "f1 ", "größe"])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(ValueError, match="must be lower-case letters, digits and underscores"):
        claim(name, 1.0)
    assert recorded() == {}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=f"value={value} of the claim 'loss' must be a finite number"):
        claim("loss", value)
    assert recorded() == {}
