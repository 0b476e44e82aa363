"""Prompts in, predictions out: the files of `flantune infer`.

    {"inputs": "Sort: 3 1 2"}   ->   {"inputs": "Sort: 3 1 2", "prediction": "1 2 3"}

Standard input may also hold plain lines, one prompt each.
"""

from collections.abc import Iterable, Mapping, Sequence
import json
import pathlib
import sys

from flantune.host import atomic

Row = Mapping[str, object]


def read(path: str | None) -> list[dict[str, str]]:
    """The rows of a JSONL file, or of standard input.

    Raises:
        ValueError: the file does not exist, or a line is no JSON object with a text `inputs`.
    """
    if path is None:
        return list(_rows(sys.stdin, "standard input", plain=True))
    if not pathlib.Path(path).exists():
        raise ValueError(f"--input {path} does not exist.")
    if pathlib.Path(path).is_dir():
        raise ValueError(f"--input {path} is a folder; name a JSONL file.")
    try:
        with pathlib.Path(path).open(encoding="utf-8") as file:
            return list(_rows(file, path, plain=False))
    except UnicodeDecodeError as error:
        raise ValueError(f"--input {path} is no text in UTF-8: {error.reason}.") from error


def _rows(lines: Iterable[str], place: str, *, plain: bool) -> Iterable[dict[str, str]]:
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\n")
        if not text.strip():
            continue
        if plain and not text.lstrip().startswith("{"):
            yield {"inputs": text}
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{place}, line {number}: not JSON ({error.msg}).") from error
        if not isinstance(row, dict):
            raise ValueError(f"{place}, line {number}: not a JSON object.")
        if "inputs" not in row:
            raise ValueError(
                f"{place}, line {number}, has no field 'inputs'; it has {', '.join(map(repr, row)) or 'none'}."
            )
        if not isinstance(row["inputs"], str):
            raise ValueError(f"{place}, line {number}: `inputs` is not a text.")
        yield row


def write(
    rows: Sequence[Row], predictions: Sequence[str], path: str | None, *, as_json: bool
) -> None:
    """Writes each row with its prediction to a file, whole or not at all, or to standard output.

    On standard output without `as_json` only the predictions appear, one line each.
    """
    lines = [
        json.dumps({**row, "prediction": prediction}, ensure_ascii=False)
        for row, prediction in zip(rows, predictions, strict=True)
    ]
    if path is None:
        plain = [prediction.replace("\n", " ") for prediction in predictions]
        sys.stdout.write("".join(f"{line}\n" for line in (lines if as_json else plain)))
        return
    atomic.write_text(path, (f"{line}\n" for line in lines))
