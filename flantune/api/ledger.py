"""`flantune.ledger`: what a run will train on, task by task, as plain values."""

from flantune.api import run_files
from flantune.audit.ledger.plan import Ledger
from flantune.data.input import measure
from flantune.jobs import ledger as ledger_jobs, task_search


def ledger(
    run: run_files.RunFile,
    /,
    *,
    num_steps: int | None = None,
    num_examples: int = measure.NUM_EXAMPLES,
    **bindings: object,
) -> Ledger:
    """The plan of a run, or of a mixture without a run file; sources that are not prepared are prepared first.

        plan = flantune.ledger("gin/runs/quickstart.gin")
        pandas.DataFrame(list(plan.tasks))  # a row for each task: examples, tokens, epochs, what is cut and dropped

    `plan.to_json()` is all of it as dictionaries, lists, texts and numbers.

    Args:
        run: a gin file, or several, of which the last wins; or the name of a mixture or task, which is looked for in every
            module of `tasks/`, counted in bytes and rows of 4,096 + 1,024, one row a step, unless bindings say otherwise.
        num_steps: training steps; None: the run's. A mixture has none.
        num_examples: of each task, whose lengths are measured.
        bindings: values by name, as after `--gin.`: `**{"DataConfig.vocabulary": "words.model"}`.

    Raises:
        KeyError: there is no such mixture or task.
        ValueError: the run file or a binding is wrong, or nothing says how many steps.
    """
    defaults = None
    if isinstance(run, str) and not run.endswith(".gin"):
        fields = task_search.data_config(run) | {"mixture": run}
        defaults = {f"DataConfig.{name}": value for name, value in fields.items()}
    with run_files.parsed(run, bindings, defaults=defaults):
        job = ledger_jobs.plan_of_run(num_steps, num_examples)
    return job()
