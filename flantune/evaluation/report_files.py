"""JSON text and file names of results. `result_files.py` uses them, and `views/report.py`."""

import hashlib
import json
import math
import urllib.parse

_MAX_NAME = 180  # bytes; file systems allow 255, and a temporary name adds some


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON of a value in the order of its keys; numbers that JSON cannot hold (NaN, infinity) become null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def safe_name(name: str) -> str:
    """A file name for a task or suite: percent-encoded, so that different names stay different.

    `urllib.parse.unquote` gives the name back. A very long name keeps its first part and gets a hash.
    Example: "nli:rte#few_shot" -> "nli%3Arte%23few_shot".
    """
    quoted = urllib.parse.quote(name, safe="")
    if quoted.startswith("."):  # neither hidden nor a folder above
        quoted = f"%2E{quoted[1:]}"
    if len(quoted) <= _MAX_NAME:
        return quoted
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{quoted[:_MAX_NAME]}~{digest}"
