"""Paraphrase in FLAN 2021 (https://arxiv.org/abs/2109.01652): do two texts mean the same, or how nearly?

Every set is read from TFDS, cut as FLAN 2021 cut it: at most 30,000 training rows, validation from the end of the training
rows (PAWS has its own), and GLUE's validation rows as test sets, because its test labels are hidden. What differs:

- MRPC: nothing.
- QQP: two double quotes, as in a CSV file, become one.
- PAWS, from Wikipedia: nothing. Words are kept apart as published.
- STS-B: likeness from 0 to 5, the mean of several people, rounded to a whole number, a
  half to the even one, for the target and for the metrics. Its wordings name the scale and none shows `{options}`: a letter
  for a grade would have no correlation.

Of MRPC and QQP, FLAN 2021 also gives the F1 of "yes". Here a wording may call the classes otherwise, or by letters, so that
only accuracy is comparable across wordings.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

_CHOICES = ("no", "yes")
_GRADES = ("0", "1", "2", "3", "4", "5")
_LAST_TRAINING_ROWS = {"train": "train[:30000]", "validation": "train[-200:]"}

_MRPC = (
    Template(
        inputs="First sentence: {sentence1}\nSecond sentence: {sentence2}\nDo they report the same thing?\n{options}"
    ),
    Template(
        inputs=(
            "Two newspapers wrote this. One: {sentence1} The other: {sentence2}\n"
            "Is it the same news in other words?\n{options}"
        )
    ),
    Template(
        inputs=(
            "A copy editor put a new line in place of an old one.\nOld: {sentence1}\nNew: {sentence2}\n"
            "Was the meaning kept or changed?"
        ),
        label_words=("changed", "kept"),
    ),
    Template(
        inputs="{options}\nSay whether these two sentences come to the same.\nA: {sentence1}\nB: {sentence2}"
    ),
    Template(
        inputs=(
            "An archive keeps one sentence of each meaning. It has this: {sentence1}\nNow comes this: {sentence2}\n"
            "Is the new sentence to be filed as well, or to be dropped as a repeat?"
        ),
        label_words=("filed as well", "dropped as a repeat"),
    ),
    Template(
        inputs=(
            "Sentence: {sentence1}\nReworded: {sentence2}\n"
            "Does the rewording say what the sentence says? Answer yes or no."
        )
    ),
    Template(
        inputs="A: {sentence1}\nB: {sentence2}\nIn what they tell the reader, A and B are\n{options}",
        label_words=("different", "alike"),
    ),
    Template(
        inputs=(
            "May I print the second sentence in place of the first without misleading anybody?\n{options}\n"
            "First: {sentence1}\nSecond: {sentence2}"
        )
    ),
    Template(
        inputs="Reporter 1: {sentence1}\nReporter 2: {sentence2}\nWhat did the two of them file?\n{options}",
        label_words=("two different reports", "the same report in two wordings"),
    ),
    Template(
        inputs='Pair: "{sentence1}" and "{sentence2}"\nMark the pair as paraphrase or no paraphrase.\nMark:',
        label_words=("no paraphrase", "paraphrase"),
    ),
)

_QQP = (
    Template(
        inputs='Question 1: "{question1}"\nQuestion 2: "{question2}"\nWould one answer serve both?\n{options}'
    ),
    Template(
        inputs=(
            'A forum has this question already: "{question1}"\nA user now posts this: "{question2}"\n'
            "Should the forum close the new one as a repeat?\n{options}"
        )
    ),
    Template(
        inputs="{options}\nDo the two people below want to find out the same?\nOne: {question1}\nThe other: {question2}"
    ),
    Template(
        inputs=(
            'Somebody asks: "{question1}" Somebody else asks: "{question2}" '
            "Are they after the same thing? Answer yes or no."
        )
    ),
    Template(
        inputs=(
            'You tidy up a list of questions.\nFirst: "{question1}"\nSecond: "{question2}"\n'
            "Do you merge them, or keep both?"
        ),
        label_words=("keep both", "merge them"),
    ),
    Template(
        inputs='A: "{question1}"\nB: "{question2}"\nWording aside, are A and B one question or two questions?',
        label_words=("two questions", "one question"),
    ),
    Template(
        inputs=(
            'I wrote an answer to this: "{question1}" '
            'May I paste it under this one too, and it still fits? "{question2}"\n{options}'
        )
    ),
    Template(
        inputs=(
            "Next to the first question, the second one asks\n{options}\n"
            "First question: {question1}\nSecond question: {question2}"
        ),
        label_words=("for something else", "for the same thing"),
    ),
    Template(
        inputs='Asked last week: "{question1}"\nAsked today: "{question2}"\nIs the new question the old one again?\n{options}\nReply:'
    ),
    Template(
        inputs='Pair: "{question1}" and "{question2}"\nTag the pair as duplicate or distinct.\nTag:',
        label_words=("distinct", "duplicate"),
    ),
)

# PAWS's pairs share nearly all words: what differs is their order, or one word for another.
_PAWS = (
    Template(
        inputs=(
            "These sentences have nearly the same words. Do they mean the same as well?\n{options}\n"
            "A: {sentence1}\nB: {sentence2}"
        )
    ),
    Template(
        inputs="Before the edit: {sentence1}\nAfter the edit: {sentence2}\nDid the edit leave the meaning alone?\n{options}"
    ),
    Template(
        inputs="Text A: {sentence1}\nText B: {sentence2}\nDo A and B state the same facts or different facts?",
        label_words=("different facts", "the same facts"),
    ),
    Template(
        inputs=(
            "{options}\nMind who does what, where and when. Is B a true rewording of A?\n"
            "A: {sentence1}\nB: {sentence2}"
        )
    ),
    Template(
        inputs=(
            'An encyclopedia has: "{sentence1}" A student writes: "{sentence2}" '
            "Did the student get the meaning right? Answer yes or no."
        )
    ),
    Template(
        inputs=(
            "Line 1: {sentence1}\nLine 2: {sentence2}\nStatement: line 2 says just what line 1 says.\nThe statement is"
        ),
        label_words=("false", "true"),
    ),
    Template(
        inputs=(
            "Read both slowly, since the order of the words counts.\nFirst: {sentence1}\nSecond: {sentence2}\n"
            "Is the meaning the same?\n{options}"
        )
    ),
    Template(
        inputs="Sentence one: {sentence1}\nSentence two: {sentence2}\nIn an article, the two are\n{options}",
        label_words=("not interchangeable", "interchangeable"),
    ),
    Template(
        inputs=(
            'One of my notes reads: "{sentence1}" Another reads: "{sentence2}" '
            "Can I throw one away and still know all that I knew?\n{options}"
        )
    ),
    Template(
        inputs=(
            'This was translated into another language: "{sentence1}" Translated back, it reads: "{sentence2}" '
            "What became of the meaning?\n{options}\nVerdict:"
        ),
        label_words=("it changed", "it survived"),
    ),
)

_STSB = (
    Template(
        inputs=(
            "How near in meaning are A and B? Give a whole number from 0 (nothing in common) to 5 (the same).\n"
            "A: {sentence1}\nB: {sentence2}"
        )
    ),
    Template(
        inputs="Sentence 1: {sentence1}\nSentence 2: {sentence2}\nLikeness of their meanings, from 0 to 5:"
    ),
    Template(
        inputs='Grade how much "{sentence1}" and "{sentence2}" say the same, from 0, the lowest grade, to 5, the highest.'
    ),
    Template(
        inputs=(
            "A teacher gives up to 5 points to pupils who reword a sentence and keep its meaning, and 0 where nothing is "
            "left of it.\nSentence: {sentence1}\nPupil: {sentence2}\nPoints:"
        )
    ),
    Template(
        inputs=(
            "Two captions or headlines follow. Rate what they share in content, 5 for all of it and 0 for none.\n"
            "First: {sentence1}\nSecond: {sentence2}\nRating:"
        )
    ),
    Template(
        inputs=(
            'One: "{sentence1}"\nThe other: "{sentence2}"\n'
            "Let 0 stand for unrelated and 5 for equal in meaning. Where is this pair, in steps of one?"
        ),
        targets="{answer} out of 5",
    ),
    Template(
        inputs=(
            'Somebody looks for "{sentence1}" and finds "{sentence2}" '
            "Reply with one digit from 0 to 5 that tells how well the meanings match."
        )
    ),
    Template(
        inputs=(
            "I score pairs of sentences by what they mean: 5 if either could replace the other, 0 if they have different "
            "subjects, 1 to 4 in between.\nPair: {sentence1} And: {sentence2}\nScore:"
        )
    ),
    Template(
        inputs=(
            'Two sentences got {answer} out of 5 for likeness of meaning.\nOne of them: "{sentence1}"\nWrite the other one.'
        ),
        targets="{sentence2}",
        kind="inversion",
    ),
    Template(
        inputs=(
            'Sentence: "{sentence1}"\nWrite another one. On a scale from 0 (unrelated) to 5 (the same), its meaning should '
            "be at {answer}, measured against the first."
        ),
        targets="{sentence2}",
        kind="inversion",
    ),
)


def sentence_fields(row: Mapping[str, Any]) -> Fields | None:
    return _pair("sentence", row["sentence1"], row["sentence2"], row["label"])


def qqp_fields(row: Mapping[str, Any]) -> Fields | None:
    """Example: `What is ""slack""?` becomes `What is "slack"?`."""
    first, second = (row[name].replace('""', '"') for name in ("question1", "question2"))
    return _pair("question", first, second, row["label"])


def stsb_fields(row: Mapping[str, Any]) -> Fields | None:
    """Example: 3.8 becomes the choice "4", and 2.5 becomes "2", as C's printf rounds for FLAN 2021."""
    return _pair("sentence", row["sentence1"], row["sentence2"], round(row["label"]))


