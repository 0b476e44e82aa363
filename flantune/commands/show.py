"""`flantune show`: a module's tasks, a mixture's shares, or a task's templates and rendered examples."""

import argparse

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Show a module's tasks and mixtures, a mixture's tasks and shares, or a task's templates and rendered examples. "
        "Without a run file, every module of tasks/ and of this folder is searched; without a name, they are listed."
    )
    parser = shared.command(commands, "show", _run, about, files="[RUN.gin] [NAME]")
    parser.add_argument(
        "-n",
        "--num_examples",
        type=shared.whole_number(0),
        default=3,
        help="rendered examples of a task (default: 3)",
    )
    parser.add_argument(
        "--setting", help="prompt setting of a task, for example few_shot.no_options"
    )
    parser.add_argument(
        "--template",
        type=shared.whole_number(0),
        metavar="N",
        help="show this wording of a task alone",
    )
    parser.add_argument("--split", help="split of rows and examples (default: the run's)")
    parser.add_argument("--seed", type=int, default=0, help="of the choices made (default: 0)")
    parser.add_argument(
        "--modules",
        help="modules to search, split by commas (default: the run's, or all of tasks/)",
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.jobs import gin_files
    from flantune.views import show

    names = [word for word in parsed.files if not word.endswith(".gin")]
    parsed.files = [word for word in parsed.files if word.endswith(".gin")]
    if len(names) > 1:
        raise ValueError(
            f"show takes one module, mixture or task, not {len(names)}: {', '.join(names)}."
        )
    if parsed.modules:
        modules = tuple(parsed.modules.split(","))
        bindings = [f"configs.DataConfig.modules={modules!r}", *bindings]
    name = names[0] if names else None
    shared.parse_gin(parsed, bindings, defaults=_defaults(name))
    if parsed.setting is not None:
        if name is None:
            raise ValueError(
                "--setting goes with the name of a task: show FAMILY:DATASET --setting few_shot."
            )
        name = f"{name}#{parsed.setting}"
    job = gin_files.bind(
        experiments.describe,
        name=name,
        split=parsed.split,
        num_examples=parsed.num_examples,
        template=parsed.template,
        seed=parsed.seed,
    )
    value = job()
    show.write(value, show.description(value), as_json=parsed.json, console=shared.OUT)
    return 0


def _defaults(name: str | None) -> list[str]:
    """Bindings instead of a run file."""
    from flantune.jobs import task_search

    values = task_search.data_config(name)
    return [f"configs.DataConfig.{field}={value!r}" for field, value in values.items()]
