"""`flantune.batches`: what a run trains on, batch by batch, as arrays and as text."""

from collections.abc import Iterator, Mapping
import dataclasses
import itertools

import numpy as np

from flantune import configs, experiments
from flantune.api import run_files
from flantune.configs import DataConfig, InitConfig
from flantune.data.input import blocks, loading
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.jobs import gin_files
from flantune.runs import preparation, vocabulary as run_vocabulary
from flantune.views import batch_text


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Batches(Iterator[blocks.Batch]):
    """An iterator of batches.

    Attributes:
        tasks: names of the mixture's tasks, by task id.
        vocabulary: of the ids.
    """

    tasks: tuple[str, ...]
    vocabulary: vocabulary_lib.Vocabulary = dataclasses.field(repr=False)
    _batches: Iterator[blocks.Batch] = dataclasses.field(repr=False)

    def __next__(self) -> blocks.Batch:
        return next(self._batches)

    def text(self, batch: Mapping[str, np.ndarray]) -> list[dict[str, object]]:
        """The examples of a batch, in the order of its rows, as people read them.

        Each has "row", "task", "template" (its number), "inputs", "targets" and "loss_weights" (the different ones).
        """
        return batch_text.examples(batch, self.vocabulary, self.tasks)


def batches(
    run_file: run_files.RunFile,
    /,
    *,
    num: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    start_step: int = 0,
    **bindings: object,
) -> Batches:
    """The batches that a run trains on, in their order; sources that are not prepared are prepared first.

        for batch in flantune.batches("gin/runs/quickstart.gin", num=2):
            print(batch["encoder_input_tokens"].shape)

    A batch is a dictionary of arrays [rows, length]: token ids, segment ids, positions, and by target token the loss weight, the
    task id and the template id. Whether a held-out plan allows the mixture is not looked at.

    Args:
        run_file: a gin file, or several, of which the last wins.
        num: of batches; None: without end.
        process_index: the rows of this process
        process_count: of so many.
        start_step: steps that are passed over: their batches are made, since nothing else tells where they end.
        bindings: values by name, as after `--gin.`: `**{"DataConfig.mixture": "my:reviews"}`.

    Raises:
        ValueError: the run file or a binding is wrong, or the processes cannot share the run's lanes.
    """
    if num is not None:
        configs.check_whole("num", num, 0)
    configs.check_whole("start_step", start_step, 0)
    _check_place(process_index, process_count)
    with run_files.parsed(run_file, bindings):
        data = run_vocabulary.named(
            gin_files.build(DataConfig), gin_files.build_optional(InitConfig), None
        )
        seed = gin_files.whole_number(experiments.train, "seed")
    mixture = preparation.training_mixture(data, seed=seed)
    dataset = loading.train_dataset(
        mixture.bound,
        data,
        mixture.vocabulary,
        seed=seed,
        process_index=process_index,
        process_count=process_count,
    )
    stop = None if num is None else start_step + num
    return Batches(
        tasks=tuple(member.name for member in mixture.bound.members),
        vocabulary=mixture.vocabulary,
        _batches=itertools.islice(iter(dataset), start_step, stop),
    )


def _check_place(process_index: int, process_count: int) -> None:
    configs.check_whole("process_count", process_count)
    configs.check_whole("process_index", process_index, 0)
    if process_index >= process_count:
        raise ValueError(
            f"process_index ({process_index}) must be less than process_count ({process_count})."
        )
