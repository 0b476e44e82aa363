"""`flantune lint`: what is wrong with the tasks and templates of some modules. Exit status 1 where there are errors."""

import argparse

import rich.console

from flantune.commands import shared

_FILE_WIDTH = 200


def add(commands: shared.Commands) -> None:
    about = (
        "Check tasks: templates through the vocabulary (unknown characters, lost line breaks, unclear boundaries of "
        "exemplars, options alike), templates as text, and all rows (one answer, sorted files, duplicates, answers given "
        "away). Exit status 1 where there is an error that no module allows (LINT_ALLOW)."
    )
    parser = shared.command(commands, "lint", _run, about, files="MODULE or RUN.gin")
    parser.add_argument(
        "--vocabulary",
        help="'bytes', a SentencePiece model or 'sentencepiece:SIZE' (default: the run's, or bytes)",
    )
    parser.add_argument("--task", default="*", help="check only tasks of this name or pattern")
    parser.add_argument("--split", help="whose rows to check (default: the run's, or train)")
    parser.add_argument(
        "--all", action="store_true", help="show notes and allowed findings, and every task"
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import configs
    from flantune.audit.lint import job as lint
    from flantune.data.vocabularies import vocabulary as vocabulary_lib
    from flantune.jobs import gin_files
    from flantune.views import show

    modules = [module for name in parsed.files if not _is_gin(name) for module in _expand(name)]
    parsed.files = [name for name in parsed.files if _is_gin(name)]
    given = {"modules": tuple(modules), "vocabulary": parsed.vocabulary, "split": parsed.split}
    bindings = [
        f"configs.DataConfig.{key}={value!r}" for key, value in given.items() if value
    ] + bindings
    shared.parse_gin(parsed, bindings, defaults=_DEFAULTS if modules else ())
    data = gin_files.build(configs.DataConfig)
    if data.vocabulary == vocabulary_lib.OF_START:
        from flantune.interop import start_vocabulary  # brings JAX

        data = start_vocabulary.followed(data, gin_files.build_optional(configs.InitConfig))
    report = lint.lint(data=data, tasks=parsed.task)
    console = shared.OUT if shared.OUT.is_terminal else rich.console.Console(width=_FILE_WIDTH)
    view = lint.text(report, show_all=parsed.all)
    show.write(report.as_json(), view, as_json=parsed.json, console=console)
    return 1 if report.has_errors else 0


# What stands in for a run file; lengths and batches are not looked at.
_DEFAULTS = [
    "configs.DataConfig.mixture=''",
    "configs.DataConfig.vocabulary='bytes'",
    "configs.DataConfig.inputs_length=1024",
    "configs.DataConfig.targets_length=256",
    "configs.DataConfig.batch_size=1",
]


def _is_gin(name: str) -> bool:
    return name.endswith(".gin")


def _expand(name: str) -> tuple[str, ...]:
    """A module by its name; "package.*" stands for every module of a package that exports tasks or mixtures."""
    return shared.modules_of(name.removesuffix(".*")) if name.endswith(".*") else (name,)
