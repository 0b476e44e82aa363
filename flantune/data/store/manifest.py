"""`Manifest`: what is known of a prepared split, and its JSON form. `reader.py` reads it, `prepare.py` writes it."""

import dataclasses
import json
from typing import Any

FORMAT_VERSION = 1  # a change of parsing or layout that makes older stores wrong raises it
FILE_NAME = "manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One ArrayRecord file."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Malformed:
    """Rows that could not be parsed or that `to_fields` failed on."""

    count: int = 0
    first: tuple[str, ...] = ()  # "file:line: problem"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of a prepared split.

    Attributes:
        source: kind, location and version, as the source describes itself.
        source_fingerprint: of names, sizes and change times of the source's files; None where it has none.
        content_sha256: of the files' content; decides where only the times differ, as after a fresh clone.
        to_fields_fingerprint: of the source text of the task's `to_fields`.
        schema: types of each field: "str", "int", "float", "bool", "list[str]", or several joined by "|".
        dropped: rows for which `to_fields` gave None.
    """

    task: str
    split: str
    source: dict[str, Any]
    source_fingerprint: str | None
    content_sha256: str | None
    to_fields_fingerprint: str
    schema: dict[str, str]
    rows: int
    dropped: int
    malformed: Malformed
    licence: str
    lineage: tuple[str, ...]
    cluster: str
    constants: dict[str, str]
    metadata: dict[str, Any]
    shards: tuple[Shard, ...]
    flantune_version: str
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """The manifest as JSON, a field on each line."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["malformed"] = dataclasses.asdict(self.malformed)
        values["shards"] = [dataclasses.asdict(shard) for shard in self.shards]
        # Not json.dumps(indent=1) for all of it: that is written in Python and takes longer than a small split's rows.
        lines = (f' "{name}": {json.dumps(v, ensure_ascii=False)}' for name, v in values.items())
        return "{\n" + ",\n".join(lines) + "\n}"

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """The manifest of a JSON text.

        Raises:
            ValueError: the text is no manifest.
        """
        try:
            values = json.loads(text)
            return cls(
                **{
                    **values,
                    "lineage": tuple(values["lineage"]),
                    "shards": tuple(Shard(**shard) for shard in values["shards"]),
                    "malformed": Malformed(
                        count=values["malformed"]["count"],
                        first=tuple(values["malformed"]["first"]),
                    ),
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no manifest of format {FORMAT_VERSION}: {error}") from error
