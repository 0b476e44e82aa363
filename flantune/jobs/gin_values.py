"""Values of Python as gin writes them, for bindings that a call gives: `flantune.train(RUN, **{"DataConfig.lanes": 4})`.

    "a text"  ->  'a text'        np.float32(0.5)  ->  0.5        pathlib.Path("x")  ->  'x'

A text is always a text. Gin's references (`@name`) and macros (`%name`) are not values: they belong into a gin file.
"""

from collections.abc import Mapping
import math
import numbers
import os


def literal(name: str, value: object) -> str:
    """The value of the binding `name` as gin's literal, which parses to an equal one.

    Raises:
        ValueError: gin has no literal for it.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        if value[:1] in ("@", "%"):
            raise ValueError(
                f"{name} is given {value!r}, which a gin file would take for a reference, while a value given here is taken as "
                "it is. Write the reference into a gin file of yours and name it after the run file, in a list: "
                "[RUN, YOURS]."
            )
        return repr(value)
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, numbers.Integral):
        return repr(int(value))
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return repr(float(value))
    if isinstance(value, Mapping):
        pairs = (f"{literal(name, key)}: {literal(name, own)}" for key, own in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        items = "".join(f"{literal(name, one)}, " for one in value)
        return f"[{items}]" if isinstance(value, list) else f"({items})"
    raise ValueError(
        f"{name} is given {value!r}, for which gin has no literal: give a text, a finite number, True, False or None, or a "
        "list, tuple or dictionary of these."
    )
