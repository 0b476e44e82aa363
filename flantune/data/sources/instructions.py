"""`Instructions`: rows of instruction, input and output, as Alpaca and Self-Instruct publish them.

    {"instruction": "Add.", "input": "1 1", "response": "2"}  ->  {"instruction": "Add.", "input": "1 1", "output": "2"}

A Self-Instruct seed task has several instances, and gives a row for each. Use it as `sources.Instructions`. Read
`data/store/prepare.py` next.
"""

from collections.abc import Iterator, Mapping
import dataclasses

from etils import epath

from flantune.data import names
from flantune.data.sources import files, formats

_OUTPUTS = ("output", "response")
_NO_INPUT = "<noinput>"  # what Self-Instruct's generator writes where an instruction needs none


@dataclasses.dataclass(frozen=True, init=False)
class Instructions(files.FileSource):
    """A JSON list or JSONL of {"instruction", "input", "output" or "response"}, or of tasks with a list of "instances".

    The input may be absent, null or "<noinput>": then it is "". Other keys (id, name, is_classification) are kept. A
    slice takes objects of the file, so that all instances of a task are in the same split.
    """

    encoding: str

    def __init__(self, *, encoding: str = "utf-8", **splits: files.Files) -> None:
        files.check_encoding(type(self).__name__, encoding)
        files.set_fields(self, splits, encoding=encoding)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_objects(path, encoding=self.encoding)

    def _expand(self, found: Iterator[formats.Record]) -> Iterator[formats.Record]:
        for record in found:
            if record.row is None:
                yield record
            elif "instances" in record.row:
                yield from _instances(record.where, record.row)
            else:
                yield _checked(record.where, record.row)


def _instances(where: str, task: Mapping[str, object]) -> Iterator[formats.Record]:
    instances = task["instances"]
    if not isinstance(instances, list) or not instances:
        yield formats.Record(where, None, f"instances must be a list of objects, not {instances!r}")
        return
    shared = {name: value for name, value in task.items() if name != "instances"}
    for number, instance in enumerate(instances):
        place = f"{where}, instance {number}"
        if isinstance(instance, dict):
            yield _checked(place, {**shared, **instance})
        else:
            yield formats.Record(
                place, None, f"the instance is a {type(instance).__name__}, not an object"
            )


def _checked(where: str, row: Mapping[str, object]) -> formats.Record:
    """The row with the keys instruction, input and output, all texts; or what is wrong with it."""
    key = next((name for name in _OUTPUTS if name in row), None)
    if key is None or "instruction" not in row:
        missing = "instruction" if "instruction" not in row else " or ".join(_OUTPUTS)
        near = names.closest(missing.split()[0], row, count=1)
        closest = f"; closest: {near[0]!r}" if near else ""
        return formats.Record(
            where, None, f"no key {missing}, only {', '.join(map(repr, row))}{closest}"
        )
    given = row.get("input")
    texts = {
        "instruction": row["instruction"],
        "input": "" if given is None or given == _NO_INPUT else given,
        "output": row[key],
    }
    for name, text in texts.items():
        if not isinstance(text, str):
            kind = "null" if text is None else f"a {type(text).__name__}"
            return formats.Record(where, None, f"{name} is {kind}, not a text")
    kept = {name: value for name, value in row.items() if name not in _OUTPUTS}
    return formats.Record(where, {**kept, **texts})
