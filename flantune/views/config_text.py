"""Bindings for a person: all that there are, one of them, or those of a run with where each came from. For `flantune config`.

The arguments are the plain values of `jobs/config_reference.py` and `jobs/config_values.py`, as JSON has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_REQUIRED = "must be bound"


def listing(owners: Sequence[Mapping[str, Any]]) -> str:
    """Every dataclass and function with the names that it has."""
    return "\n\n".join(_short(owner) for owner in owners)


def owner(found: Mapping[str, Any]) -> str:
    """A dataclass or function with all that is known of its bindings."""
    parts = [f"{found['name']}: {found['summary']}"]
    built = ", ".join(f"{name} ({config})" for name, config in found["built"].items())
    if built:
        parts.append(f"Built from their own bindings: {built}.")
    return "\n\n".join([*parts, *(binding(one) for one in found["bindings"])])


def binding(found: Mapping[str, Any]) -> str:
    """One binding: type, default, meaning, example."""
    default = _REQUIRED if found["default"] is None else f"default {found['default']}"
    return f"{found['name']}: {found['type']}, {default}\n  {found['meaning']}\n  Example: {found['example']}"


def values(found: Sequence[Mapping[str, Any]]) -> str:
    """The values of a run, a line each; what is not bound and has no default last."""
    shown = [one for one in found if one["value"] is not None]
    left = [one["name"] for one in found if one["value"] is None]
    name_width = max((len(one["name"]) for one in shown), default=0)
    value_width = min(40, max((len(one["value"]) for one in shown), default=0))
    lines = [
        f"{one['name']:{name_width}}  {one['value']:{value_width}}  {one['origin']}"
        for one in shown
    ]
    if left:
        lines += ["", f"Not bound, and without a default: {', '.join(left)}"]
    return "\n".join(lines)


def _short(found: Mapping[str, Any]) -> str:
    lines = [f"{found['name']}: {found['summary']}"]
    for one in found["bindings"]:
        default = _REQUIRED if one["default"] is None else one["default"]
        lines.append(f"  {one['name'].partition('.')[2]} = {default}")
    return "\n".join(lines)
