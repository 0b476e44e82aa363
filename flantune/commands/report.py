"""`flantune report`: a run folder as one page, while the run trains or afterwards."""

import argparse
import json
from typing import TYPE_CHECKING

from flantune.commands import shared

if TYPE_CHECKING:
    from flantune.views.report_content import Content


def add(commands: shared.Commands) -> None:
    about = "Write a run's report: curves of training and evaluations, restarts, results; while it trains or afterwards."
    parser = commands.add_parser("report", help=about, description=about)
    parser.add_argument("run_dir", metavar="RUN_DIR", help="a run's folder")
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write the page alone, there (default: RUN_DIR/report.html, report.md and report.json)",
    )
    parser.add_argument("--json", action="store_true", help="the curves as JSON on standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from etils import epath

    from flantune.runs import run_report
    from flantune.views import report

    if bindings:
        raise ValueError(f"flantune report takes no bindings, but got --gin.{bindings[0]}.")
    content = run_report.gather(parsed.run_dir)
    if "loss" not in content.training.overall and content.tuned is None:
        raise ValueError(
            f"{parsed.run_dir} has no training loss and no evaluation yet: a line is written every "
            "experiments.train.log_every_steps steps."
        )
    if parsed.html:
        page = epath.Path(parsed.html)
        report.write_page(page, content)
    else:
        page = epath.Path(parsed.run_dir) / "report.html"
        report.write_report(parsed.run_dir, content)
    if parsed.json:
        print(json.dumps(report.curves_json(content), indent=1))
    else:
        shared.OUT.print(f"{page}: {_line(content)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _line(content: "Content") -> str:
    """How far the run is: "2 clusters, 3 tasks; loss 2.0000 at step 40; at step 30 evaluation: seen exact_match 0.500."."""
    from flantune.views import evaluation_text

    training = content.training
    parts = []
    if "loss" in training.overall:
        step, loss = training.overall["loss"][-1]
        parts += [f"{len(training.clusters)} clusters, {len(training.tasks)} tasks"]
        parts += [f"loss {loss:.4f} at step {step:,}"]
    if content.tuned is not None:
        parts.append(f"at step {content.tuned.step:,} {evaluation_text.line(content.tuned)}")
    return "; ".join(parts) + "."
