"""Natural language inference in FLAN 2021 (https://arxiv.org/abs/2109.01652): is a statement true, given a text?

Every set is read from TFDS, cut as FLAN 2021 cut it: at most 30,000 training rows, validation from the training rows where
the publisher's own serves as test set because its test labels are hidden. Rows without a label (-1: SNLI's annotators
disagreed, or it is hidden) are dropped. The order of classes is TFDS's and differs: CB has contradiction before
neutral, WNLI has "not entailed" first. The two MNLI tasks train on the same rows; only their tests differ. CB's mean F1 of the
classes, which SuperGLUE gives too, is left out: wordings call the classes otherwise.
"""

from collections.abc import Mapping
import functools
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

_LAST_TRAINING_ROWS = {"train": "train[:30000]", "validation": "train[-200:]"}

_ANLI = (
    Template(
        inputs='Passage: {context}\nClaim: "{hypothesis}"\nGoing by the passage alone, is the claim true?\n{options}'
    ),
    Template(
        inputs='Someone read the passage below and said: "{hypothesis}" Were they right?\n{options}\nPassage: {context}'
    ),
    Template(
        inputs=(
            'Text: {context}\nStatement to check: "{hypothesis}"\n'
            "Judging by the text, is the statement true? Answer with Yes, No or It's impossible to say."
        )
    ),
    Template(
        inputs=(
            "Check the statement against the source. Call it supported, contradicted or not settled.\n"
            "Source: {context}\nStatement: {hypothesis}\nCall:"
        ),
        label_words=("supported", "not settled", "contradicted"),
    ),
    Template(
        inputs=(
            'A quiz host reads out: "{context}" A contestant replies: "{hypothesis}" '
            "What does the text make of the reply?\n{options}"
        ),
        label_words=("it is right", "it may be right or wrong", "it is wrong"),
    ),
    Template(
        inputs='I know only what this text tells me: {context}\nIs the following true? "{hypothesis}"\n{options}'
    ),
    Template(
        inputs='Report: {context}\nYou have read the report. What can you say about this sentence? "{hypothesis}"\n{options}',
        label_words=("it must be true", "it may be true", "it cannot be true"),
    ),
    Template(
        inputs=(
            "{options}\nGive your verdict on the claim, and use nothing but the passage.\n"
            "Claim: {hypothesis}\nPassage: {context}\nVerdict:"
        )
    ),
    Template(
        inputs=(
            'Fact check. Draft sentence: "{hypothesis}" Background: {context}\n'
            "Should the editor keep the sentence, cut it as false, or ask for another source because the background does "
            "not decide it? Say keep, cut or ask."
        ),
        label_words=("keep", "ask", "cut"),
    ),
    Template(
        inputs="Passage: {context}\nWrite a claim of one sentence that the passage {answer}.",
        targets="{hypothesis}",
        kind="inversion",
        label_words=("proves", "leaves open", "proves wrong"),
    ),
)

# CB's hypotheses are clauses without a full stop, taken from the premise: what its speaker is committed to.
_CB = (
    Template(
        inputs="Excerpt: {premise}\nGoing by what the speaker or writer seems to believe, is it true that {hypothesis}?\n{options}"
    ),
    Template(
        inputs='Is whoever speaks here sure that {hypothesis}?\n{options}\nExcerpt: "{premise}"',
        label_words=("sure of it", "sure of the opposite", "sure of neither"),
    ),
    Template(
        inputs='You overhear this: "{premise}" Is it the case that {hypothesis}? Reply Yes, No or It\'s impossible to say.'
    ),
    Template(
        inputs=(
            "{options}\nWhich reply suits the question?\nQuestion: Is it so that {hypothesis}?\n"
            "What was said: {premise}\nReply:"
        )
    ),
    Template(
        inputs=(
            'From a novel, a newspaper or a telephone call: "{premise}"\n'
            'Claim: "{hypothesis}"\nIs the claim backed, denied or left open by it?'
        ),
        label_words=("backed", "denied", "left open"),
    ),
    Template(
        inputs="Take the speaker's word for it. Speaker: {premise}\nThen, is it a fact that {hypothesis}?\n{options}"
    ),
    Template(
        inputs=(
            'What does the last speaker think of the idea that {hypothesis}? Their words: "{premise}"\n{options}'
        ),
        label_words=("it is so", "it is not so", "they do not say"),
    ),
    Template(
        inputs='Quote: "{premise}"\nA friend sums it up: "{hypothesis}"\nHas the friend got it right?\n{options}\nAnswer:'
    ),
    Template(
        inputs=(
            'Watch for words such as if, doubt, know and not.\nText: {premise}\nStatement: "{hypothesis}"\n'
            "Is the statement true, false or undecided?"
        ),
        label_words=("true", "false", "undecided"),
    ),
    Template(
        inputs='Here is an excerpt: "{premise}"\nState something about its subject that the excerpt {answer}.',
        targets="{hypothesis}",
        kind="inversion",
        label_words=("makes certain", "rules out", "leaves undecided"),
    ),
)

