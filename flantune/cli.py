"""The command line: flags to bindings, results to tables or JSON, errors to one sentence.

    flantune {prepare,train,eval,infer,show} [RUN.gin] [--gin.NAME=VALUE ...]

Exit status: 0 done, 1 done but something failed (a source in `prepare`), 2 wrong input, 130 stopped by Ctrl-C. Nothing
heavy is imported before a command runs. Read `experiments.py` next: it has the jobs.
"""

import argparse
import ast
from collections.abc import Callable, Sequence
import logging as std_logging
import os
import pathlib
import sys

from absl import flags, logging
from etils import epath
import rich.console

from flantune import allocator, run_folder

_OUT = rich.console.Console()
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
    if isinstance(error, KeyError) and text[:1] in ("'", '"'):
        text = str(ast.literal_eval(text))  # the text of a KeyError is the repr of its message
    return " ".join(text.split()) or type(error).__name__


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="flantune", description="FLAN-style multi-task instruction tuning of T5 in JAX."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_prepare, _add_train, _add_eval, _add_infer, _add_show):
        add(commands)
    bindings = [word.removeprefix("--gin.") for word in arguments if word.startswith("--gin.")]
    return parser.parse_args([w for w in arguments if not w.startswith("--gin.")]), bindings


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace, list[str]], int],
    about: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog="Any number of --gin.NAME=VALUE win over the files, for example --gin.experiments.train.num_steps=100.",
    )
    parser.add_argument(
        "files", nargs="*", metavar="RUN.gin", help="run file, the same as --gin_file"
    )
    parser.add_argument(
        "--gin_file", action="append", default=[], help="run file; repeatable, the last wins"
    )
    parser.add_argument(
        "--gin_search_paths",
        default="",
        help="folders, split by commas, in which to look for gin files",
    )
    parser.add_argument(
        "--data_dir", help="root of source files (else FLANTUNE_DATA_DIR, else here)"
    )
    parser.add_argument(
        "--prepared_dir",
        help="prepared store (else FLANTUNE_PREPARED_DIR, else ~/.cache/flantune/prepared)",
    )
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run)
    return parser


def _add_prepare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Read every source of a run into the prepared store, once."
    parser = _command(commands, "prepare", _run_prepare, about)
    parser.add_argument(
        "--num_processes", type=int, help="worker processes (default: one for each core)"
    )


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Train, evaluate and report; continues where the run folder left off."
    parser = _command(commands, "train", _run_train, about)
    parser.add_argument("--run_dir", help="the run's folder (default: runs/NAME for NAME.gin)")
    parser.add_argument(
        "--coordinator_address", help="HOST:PORT of process 0, for several processes"
    )
    parser.add_argument("--process_count", type=int, help="how many processes train together")
    parser.add_argument("--process_index", type=int, help="which of them this is, from 0")
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="find the other processes from a TPU pod's or SLURM's environment",
    )


