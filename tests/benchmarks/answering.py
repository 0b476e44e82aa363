"""How fast a loaded model answers one prompt: the first call, the same one again, and another length of the same bucket.

    python tests/benchmarks/answering.py [--cores 2]

Two models with drawn parameters, in float32, over bytes: of the quickstart's size, and T5 1.1 small's with its 32,128 ids. Drawn
parameters rarely end an answer, so each has all 16 tokens that it may. Seconds; medians but for the first call.
"""

import argparse
import dataclasses
import os
import pathlib
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
REPEATS = 15
TOKENS = 16  # of an answer
PROMPT = "Which of these is larger?"  # 26 ids with the EOS: the first bucket ends at 32
OTHER = "Which one is larger?"


def load_random(size: str):
    """A model of a size, its parameters drawn."""
    import jax

    from flantune.configs import MeshConfig
    from flantune.data.vocabularies import vocabulary
    from flantune.inference.loaded_model import LoadedModel
    from flantune.models import t5
    from flantune.runs import assembly
    from flantune.training import sharding
    from tests.benchmarks import sizes

    changes = {"dtype": "float32", "vocab_size": 868 if size == "quickstart" else 32_128}
    config = sizes.tiny(**changes) if size == "quickstart" else sizes.of_t5_1_1(size, **changes)
    config = dataclasses.replace(config, dropout_rate=0.0)
    network = t5.EncoderDecoder(config)
    loaded = LoadedModel(
        source="random",
        step=0,
        network=network,
        params=network.init(jax.random.key(0)),
        vocabulary=vocabulary.load("bytes"),
        mesh=sharding.make_mesh(MeshConfig()),
        inputs_length=512,
        max_decode_length=TOKENS,
    )
    return assembly.ready_to_answer(loaded)


def seconds(call) -> tuple[float, float]:
    """Of the clock, and of the processor: the second tells what a busy machine hides."""
    started, work = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=2, help="to run on")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: parser.parse_args().cores])
    print(
        f"{'model':12}{'call':10}{'first':>9}{'again':>9}{'slowest':>9}{'CPU':>9}{'other length':>14}"
    )
    for size in ("quickstart", "small"):
        model = load_random(size)
        calls = {
            "predict": lambda prompt, model=model: model.predict(prompt),
            "score": lambda prompt, model=model: model.score(prompt, ["yes", "no"]),
            "embed": lambda prompt, model=model: model.embed(prompt),
        }
        for name, call in calls.items():
            first, _ = seconds(lambda call=call: call(PROMPT))
            other = [seconds(lambda call=call: call(OTHER))[0] for _ in range(REPEATS)]
            again, work = zip(
                *(seconds(lambda call=call: call(PROMPT)) for _ in range(REPEATS)), strict=True
            )
            print(
                f"{size:12}{name:10}{first:9.2f}{statistics.median(again):9.4f}{max(again):9.4f}"
                f"{statistics.median(work):9.4f}{statistics.median(other):14.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
