"""T0, T0+ and T0++ (https://arxiv.org/abs/2110.08207): promptsource's datasets with exactly the prompts that T0 used.

Templates and rows are where `promptsource.py` finds them; "glue/mrpc" is the task "t0:glue_mrpc". Prompts that T0 did not
use are left out. A dataset of `t0_prompts.py` that is not there is an error of the mixtures that name it, unless
`DataConfig.skip_absent` allows it; a template file without one of T0's prompts is of another version, and an error.
ANLI is three tasks, by round. The mixtures `t0_train`, `t0_plus_train`, `t0_plus_plus_train` and `t0_held_out` are in
`mixtures.py`.
"""

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from flantune.data import InstructionTask, TaskFamily, sources
from flantune.data.task import Declared
from flantune.prompting import PromptSetting
from tasks import promptsource, t0_prompts

FAMILY = "t0"
_ANLI = "anli"
_ROUNDS = ("r1", "r2", "r3")


def task_names(dataset: str) -> tuple[str, ...]:
    """The tasks of a dataset: "super_glue/rte" is "t0:super_glue_rte"."""
    name = f"{FAMILY}:{dataset.replace('/', '_')}"
    return tuple(f"{name}_{one}" for one in _ROUNDS) if dataset == _ANLI else (name,)


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The template file of each task of T0's whose rows are there."""
    by_name = promptsource.files(data_dir)
    found: dict[str, pathlib.Path] = {}
    for dataset in t0_prompts.DATASETS:
        path = by_name.get(dataset.replace("/", "_"))
        if path is not None:
            found |= {name.partition(":")[2]: path for name in task_names(dataset)}
    return found


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a template file; JSON values only.

    Raises:
        ValueError: it lacks prompts that T0 used.
    """
    metadata = promptsource.read_metadata(path)
    listed = t0_prompts.DATASETS[metadata["dataset"]]
    wanted = {*listed.prompts, *listed.other_prompts}
    there = {one["name"].strip() for one in metadata["templates"]}
    there |= {one["template"].strip() for one in metadata["refused"]}
    if not wanted <= there:
        raise ValueError(
            f"{path} lacks {len(wanted - there)} of T0's {len(wanted)} prompts of {listed.name}: "
            f"{', '.join(sorted(wanted - there))}. T0 used promptsource 0.1.0."
        )
    return {
        **metadata,
        "templates": [one for one in metadata["templates"] if one["name"].strip() in wanted],
        "refused": [one for one in metadata["refused"] if one["template"].strip() in wanted],
    }


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    task = dataclasses.replace(promptsource.make_task(name, metadata), name=f"{FAMILY}:{name}")
    if metadata["dataset"] != _ANLI:
        return task
    which = name.rpartition("_")[2]
    source = sources.HuggingFace(
        f"hf/{_ANLI}", train=f"train_{which}", validation=f"dev_{which}", test=f"test_{which}"
    )
    return dataclasses.replace(task, source=source)


def _declared(dataset: t0_prompts.Dataset) -> Declared:
    """What the lists say of a dataset's tasks: training rows, and prompts by kind."""

    def num_templates(setting: PromptSetting) -> int:
        names = (*dataset.prompts,) if "direct" in setting.kinds else ()
        names += dataset.other_prompts if "inversion" in setting.kinds else ()
        without = dataset.with_choices if setting.options == "none" else ()
        return 0 if setting.group else sum(name not in without for name in names)

    return Declared(rows={"train": dataset.train_rows or 0}, num_templates=num_templates)


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=promptsource.FOLDERS,
        licence=promptsource.LICENCE,
        publication=promptsource.PUBLICATION,
        declared={
            name: _declared(dataset)
            for dataset in t0_prompts.DATASETS.values()
            if dataset.train_rows
            and dataset.name != _ANLI  # its rows are given for three tasks together
            for name in task_names(dataset.name)
        },
    ),
)
