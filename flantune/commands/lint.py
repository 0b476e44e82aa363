"""`flantune lint`: what is wrong with the tasks and templates of some modules. Exit status 1 where there are errors."""

import argparse
from collections.abc import Sequence
import dataclasses

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Check tasks: templates through the vocabulary (unknown characters, lost line breaks, unclear boundaries of "
        "exemplars, options alike), templates as text, and all rows (what to_fields cannot read, one answer, sorted files, "
        "duplicates, answers given away). A run file has the tasks of its mixture checked, in its settings; a module, all of "
        "its tasks, with a run's vocabulary where a run file is named too; a task, that one. Exit status 1 where there is "
        "an error that no module allows (LINT_ALLOW)."
    )
    parser = shared.command(commands, "lint", _run, about, files="RUN.gin, MODULE or TASK")
    parser.add_argument(
        "--vocabulary",
        help="'bytes', a SentencePiece model or 'sentencepiece:SIZE' (default: the run's, or bytes)",
    )
    parser.add_argument(
        "--task", action="append", default=[], help="check only tasks of this name or pattern"
    )
    parser.add_argument("--split", help="whose rows to check (default: the run's, or train)")
    parser.add_argument(
        "--all",
        action="store_true",
        help="check every task of the run's modules, in every setting, not those of its mixture alone",
    )
    parser.add_argument(
        "--notes", action="store_true", help="show notes and allowed findings, and every task"
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import configs
    from flantune.audit.lint import job as lint
    from flantune.data.vocabularies import vocabulary as vocabulary_lib
    from flantune.jobs import gin_files, task_search
    from flantune.views import show

    words = _Words.of(parsed.files)
    parsed.files = list(words.run_files)
    has_run = bool(words.run_files or parsed.gin_file)
    if not (has_run or words.modules or words.tasks):
        raise ValueError(
            "Name what to check: a run file (gin/runs/quickstart.gin), a module (tasks.quickstart, or tasks.* for all of "
            "them) or a task (quickstart:sort_numbers)."
        )
    modules = words.modules or (() if has_run else task_search.modules_of())
    given = {"modules": modules, "vocabulary": parsed.vocabulary, "split": parsed.split}
    bindings = [
        f"configs.DataConfig.{key}={value!r}" for key, value in given.items() if value
    ] + bindings
    shared.parse_gin(parsed, bindings, defaults=_DEFAULTS)
    data = gin_files.build(configs.DataConfig)
    if data.vocabulary == vocabulary_lib.OF_START:
        from flantune.interop import start_vocabulary  # brings JAX

        data = start_vocabulary.followed(data, gin_files.build_optional(configs.InitConfig))
    tasks = (*words.tasks, *parsed.task)
    report = lint.lint(data=data, tasks=tasks, every_task=parsed.all or bool(words.modules))
    view = lint.text(report, show_all=parsed.notes)
    show.write(report.as_json(), view, as_json=parsed.json, console=shared.OUT)
    return 1 if report.has_errors else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Words:
    """What the command line names: run files end in .gin, tasks have a colon, and all else is a module."""

    run_files: tuple[str, ...]
    modules: tuple[str, ...]
    tasks: tuple[str, ...]

    @classmethod
    def of(cls, words: Sequence[str]) -> "_Words":
        run_files = tuple(word for word in words if word.endswith(".gin"))
        tasks = tuple(word for word in words if ":" in word and word not in run_files)
        named = [word for word in words if word not in run_files and word not in tasks]
        modules = tuple(module for name in named for module in _expand(name))
        return cls(run_files=run_files, modules=modules, tasks=tasks)


# What stands in for a run file; lengths and batches are not looked at.
_DEFAULTS = [
    "configs.DataConfig.mixture=''",
    "configs.DataConfig.vocabulary='bytes'",
    "configs.DataConfig.inputs_length=1024",
    "configs.DataConfig.targets_length=256",
    "configs.DataConfig.batch_size=1",
]


def _expand(name: str) -> tuple[str, ...]:
    """A module by its name; "package.*" stands for every module of a package that exports tasks or mixtures."""
    from flantune.jobs import task_search

    return task_search.modules_of(name.removesuffix(".*")) if name.endswith(".*") else (name,)
