"""SeqIO: publishes flantune's tasks and mixtures, so that SeqIO, its cache tool and t5x can use them by name.

    registry.register(["tasks.sst2", "tasks.mixtures"], features)
    seqio.get_mixture_or_task("sst2:sst2").get_dataset(sequence_length, split="train")

One `seqio.Task` for each task and setting, one `seqio.Mixture` for each mixture. The rows come from the prepared store
and the text from the same `render` as in training; SeqIO itself tokenises, trims, shuffles and mixes. SeqIO repeats the
text of epoch 0 in every epoch. A "-" in a name becomes "_", since SeqIO refuses it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from absl import logging
import numpy as np

from flantune import prompting
from flantune.configs import DataConfig
from flantune.data import (
    catalog as catalog_lib,
    loading,
    prepare,
    schedule,
    store as store_lib,
    task as task_lib,
    tokenize,
)
from flantune.prompting import choice

if TYPE_CHECKING:
    import seqio
    import tensorflow as tf


def register(
    modules: Sequence[str],
    features: Mapping[str, "seqio.Feature"],
    *,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    split: str = "train",
    seed: int = 0,
) -> tuple[str, ...]:
    """Publishes the tasks and mixtures of some modules; returns the names of the mixtures and tasks.

    A mixture with a member that no listed module defines is not published; the log says so.

    Splits are prepared when a dataset is first read. Calling it again with the same modules changes nothing.

    Args:
        features: SeqIO features of "inputs" and "targets", with their vocabularies.
        split: whose rows decide the mixtures' rates.
        seed: of templates, options and references, as `experiments.train.seed`.

    Raises:
        ValueError: two names are the same in SeqIO's spelling.
    """
    import seqio

    places = DataConfig(
        mixture="",
        modules=tuple(modules),
        vocabulary="bytes",
        inputs_length=1,
        targets_length=1,
        batch_size=1,
        data_dir=data_dir,
        prepared_dir=prepared_dir,
    )
    store = loading.open_store(places)
    catalog = catalog_lib.load(modules, store, loading.data_dir(places))
    rows = _Rows(catalog, store, places)
    _check_names([*catalog.tasks, *catalog.mixtures])
    members = [
        f"{name}#{setting}" if setting else name
        for name in catalog.tasks
        for setting in prompting.SETTINGS
    ]
    for member in members:
        if seqio_name(member) not in seqio.TaskRegistry.names():
            _add_task(member, catalog.task(member), rows, features, seed)
    mixtures = _resolvable(catalog)
    for name in mixtures:
        if seqio_name(name) not in seqio.MixtureRegistry.names():
            shares = _Shares(catalog, rows, name, split)
            seqio.MixtureRegistry.add(
                seqio_name(name),
                [
                    (seqio_name(member), functools.partial(shares.of, member))
                    for member in catalog.members(name)
                ],
            )
    return (*map(seqio_name, mixtures), *map(seqio_name, members))


def _resolvable(catalog: catalog_lib.Catalog) -> list[str]:
    """Mixtures whose members the modules define; the others are logged, since a module may export many mixtures."""
    names = []
    for name in catalog.mixtures:
        try:
            catalog.members(name)
        except KeyError as error:
            logging.warning("The mixture %s is not published. %s", name, error.args[0])
        else:
            names.append(name)
    return names


def seqio_name(name: str) -> str:
    """A task's or mixture's name in SeqIO."""
    return name.replace("-", "_")


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Readers of prepared splits; a split that is missing is prepared first."""

    catalog: catalog_lib.Catalog
    store: store_lib.Store
    places: DataConfig

    def reader(self, task: task_lib.InstructionTask, split: str) -> store_lib.Reader:
        data_dir = loading.data_dir(self.places)
        prepare.prepare([(task, (split,))], self.store, data_dir, num_processes=0).raise_if_failed()
        manifest = self.store.manifest(task.name, split)
        assert manifest is not None  # prepared just now
        return self.store.reader(manifest)