_MNLI = (
    Template(
        inputs='Text: "{premise}"\nSentence: "{hypothesis}"\nIf the text is true, is the sentence true?\n{options}'
    ),
    Template(
        inputs='You are told: "{premise}" Now someone adds: "{hypothesis}" Is that right, from what you were told?\n{options}'
    ),
    Template(
        inputs=(
            "Label the second line as confirmed, open or ruled out by the first.\n"
            "First: {premise}\nSecond: {hypothesis}\nLabel:"
        ),
        label_words=("confirmed", "open", "ruled out"),
    ),
    Template(
        inputs=(
            '{options}\nAll you know is this: "{premise}" Is the next line true? "{hypothesis}"'
        )
    ),
    Template(
        inputs=(
            'A: "{premise}"\nB: "{hypothesis}"\n'
            "Does A make B certain, do the two clash, or neither?\n{options}"
        ),
        label_words=("A makes B certain", "neither", "they clash"),
    ),
    Template(
        inputs=(
            'Statement to judge: "{hypothesis}"\nOnly evidence: "{premise}"\n'
            "Is the statement correct? Answer yes, no or it is not possible to tell."
        )
    ),
    Template(
        inputs='Notes: {premise}\nSummary: "{hypothesis}"\nIs the summary true to the notes?\n{options}',
        label_words=("it is", "it goes beyond them", "it says the opposite"),
    ),
    Template(
        inputs='I heard this: "{premise}"\nIs the following so? "{hypothesis}"\n{options}\nYour reply:'
    ),
    Template(
        inputs=(
            'Think of the situations that this line fits: "{premise}" '
            'Which of them does the next line fit as well? "{hypothesis}"\n{options}'
        ),
        label_words=("all of them", "some of them", "none of them"),
    ),
    Template(
        inputs=(
            "Compare what is known with what is claimed, and say whether the claim holds.\n{options}\n"
            "Known: {premise}\nClaimed: {hypothesis}"
        )
    ),
)

_QNLI = (
    Template(
        inputs="Question: {question}\nSentence: {sentence}\nIs the answer in the sentence?\n{options}"
    ),
    Template(
        inputs='A search for "{question}" brought up this line: "{sentence}" Can the search stop here?\n{options}'
    ),
    Template(
        inputs="{options}\nDoes the line tell you what was asked?\nAsked: {question}\nLine: {sentence}"
    ),
    Template(
        inputs=(
            "Reader's question: {question}\nEncyclopedia: {sentence}\n"
            "Is the reader helped by that, or must they look further? Say helped or look further."
        ),
        label_words=("helped", "look further"),
    ),
    Template(
        inputs='Sentence from an article: "{sentence}" Would it be enough to answer this? {question}\n{options}'
    ),
    Template(
        inputs="Mark the line as useful or useless for the question.\nLine: {sentence}\nQuestion: {question}\nMark:",
        label_words=("useful", "useless"),
    ),
    Template(
        inputs=(
            "A pupil is asked: {question}\nThe pupil reads out: {sentence}\n"
            "Did the pupil find a sentence with the answer? Write yes or no."
        )
    ),
    Template(
        inputs="Text: {sentence}\nQuestion: {question}\nHow do the two go together?\n{options}",
        label_words=("the text answers the question", "the text does not answer the question"),
    ),
    Template(
        inputs=(
            'Suppose you knew nothing but this: "{sentence}" Could you then answer the question that follows?\n'
            "{question}\n{options}\nYour answer:"
        )
    ),
    Template(
        inputs="Make up a question about the same subject that this sentence {answer}: {sentence}",
        targets="{question}",
        kind="inversion",
        label_words=("answers", "does not answer"),
    ),
)

