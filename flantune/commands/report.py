"""`flantune report`: the training of a run folder as a page of loss curves, by cluster and task."""

import argparse
import json
import os

from flantune import run_folder
from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = "Draw how a run's loss went, over all, by cluster and by task, while it trains or afterwards."
    parser = commands.add_parser("report", help=about, description=about)
    parser.add_argument("run_dir", metavar="RUN_DIR", help="a run's folder")
    parser.add_argument(
        "--html", metavar="FILE", help=f"the page (default: RUN_DIR/{run_folder.TRAINING_PAGE})"
    )
    parser.add_argument("--json", action="store_true", help="the curves as JSON on standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from etils import epath

    from flantune.host import atomic
    from flantune.training import metrics
    from flantune.views import training_curves, training_page

    if bindings:
        raise ValueError(f"flantune report takes no bindings, but got --gin.{bindings[0]}.")
    curves = training_curves.read(parsed.run_dir, metrics.read_metrics(parsed.run_dir))
    if "loss" not in curves.overall:
        raise ValueError(
            f"{parsed.run_dir} has no training loss yet: a line is written every experiments.train.log_every_steps steps."
        )
    page = parsed.html or os.fspath(epath.Path(parsed.run_dir) / run_folder.TRAINING_PAGE)
    atomic.write_text(page, training_page.render(curves))
    if parsed.json:
        print(json.dumps(curves.as_json(), indent=1))
    else:
        step, loss = curves.overall["loss"][-1]
        shared.OUT.print(
            f"{page}: {len(curves.clusters)} clusters, {len(curves.tasks)} tasks; loss {loss:.4f} at step {step:,}.",
            highlight=False,
        )
    return 0
