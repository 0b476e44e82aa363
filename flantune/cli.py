"""The command line: flags to bindings, results to tables or JSON, errors to one sentence.

    flantune COMMAND [RUN.gin] [--gin.NAME=VALUE ...]

Exit status: 0 done, 1 done but something failed (a source in `prepare`), 2 wrong input, 130 stopped by Ctrl-C (`train` saves
first and exits with 0, on SIGTERM too). Nothing heavy is imported before a command runs. Read `commands/` next.
"""

import argparse
import ast
from collections.abc import Sequence
import logging as std_logging
import os
import sys

from absl import flags, logging

from flantune import allocator
from flantune.commands import (
    compile,
    convert,
    jobs,
    leakage,
    ledger,
    lint,
    preflight,
    promptsource,
    recipes,
    report,
    shared,
    show,
    vocab,
)

_USER_ERRORS = (ValueError, KeyError, TypeError, OSError)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    allocator.keep_freed_memory()
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.path.insert(0, os.getcwd())  # so that the console script finds tasks/ here
    parsed, bindings = _parse(arguments)
    _log_to_stderr(parsed.debug)
    # The library that reads a run's data needs no accelerator messages of TensorFlow's.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return parsed.run(parsed, bindings)
    except KeyboardInterrupt:
        print("flantune: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads the rest
        return 0
    except _USER_ERRORS as error:
        if parsed.debug:
            raise
        print(f"flantune: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error: Exception) -> str:
    text = str(error).split("\n  In call to configurable")[0]  # gin adds where it was called
    if getattr(error, "keeps_lines", False):
        return text  # a table
    if isinstance(error, KeyError) and text[:1] in ("'", '"'):
        text = str(ast.literal_eval(text))  # the text of a KeyError is the repr of its message
    return " ".join(text.split()) or type(error).__name__


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="flantune", description="FLAN-style multi-task instruction tuning of T5 in JAX."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (
        jobs,
        recipes,
        compile,
        preflight,
        convert,
        report,
        show,
        ledger,
        lint,
        leakage,
        vocab,
        promptsource,
    ):
        module.add(commands)
    bindings = [word.removeprefix("--gin.") for word in arguments if word.startswith("--gin.")]
    return parser.parse_args([w for w in arguments if not w.startswith("--gin.")]), bindings


def _log_to_stderr(debug: bool) -> None:
    flags.FLAGS.mark_as_parsed()  # absl warns otherwise; its flags are not ours
    logging.use_absl_handler()
    logging.set_verbosity(logging.DEBUG if debug else logging.INFO)
    logging.set_stderrthreshold("debug")
    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handler.addFilter(shared.ours_or_warning)