def _pair(name: str, first: str, second: str, label: int) -> Fields | None:
    """None where the label is hidden (-1) or a text is empty."""
    first, second = first.strip(), second.strip()
    if label < 0 or not (first and second):
        return None
    return {f"{name}1": first, f"{name}2": second, "label": label}


def _task(
    key: str,
    source: sources.Tfds,
    templates: tuple[Template, ...],
    lineage: tuple[str, ...],
    publication: Publication,
    *,
    fields: Callable[[Mapping[str, Any]], Fields | None] = sentence_fields,
    choices: tuple[str, ...] = _CHOICES,
    scores: tuple[metrics.AnyMetric, ...] = (metrics.accuracy,),
    licence: str = "unknown (not stated)",
) -> InstructionTask:
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="paraphrase",
        source=source,
        to_fields=fields,
        answer_choices=choices,
        templates=templates,
        metrics=scores,
        lineage=lineage,
        licence=licence,
        publication=publication,
    )


TASKS = (
    _task(
        "glue_mrpc",
        sources.Tfds(
            "glue/mrpc:2.0.0", train="train[:-200]", validation="train[-200:]", test="validation"
        ),
        _MRPC,
        ("glue_mrpc", "mrpc"),
        Publication(url="https://aclanthology.org/I05-5002", download_bytes=1_494_541),
    ),
    _task(
        "glue_qqp",
        sources.Tfds("glue/qqp:2.0.0", **_LAST_TRAINING_ROWS, test="validation"),
        _QQP,
        ("glue_qqp", "qqp"),
        Publication(url="https://arxiv.org/abs/1804.07461", download_bytes=41_696_084),
        fields=qqp_fields,
    ),
    _task(
        "paws_wiki",
        sources.Tfds(
            "paws_wiki:1.1.0", train="train[:30000]", validation="validation[:200]", test="test"
        ),
        _PAWS,
        ("paws_wiki", "paws"),
        Publication(url="https://aclanthology.org/N19-1131", download_bytes=4_687_157),
        licence="free to use for any purpose (https://github.com/google-research-datasets/paws)",
    ),
    _task(
        "stsb",
        sources.Tfds(
            "glue/stsb:2.0.0", train="train[:-100]", validation="train[-100:]", test="validation"
        ),
        _STSB,
        ("stsb", "mrpc"),  # some of its pairs are MRPC's
        Publication(url="https://aclanthology.org/S17-2001", download_bytes=802_872),
        fields=stsb_fields,
        choices=_GRADES,
        scores=(metrics.pearson, metrics.spearman),
    ),
)
