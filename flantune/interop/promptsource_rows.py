"""Rows as Jinja sees them, kept as fields of the prepared store: nested values become JSON texts.

    {"premise": "It rained.", "choices": {"text": ["a", "b"]}, "idx": None}
    ->  {"premise": "It rained.", "choices": 'json:{"text": ["a", "b"]}', "idx": "json:null"}

Read `promptsource_template.py` next, which renders them.
"""

import datetime
import decimal
import json
import math

from flantune.prompting import filters

# Field: names of the templates of the task that have no prompt for a row. No column that a template can look up.
NOT_RENDERED = "jinja:not_rendered"
_JSON = "json:"
MISSING = _JSON  # a column that the row lacks
_AS_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
)  # as Jinja prints them


def encode(value: object) -> filters.Value:
    """A column's value as a field's.

    Raises:
        TypeError: no text, number, null, date or list or dictionary of them.
    """
    if isinstance(value, _AS_TEXT):
        return encode(str(value))
    if isinstance(value, str):
        return _json(value) if value.startswith(_JSON) else value
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return list(value)
    return _json(value)


def decode(value: filters.Value, old: str = "", new: str = "") -> object:
    """The column's value of a field, with `new` for `old` in all of its texts; None for `MISSING`."""
    if isinstance(value, str) and value.startswith(_JSON):
        decoded = json.loads(value.removeprefix(_JSON)) if value != MISSING else None
        return _replaced(decoded, old, new) if old and old in value else decoded
    # A list is copied: a template may add to it.
    return _replaced(value, old, new) if old or not isinstance(value, str) else value


def texts(value: object) -> list[str]:
    """All texts and numbers in a column's value, in order."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in texts(item)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _replaced(value: object, old: str, new: str) -> object:
    """A copy of a column's value, with a text replaced in all texts in it."""
    if isinstance(value, str):
        return value.replace(old, new) if old else value
    if isinstance(value, dict):
        return {name: _replaced(item, old, new) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, old, new) for item in value]
    return value


def _json(value: object) -> str:
    return _JSON + json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: object) -> object:
    """The value with null for every number that is none: a table's empty cells."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, _AS_TEXT) else value
