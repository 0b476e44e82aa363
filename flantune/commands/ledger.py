"""`flantune ledger`: what a run will train on, how two runs differ, and what a run did train on."""

import argparse
from typing import TYPE_CHECKING

from flantune.commands import shared

if TYPE_CHECKING:
    from flantune.audit.ledger import plan as ledger_lib


def add(commands: shared.Commands) -> None:
    about = (
        "Show what a run will train on, task by task: examples, tokens, epochs, what is cut and dropped. With --diff, what "
        "differs between two runs. With --actual, what a run folder has trained on, beside its plan. With --published, what "
        "mixtures are by published row counts, before any data are there."
    )
    parser = shared.command(commands, "ledger", _run, about)
    parser.add_argument("--mixture", help="mixture or task (default: the run's)")
    parser.add_argument(
        "--steps", type=shared.whole_number(1), help="training steps (default: the run's)"
    )
    parser.add_argument(
        "--examples",
        type=shared.whole_number(1),
        default=64,
        help="examples of each task whose length is measured (default: 64)",
    )
    parser.add_argument("--csv", metavar="FILE", help="write one line for each task (or template)")
    parser.add_argument("--html", metavar="FILE", help="write a page: a plan with plots, or counts")
    parser.add_argument(
        "--by",
        choices=("task", "template", "setting"),
        default="task",
        help="lines of the table: templates go with --actual and its --csv, settings with --published (default: task)",
    )
    parser.add_argument(
        "--diff",
        nargs=2,
        metavar=("A", "B"),
        help="compare two run files, or two ledgers that --json wrote",
    )
    parser.add_argument(
        "--actual",
        dest="checkpoint",
        metavar="RUN_DIR",
        help="compare what a run's last checkpoint has counted with the plan for as many steps",
    )
    parser.add_argument(
        "--published",
        nargs="+",
        metavar="MIXTURE",
        help="shares of mixtures, side by side, by published row counts; reads no data. Without a --gin_file, every module "
        "of tasks/ is searched",
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    modes = {"--diff": parsed.diff, "--actual": parsed.checkpoint, "--published": parsed.published}
    given = [flag for flag, value in modes.items() if value]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other.")
    if parsed.published and parsed.html:
        raise ValueError("--html is for a plan or --actual; --published has --csv and --json.")
    if parsed.diff and (parsed.csv or parsed.html):
        raise ValueError("--csv and --html are for a plan or --actual; --diff has --json.")
    if parsed.by == "template" and not parsed.checkpoint:
        raise ValueError("--by template needs --actual: templates are drawn as a run goes.")
    if parsed.by == "setting" and not parsed.published:
        raise ValueError(
            "--by setting needs --published: a plan has a line for each setting anyway."
        )
    shared.check_output("--csv", parsed.csv)
    shared.check_output("--html", parsed.html)
    if parsed.mixture:
        bindings = [f"configs.DataConfig.mixture={parsed.mixture!r}", *bindings]
    if parsed.checkpoint:
        _show_actual(parsed, bindings)
    elif parsed.diff:
        _show_diff(parsed, bindings)
    elif parsed.published:
        _show_published(parsed, bindings)
    else:
        _show_plan(parsed, bindings)
    return 0


def _show_plan(parsed: argparse.Namespace, bindings: list[str]) -> None:
    from flantune.host import atomic
    from flantune.views import ledger_page, ledger_text, show

    planned = _plan(parsed, bindings)
    if parsed.csv:
        atomic.write_text(parsed.csv, ledger_text.plan_csv(planned))
    if parsed.html:
        atomic.write_text(parsed.html, ledger_page.render(planned))
    view = ledger_text.plan_text(planned)
    show.write(ledger_text.plan_json(planned), view, as_json=parsed.json, console=shared.OUT)


def _show_diff(parsed: argparse.Namespace, bindings: list[str]) -> None:
    from flantune.audit.ledger import diff as ledger_diff
    from flantune.jobs import ledger as ledger_jobs
    from flantune.views import ledger_text, show

    first, second = (
        _plan(argparse.Namespace(**{**vars(parsed), "files": [name]}), bindings)
        if name.endswith(".gin")
        else ledger_jobs.read(name)
        for name in parsed.diff
    )
    found = ledger_diff.diff(first, second)
    view = ledger_text.diff_text(found)
    show.write(found.to_json(), view, as_json=parsed.json, console=shared.OUT)


def _show_published(parsed: argparse.Namespace, bindings: list[str]) -> None:
    from flantune import configs
    from flantune.audit import published
    from flantune.host import atomic
    from flantune.jobs import gin_files, task_search
    from flantune.views import published_text, show

    modules = task_search.modules_of() if not parsed.files and not parsed.gin_file else ()
    shared.parse_gin(parsed, bindings, defaults=[f"configs.DataConfig.modules={modules!r}"])
    named = gin_files.binding(configs.DataConfig, "modules")
    assert isinstance(named, tuple | list)
    found = published.plan(tuple(named), parsed.published)
    if parsed.csv:
        atomic.write_text(parsed.csv, published_text.to_csv(found))
    view = published_text.text(found, parsed.by)
    show.write(published_text.to_json(found), view, as_json=parsed.json, console=shared.OUT)


def _show_actual(parsed: argparse.Namespace, bindings: list[str]) -> None:
    from flantune import configs, experiments
    from flantune.host import atomic
    from flantune.jobs import gin_files, ledger as ledger_jobs
    from flantune.views import ledger_actual_text, ledger_page, show

    shared.parse_gin(parsed, bindings)
    found = ledger_jobs.actual(
        run_dir=parsed.checkpoint,
        data=gin_files.build(configs.DataConfig),
        seed=gin_files.whole_number(experiments.train, "seed"),
        num_examples=parsed.examples,
    )
    if parsed.csv:
        atomic.write_text(parsed.csv, ledger_actual_text.to_csv(found, parsed.by))
    if parsed.html:
        atomic.write_text(parsed.html, ledger_page.render_actual(found))
    view = ledger_actual_text.text(found, parsed.by)
    show.write(found.to_json(), view, as_json=parsed.json, console=shared.OUT)


def _plan(parsed: argparse.Namespace, bindings: list[str]) -> "ledger_lib.Ledger":
    from flantune.jobs import ledger as ledger_jobs

    shared.parse_gin(parsed, bindings)
    return ledger_jobs.plan_of_run(parsed.steps, parsed.examples)()
