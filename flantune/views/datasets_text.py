"""The datasets of a run for a person: a block of lines each, the missing ones first, and what is to be done. For `flantune data`."""

from collections.abc import Iterable, Sequence
import os

from flantune.audit import datasets
from flantune.audit.datasets import Dataset
from flantune.views import sizes

_SHOWN = 4


def text(found: Sequence[Dataset], data_dir: str) -> str:
    """Everything that is known of each dataset, and a line that counts."""
    return "\n\n".join([*(_block(one, data_dir) for one in found), summary(found)])


def summary(found: Sequence[Dataset]) -> str:
    """Example: "3 datasets: 1 missing, 2 prepared."."""
    order = (datasets.MISSING, datasets.LEFT_OUT, datasets.HERE, datasets.PREPARED)
    counts = {state: sum(one.state == state for one in found) for state in order}
    counted = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return (
        f"{len(found)} dataset{'' if len(found) == 1 else 's'}: {counted or 'nothing is needed'}."
    )


def where(one: Dataset) -> str:
    """A dataset in a few words: its place and where it is published."""
    return f"{_named(_folded(one.places)) or _named(one.tasks)} ({one.url or 'nobody says where it is published'})"


def _block(one: Dataset, data_dir: str) -> str:
    lines = {
        f"below {data_dir}": _named(_folded(one.places)) or "nothing: rows are made in code",
        "size": _size(one),
        "published": one.url if one.url is not None else "no task says where",
        "licence": "; ".join(one.licences),
    }
    if one.state in (datasets.MISSING, datasets.LEFT_OUT):
        lines["missing"] = _named(one.missing) if one.missing != one.tasks else ""
        lines["get it"] = one.get
    if one.state == datasets.LEFT_OUT:
        lines["left out"] = "DataConfig.skip_absent: the run does without"
    width = max(map(len, lines))
    told = (f"  {name:{width}}  {value}" for name, value in lines.items() if value)
    return "\n".join(
        [f"{_named(one.tasks)}: {one.state.upper() if one.missing else one.state}", *told]
    )


def _size(one: Dataset) -> str:
    parts = []
    if one.source_bytes:
        parts.append(f"{sizes.in_bytes(one.source_bytes)} on disk")
    if one.prepared_bytes:
        parts.append(f"{sizes.in_bytes(one.prepared_bytes)} in the prepared store")
    if one.download_bytes is not None:
        parts.append(f"{sizes.in_bytes(one.download_bytes)} to download, as published")
    return ", ".join(parts)


def _folded(places: Sequence[str]) -> list[str]:
    """Places, those of one folder as one where there are many."""
    if len(places) <= _SHOWN:
        return list(places)
    by_folder: dict[str, int] = {}
    for place in places:
        folder = place if place.endswith("/") else f"{os.path.dirname(place)}/"
        by_folder[folder] = by_folder.get(folder, 0) + 1
    return [
        f"{folder} ({count} files)" if count > 1 else folder for folder, count in by_folder.items()
    ]


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
