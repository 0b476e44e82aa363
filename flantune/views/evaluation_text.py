"""An evaluation as one line of text, for the log and the progress bar. Its tables are in `tables.py`."""

from flantune.evaluation.results import EvaluationReport
from flantune.views import tables


def line(report: EvaluationReport) -> str:
    """The summary metric of each suite: "evaluation: seen exact_match 0.984, unseen rouge_l 43.1"."""
    parts = (
        f"{suite.name} {suite.metric} {tables.number(suite.estimate.value, report.units[suite.metric])}"
        for suite in report.suites
    )
    return f"evaluation: {', '.join(parts)}"