_RTE = (
    Template(
        inputs="News: {premise}\nHeadline: {hypothesis}\nDoes the news bear the headline out?\n{options}"
    ),
    Template(
        inputs='Is one right to say "{hypothesis}" after reading only this? {premise}\n{options}'
    ),
    Template(
        inputs="Text: {premise}\nStatement: {hypothesis}\nDoes the text say so? Answer yes or no."
    ),
    Template(
        inputs=(
            "{options}\nDecide by the text. Text: {premise}\n"
            "Is this shown by the text? {hypothesis}"
        )
    ),
    Template(
        inputs=(
            "An analyst has this source: {premise}\nThe analyst wants to write: {hypothesis}\n"
            "Is the source enough for it, or not enough?"
        ),
        label_words=("enough", "not enough"),
    ),
    Template(
        inputs='Reading test. Passage: {premise}\nSentence: "{hypothesis}"\nThe sentence is\n{options}',
        label_words=("backed by the passage", "not backed by the passage"),
    ),
    Template(
        inputs="{premise}\nAnybody who accepts this must also accept the next sentence: {hypothesis}\nIs that so?\n{options}"
    ),
    Template(
        inputs=(
            "Claim: {hypothesis}\nEvidence: {premise}\nWhat is the claim, seen against the evidence?\n{options}\nResult:"
        ),
        label_words=("proven", "unproven"),
    ),
    Template(
        inputs='Question for you: is it safe to conclude this? "{hypothesis}"\n{options}\nThe facts are these: {premise}'
    ),
    Template(
        inputs="Text: {premise}\nWrite a short sentence on the same subject that the text {answer}.",
        targets="{hypothesis}",
        kind="inversion",
        label_words=("shows to be true", "does not show to be true"),
    ),
)

_SNLI = (
    Template(
        inputs='A photo shows this: {premise}\nSomebody says of the photo: "{hypothesis}" Are they right?\n{options}'
    ),
    Template(
        inputs='Caption: {premise}\nIs this also true of the picture? "{hypothesis}"\n{options}'
    ),
    Template(
        inputs=(
            'The picture was described to you in these words: "{premise}" You have not seen it. Is it true that it shows '
            'this: "{hypothesis}" Answer yes, no or it is not possible to tell.'
        )
    ),
    Template(
        inputs=(
            "Two people describe scenes. First: {premise}\nSecond: {hypothesis}\n"
            "Could both mean the same scene? If so, does the first settle the second?\n{options}"
        ),
        label_words=("yes, the first settles it", "perhaps", "no, the scenes differ"),
    ),
    Template(
        inputs=(
            "{options}\nChoose a reply. Question: is the guess about the scene correct?\n"
            "Scene: {premise}\nGuess: {hypothesis}\nReply:"
        )
    ),
    Template(
        inputs="Sort the guess as certain, possible or wrong.\nWhat we see: {premise}\nGuess: {hypothesis}\nSorted as:",
        label_words=("certain", "possible", "wrong"),
    ),
    Template(
        inputs=(
            'A witness reports: "{premise}" The defence then claims: "{hypothesis}" '
            "How does the report bear on the claim?\n{options}"
        ),
        label_words=("it confirms it", "it leaves it open", "it refutes it"),
    ),
    Template(
        inputs='What happens: {premise}\nTell me whether this is happening too: "{hypothesis}"\n{options}\nAnswer:'
    ),
    Template(inputs='Is "{hypothesis}" true in this scene?\n{options}\nScene: {premise}'),
    Template(
        inputs="Scene: {premise}\nAdd one short sentence that {answer}, if this describes the scene.",
        targets="{hypothesis}",
        kind="inversion",
        label_words=("has to be true", "may or may not be true", "has to be false"),
    ),
)

_WNLI = (
    Template(
        inputs="First sentence: {sentence1}\nSecond sentence: {sentence2}\nDoes the second follow from the first?\n{options}"
    ),
    Template(
        inputs='Work out who or what each pronoun means. "{sentence1}" Is this then true? "{sentence2}"\n{options}'
    ),
    Template(
        inputs="{options}\nIs the reading of the sentence the right one?\nSentence: {sentence1}\nReading: {sentence2}"
    ),
    Template(
        inputs=(
            "A pupil replaced a pronoun by what it stands for.\nOriginal: {sentence1}\nPupil: {sentence2}\n"
            "Mark the pupil's line right or wrong."
        ),
        label_words=("wrong", "right"),
    ),
    Template(inputs='You read: "{sentence1}" I say: "{sentence2}" Am I right? Answer yes or no.'),
    Template(
        inputs="Story: {sentence1}\nStatement: {sentence2}\nGoing by the story, the statement is\n{options}",
        label_words=("false", "true"),
    ),
    Template(
        inputs=(
            'A translator needs to know what is meant here: "{sentence1}" '
            'The guess is "{sentence2}" Is that what is meant?\n{options}'
        )
    ),
    Template(
        inputs="Does the first line mean that the second is so?\n{options}\nLine 1: {sentence1}\nLine 2: {sentence2}"
    ),
    Template(
        inputs="Claim: {sentence2}\nSource: {sentence1}\nThe claim reads the source\n{options}",
        label_words=("wrongly", "correctly"),
    ),
    Template(
        inputs="Common sense decides this one. Given: {sentence1} Asked: {sentence2} Does the given line say so?\n{options}"
    ),
)


