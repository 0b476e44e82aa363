"""Plain SeqIO tasks in mixtures and in the prepared store."""

import dataclasses
import os
import shutil

import numpy as np
import pytest

from flantune import registry, testing
from flantune.data import Mixture, equal, proportional
from flantune.data.input import loading
from flantune.data.plain_seqio import features as seqio_features, modules as seqio_modules
from flantune.data.vocabularies import vocabulary as vocabulary_lib

from .seqio_place import (
    CUT,
    LENGTHS,
    SPANS,
    TEXT,
    WHOLE,
    make_config,
    prepared,
    tokenized,
)

seqio = pytest.importorskip("seqio")


# ---- mixtures


def test_a_seqio_mixture_brings_its_rates(span_place, span_ready):
    catalog, store, report = prepared(make_config(span_place), ["seqio:span_mixture"])
    assert {result.status for result in report.results} == {"fresh"}
    bound = loading.bind_mixture(catalog, store, "seqio:span_mixture", split="train")
    shares = dict(zip([member.name for member in bound.members], bound.rates, strict=True))
    assert shares == {SPANS: 0.75, WHOLE: 0.25}


def test_text_and_ids_mix_and_pack_together(span_place, span_ready):
    mixture = Mixture(name="s_both", rates={"s:text": 1, SPANS: proportional(), CUT: equal()})
    config = make_config(span_place, mixture="s_both")
    catalog, store, report = prepared(config, ["s_both"], [mixture])
    report.raise_if_failed()
    bound = loading.bind_mixture(catalog, store, "s_both", split="train")
    assert [member.name for member in bound.members] == ["s:text", SPANS, CUT]
    assert bound.rates == pytest.approx((1 / 34, 32 / 34, 1 / 34))
    vocabulary = vocabulary_lib.load("bytes+100")
    dataset = loading.train_dataset(bound, config, vocabulary, seed=0)
    batch = next(iter(dataset))
    assert set(np.unique(batch["decoder_task_ids"])) <= {-1, 0, 1, 2}
    assert set(np.unique(batch["decoder_template_ids"])) == {-1, 0}
    assert dataset.packer.counts.cut[2] <= dataset.packer.counts.examples[2]
    known = {tuple(one.targets) for one in tokenized(span_ready, SPANS)}
    for tokens, segments, tasks in zip(
        batch["decoder_target_tokens"],
        batch["decoder_segment_ids"],
        batch["decoder_task_ids"],
        strict=True,
    ):
        for segment in set(segments[tasks == 1]):
            assert tuple(tokens[segments == segment]) in known


def test_a_pattern_never_brings_ids(span_place, span_ready):
    mixture = Mixture(name="s_all", rates={"*:*": equal()})
    catalog, _, _ = prepared(make_config(span_place), [SPANS, "s_all"], [mixture])
    assert catalog.members("s_all") == ("s:text",)


def test_both_ways_of_seqio_agree_on_a_mixture(span_place, span_ready):
    """The mixture of text and ids, published: SeqIO's shares are those of training, its ids SeqIO's own."""
    mixture = Mixture(name="s_published", rates={"s:text": 1, SPANS: 2, CUT: proportional(cap=8)})
    features = seqio_features.features(vocabulary_lib.load("bytes+100"))
    with testing.task_module("seqio_published", [TEXT], [mixture]):
        arguments = {
            "seqio_modules": ("span_package.tasks",),
            "prepared_dir": str(span_place / "prepared"),
        }
        with pytest.raises(ValueError, match="needs lengths"):
            registry.register(["seqio_published"], features, **arguments)
        names = registry.register(["seqio_published"], features, lengths=LENGTHS, **arguments)
        assert set(names) == {"s_published", "s:text"}
        found = seqio.get_mixture_or_task("s_published")
        rates = {task.name: found.get_rate(task) for task in found.tasks}
    catalog, store, _ = prepared(make_config(span_place), ["s_published"], [mixture])
    bound = loading.bind_mixture(catalog, store, "s_published", split="train")
    ours = {
        registry.seqio_name(member.name): rate
        for member, rate in zip(bound.members, bound.rates, strict=True)
    }
    assert rates == pytest.approx(ours)
    assert ours == pytest.approx({"s:text": 1 / 11, "spans:bytes": 2 / 11, "cut_lines": 8 / 11})


# ---- the store


def test_other_lengths_and_vocabularies_have_their_own_rows(span_place, span_ready):
    config = make_config(span_place, inputs_length=12)
    catalog, store, report = prepared(config, [SPANS])
    assert [result.status for result in report.results] == ["prepared"]
    bound = loading.bind_mixture(catalog, store, SPANS, split="train")
    assert max(len(row["inputs"].split()) for row in bound.members[0].reader.fetch(range(32))) <= 12
    _, _, report = prepared(make_config(span_place), [SPANS])
    assert [result.status for result in report.results] == ["fresh"]


@pytest.mark.slow
def test_a_changed_file_or_module_is_prepared_anew(span_place, span_ready):
    shutil.copytree(span_place / "prepared", span_place / "changing")
    config = make_config(span_place, prepared_dir=str(span_place / "changing"))
    assert prepared(config, [CUT])[2].results[0].status == "fresh"
    before = (span_place / "lines.txt").stat()
    text = (span_place / "lines.txt").read_text()
    try:
        os.utime(span_place / "lines.txt", ns=(1, 1))  # as after a fresh copy
        assert prepared(config, [CUT])[2].results[0].status == "fresh"
        (span_place / "lines.txt").write_text(text + "new\n")
        assert prepared(config, [CUT])[2].results[0].status == "prepared"
    finally:
        (span_place / "lines.txt").write_text(text)
        os.utime(span_place / "lines.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    before = seqio_modules.source_fingerprint(("span_package.tasks",))
    spans = span_place / "span_package" / "spans.py"
    spans.write_text("NOISE_SPAN = 3  # changed\n")
    try:
        assert seqio_modules.source_fingerprint(("span_package.tasks",)) != before
        assert prepared(config, [CUT])[2].results[0].status == "prepared"
    finally:
        spans.write_text("NOISE_SPAN = 3\n")


def test_a_module_or_file_that_is_not_here_has_no_fingerprint(span_place, span_ready):
    assert seqio_modules.source_fingerprint(("span_package.tasks",)) is not None
    assert seqio_modules.source_fingerprint(("span_package.nowhere",)) is None
    assert seqio_modules.source_fingerprint(("nowhere.at.all",)) is None
    gone = dataclasses.replace(
        span_ready.catalog.task(CUT).source, files={"train": (str(span_place / "gone.txt"),)}
    )
    assert gone.fingerprint("train", span_place) is None
    assert gone.content_sha256("train", span_place) is None
