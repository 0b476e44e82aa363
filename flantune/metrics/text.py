"""How metrics read a text: without what does not count, or as a number."""

import math

_NO_NUMBER = -1.0


def collapse_whitespace(text: str) -> str:
    """Text without spaces at its ends and with each run of whitespace as one space."""
    return " ".join(text.split())


def to_number(text: str) -> float:
    """The number that a text is, or -1: "3.5" is 3.5, "very similar", "" and "nan" are -1, as in t5's postprocessors."""
    try:
        number = float(text)
    except ValueError:
        return _NO_NUMBER
    return number if math.isfinite(number) else _NO_NUMBER
