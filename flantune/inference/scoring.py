"""Log-probabilities of given texts after prompts: answer options, for ranking.

    ("Is snow cold?", ("no", "yes"))  ->  (OptionScore(-4.1, 2 tokens, 2 bytes), OptionScore(-0.3, 2 tokens, 3 bytes))

The encoder runs once for each distinct prompt. The options of a prompt stand one after another in a row of the decoder,
each a segment that sees the prompt and not the other options, so any number of them of any length costs little more
than their tokens; options that fill more than one row take several. Read `evaluation/ranking.py` next, which compares
the scores.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from flantune.inference import batching
from flantune.models import t5

# Tokens of options in a decoder row: so the logits of a batch stay below those of a training step.
_ROW_TOKENS = 128
_SHORTEST_ROW = 16  # tokens; as for prompts, shorter ones are not worth compiling
_Ids: TypeAlias = tuple[int, ...]
Question: TypeAlias = tuple[str, Sequence[str]]


class OptionScore(NamedTuple):
    """How probable a text is as the target of a prompt.

    Attributes:
        log_prob: sum over its tokens, the EOS among them, in nats.
        num_tokens: the EOS among them.
        num_bytes: of the text in UTF-8; there are none for the EOS.
    """

    log_prob: float
    num_tokens: int
    num_bytes: int

    @property
    def per_token(self) -> float:
        """The mean of the tokens' log-probabilities, in nats."""
        return self.log_prob / self.num_tokens


@dataclasses.dataclass(frozen=True)
class _Row:
    """A decoder row: some options of a prompt, as ids with their EOS."""

    prompt: _Ids
    options: tuple[_Ids, ...]

    @property
    def length(self) -> int:
        return sum(map(len, self.options))


def target_log_probs(
    logits: Float[Array, "batch length vocab"], targets: Int[Array, "batch length"]
) -> Float[Array, "batch length"]:
    """Log-probability of each target in nats, float32."""
    # Compared, not gathered: stays local where the vocabulary is sharded, and no array of the logits' size is made.
    is_target = jnp.arange(logits.shape[-1]) == targets[..., None]
    target_logits = jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
    return target_logits - jax.nn.logsumexp(logits, axis=-1)


