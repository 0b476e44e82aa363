"""Questions per second of ranking: one encoder pass for all options of a prompt, against a row for every pair.

The same model, prompts and options for both, in turn. A pair's row is one forward pass of `EncoderDecoder.apply`, in
full batches sorted by length and padded to the same lengths of inputs and to powers of two of targets.

    python tests/benchmarks/ranking.py [--questions 128] [--emb_dim 128] [--layers 2]
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from flantune.configs import ModelConfig
from flantune.inference import batching, scoring
from flantune.models import t5

ROUNDS, BATCH, INPUTS = 3, 32, 256
KINDS = {  # options of a question, tokens of an option
    "yes or no": ((2, 2), (1, 1)),
    "2 to 5 sentences": ((2, 5), (5, 25)),
    "20 labels": ((20, 20), (1, 6)),
}


class Ids:
    """A text is its ids."""

    size, eos_id = 1024, 1

    def encode_batch(self, texts):
        return [list(map(int, text.split())) for text in texts]

    def decode(self, ids):
        return " ".join(map(str, ids))


def questions(kind, count):
    rng = np.random.default_rng(0)

    def text(length):
        return " ".join(map(str, rng.integers(3, Ids.size, length)))

    (fewest, most), (shortest, longest) = KINDS[kind]
    return [
        (
            text(rng.integers(INPUTS // 4, INPUTS - 1)),
            [
                text(rng.integers(shortest, longest + 1))
                for _ in range(rng.integers(fewest, most + 1))
            ],
        )
        for _ in range(count)
    ]


class Pairs:
    """Scores every (prompt, option) pair as a row of its own."""

    def __init__(self, model):
        def log_probs(params, inputs, targets):
            batch = {
                "encoder_input_tokens": inputs,
                "decoder_input_tokens": jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1],
                "decoder_target_tokens": targets,
            }
            scores = scoring.target_log_probs(model.apply(params, batch), targets)
            return jnp.sum(jnp.where(targets > 0, scores, 0.0), axis=1)

        self._log_probs = jax.jit(log_probs)

    def score(self, params, asked):
        encode = Ids().encode_batch
        pairs = [
            ([*encode([prompt])[0], 1], [*encode([option])[0], 1])
            for prompt, options in asked
            for option in options
        ]
        buckets, targets_buckets = batching.bucket_lengths(INPUTS), [4, 8, 16, 32]
        order = sorted(
            range(len(pairs)),
            key=lambda n: (batching.bucket(len(pairs[n][0]), buckets), len(pairs[n][1])),
            reverse=True,
        )
        found = np.zeros(len(pairs))
        for start in range(0, len(order), BATCH):
            numbers = order[start : start + BATCH]
            arrays = [
                batching.padded(
                    [pairs[n][side] for n in numbers],
                    BATCH,
                    batching.bucket(max(len(pairs[n][side]) for n in numbers), lengths),
                )
                for side, lengths in enumerate((buckets, targets_buckets))
            ]
            found[numbers] = np.asarray(self._log_probs(params, *arrays))[: len(numbers)]
        return found


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--emb_dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    flags = parser.parse_args()
    model = t5.EncoderDecoder(
        ModelConfig(
            vocab_size=Ids.size,
            emb_dim=flags.emb_dim,
            num_heads=flags.emb_dim // 64,
            head_dim=64,
            mlp_dim=2 * flags.emb_dim,
            num_encoder_layers=flags.layers,
            num_decoder_layers=flags.layers,
            dtype="float32",
            scan_layers=False,
        )
    )
    params = model.init(jax.random.key(0))
    scorer = scoring.Scorer(model=model, vocabulary=Ids(), batch_size=BATCH, inputs_length=INPUTS)
    pairs = Pairs(model)
    print(f"{jax.devices()[0].device_kind}, {flags.questions} questions of 64 to 255 tokens")
    for kind in KINDS:
        asked = questions(kind, flags.questions)
        shared_scores, _ = timed(scorer.score, params, asked)  # compiles
        pair_scores, _ = timed(pairs.score, params, asked)
        flat = [score.log_prob for own in shared_scores for score in own]
        np.testing.assert_allclose(flat, pair_scores, rtol=1e-4, atol=1e-3)
        rounds = [
            (timed(scorer.score, params, asked)[1], timed(pairs.score, params, asked)[1])
            for _ in range(ROUNDS)
        ]
        shared, single = (statistics.median(times) for times in zip(*rounds, strict=True))
        ratio = statistics.median(one / other for other, one in rounds)
        print(
            f"{kind:18}  shared {flags.questions / shared:7.1f}/s   pairs {flags.questions / single:7.1f}/s   "
            f"ratio {ratio:.2f}   options a question {len(flat) / len(asked):.1f}"
        )


if __name__ == "__main__":
    main()
