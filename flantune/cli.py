"""The command line: flags to bindings, results to tables or JSON, errors to one sentence.

    flantune COMMAND [RUN.gin] [--gin.NAME=VALUE ...]

Exit status: 0 done, 1 done but something failed (a source in `prepare`), 2 wrong input, 130 stopped by Ctrl-C (`train` saves
first and exits with 0, on SIGTERM too). A full device, or the loss of another process of the run, ends with 1. Nothing heavy
is imported before a command runs. Read `commands/` next.
"""

import argparse
from collections.abc import Sequence
import os
import sys

from flantune.commands import (
    compile,
    config,
    convert,
    data,
    doctor,
    evaluate,
    infer,
    init,
    leakage,
    ledger,
    lint,
    log,
    preflight,
    prepare,
    promptsource,
    recipes,
    report,
    show,
    train,
    vocab,
    words,
)
from flantune.host import allocator, buckets, error_text, libtpu


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    allocator.keep_freed_memory()
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.path.insert(0, os.getcwd())  # so that the console script finds tasks/ here
    parsed, bindings = _parse(arguments)
    log.to_stderr(parsed.debug)
    libtpu.be_quiet_without_tpu()
    buckets.settle()
    # The library that reads a run's data needs no accelerator messages of TensorFlow's.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        return parsed.run(parsed, bindings)
    except KeyboardInterrupt as error:
        print(f"flantune: {str(error) or 'stopped.'}", file=sys.stderr)
        return error_text.exit_status(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads the rest
        return 0
    except (*error_text.USER_ERRORS, RuntimeError) as error:
        told = isinstance(error, error_text.USER_ERRORS) or error_text.is_out_of_memory(error)
        if parsed.debug or not told:
            raise
        print(f"flantune: {error_text.sentence(error)}", file=sys.stderr)
        return error_text.exit_status(error)


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="flantune", description="FLAN-style multi-task instruction tuning of T5 in JAX."
    )
    parser.add_argument("--version", action=words.Version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (
        init,
        doctor,
        prepare,
        train,
        evaluate,
        infer,
        recipes,
        compile,
        data,
        preflight,
        convert,
        report,
        show,
        config,
        ledger,
        lint,
        leakage,
        vocab,
        promptsource,
    ):
        module.add(commands)
    own, bindings = words.split(arguments)
    return words.parse(parser, commands.choices, own), bindings
