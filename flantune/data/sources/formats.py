"""Readers of one file each: lines, TSV, CSV, JSONL, JSON, Natural Instructions, XML. A reader yields `Record`s.

A record that cannot be parsed is yielded with its place and problem, so that the reader's caller counts it; a file that
cannot be parsed at all raises. Files whose names end in .gz, .bz2, .xz or .zst are decompressed. `plain.py` joins
files into splits; read it next.
"""

from collections.abc import Callable, Iterator, Mapping
import csv
import itertools
import json
import re
import sys
from typing import NamedTuple
from xml.etree import ElementTree

from etils import epath

from flantune.data import names
from flantune.data.sources import compression

_SLICE = re.compile(r"(?P<path>.*?)\[(?P<start>[^\[\]:]*):(?P<stop>[^\[\]:]*)\]\Z", re.DOTALL)
_BYTE_ORDER_MARK = "\ufeff"  # spreadsheets write it; as part of a column's name nobody would see it
_SNIFFED_BYTES = 4096


class Record(NamedTuple):
    """One record of a source: its row, or what is wrong with it.

    Attributes:
        where: its place, "file:line" (the number of the item where the format has no lines).
        row: None where the record is malformed.
    """

    where: str
    row: Mapping[str, object] | None
    problem: str = ""


def parse_slice(spec: str) -> tuple[str, int | None, int | None]:
    """Path, start and stop of "path" or "path[start:stop]".

    Example: `parse_slice("a.tsv[-200:]")` is `("a.tsv", -200, None)`.

    Raises:
        ValueError: a bound is not a whole number.
    """
    texts = slice_texts(spec)
    if texts is None:
        return spec, None, None
    path, *bounds = texts
    try:
        start, stop = (int(text) if text else None for text in bounds)
    except ValueError:
        raise ValueError(
            f"{spec!r} has a slice of rows whose bounds are not whole numbers; "
            "write for example [200:], [:200] or [-200:]."
        ) from None
    return path, start, stop


def slice_texts(spec: str) -> tuple[str, str, str] | None:
    """What stands before and inside the brackets of "name[start:stop]"; None where there are none."""
    match = _SLICE.match(spec)
    return (match["path"], match["start"], match["stop"]) if match else None


def take(
    read: Callable[[], Iterator[Record]], start: int | None, stop: int | None, place: object
) -> Iterator[Record]:
    """The records [start:stop] of what `read()` gives, as a Python slice; malformed records count too.

    Negative bounds cost a second reading: the first one counts.

    Args:
        place: what is read, for the error.

    Raises:
        ValueError: the slice takes none of the records that are there.
    """
    first, last = start, stop
    if min(start or 0, stop or 0) < 0:
        first, last, _ = slice(start, stop).indices(sum(1 for _ in read()))
    taken = itertools.islice(read(), first, last)
    record = next(taken, None)
    if record is not None:
        yield record
        yield from taken
        return
    count = sum(1 for _ in read())
    if count:
        bounds = ":".join("" if bound is None else str(bound) for bound in (start, stop))
        raise ValueError(
            f"The slice [{bounds}] of {place} takes no row: it has {count:,}, numbered from 0."
        )


def read_lines(path: epath.Path, *, encoding: str, column: str) -> Iterator[Record]:
    """One row a line, with one column; empty lines are rows too."""
    name = str(path)  # once: the text of an epath costs more than a row
    for number, text, problem in _decoded_lines(path, encoding):
        yield Record(f"{name}:{number}", None if problem else {column: text}, problem)


def read_tsv(path: epath.Path, *, encoding: str, columns: tuple[str, ...]) -> Iterator[Record]:
    """One row a line, split at tabs; no quoting. Empty lines are left out.

    Args:
        columns: names of the columns; empty where the first line gives them.
    """
    name = str(path)
    for number, text, problem in _decoded_lines(path, encoding):
        if not columns and not problem:
            columns = tuple(text.split("\t"))
        elif text or problem:
            yield _row_of_cells(f"{name}:{number}", text.split("\t"), columns, problem)


def read_csv(
    path: epath.Path, *, encoding: str, columns: tuple[str, ...], delimiter: str
) -> Iterator[Record]:
    """Rows of a CSV file; a quoted cell may hold delimiters and line ends.

    Args:
        columns: names of the columns; empty where the first row gives them.

    Raises:
        ValueError: a quote is opened and never closed: all the rest of the file would be one cell.
    """
    csv.field_size_limit(sys.maxsize)  # a passage may exceed the default of 131,072 characters
    name, lines = str(path), _CsvLines(path, encoding)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        first_line, problem, cells = lines.number + 1, "", list[str]()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, UnicodeDecodeError) as error:
            if "unexpected end" in str(error):
                raise ValueError(
                    f"{path}:{first_line}: a quote is opened and never closed."
                ) from None
            problem = str(error)
        if not columns and not problem:
            columns = tuple(cells)
        elif cells or problem:
            yield _row_of_cells(f"{name}:{first_line}", cells, columns, problem)


def read_jsonl(path: epath.Path, *, encoding: str) -> Iterator[Record]:
    """One JSON object a line; empty lines are left out."""
    name = str(path)
    for number, text, problem in _decoded_lines(path, encoding):
        where = f"{name}:{number}"
        if not problem and text.strip():
            try:
                yield _row_of_json(where, json.loads(text))
            except json.JSONDecodeError as error:
                problem = f"not JSON: {error.msg} at column {error.colno}"
            except (ValueError, RecursionError) as error:  # too many digits, too many brackets
                problem = f"not JSON that Python reads: {error}"
        if problem:
            yield Record(where, None, problem)


