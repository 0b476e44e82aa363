"""`starts.jsonl` of a run folder: a line for each start of the run, with the bindings that differ from the start before.

`files` has a line more; `read` gives them all to whoever draws the run. How long each start lasted is in `wall_time.json`
(`training/wall_time.py`).
"""

import dataclasses
import json
import time

from absl import logging
from etils import epath

from flantune.run_folder import config_text as config_text_lib
from flantune.run_folder.names import CONFIG

FILE = "starts.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A binding that another start had differently; the values are gin's text, None where it was not bound."""

    name: str
    before: str | None
    after: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """One start of a run.

    Attributes:
        step: steps done before it.
        time: seconds since 1970.
        devices: their number and kind.
        changed: since the start before; nothing at the first.
    """

    step: int
    time: float
    devices: str
    changed: tuple[Change, ...]


def files(
    run_dir: epath.PathLike, *, is_new: bool, step: int, devices: str, config_text: str
) -> dict[str, str]:
    """What the run folder keeps of its starts with one more, by file name; `config_text` is compared with the folder's.

    Of a new run nothing that lies in the folder counts.
    """
    folder = epath.Path(run_dir)
    config = folder / CONFIG
    changed = changes(config.read_text(), config_text) if config.exists() and not is_new else ()
    start = Start(step=step, time=round(time.time(), 1), devices=devices, changed=changed)
    if changed:
        listed = "".join(f"\n  {one.name}: {one.before} -> {one.after}" for one in changed)
        logging.warning("This run continues with other bindings:%s", listed)
    before = [] if is_new else _lines(folder)
    return {
        FILE: "".join([*before, json.dumps(dataclasses.asdict(start), ensure_ascii=False) + "\n"])
    }


def read(run_dir: epath.PathLike) -> tuple[Start, ...]:
    """The starts that a run folder knows, in their order; none where it has no record.

    Raises:
        ValueError: a line cannot be understood.
    """
    folder = epath.Path(run_dir)
    return tuple(
        _start(line, f"{folder / FILE}, line {number},")
        for number, line in enumerate(_lines(folder), 1)
    )


def changes(before: str, after: str) -> tuple[Change, ...]:
    """The bindings in which two config texts differ, by name."""
    old, new = config_text_lib.bindings(before), config_text_lib.bindings(after)
    return tuple(
        Change(name=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _lines(folder: epath.Path) -> list[str]:
    path = folder / FILE
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def _start(line: str, place: str) -> Start:
    try:
        values = json.loads(line)
        changed = tuple(Change(**change) for change in values.pop("changed"))
        return Start(**values, changed=changed)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{place} cannot be read ({error}). Delete the line: only the record of that start is lost."
        ) from error
