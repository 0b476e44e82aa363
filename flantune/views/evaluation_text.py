"""An evaluation in a sentence: what it found, for the log and the progress bar, and where. Its tables are in `tables.py`."""

from flantune.evaluation.results import EvaluationReport, Written
from flantune.views import tables


def line(report: EvaluationReport) -> str:
    """The summary metric of each suite: "evaluation: seen exact_match 0.984, unseen rouge_l 43.1"."""
    parts = (
        f"{suite.name} {suite.metric} {tables.number(suite.estimate.value, report.units[suite.metric])}"
        for suite in report.suites
    )
    return f"evaluation: {', '.join(parts)}"


def written(where: Written) -> str:
    """Where results were written, which suites they replaced and which stayed."""
    others = [name for name in where.suites if name not in where.replaced]
    parts = {"added": others, "replaced": where.replaced, "kept": where.kept}
    said = "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts.items() if names)
    return f"Written to {where.folder}: {said}."
