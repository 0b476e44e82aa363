"""The datasets of a run, a mixture, a task or a module, for `flantune data`. What a dataset is: `audit/datasets.py`."""

from flantune.audit import datasets
from flantune.configs import DataConfig, EvalConfig
from flantune.data import names as names_lib
from flantune.jobs import recipes
from flantune.runs import preparation


def of_run(*, data: DataConfig, evaluation: EvalConfig | None = None) -> list[datasets.Dataset]:
    """What training, evaluation and the held-out plan of a run read.

    Raises:
        ValueError: the run file leaves the mixture to its user.
    """
    if not data.mixture:
        raise ValueError(
            "No file or flag binds configs.DataConfig.mixture: say which, with --gin.DataConfig.mixture=NAME and "
            "--gin.DataConfig.modules=..."
        )
    return datasets.needed(data, preparation.splits_read(data, evaluation))


def of_name(name: str, *, data: DataConfig) -> list[datasets.Dataset]:
    """What a mixture reads in the config's split, or a task or module in all splits.

    Raises:
        KeyError: there is nothing of that name; the closest recipe is named too.
    """
    if ":" not in name and "." in name:
        return datasets.needed(data, datasets.of_module(name))
    try:
        return datasets.needed(data, [(name, None if ":" in name else data.split)])
    except KeyError as error:
        near = names_lib.closest(name, recipes.names(), count=1)
        if not near:
            raise
        raise KeyError(f"{error.args[0]} A recipe is called {near[0]!r}.") from error