def to_fields(row: Mapping[str, Any], *, texts: tuple[str, str]) -> Fields | None:
    """Two texts and the label under TFDS's names; None where the label is hidden or undecided, or a text is empty."""
    fields = {name: row[name].strip() for name in texts}
    return {**fields, "label": row["label"]} if row["label"] >= 0 and all(fields.values()) else None


def cb_fields(row: Mapping[str, Any]) -> Fields | None:
    """The hypothesis goes without the full stop that a few rows have: wordings put it into a sentence.

    Example: hypothesis "it rained." becomes "it rained".
    """
    return to_fields(
        {**row, "hypothesis": row["hypothesis"].strip().rstrip(".")},
        texts=("premise", "hypothesis"),
    )


def _task(
    key: str,
    source: sources.Tfds,
    texts: tuple[str, str],
    choices: tuple[str, ...],
    templates: tuple[Template, ...],
    lineage: tuple[str, ...],
    publication: Publication,
    licence: str = "unknown (not stated)",
) -> InstructionTask:
    """A set with its text, which may be cut, its statement, and its choices in the order of TFDS's classes."""
    fields = functools.partial(to_fields, texts=texts)
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="natural_language_inference",
        source=source,
        to_fields=cb_fields if key == "cb" else fields,
        answer_choices=choices,
        templates=templates,
        metrics=(metrics.accuracy,),
        lineage=lineage,
        licence=licence,
        publication=publication,
        may_cut=texts[:1],
    )


_PREMISE = ("premise", "hypothesis")
_CAPITALS = ("Yes", "It's impossible to say", "No")  # entailed, neutral, contradicted
_SMALL = ("yes", "it is not possible to tell", "no")


def _cut_at(rows: int, name: str) -> sources.Tfds:
    """A set whose last training rows are for validation and whose validation rows are the test set."""
    return sources.Tfds(
        name, train=f"train[:-{rows}]", validation=f"train[-{rows}:]", test="validation"
    )


def _anli(split: str, train: str) -> InstructionTask:
    source = sources.Tfds(
        f"anli/{split}:0.1.0", train=train, validation="validation[:200]", test="test"
    )
    texts = ("context", "hypothesis")
    where = Publication(url="https://aclanthology.org/2020.acl-main.441", download_bytes=18_621_352)
    return _task(f"anli_{split}", source, texts, _CAPITALS, _ANLI, ("anli",), where, "CC-BY-NC-4.0")


def _mnli(test: str) -> InstructionTask:
    source = sources.Tfds("glue/mnli:2.0.0", **_LAST_TRAINING_ROWS, test=f"validation_{test}")
    where = Publication(url="https://aclanthology.org/N18-1101", download_bytes=312_783_507)
    licence = "varies by source (see the paper)"
    return _task(f"mnli_{test}", source, _PREMISE, _SMALL, _MNLI, ("mnli",), where, licence)


TASKS = (
    _anli("r1", "train"),  # fewer rows than the cap
    _anli("r2", "train[:30000]"),
    _anli("r3", "train[:30000]"),
    _task(
        "cb",
        _cut_at(50, "super_glue/cb:1.0.2"),
        _PREMISE,
        ("Yes", "No", "It's impossible to say"),  # entailment, contradiction, neutral
        _CB,
        ("cb",),
        Publication(url="https://doi.org/10.18148/sub/2019.v23i2.601", download_bytes=75_482),
    ),
    _mnli("matched"),
    _mnli("mismatched"),
    _task(
        "qnli",
        sources.Tfds("glue/qnli:2.0.0", **_LAST_TRAINING_ROWS, test="validation"),
        ("sentence", "question"),
        ("yes", "no"),
        _QNLI,
        ("qnli", "squad"),
        Publication(url="https://arxiv.org/abs/1804.07461", download_bytes=10_627_589),
        "CC-BY-SA-4.0 (SQuAD)",
    ),
    _task(
        "rte",
        _cut_at(200, "super_glue/rte:1.0.2"),
        _PREMISE,
        ("yes", "no"),
        _RTE,
        ("rte",),
        Publication(url="https://arxiv.org/abs/1905.00537", download_bytes=750_920),
    ),
    _task(
        "snli",
        sources.Tfds(
            "snli:1.1.0", train="train[:30000]", validation="validation[:200]", test="test"
        ),
        _PREMISE,
        _SMALL,
        _SNLI,
        ("snli",),
        Publication(url="https://aclanthology.org/D15-1075", download_bytes=94_550_081),
        "CC-BY-SA-4.0",
    ),
    _task(
        "wnli",
        _cut_at(30, "glue/wnli:2.0.0"),
        ("sentence1", "sentence2"),
        ("no", "yes"),  # not_entailment comes first
        _WNLI,
        ("wnli", "wsc"),
        Publication(url="https://arxiv.org/abs/1804.07461", download_bytes=28_999),
    ),
)