class _Shares:
    """Shares of a mixture's tasks, computed when SeqIO first asks for one."""

    def __init__(self, catalog: catalog_lib.Catalog, rows: _Rows, mixture: str, split: str) -> None:
        self._catalog = catalog
        self._rows = rows
        self._mixture = mixture
        self._split = split

    @functools.cached_property
    def _shares(self) -> dict[str, float]:
        def num_rows(member: str) -> int:
            return len(self._rows.reader(self._catalog.task(member), self._split))

        return self._catalog.rates(self._mixture, num_rows)

    def of(self, member: str, task: "seqio.Task") -> float:
        """The share of a member; SeqIO passes the task, whose name says no more."""
        del task
        return self._shares.get(member, 0.0)


def _check_names(names: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(seqio_name(name), name)
        if other != name:
            raise ValueError(f"{other!r} and {name!r} are both {seqio_name(name)!r} in SeqIO.")


def _add_task(
    name: str,
    task: task_lib.InstructionTask,
    rows: _Rows,
    features: Mapping[str, "seqio.Feature"],
    seed: int,
) -> None:
    import seqio

    seqio.TaskRegistry.add(
        seqio_name(name),
        source=seqio.FunctionDataSource(_dataset_fn(name, task, rows, seed), task.source.splits),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features=dict(features),
        postprocess_fn=_postprocess_fn(task),
        metric_fns=[_metric_fn(metric) for metric in task.metrics],
    )


def _dataset_fn(
    name: str, task: task_lib.InstructionTask, rows: _Rows, prompt_seed: int
) -> Callable[..., "tf.data.Dataset"]:
    def dataset_fn(
        split: str, shuffle_files: bool = False, seed: int | None = None
    ) -> "tf.data.Dataset":
        import tensorflow as tf

        spec = tf.TensorSpec
        return tf.data.Dataset.from_generator(
            lambda: _examples(name, task, rows, split, prompt_seed, shuffle_files, seed),
            output_signature={
                "inputs": spec((), tf.string),
                "targets": spec((), tf.string),
                "references": spec((None,), tf.string),
                "template": spec((), tf.int32),
                "row": spec((), tf.int32),
            },
        )

    return dataset_fn


def _examples(
    name: str,
    task: task_lib.InstructionTask,
    rows: _Rows,
    split: str,
    prompt_seed: int,
    shuffle: bool,
    shuffle_seed: int | None,
) -> Iterator[dict[str, object]]:
    """Rendered rows, in order, or in a hashed order of the whole split (SeqIO's buffer keeps sorted files sorted)."""
    reader = rows.reader(task, split)
    member = tokenize.make_member(name, task, split, "training")
    order = np.arange(len(reader))
    if shuffle:
        keys = np.full(len(order), choice.hash64(shuffle_seed, name, "seqio_order"), np.uint64)
        order = schedule.permuted(order, np.full(len(order), len(order)), keys)
    for row in order.tolist():
        prompt = tokenize.render(member, reader[row], row, epoch=0, seed=prompt_seed)
        yield {
            "inputs": prompt.inputs,
            "targets": prompt.targets,
            "references": list(prompt.references),
            "template": prompt.template,
            "row": row,
        }


def _postprocess_fn(task: task_lib.InstructionTask) -> Callable[..., object]:
    def postprocess(
        text: str, *, is_target: bool = False, example: Mapping[str, Any] | None = None
    ) -> object:
        """References of a target; the answer in a prediction."""
        if example is None:
            raise ValueError(f"{task.name}: SeqIO must pass the example to the postprocessor.")
        if is_target:
            return [reference.decode() for reference in example["references"]]
        answer = task.templates[int(example["template"])].extract(text)
        answer = "" if answer is None else answer
        return answer if task.postprocess is None else task.postprocess(answer)

    return postprocess


def _metric_fn(metric: Callable[..., dict[str, float]]) -> Callable[..., dict[str, float]]:
    def metric_fn(targets: Any, predictions: Any) -> dict[str, float]:
        return metric(targets, predictions)

    metric_fn.__name__ = getattr(metric, "name", "metric")
    return metric_fn