def _add_eval(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = (
        "Score a checkpoint on the suites of its run; gin files and flags win over the run's own."
    )
    _add_checkpoint(_command(commands, "eval", _run_eval, about))


def _add_infer(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Answer prompts with a checkpoint: JSON lines with `inputs`, or plain lines on standard input."
    parser = _command(commands, "infer", _run_infer, about)
    _add_checkpoint(parser)
    parser.add_argument("--input", help="JSONL file with `inputs` (default: standard input)")
    parser.add_argument(
        "--output", help="JSONL file that gets `prediction` added (default: standard output)"
    )


def _add_show(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    about = "Show a mixture's tasks and shares, or a task's templates and rendered examples."
    parser = _command(commands, "show", _run_show, about)
    parser.add_argument("--mixture", help="mixture or task to show (default: the run's)")
    parser.add_argument("--task", help="show this task's templates and examples instead")
    parser.add_argument("--split", help="split of rows and examples (default: the run's)")
    parser.add_argument(
        "--examples", type=int, default=3, help="rendered examples of --task (default: 3)"
    )


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", required=True, metavar="RUN_DIR", help="a run's folder")
    parser.add_argument("--step", type=int, help="step of the checkpoint (default: the last)")


def _parse_gin(parsed: argparse.Namespace, bindings: list[str]) -> list[str]:
    """Parses the config of the checkpoint, if there is one, then the files and flags, and returns the files."""
    from flantune import gin_files

    files = [*parsed.gin_file, *parsed.files]
    if getattr(parsed, "checkpoint", None):
        files = [os.fspath(_config_of(parsed.checkpoint)), *files]
    if not files:
        raise ValueError("Name a run file, for example gin/runs/quickstart.gin.")
    given = {"data_dir": parsed.data_dir, "prepared_dir": parsed.prepared_dir}
    flags = [f"configs.DataConfig.{name}={value!r}" for name, value in given.items() if value]
    paths = [path for path in parsed.gin_search_paths.split(",") if path]
    gin_files.parse(files, [*flags, *bindings], paths=paths)
    return files


def _config_of(checkpoint: str) -> epath.Path:
    path = epath.Path(checkpoint) / run_folder.CONFIG
    if not path.exists():
        raise ValueError(
            f"--checkpoint {checkpoint} is no run folder: it has no {run_folder.CONFIG}."
        )
    return path


def _run_prepare(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments, gin_files, show

    _parse_gin(parsed, bindings)
    given = {} if parsed.num_processes is None else {"num_processes": parsed.num_processes}
    result = gin_files.bind(experiments.prepare, **given)()
    show.write(result.as_json(), show.prepare_table(result), as_json=parsed.json, console=_OUT)
    return 1 if result.failed else 0


def _run_train(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments, gin_files, show

    files = _parse_gin(parsed, bindings)
    run_dir = parsed.run_dir or f"runs/{pathlib.Path(files[-1]).stem}"
    job = gin_files.bind(experiments.train, run_dir=run_dir, config_text=gin_files.resolved())
    _log_to_file(run_dir)
    _join_processes(parsed)
    results = job()
    if results is not None and not _is_follower():
        show.write_results(results, as_json=parsed.json, console=_OUT)
        logging.info("Report: %s/report.html", run_dir)
    return 0


def _join_processes(parsed: argparse.Namespace) -> None:
    explicit = {
        "coordinator_address": parsed.coordinator_address,
        "num_processes": parsed.process_count,
        "process_id": parsed.process_index,
    }
    given = [value for value in explicit.values() if value is not None]
    if given and len(given) < len(explicit):
        raise ValueError(
            "--coordinator_address, --process_count and --process_index go together; --distributed needs none of them."
        )
    if given or parsed.distributed:
        import jax

        jax.distributed.initialize(**(explicit if given else {}))


def _is_follower() -> bool:
    """Whether another process of this run reports."""
    import jax

    return jax.process_index() > 0


def _run_eval(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments, gin_files, show

    _parse_gin(parsed, bindings)
    results = gin_files.bind(experiments.evaluate, checkpoint=parsed.checkpoint, step=parsed.step)()
    show.write_results(results, as_json=parsed.json, console=_OUT)
    return 0


def _run_infer(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments, gin_files, prompts_file

    _parse_gin(parsed, bindings)
    rows = prompts_file.read(parsed.input)
    job = gin_files.bind(
        experiments.infer,
        checkpoint=parsed.checkpoint,
        step=parsed.step,
        prompts=[row["inputs"] for row in rows],
    )
    prompts_file.write(rows, job(), parsed.output, as_json=parsed.json or bool(parsed.input))
    return 0


def _run_show(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments, gin_files, show

    _parse_gin(parsed, bindings)
    if parsed.task:
        job = gin_files.bind(
            experiments.describe_task,
            task=parsed.task,
            split=parsed.split,
            num_examples=parsed.examples,
        )
        value = job()
        show.write(value, show.task_text(value), as_json=parsed.json, console=_OUT)
        return 0
    rows = gin_files.bind(
        experiments.describe_mixture, mixture=parsed.mixture, split=parsed.split
    )()
    show.write(rows, show.mixture_table(rows), as_json=parsed.json, console=_OUT)
    return 0


def _log_to_stderr(debug: bool) -> None:
    flags.FLAGS.mark_as_parsed()  # absl warns otherwise; its flags are not ours
    logging.use_absl_handler()
    logging.set_verbosity(logging.DEBUG if debug else logging.INFO)
    logging.set_stderrthreshold("debug")
    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handler.addFilter(_ours_or_warning)


def _log_to_file(run_dir: str) -> None:
    if "://" in run_dir:
        return  # a bucket takes no appending; the launcher keeps standard error
    pathlib.Path(run_dir).mkdir(parents=True, exist_ok=True)
    handler = std_logging.FileHandler(pathlib.Path(run_dir) / "log.txt")
    handler.setFormatter(std_logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_ours_or_warning)
    std_logging.getLogger().addHandler(handler)


def _ours_or_warning(record: std_logging.LogRecord) -> bool:
    """Other packages report every file they touch; their warnings stay."""
    own = pathlib.Path(__file__).parent
    return record.levelno >= std_logging.WARNING or own in pathlib.Path(record.pathname).parents
