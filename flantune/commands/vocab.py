"""`flantune vocab`: trains a SentencePiece vocabulary on a mixture, and shows what it does to the mixture's text."""

import argparse
from typing import TYPE_CHECKING

import rich.table

from flantune.commands import shared

if TYPE_CHECKING:
    from flantune.audit import vocabulary_report


def add(commands: shared.Commands) -> None:
    about = (
        "Train a SentencePiece vocabulary on a mixture: byte fallback, newlines kept, 100 sentinels. Then show what it "
        "does to the mixture's text."
    )
    parser = shared.command(commands, "vocab", _run, about)
    parser.add_argument("--output", required=True, metavar="FILE", help="the model to write")
    parser.add_argument(
        "--size",
        type=shared.whole_number(1),
        help="ids at most, sentinels included (default: the SIZE of the run's sentencepiece:SIZE)",
    )
    parser.add_argument("--mixture", help="mixture or task to train on (default: the run's)")


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.jobs import gin_files
    from flantune.views import show

    shared.check_output("--output", parsed.output)
    shared.parse_gin(parsed, bindings)
    job = gin_files.bind(
        experiments.train_vocabulary,
        output=parsed.output,
        size=parsed.size,
        mixture=parsed.mixture,
    )
    report = job()
    value = {"vocabulary": parsed.output, **report.as_json()}
    show.write(value, _table(parsed.output, report), as_json=parsed.json, console=shared.OUT)
    return 0


def _table(output: str, report: "vocabulary_report.VocabularyReport") -> rich.table.Table:
    table = rich.table.Table("vocabulary", output)
    rows = {
        "ids": f"{report.size:,}",
        "sentinels": str(report.sentinels),
        "texts looked at": f"{report.texts:,}",
        "tokens per word": f"{report.tokens_per_word:.3f}",
        "bytes per token": f"{report.bytes_per_token:.3f}",
        "byte-fallback tokens": f"{report.byte_fallback:.3%}",
        "unknown tokens": f"{report.unknown:.3%}",
        "newlines survive": "yes" if report.newlines_kept else "no",
        "runs of spaces survive": "yes" if report.space_runs_kept else "no",
        "texts that survive": f"{report.survive:.3%}",
    }
    for name, cell in rows.items():
        table.add_row(name, cell)
    return table
