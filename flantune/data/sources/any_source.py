"""`records`: the rows of any source with their places, for reports of malformed rows."""

from collections.abc import Iterator
import pathlib

from flantune.data import task as task_lib
from flantune.data.sources import files, formats
from flantune.data.sources.by_user import ByUser
from flantune.data.sources.hugging_face import HuggingFace


def records(
    source: task_lib.Source, split: str, data_dir: pathlib.Path
) -> Iterator[formats.Record]:
    """The rows of any source with their places; a source that only has `read` gets "split:number" for a place."""
    if isinstance(source, files.FileSource | HuggingFace | ByUser):
        return source.records(split, data_dir)
    rows = source.read(split, data_dir)
    return (formats.Record(f"{split}:{number}", row) for number, row in enumerate(rows))
