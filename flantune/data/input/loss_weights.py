"""The scale of loss weights where all examples of a run weigh the same (`DataConfig.loss_weighting`).

With a mean of 3 target tokens, examples of 4 and 2 give their tokens these weights:

    "token"      1 1 1 1   1 1
    "example"    0.75 0.75 0.75 0.75   1.5 1.5

Either way a mean token weighs about 1, so the sum of weights, by which the loss is divided, stays near the number of target
tokens. The scale itself changes no gradient. Tasks and rows multiply their own weights in. Read `blocks.py` next.
"""

from collections.abc import Sequence

from flantune.data import members as members_lib
from flantune.data.input import prompts, schedule as schedule_lib, tokenize as tokenize_lib

_SAMPLE = 1024  # examples; long-tailed targets have a mean that is known to some percent then, enough for a scale


def mean_targets(
    members: Sequence[members_lib.Member],
    schedule: schedule_lib.Schedule,
    tokenizer: tokenize_lib.Tokenizer,
) -> float:
    """Mean target tokens of the first examples of a schedule that fit: the same number on every process and restart.

    Raises:
        ValueError: none of them fits.
    """
    lengths: list[int] = []
    num_visits = block = 0
    while num_visits < _SAMPLE:
        visits = schedule.block(block)
        requests = [prompts.Request(members[one.task], one.row, one.epoch) for one in visits]
        lengths += [len(result.targets) for result in tokenizer.tokenize(requests) if result]
        num_visits += len(visits)
        block += 1
    if not lengths:
        raise ValueError(
            f"None of the first {num_visits:,} examples of the mixture fits: raise DataConfig.inputs_length."
        )
    return sum(lengths) / len(lengths)
