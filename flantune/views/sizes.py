"""Sizes in words."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_STEP = 1000


def in_bytes(count: int) -> str:
    """Example: `in_bytes(1_953_839_527)` is "1.95 GB"; units are powers of 1,000."""
    size, unit = float(count), 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{count} bytes" if unit == 0 else f"{size:.3g} {_UNITS[unit]}"
