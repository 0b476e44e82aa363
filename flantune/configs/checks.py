"""Checks of fields: each raises `ValueError` with the field, the value and what is allowed."""

from collections.abc import Collection

DTYPES = ("float32", "bfloat16")  # of activations and of frozen parameters


def check_whole(name: str, value: object, smallest: int = 1) -> None:
    """Raises ValueError where a value is no whole number from `smallest` on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise ValueError(f"{name} must be a whole number of at least {smallest}, not {value!r}.")


def check_text(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, str):
            raise ValueError(f"{type(config).__name__}.{name} must be a text, not {value!r}.")


def make_tuple(config: object, name: str, what: str) -> None:
    """Turns a list in a field into a tuple; a single text or number in its place is an error."""
    value = getattr(config, name)
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"{type(config).__name__}.{name} must be a tuple of {what}, not {value!r}: write ({value!r},) for one."
        )
    object.__setattr__(config, name, tuple(value))


def check_positive(config: object, *names: str) -> None:
    for name in names:
        check_whole(f"{type(config).__name__}.{name}", getattr(config, name))


def check_fraction(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(
                f"{type(config).__name__}.{name} must be at least 0 and less than 1, not {value!r}."
            )


def check_not_negative(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or value < 0:
            raise ValueError(
                f"{type(config).__name__}.{name} must be a number of at least 0, not {value!r}."
            )


def check_choice(config: object, name: str, allowed: Collection[str]) -> None:
    value = getattr(config, name)
    if value not in allowed:
        raise ValueError(
            f"{type(config).__name__}.{name} must be one of {', '.join(allowed)}, not {value!r}."
        )