class Scorer:
    """Scores of one model, for any parameters of it.

    Args:
        model: the model.
        vocabulary: turns texts into token ids; targets are made of them as in training, with an EOS.
        batch_size: prompts encoded together, and decoder rows run together; rounded up to a multiple of the devices
            that rows are split over.
        inputs_length: longest prompt in tokens, with its EOS.
        mesh: devices to split the rows over, along its axes "data" and "fsdp"; None: one device.

    Raises:
        ValueError: the model's embedding has fewer rows than the vocabulary has tokens.
    """

    def __init__(
        self,
        *,
        model: t5.EncoderDecoder,
        vocabulary: batching.Vocabulary,
        batch_size: int,
        inputs_length: int,
        mesh: jax.sharding.Mesh | None = None,
    ) -> None:
        batching.check_covers(model, vocabulary)
        self._vocabulary = vocabulary
        self._inputs_length = inputs_length
        self._devices = batching.Devices(mesh, batch_size)

        def score(
            params: PyTree,
            encoded: t5.Encoded,
            prompts: Int[Array, "batch"],
            targets: Int[Array, "batch length"],
            segments: Int[Array, "batch length"],
        ) -> Float[Array, "batch length"]:
            encoded = jax.tree.map(lambda leaf: leaf[prompts], encoded)
            before = jnp.pad(segments, ((0, 0), (1, 0)))[:, :-1]
            shifted = jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1]
            inputs = jnp.where(segments == before, shifted, 0)
            return target_log_probs(model.decode(params, encoded, inputs, segments), targets)

        self._encode = self._devices.jit(model.encode, gather=False)
        self._score = self._devices.jit(score, gather=True)

    def score(
        self,
        params: PyTree,
        questions: Sequence[Question],
        *,
        first: int = 0,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[tuple[OptionScore, ...]]:
        """The scores of each question's options, in their order.

        An option of any length is scored whole. With several processes, all must call this with the same questions.

        Args:
            params: of the model.
            questions: any number of prompts, each with its own number of options.
            first: number of the first question, where these are some of many, for messages.
            on_batch: called after each batch with the number of distinct options scored so far.

        Raises:
            ValueError: a prompt has more than `inputs_length` tokens.
        """
        prompts = batching.prompt_ids(
            self._vocabulary,
            [prompt for prompt, _ in questions],
            self._inputs_length,
            first=first,
        )
        asked = list(zip(map(tuple, prompts), self._option_ids(questions), strict=True))
        wanted: dict[_Ids, dict[_Ids, None]] = {}  # ordered sets
        for prompt, options in asked:
            wanted.setdefault(prompt, {}).update(dict.fromkeys(options))
        found: dict[tuple[_Ids, _Ids], float] = {}
        for rows, log_probs in batching.one_ahead(self._started(params, wanted)):
            found.update(_sums(rows, np.asarray(log_probs, np.float64)))
            if on_batch is not None:
                on_batch(len(found))
        return [
            tuple(
                OptionScore(found[prompt, ids], len(ids), len(text.encode()))
                for ids, text in zip(options, texts, strict=True)
            )
            for (prompt, options), (_, texts) in zip(asked, questions, strict=True)
        ]

    def _option_ids(self, questions: Sequence[Question]) -> list[tuple[_Ids, ...]]:
        """Ids of each question's options, with their EOS; each distinct text is encoded once."""
        texts = list(dict.fromkeys(text for _, options in questions for text in options))
        encoded = self._vocabulary.encode_batch(texts)
        ids = {
            text: (*own, self._vocabulary.eos_id) for text, own in zip(texts, encoded, strict=True)
        }
        return [tuple(ids[text] for text in options) for _, options in questions]

    def _started(
        self, params: PyTree, wanted: dict[_Ids, dict[_Ids, None]]
    ) -> Iterator[tuple[list[_Row], Array]]:
        """Decoder rows with the log-probabilities of their tokens, which the device may still compute."""
        size = self._devices.batch_size
        buckets = batching.bucket_lengths(self._inputs_length)
        rows = {prompt: _rows(prompt, list(options)) for prompt, options in wanted.items()}

        def cost(prompt: _Ids) -> tuple[int, int, int]:
            """Prompts of equal cost share a batch without waste: rows, length as padded, tokens of the options."""
            longest = max(row.length for row in rows[prompt])
            return len(rows[prompt]), batching.bucket(len(prompt), buckets), longest

        order = sorted((prompt for prompt in rows if rows[prompt]), key=cost, reverse=True)
        for start in range(0, len(order), size):
            prompts = order[start : start + size]
            length = batching.bucket(max(map(len, prompts)), buckets)
            encoded = self._encode(
                params, self._devices.place(batching.padded(prompts, size, length))
            )
            place = {prompt: number for number, prompt in enumerate(prompts)}
            pending = [row for prompt in prompts for row in rows[prompt]]
            pending.sort(key=lambda row: row.length, reverse=True)
            for first in range(0, len(pending), size):
                batch = pending[first : first + size]
                numbers = np.zeros(size, np.int32)
                numbers[: len(batch)] = [place[row.prompt] for row in batch]
                arrays = (numbers, *_targets_and_segments(batch, size))
                yield batch, self._score(params, encoded, *map(self._devices.place, arrays))


def _rows(prompt: _Ids, options: Sequence[_Ids]) -> list[_Row]:
    """The options of a prompt in decoder rows, the longest first, each in the first row that has room."""
    rows: list[list[_Ids]] = []
    room: list[int] = []
    for option in sorted(options, key=len, reverse=True):
        fitting = (number for number, left in enumerate(room) if left >= len(option))
        number = next(fitting, None)
        if number is None:
            rows.append([option])
            room.append(_ROW_TOKENS - len(option))
        else:
            rows[number].append(option)
            room[number] -= len(option)
    return [_Row(prompt, tuple(row)) for row in rows]


def _targets_and_segments(
    rows: Sequence[_Row], size: int
) -> tuple[Int[np.ndarray, "batch length"], Int[np.ndarray, "batch length"]]:
    length = _SHORTEST_ROW
    while length < max(row.length for row in rows):
        length *= 2
    targets = [[token for ids in row.options for token in ids] for row in rows]
    segments = [[number for number, ids in enumerate(row.options, 1) for _ in ids] for row in rows]
    return batching.padded(targets, size, length), batching.padded(segments, size, length)


def _sums(
    rows: Sequence[_Row], log_probs: Float[np.ndarray, "batch length"]
) -> dict[tuple[_Ids, _Ids], float]:
    """The log-probability of each option, by prompt and option."""
    sums = {}
    for row, own in zip(rows, log_probs, strict=False):
        start = 0
        for ids in row.options:
            sums[row.prompt, ids] = float(own[start : start + len(ids)].sum())
            start += len(ids)
    return sums
