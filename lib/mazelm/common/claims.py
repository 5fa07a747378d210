"""Numbers that the text of a lesson may quote.

A cell records a value under a name, and the text that repeats it names it in a comment, so that the two cannot drift
apart. A record is only a dictionary in the running kernel: whoever executes the notebook reads it when the last cell
is done.
"""

import math
import re

_recorded: dict[str, float] = {}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def claim(name: str, value: float) -> None:
    """Record a number of this lesson under a name. Nothing is displayed.

    Recording the same name again replaces the value, so a cell may be run twice.

    Args:
        name: Lower-case words joined by underscores.
        value: The number, as computed: rounding is left to the text.

    Raises:
        ValueError: The name is not of that form, or the value is not a finite number.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"name={name!r} must be lower-case letters, digits and underscores, such as 'macro_f1'")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"value={value!r} of the claim {name!r} must be a finite number")
    _recorded[name] = number


def recorded() -> dict[str, float]:
    """What this kernel has recorded so far: a copy, in the order of recording."""
    return dict(_recorded)
