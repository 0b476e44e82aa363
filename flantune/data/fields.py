"""`FieldChecker`: tells, in the words of the task's author, what is wrong with the fields that `to_fields` gives.

It also collects the schema. `data/store/split_writer.py` runs it on every row.
"""

from collections.abc import Collection, Mapping
import math

from flantune.data import names, task as task_lib
from flantune.prompting import rendering, template as template_lib

_PLAIN = {str: "str", bool: "bool", int: "int", float: "float"}


class FieldChecker:
    """Checks rows of fields and remembers the types it saw.

    Attributes:
        schema: the types of each field so far: "str", "int", "float", "bool", "list[str]", or several joined by "|".
    """

    def __init__(
        self,
        *,
        task: str,
        needed: Collection[str],
        known: Collection[str],
        answer_choices: tuple[str, ...] | str | None,
        weight_field: str | None = None,
        schema: Mapping[str, str] | None = None,
    ) -> None:
        """Args: `needed` fields every row has, others than `known` none; `weight_field` holds its loss weight; `schema`
        continues from rows that were checked before.
        """
        self.schema = dict(schema or {})
        self._task = task
        self._needed = frozenset(needed)
        self._known = frozenset(known)
        self._answer_choices = answer_choices
        self._weight_field = weight_field

    def check(self, fields: object, where: str) -> None:
        """Raises ValueError or TypeError, naming the task, the row and the field, where fields cannot be used."""
        if not isinstance(fields, Mapping):
            raise TypeError(
                f"Task {self._task!r}: to_fields must give a dict or None, not a {type(fields).__name__} ({where})."
            )
        if not self._needed <= fields.keys():
            check_needed(self._task, self._needed, fields.keys(), where)
        if self._weight_field is not None:
            task_lib.check_loss_weight(self._task, fields[self._weight_field], where)
        for name, value in fields.items():
            kind = _PLAIN.get(type(value)) or self._other_kind(name, value, where)
            if kind == "float" and not math.isfinite(value):
                raise ValueError(f"Task {self._task!r}: the field {name!r} is {value} ({where}).")
            if self.schema.get(name) != kind:
                self._widen(name, kind, where)
        self._check_answer(fields, where)

    def _widen(self, name: str, kind: str, where: str) -> None:
        """Adds a type of a field to the schema, unless it is there."""
        seen = self.schema.get(name)
        if seen is None:
            check_known(self._task, self._known, name, where)
            self.schema[name] = kind
        elif kind not in seen.split("|"):
            self.schema[name] = "|".join(sorted([*seen.split("|"), kind]))

    def _other_kind(self, name: object, value: object, where: str) -> str:
        if not isinstance(name, str):
            raise TypeError(f"Task {self._task!r}: the field name {name!r} is no text ({where}).")
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return "list[str]"
        raise TypeError(
            f"Task {self._task!r}: the field {name!r} is a {_type_name(value)} ({where}); a field is a str, int, "
            "float, bool or a list of str. Leave out a field that has no value, or give None to drop the row."
        )

    def _check_answer(self, fields: Mapping[str, object], where: str) -> None:
        choices: object = self._answer_choices
        if choices is None:
            if fields.get(template_lib.ANSWER) in ([], ()):
                raise ValueError(f"Task {self._task!r}: the answer is an empty list ({where}).")
            return
        source = "answer_choices"
        if isinstance(choices, str):
            source, choices = f"the field {choices!r}", fields[choices]
        if not isinstance(choices, list | tuple) or not choices:
            raise ValueError(
                f"Task {self._task!r}: {source} must list the choices, not {choices!r} ({where})."
            )
        label = fields[rendering.LABEL]
        if not isinstance(label, int):
            raise TypeError(
                f"Task {self._task!r}: the label must be the index of a choice, not {label!r} ({where})."
            )
        if not 0 <= label < len(choices):
            raise ValueError(
                f"Task {self._task!r}: the label {label} is none of the {len(choices)} choices of {source}, 0 to "
                f"{len(choices) - 1} ({where})."
            )


def check_needed(
    task: str, needed: Collection[str], given: Collection[str], where: str = ""
) -> None:
    """Raises ValueError where a field is missing that the task's templates, its answer or its loss weight need."""
    missing = sorted(set(needed) - set(given))
    if not missing:
        return
    field = missing[0]
    near = names.closest(field, given, count=1)
    closest = f" Closest: {near[0]!r}." if near else ""
    raise ValueError(
        f"Task {task!r} needs the field {field!r}, for its templates, answer or loss weight, but to_fields gives only "
        f"{', '.join(map(repr, given)) or 'nothing'}{f' ({where})' if where else ''}.{closest}"
    )


def check_known(task: str, known: Collection[str], name: str, where: str = "") -> None:
    """Raises ValueError where a field is given that no template of the task uses: a wording lacks it, or it is waste."""
    if name not in known:
        near = names.closest(name, known, count=1)
        closest = f" Closest field that is used: {near[0]!r}." if near else ""
        raise ValueError(
            f"Task {task!r}: to_fields gives the field {name!r}, which no template uses{f' ({where})' if where else ''}. "
            f"Use it in a template, leave it out, or name it in extra_fields.{closest}"
        )


def _type_name(value: object) -> str:
    kind = type(value)
    if isinstance(value, list | tuple):
        inner = next(type(item).__name__ for item in value if not isinstance(item, str))
        return f"{kind.__name__} that holds a {inner}"
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
