"""The jobs of `flantune ledger`: a run's plan, a saved one, what differs between two, counted against planned.

What a ledger holds and how it is worked out: `audit/ledger/plan.py`. How it looks: `views/ledger_text.py`, `views/ledger_actual_text.py` and
`views/ledger_page.py`.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import json
from typing import Any

from etils import epath

from flantune import configs, experiments
from flantune.audit.ledger import (
    comparison as ledger_comparison,
    counts as ledger_counts,
    plan as ledger_lib,
)
from flantune.configs import DataConfig, InitConfig
from flantune.data.input import loading, measure
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.jobs import gin_files
from flantune.runs import preparation


def plan_of_run(
    num_steps: int | None = None, num_examples: int = measure.NUM_EXAMPLES
) -> Callable[[], ledger_lib.Ledger]:
    """What makes the plan of the run whose gin files are parsed; `num_steps` stands for its own number of steps.

    Raises:
        ValueError: neither says how many steps, or a value is not allowed.
    """
    if num_steps is None:
        num_steps = gin_files.whole_number(experiments.train, "num_steps")
    return functools.partial(
        plan,
        data=gin_files.build(DataConfig),
        num_steps=num_steps,
        seed=gin_files.whole_number(experiments.train, "seed"),
        num_examples=num_examples,
        init=gin_files.build_optional(InitConfig),
    )


def plan(
    *,
    data: DataConfig,
    num_steps: int,
    seed: int = 0,
    num_examples: int = measure.NUM_EXAMPLES,
    init: InitConfig | None = None,
) -> ledger_lib.Ledger:
    """What a run of `num_steps` steps trains on. Prepares what is missing.

    Tasks with a rate in tokens of which nothing fits are left out (`Ledger.unfit`); training would refuse the mixture.

    Args:
        num_examples: measured of each task; 64 times as many of the mixture are packed.
        init: the start of the run, whose vocabulary counts where the config names none.
    """
    if data.vocabulary == vocabulary_lib.OF_START:
        from flantune.runs import vocabulary as run_vocabulary  # brings JAX

        data = run_vocabulary.named(data, init, None)
    return _plan(data, num_steps, seed, num_examples, None)[0]


def _plan(
    data: DataConfig,
    num_steps: int,
    seed: int,
    num_examples: int,
    vocabulary: vocabulary_lib.Vocabulary | None,
    batch_sizes: Sequence[tuple[int, int]] = (),
) -> tuple[ledger_lib.Ledger, loading.BoundMixture]:
    """The ledger of a run, and its tasks; `vocabulary` is the run's own, None: the config's."""
    configs.check_whole("num_steps", num_steps)
    configs.check_whole("num_examples", num_examples)
    mixture = preparation.training_mixture(
        data, seed=seed, vocabulary=vocabulary, without_unfit=True
    )
    planned = ledger_lib.plan(
        mixture.catalog,
        mixture.store,
        mixture.bound,
        data,
        mixture.vocabulary,
        num_steps=num_steps,
        seed=seed,
        num_examples=num_examples,
        batch_sizes=batch_sizes,
    )
    return planned, mixture.bound


def read(path: str) -> ledger_lib.Ledger:
    """A ledger that `flantune ledger --json` wrote.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        return ledger_lib.loads(epath.Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is {error}") from error
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError(
            f"{path} is neither a run file (.gin) nor a ledger that flantune ledger --json wrote: there is no such file."
        ) from error


def actual(
    *, run_dir: str, data: DataConfig, seed: int = 0, num_examples: int = measure.NUM_EXAMPLES
) -> ledger_comparison.Actual:
    """Counted against planned, task by task, from the last checkpoint of a run folder.

    Raises:
        ValueError: the folder has no checkpoint, or its run was not counted or had other tasks.
    """
    from flantune.runs import vocabulary as run_vocabulary  # brings JAX

    folder = epath.Path(run_dir)
    step, state = _saved(folder)
    counted = state["batches"].get(ledger_counts.KEY)
    if not counted or not counted["batches"]:
        raise ValueError(f"{run_dir} holds no counts of what it trained on.")
    data = run_vocabulary.named(data, None, folder)
    sizes = ledger_counts.sizes(counted)
    planned, bound = _plan(
        data,
        counted["batches"],
        seed,
        num_examples,
        run_vocabulary.of_checkpoint(folder, data),
        [(steps, data.batch_size if rows is None else rows) for steps, rows in sizes],
    )
    templates = {member.name: member.task.templates for member in bound.members}
    num_templates = {name: len(found) for name, found in templates.items()}
    if counted["tasks"] != ledger_counts.tasks_key(num_templates):
        raise ValueError(
            f"{run_dir} trained on other tasks or templates than its mixture {data.mixture!r} has now: its modules or data "
            "changed."
        )
    counts, cells = ledger_counts.total(counted), ledger_counts.Cells([*num_templates.values()])
    is_weighted = planned.has_own_weights or planned.loss_weighting != "token"
    complete = counted["batches"] == step and not is_weighted
    return ledger_comparison.Actual(
        step=step,
        batches=counted["batches"],
        on_device=_on_device(folder, step, state["window"]) if complete else None,
        planned=planned,
        unknown_sizes=sum(steps for steps, rows in sizes if rows is None),
        tasks=tuple(ledger_comparison.compare(planned, counts, cells)),
        templates=tuple(ledger_comparison.by_template(templates, counts, cells)),
    )


def _saved(folder: epath.Path) -> tuple[int, Mapping[str, Any]]:
    """The last checkpoint's step and what it holds beside the parameters: places, counts, the open window."""
    from flantune.training import checkpoints as checkpoints_lib

    checkpoints = checkpoints_lib.Checkpoints(folder)
    step = checkpoints.latest_step()
    if step is None:
        raise ValueError(f"{folder} has no checkpoint: counts are saved with the first one.")
    files = sorted((checkpoints.path(step) / "data").glob("process_*-of-*.json"))
    states = [json.loads(file.read_text()) for file in files]
    return step, checkpoints_lib.merge_process_states(states)


def _on_device(folder: epath.Path, step: int, window: list[Mapping[str, float]]) -> int:
    """Target tokens of all steps until `step`: of the lines that were written, and of the steps since the last one."""
    from flantune.training import metrics

    written = sum(
        float(line.get("train/num_target_tokens") or 0)
        for line in metrics.read_metrics(folder)
        if (line["step"] or 0) <= step
    )
    return round(written + sum(one["num_target_tokens"] for one in window))
