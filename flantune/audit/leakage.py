"""`find`: checks a run's training mixture against its held-out plan, or against all that it evaluates.

What a plan is, and how it is checked: `data/held_out_plan.py` and `held_out.py`.
"""

from collections.abc import Sequence

from flantune.audit import held_out
from flantune.configs import DataConfig, EvalConfig, EvalSuite
from flantune.data import catalog as catalog_lib, members as members_lib
from flantune.data.held_out_plan import HeldOutPlan
from flantune.data.input import loading
from flantune.data.store import prepare as prepare_lib, reader as store_lib

NO_PLAN = HeldOutPlan(name="every suite of the run")


def find(
    *,
    data: DataConfig,
    evaluation: EvalConfig | None = None,
    plan: str | None = None,
    num_processes: int | None = None,
) -> held_out.Report:
    """Every training task that the plan does not allow. Prepares what is missing.

    Args:
        plan: name of a plan of the run's modules; None: the run's own, DataConfig.held_out. Without either, no row of any
            suite may be in training, and no suite's task that is not itself trained on may come from the same sources.
        num_processes: worker processes; None takes one for each core.

    Raises:
        KeyError: no such plan.
        ValueError: there is nothing to check: neither a plan nor a suite.
    """
    store = loading.open_store(data)
    suites = () if evaluation is None else evaluation.suites
    wanted = [(data.mixture, data.split)]
    wanted += [(suite.mixture or data.mixture, suite.split) for suite in suites]
    catalog = loading.load_catalog(data, store, [name for name, _ in wanted])
    _prepare(catalog, store, data, wanted)
    return check(
        catalog, store, data, evaluation, plan=plan or data.held_out, num_processes=num_processes
    )


def check(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    evaluation: EvalConfig | None,
    *,
    plan: str | None,
    num_processes: int | None = None,
) -> held_out.Report:
    """The same, of a run whose own splits are prepared."""
    suites = () if evaluation is None else evaluation.suites
    if plan is None and not suites:
        raise ValueError(
            "There is nothing to look for: name a plan with --plan, or bind DataConfig.held_out or EvalConfig.suites."
        )
    chosen = NO_PLAN if plan is None else catalog.plan(plan)
    _prepare(catalog, store, data, held_out.wanted(chosen))
    return held_out.check(
        catalog,
        store,
        loading.bind_mixture(catalog, store, data.mixture, split=data.split),
        chosen,
        evaluation=evaluated(catalog, store, data.mixture, suites),
        num_processes=num_processes,
    )


def _prepare(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    wanted: Sequence[tuple[str, str]],
) -> None:
    tasks = [(catalog.tasks[name], own) for name, own in loading.splits_needed(catalog, wanted)]
    prepare_lib.prepare(tasks, store, loading.data_dir(data)).raise_if_failed()


def evaluated(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    mixture: str,
    suites: Sequence[EvalSuite],
) -> list[members_lib.Member]:
    """The tasks of some suites, with all their templates; a suite without a mixture has the run's."""
    return [
        member
        for suite in suites
        for member in loading.bind_mixture(
            catalog, store, suite.mixture or mixture, split=suite.split, templates="all"
        ).members
    ]
