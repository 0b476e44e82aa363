"""SST-2: is a sentence of a film review positive? (Stanford Sentiment Treebank)

Files `sst2/{train,dev,test}.tsv`: sentence, tab, 0 or 1, no header; lower-cased and tokenised as published.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

_CHOICES = ("negative", "positive")

TEMPLATES = (
    Template(inputs="Is this line from a film review positive or negative?\n{sentence}"),
    Template(inputs="{sentence}\nWhat did the critic feel about the film?\n{options}"),
    Template(inputs="Film review: {sentence}\nSentiment:"),
    Template(
        inputs='Decide whether "{sentence}" is praise or blame.\n{options}',
        label_words=("blame", "praise"),
    ),
    Template(
        inputs="{sentence}\nWould someone who writes this tell a friend to see the film?",
        label_words=("no", "yes"),
    ),
    Template(
        inputs="A viewer wrote: {sentence}\nWas the viewer pleased with the film?\n{options}",
        label_words=("no", "yes"),
    ),
    Template(
        inputs="Here is part of a review. Did the film come off well or badly?\n{sentence}",
        label_words=("badly", "well"),
    ),
    Template(
        inputs="Sort the review into one of two piles.\n{options}\nReview: {sentence}",
        label_words=("bad", "good"),
    ),
    Template(
        inputs='The reviewer gives thumbs up or thumbs down. "{sentence}" goes with thumbs',
        label_words=("down", "up"),
    ),
    Template(inputs="{options}\nOf these two, which mood does the text carry?\nText: {sentence}"),
)


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    sentence = row["sentence"].strip()
    return {"sentence": sentence, "label": int(row["label"])} if sentence else None


URL = "https://aclanthology.org/D13-1170"
TASKS = (
    InstructionTask(
        name="sst2:sst2",
        cluster="sentiment",
        source=sources.Tsv(
            train="sst2/train.tsv",
            validation="sst2/dev.tsv",
            test="sst2/test.tsv",
            columns=("sentence", "label"),
        ),
        to_fields=to_fields,
        answer_choices=_CHOICES,
        templates=TEMPLATES,
        metrics=(metrics.accuracy,),
        lineage=("sst2", "sst"),
        licence="unknown (not stated)",
        publication=Publication(
            url=URL,
            get="Put train.tsv, dev.tsv and test.tsv of data/SST2 of "
            "https://github.com/clairett/pytorch-sentiment-classification into DATA/sst2",
        ),
        may_cut=("sentence",),
    ),
)
