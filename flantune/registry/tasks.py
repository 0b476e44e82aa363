"""One member as a `seqio.Task`: its rendered rows, its postprocessor and its metrics. `publish.py` publishes it.

SeqIO tokenises the text, appends the end of sequence and cuts what is too long.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
from typing import TYPE_CHECKING, Any

from absl import logging
import numpy as np

from flantune import prompting
from flantune.data import members as members_lib, task as task_lib
from flantune.data.input import prompts, schedule, tokenize
from flantune.prompting import choice

if TYPE_CHECKING:
    import seqio
    import tensorflow as tf

_ROWS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Renderer:
    """Renders a member's rows for SeqIO.

    Attributes:
        seed: of templates, options, exemplars and references.
        tokenizer: shortens prompts to the lengths as in training, and leaves out those that cannot be; None: SeqIO cuts
            the end of whatever is too long.
    """

    seed: int
    tokenizer: tokenize.Tokenizer | None = None

    def __call__(
        self, requests: list[prompts.Request]
    ) -> Iterator[tuple[prompts.Request, prompting.Prompt]]:
        """Each request that fits, with its prompt."""
        if self.tokenizer is None:
            rendered = prompts.render(requests, seed=self.seed)
            yield from ((one, text) for one, text in zip(requests, rendered, strict=True) if text)
            return
        for request, result in zip(requests, self.tokenizer.tokenize(requests), strict=True):
            if result is not None:
                yield request, result.prompt


def add_task(
    name: str,
    task: task_lib.InstructionTask,
    member: Callable[[str], members_lib.Member],
    features: Mapping[str, "seqio.Feature"],
    renderer: Renderer,
) -> None:
    """Registers a member under SeqIO's `name`; `member` binds it to the rows of a split."""
    import seqio

    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(_dataset_fn(member, renderer), task.source.splits),
        # As in training, a target that is cut has no end of sequence: it does not end there.
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
        output_features=dict(features),
        postprocess_fn=_postprocess_fn(task),
        metric_fns=[_metric_fn(metric) for metric in task.metrics],
    )


def _dataset_fn(
    member: Callable[[str], members_lib.Member], renderer: Renderer
) -> Callable[..., "tf.data.Dataset"]:
    def dataset_fn(
        split: str, shuffle_files: bool = False, seed: int | None = None
    ) -> "tf.data.Dataset":
        import tensorflow as tf

        spec = tf.TensorSpec
        return tf.data.Dataset.from_generator(
            lambda: _examples(member(split), renderer, shuffle_files, seed),
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
    member: members_lib.Member, renderer: Renderer, shuffle: bool, shuffle_seed: int | None
) -> Iterator[dict[str, object]]:
    """Rendered rows, in order, or in a hashed order of the whole split (SeqIO's buffer keeps sorted files sorted)."""
    order = np.arange(len(member.reader))
    if shuffle:
        key = choice.hash64(shuffle_seed, member.name, "seqio_order")
        keys = np.full(len(order), key, np.uint64)
        order = schedule.permuted(order, np.full(len(order), len(order)), keys)
    kept = 0
    for start in range(0, len(order), _ROWS_AT_ONCE):
        rows = order[start : start + _ROWS_AT_ONCE].tolist()
        for request, prompt in renderer([prompts.Request(member, row, 0) for row in rows]):
            kept += 1
            yield {
                "inputs": prompt.inputs,
                "targets": prompt.targets,
                "references": list(prompt.references),
                "template": prompt.template,
                "row": request.row,
            }
    if kept < len(order):
        logging.warning("%s: %d of %d rows do not fit.", member.name, len(order) - kept, len(order))


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
