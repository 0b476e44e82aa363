"""`flantune convert`: a T5 from one layout into another: Hugging Face, T5X, flantune."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

import rich.table

from flantune.commands import shared

if TYPE_CHECKING:
    from flantune.jobs import convert

_KINDS = ("flantune", "hf", "t5x", "peft")


def add(commands: shared.Commands) -> None:
    about = (
        "Convert a T5: a Hugging Face folder, a T5X checkpoint or a flantune run into another of these. Finds out what "
        "the source is; one array at a time is in memory."
    )
    parser = commands.add_parser("convert", help=about, description=about)
    parser.add_argument("source", metavar="SRC", help="a folder, local or gs://")
    parser.add_argument("destination", metavar="DST", help="a new folder")
    parser.add_argument(
        "--to", required=True, choices=_KINDS, help="what DST becomes; peft: a run's adapters alone"
    )
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), help="of the parameters (default: the source's)"
    )
    parser.add_argument(
        "--step",
        type=int,
        help="checkpoint of a run or T5X folder (default: the last); the step that a Hugging Face model gets (default: 0)",
    )
    parser.add_argument(
        "--vocabulary",
        metavar="NAME",
        help="SentencePiece model, Hugging Face folder, bytes or bytes+125 (default: the source's own); none writes none",
    )
    parser.add_argument(
        "--model",
        metavar="FILE.gin",
        help="gin file that binds configs.ModelConfig (default: as the source says or its shapes tell)",
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune.configs import ModelConfig
    from flantune.jobs import convert, gin_files
    from flantune.training import devices
    from flantune.views import show

    model = None
    if parsed.model or bindings:
        gin_files.parse([parsed.model] if parsed.model else [], bindings)
        model = gin_files.build(ModelConfig)
    devices.check()
    source = convert.open_source(
        parsed.source, step=parsed.step, model=model, vocabulary=parsed.vocabulary
    )
    done = convert.convert(source, parsed.destination, to=parsed.to, dtype=parsed.dtype)
    show.write(dataclasses.asdict(done), _table(done), as_json=parsed.json, console=shared.OUT)
    return 0


def _table(done: "convert.Converted") -> rich.table.Table:
    table = rich.table.Table(done.destination, done.to)
    for field in dataclasses.fields(done):
        if field.name not in ("destination", "to"):
            value = getattr(done, field.name)
            table.add_row(field.name, f"{value:,}" if isinstance(value, int) else str(value))
    return table
