"""Examples per second from prepared rows to packed batches: flantune's pipeline against SeqIO's, in turn.

Same generated tasks, templates, SentencePiece vocabulary, lengths and order of magnitude of examples. Ours starts at the
prepared store, SeqIO's at the registered tasks over the same store. Prints both rates, rows used, and the ratios.
"""

import pathlib
import statistics
import tempfile
import time

import numpy as np

from flantune import testing
from flantune.configs import DataConfig
from flantune.data import (
    catalog as catalog_lib,
    loading,
    prepare,
    registry,
    store as store_lib,
    vocabulary as vocabulary_lib,
)

MODULES = ("tasks.quickstart", "tasks.mixtures")
MIXTURE = "quickstart_train"
LENGTHS = {"inputs": 128, "targets": 32}
ROUNDS, EXAMPLES = 5, 8_000


def ours(bound, config, vocabulary):
    """Seconds for about EXAMPLES examples, examples, rows."""
    dataset = loading.train_dataset(bound, config, vocabulary, seed=0)
    iterator = iter(dataset)
    rows, start = 0, time.perf_counter()
    while dataset.packer.counts.examples.sum() < EXAMPLES:
        rows += len(next(iterator)["encoder_input_tokens"])
    seconds = time.perf_counter() - start
    # Blocks are packed whole: rows that are packed but not yet taken count too.
    rows += sum(len(lane._rows) - lane._next_row for lane in iterator._lanes.values() if lane._rows)
    return seconds, int(dataset.packer.counts.examples.sum()), rows


def seqio_s():
    """The same for SeqIO's mixture with its packing."""
    import seqio

    dataset = seqio.get_dataset(
        mixture_or_task_name=MIXTURE,
        task_feature_lengths=LENGTHS,
        dataset_split="train",
        shuffle=False,
        num_epochs=None,
        feature_converter=seqio.EncDecFeatureConverter(pack=True),
    )
    iterator = dataset.as_numpy_iterator()
    next(iterator)  # start-up of the graph is not counted
    examples, rows, start = 0, 0, time.perf_counter()
    while examples < EXAMPLES:
        examples += int(next(iterator)["encoder_segment_ids"].max())
        rows += 1
    return time.perf_counter() - start, examples, rows


def main():
    import seqio

    with tempfile.TemporaryDirectory() as root, testing.temporary_registries():
        config = DataConfig(
            mixture=MIXTURE,
            modules=MODULES,
            vocabulary="sentencepiece:1000",
            inputs_length=LENGTHS["inputs"],
            targets_length=LENGTHS["targets"],
            batch_size=32,
            lanes=4,
            prepared_dir=root,
        )
        store = store_lib.Store(root)
        catalog = catalog_lib.load(MODULES, store, pathlib.Path(root))
        wanted = loading.splits_needed(catalog, [(MIXTURE, "train")])
        prepare.prepare(
            [(catalog.tasks[name], splits) for name, splits in wanted], store, pathlib.Path(root)
        ).raise_if_failed()
        bound = loading.bind_mixture(catalog, store, MIXTURE, split="train")
        model = loading.trained_vocabulary(store, config, bound, 1000)
        path = pathlib.Path(root) / "vocabulary.model"
        path.write_bytes(model)
        vocabulary = vocabulary_lib.load(str(path))
        features = {
            name: seqio.Feature(seqio.SentencePieceVocabulary(str(path))) for name in LENGTHS
        }
        registry.register(MODULES, features, prepared_dir=root, data_dir=root)
        rounds = [(ours(bound, config, vocabulary), seqio_s()) for _ in range(ROUNDS)]
    rates = [[examples / seconds for seconds, examples, _ in pair] for pair in rounds]
    density = [[examples / rows for _, examples, rows in pair] for pair in rounds]
    print(f"flantune  {statistics.median(r[0] for r in rates):10,.0f} examples/s")
    print(f"SeqIO     {statistics.median(r[1] for r in rates):10,.0f} examples/s")
    print(
        f"ratio     {statistics.median(r[0] / r[1] for r in rates):10.2f} (median of {ROUNDS} pairs)"
    )
    print(
        f"examples per row: {np.mean(density, axis=0)[0]:.2f} and {np.mean(density, axis=0)[1]:.2f}"
    )


if __name__ == "__main__":
    main()