def read_json(path: epath.Path, *, encoding: str, items: str) -> Iterator[Record]:
    """The objects of a JSON list.

    Args:
        items: the key that holds the list; empty where the file is a list itself.
    """
    name = str(path)
    for number, item in enumerate(_json_list(path, encoding, items)):
        yield _row_of_json(f"{name}:item {number}", item)


def read_objects(path: epath.PathLike, *, encoding: str = "utf-8") -> Iterator[Record]:
    """The objects of a JSON list or of JSONL, whichever the file holds; its name does not count."""
    path = epath.Path(path)
    with compression.open_binary(path) as file:
        start = file.read(_SNIFFED_BYTES).decode(encoding, "replace")
    if start.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith("["):
        return read_json(path, encoding=encoding, items="")
    return read_jsonl(path, encoding=encoding)


def read_natural_instructions(path: epath.Path) -> Iterator[Record]:
    """The instances of a Natural Instructions task file: {"id": str, "input": str, "output": list of str}."""
    name = str(path)
    for number, item in enumerate(_json_list(path, "utf-8", "Instances")):
        record = _row_of_json(f"{name}:instance {number}", item)
        if record.row is not None and not {"input", "output"} <= record.row.keys():
            record = Record(
                record.where, None, f"needs input and output, has {', '.join(record.row)}"
            )
        elif record.row is not None and isinstance(record.row["output"], str):
            record = Record(record.where, {**record.row, "output": [record.row["output"]]})
        yield record


def read_xml(path: epath.Path, *, item: str) -> Iterator[Record]:
    """The elements named `item`: attributes and the texts of child elements; a repeated child becomes a list.

    Example: `<item id="1"><p>A</p></item>` is `{"id": "1", "p": "A"}`.
    """
    number, name = 0, str(path)
    with compression.open_binary(path) as file:
        try:
            for _, element in ElementTree.iterparse(file):
                if element.tag == item:
                    yield Record(f"{name}:{item} {number}", _row_of_element(element))
                    number += 1
                    element.clear()
        except ElementTree.ParseError as error:
            raise ValueError(f"{path} is not XML: {error}.") from error


def _decoded_lines(path: epath.Path, encoding: str) -> Iterator[tuple[int, str, str]]:
    """Number, text without its end, and problem of each line; only a line feed (or CR LF) ends one."""
    with compression.open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode(encoding)
            except UnicodeDecodeError as error:
                yield number, "", _not_encoded(error)
                continue
            if number == 1:
                text = text.removeprefix(_BYTE_ORDER_MARK)
            yield number, text.removesuffix("\n").removesuffix("\r"), ""


class _CsvLines:
    """Decoded lines for `csv.reader`; a class, as a generator would end at the first line that cannot be decoded."""

    def __init__(self, path: epath.Path, encoding: str) -> None:
        self._lines = _binary_lines(path)
        self._encoding = encoding
        self.number = 0

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        text = line.decode(self._encoding)
        return text.removeprefix(_BYTE_ORDER_MARK) if self.number == 1 else text


def _binary_lines(path: epath.Path) -> Iterator[bytes]:
    with compression.open_binary(path) as file:
        yield from file


def _not_encoded(error: UnicodeDecodeError) -> str:
    return f"not {error.encoding}: {error.reason} at byte {error.start}"


def _row_of_cells(where: str, cells: list[str], columns: tuple[str, ...], problem: str) -> Record:
    if not problem and len(cells) != len(columns):
        problem = f"{len(cells)} columns, not {len(columns)} ({', '.join(columns)})"
    return Record(where, None if problem else dict(zip(columns, cells, strict=True)), problem)


def _row_of_json(where: str, item: object) -> Record:
    if isinstance(item, dict):
        return Record(where, item)
    return Record(where, None, f"a {type(item).__name__}, not an object with named fields")


def _row_of_element(element: ElementTree.Element) -> dict[str, object]:
    row: dict[str, object] = dict(element.attrib)
    for child in element:
        text = "".join(child.itertext())
        if child.tag not in row:
            row[child.tag] = text
        else:
            before = row[child.tag]
            row[child.tag] = [*before, text] if isinstance(before, list) else [before, text]
    return row


def _json_list(path: epath.Path, encoding: str, items: str) -> list[object]:
    with compression.open_binary(path) as file:
        data = file.read()
    try:
        content = json.loads(data.decode(encoding).removeprefix(_BYTE_ORDER_MARK))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is {_not_encoded(error)}.") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno} is not JSON: {error.msg}.") from error
    except (ValueError, RecursionError) as error:  # too many digits, too many brackets
        raise ValueError(f"{path} is not JSON that Python reads: {error}.") from error
    if items and not (isinstance(content, dict) and items in content):
        known = list(content) if isinstance(content, dict) else []
        raise ValueError(names.unknown(f"{path} must hold a list under the key", items, known))
    content = content[items] if items else content
    if not isinstance(content, list):
        raise ValueError(
            f"{path} must hold a list{f' under {items!r}' if items else ''}, not a {type(content).__name__}."
        )
    return content
