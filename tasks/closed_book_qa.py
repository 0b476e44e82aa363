"""FLAN 2021's closed-book question answering (https://arxiv.org/abs/2109.01652): facts without a text to find them in.

Rows come from TFDS, in FLAN's versions. Each task has at most the first 30,000 rows for training and the last 200 of the
training split for validation. ARC (the two sets share their wordings) is tested on its published test split, Natural
Questions and TriviaQA on the validation split: the first has no other in TFDS, the second hides its test answers.

ARC: the key is looked up among the row's own labels, which need not be A, B, C, D in this order; rows that do not have
exactly four choices are dropped, as FLAN does. Natural Questions comes without question marks and may have several answers.
TriviaQA's answers are in the publisher's normalised form (lower case, no punctuation); the answer itself is the target, and
its aliases count as right in evaluation.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import row_fields

_NUM_ARC_CHOICES = 4
_UNKNOWN = ("", "<unk>")  # how TFDS writes that TriviaQA hides an answer


def arc_fields(row: Mapping[str, Any]) -> Fields | None:
    labels, texts = row["choices"]["label"], row["choices"]["text"]
    if len(texts) != _NUM_ARC_CHOICES or row["answerKey"] not in labels:
        return None
    shown = {"question": row_fields.clean(row["question"])}
    return row_fields.with_choices(shown, texts, labels.index(row["answerKey"]))


def _answers(*texts: str) -> list[str]:
    """The different texts, in their order, without those that say nothing."""
    return [text for text in dict.fromkeys(map(row_fields.clean, texts)) if text not in _UNKNOWN]


def natural_questions_fields(row: Mapping[str, Any]) -> Fields | None:
    answers = _answers(*row["answer"])
    if not answers:
        return None
    return {"question": row_fields.as_question(row["question"]), "answer": answers}


def trivia_qa_fields(row: Mapping[str, Any]) -> Fields | None:
    answer = row["answer"]
    if not _answers(answer["normalized_value"]):
        return None
    return {
        "question": row_fields.as_question(row["question"]),
        "answer": _answers(answer["normalized_value"], *answer["normalized_aliases"]),
    }


# A stem may be a question or a sentence that the choice ends.
_ARC = (
    Template(inputs="From a science test at school: {question}\n{options}"),
    Template(
        inputs="{options}\nChoose one of these to answer or complete the following.\n{question}"
    ),
    Template(inputs="Use what you know about nature.\n{question}\n{options}"),
    Template(inputs="{question}\nMy answer, from what I learned in science class:"),
    Template(
        inputs='Here is a task from an exam: "{question}" The examiners give four choices, one of them right.\n{options}'
    ),
    Template(
        inputs="A pupil is stuck with this. Tell them which choice is correct.\n{question}\n{options}"
    ),
    Template(inputs="Science, multiple choice.\nTask: {question}\n{options}\nSolution:"),
    Template(
        kind="inversion",
        inputs='A science question offers {choices|choices}. It wants to hear "{answer}". What does the question say?',
        targets="{question}",
    ),
    Template(
        kind="inversion",
        inputs="Draft an exam item on science that has these answers: {choices|lettered}\nOnly this one may be right: {answer}",
        targets="{question}",
    ),
    Template(
        kind="inversion",
        inputs='I have an answer sheet but no questions. Number 1: "{answer}", chosen from: {choices|join}.\n'
        "Reconstruct question 1.",
        targets="{question}",
    ),
)

_NATURAL_QUESTIONS = (
    Template(inputs="{question}"),
    Template(
        inputs="Somebody typed this into a search engine: {question}\nGive the answer itself."
    ),
    Template(inputs="Do you happen to know this? {question}"),
    Template(inputs="Fill in the answer in as few words as you can.\nAsked: {question}\nAnswered:"),
    Template(inputs="{question}\nA name, a date or a short phrase is enough."),
    Template(inputs="Without looking anything up: {question}"),
    Template(inputs='My friend wants to find out "{question}" What should I tell her?'),
    Template(inputs="An encyclopedia settles the following in a word or two.\n{question}"),
    Template(inputs="Reply to this query from memory. Query: {question} Reply:"),
    Template(inputs="Help desk of a library. Caller: {question} Librarian:"),
)

_TRIVIA_QA = (
    Template(inputs="It is quiz night. Next question: {question}"),
    Template(inputs="{question}\nWrite your answer on the card, in lower case."),
    Template(inputs="A point for whoever knows this. {question}"),
    Template(inputs="Quizmaster: {question}\nTeam captain:"),
    Template(inputs="I collect general knowledge. Tell me the answer to this: {question}"),
    Template(inputs="{question}\nI am after the one name or term that settles it."),
    Template(inputs="Your memory is all you have. {question}\nThe answer is"),
    Template(inputs="Trivia card, front: {question}\nTrivia card, back:"),
    Template(inputs='The last clue of a treasure hunt reads: "{question}" What do we have to say?'),
    Template(inputs="You are on a game show, and the clock is running. {question}"),
)


def _arc(key: str, config: str) -> InstructionTask:
    """One of the two sets of ARC."""
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="closed_book_qa",
        source=sources.Tfds(
            f"ai2_arc/{config}:1.0.0",
            train="train[:-200]",
            validation="train[-200:]",
            test="test",
        ),
        to_fields=arc_fields,
        answer_choices="choices",
        templates=_ARC,
        metrics=(metrics.accuracy,),
        lineage=("arc",),
        licence="CC-BY-SA-4.0",
        publication=Publication(url="https://arxiv.org/abs/1803.05457", download_bytes=680_841_265),
    )


TASKS = (
    _arc("arc_challenge", "ARC-Challenge"),
    _arc("arc_easy", "ARC-Easy"),
    InstructionTask(  # without documents: https://aclanthology.org/P19-1612
        name="flan2021:natural_questions",
        cluster="closed_book_qa",
        source=sources.Tfds(
            "natural_questions_open:1.0.0",
            train="train[:30000]",
            validation="train[-200:]",
            test="validation",
        ),
        to_fields=natural_questions_fields,
        templates=_NATURAL_QUESTIONS,
        metrics=(metrics.squad_exact_match, metrics.squad_f1),
        first_reference=True,
        lineage=("natural_questions",),
        licence="CC-BY-SA-3.0",
        publication=Publication(url="https://aclanthology.org/Q19-1026", download_bytes=8_913_614),
    ),
    InstructionTask(
        name="flan2021:trivia_qa",
        cluster="closed_book_qa",
        source=sources.Tfds(
            "trivia_qa/rc:1.1.0",
            train="train[:30000]",
            validation="train[-200:]",
            test="validation",
        ),
        to_fields=trivia_qa_fields,
        templates=_TRIVIA_QA,
        metrics=(metrics.squad_exact_match, metrics.squad_f1),
        first_reference=True,
        lineage=("trivia_qa",),
        licence="unknown (not stated)",
        publication=Publication(
            url="https://aclanthology.org/P17-1147", download_bytes=2_665_779_500
        ),
    ),
)
