"""FLAN 2021's reading comprehension (https://arxiv.org/abs/2109.01652): questions whose answers a text at hand decides.

Rows come from TFDS, in FLAN's versions. Each task has at most the first 30,000 rows for training. Validation is the end of the
training split, for OpenBookQA the first 200 rows of its own. Test labels are hidden, so the published validation split (DROP:
dev) is the test split here; OpenBookQA has its published test split. A passage that is too long loses its end.

BoolQ has questions without marks. DROP has answers of which TFDS keeps one span only and writes dates as "1904-May-3" ("3
May 1904" here, as in DROP's own evaluation); what its annotators answered else counts as right too. MultiRC judges one
proposed answer at a time, and its passages may hold tags. Its score is the F1 of "yes"; its wordings show no {options}, since
a letter would stand for the word. Its other score, the share of questions of which all answers are judged right, is not
taken: metrics here see one answer at a time. OpenBookQA's stems may be beginnings of sentences, and the fact is the one that
its question was written from. SQuAD's titles have underscores for spaces; where SQuAD 2.0 has no answer, the answer is
"unanswerable".
"""

from collections.abc import Callable
import re

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields, Row
from flantune.prompting import Template
from tasks import row_fields

_YES_NO = ("no", "yes")
_UNANSWERABLE = "unanswerable"
_DATE = re.compile(r"(\d{1,4})?-([A-Z][a-z]+)?-(\d{1,2})")  # year, month, day, as TFDS joins them
_TAG = re.compile(r"<b>\s*Sent \d+:\s*</b>|</?[a-z]+\s*/?>", re.IGNORECASE)


def bool_q_fields(row: Row) -> Fields:
    return {
        "passage": row_fields.clean(row["passage"]),
        "question": row_fields.as_question(row["question"]),
        "title": row_fields.clean(row["title"]),
        "label": int(row["answer"]),
    }


def plain_date(answer: str) -> str:
    """An answer of DROP, with a date in words: "1904-May-3" becomes "3 May 1904", "-May-3" becomes "3 May"."""
    match = _DATE.fullmatch(answer)
    return " ".join(part for part in reversed(match.groups()) if part) if match else answer


def drop_fields(row: Row) -> Fields | None:
    answers = [
        plain_date(row_fields.clean(text)) for text in (row["answer"], *row["validated_answers"])
    ]
    if not answers[0]:
        return None
    return {
        "passage": row_fields.clean(row["passage"]),
        "question": row_fields.as_question(row["question"]),
        "answer": [text for text in dict.fromkeys(answers) if text],
    }


def multirc_fields(row: Row) -> Fields | None:
    response = row_fields.clean(row["answer"])
    if row["label"] < 0 or not response:
        return None
    return {
        "passage": row_fields.clean(_TAG.sub(" ", row["paragraph"])),
        "question": row_fields.as_question(row["question"]),
        "response": response,
        "label": row["label"],
    }


def openbookqa_fields(row: Row) -> Fields | None:
    question = row["question"]
    shown = {
        "question": row_fields.clean(question["stem"]),
        "fact": row_fields.clean(row["fact1"]).rstrip("."),
    }
    choices = [question[f"choice_{letter}"] for letter in "ABCD"]
    return row_fields.with_choices(shown, choices, row["answerKey"])


def squad_fields(row: Row) -> Fields | None:
    """Fields of both editions; only the second has rows without an answer."""
    answers = [row_fields.clean(text) for text in row["answers"]["text"]]
    if row.get("is_impossible"):
        answers = [_UNANSWERABLE]
    if not any(answers):
        return None
    return {
        "title": row_fields.clean(row["title"].replace("_", " ")),
        "passage": row_fields.clean(row["context"]),
        "question": row_fields.as_question(row["question"]),
        "answer": [text for text in dict.fromkeys(answers) if text],
    }


_BOOL_Q = (
    Template(inputs="{passage}\nGiven that: {question}\n{options}"),
    Template(inputs="Question: {question}\nDecide it with this text: {passage}\nYes or no:"),
    Template(
        inputs='I have to settle a bet on "{question}" Does this text say yes or no?\n{passage}'
    ),
    Template(
        inputs='From an encyclopedia, under "{title}": {passage}\n{question|capitalise}\n{options}'
    ),
    Template(
        inputs="{options}\nReply with one of these to the question, and rely on the passage.\n"
        "Question: {question}\nPassage: {passage}"
    ),
    Template(
        inputs='The statement behind "{question}" may be true or false. Which, by this source? {passage}',
        label_words=("false", "true"),
    ),
    Template(inputs="Read the paragraph and answer below it.\n{passage}\n{question|capitalise}"),
    Template(
        inputs='{passage}\nA reader writes in: "{question}" How should the editors reply?\n{options}',
        label_words=("no, it is not so", "yes, it is so"),
    ),
    Template(
        inputs="Nod or shake your head: {question}\nWhat you know: {passage}",
        label_words=("shake", "nod"),
    ),
    Template(inputs="Text: {passage}\nCheck against the text: {question}\n{options}\nOutcome:"),
)

_DROP = (
    Template(inputs="{passage}\nWork it out from these lines: {question}"),
    Template(
        inputs="Question: {question}\nReport: {passage}\nAnswer with a number, a date or words of the report:"
    ),
    Template(
        inputs="You may have to count, add or compare to answer.\nPassage: {passage}\nQuestion: {question}"
    ),
    Template(inputs='I read this: "{passage}" Now tell me this: {question}'),
    Template(inputs="{question} Everything needed to find out is in here: {passage}"),
    Template(inputs="Facts: {passage}\nTask for the statistician: {question}\nResult:"),
    Template(
        inputs="Use the details of the text, and do the sums in your head.\n{question}\nText: {passage}"
    ),
    Template(
        kind="inversion",
        inputs='{passage}\nThink of a question on this text that has the answer "{answer}".',
        targets="{question}",
    ),
    Template(
        kind="inversion",
        inputs="Set a question for readers of this report that takes some counting or comparing. {passage}",
        targets="{question}",
    ),
    Template(
        inputs="Puzzle: {question}\nThe solution can be read off or computed from this. {passage}\nSolution:"
    ),
)

_MULTIRC = (
    Template(inputs='{passage}\n{question}\nIs "{response}" a right answer? Write yes or no.'),
    Template(
        inputs='Mark a test. Text: {passage}\nQuestion: {question}\nA pupil wrote "{response}" and wants to know whether that counts. Tell them yes or no.'
    ),
    Template(
        inputs='Question: {question}\nProposed: "{response}"\nSource: {passage}\nDoes the source bear this out?'
    ),
    Template(
        inputs='Several answers to "{question}" may be correct. Is "{response}" one of them, going by this text? {passage}'
    ),
    Template(
        inputs='Write "yes" if the answer "{response}" agrees with the passage, and "no" if it does not.\n'
        "Passage: {passage}\nWhat was asked: {question}"
    ),
    Template(
        inputs='I read this: {passage}\nThen I was asked: {question} My reply was "{response}" Was I right?'
    ),
    Template(
        inputs='Check one line of an answer key. For "{question}" it has "{response}" as right.\n{passage}\nYes or no, does the line stay?'
    ),
    Template(inputs="Story: {passage}\nQ: {question}\nA: {response}\nIs A correct, yes or no?"),
    Template(
        kind="inversion",
        inputs="{passage}\nTo see whether somebody understood all of this, what could you ask?",
        targets="{question}",
    ),
    Template(
        kind="inversion",
        inputs='What was somebody asked who read this text and replied "{response}"?\nText: {passage}',
        targets="{question}",
    ),
)

_OPENBOOKQA = (
    Template(inputs="It is known: {fact}. {question}\n{options}"),
    Template(inputs="{question}\nHint: {fact}.\n{options}"),
    Template(
        inputs="{options}\nWith the fact in mind, which of these fits?\nFact: {fact}.\nTask: {question}"
    ),
    Template(inputs="Open book, page one: {fact}.\nAnswer or complete this: {question}"),
    Template(
        inputs="A teacher writes on the board: {fact}. Then comes this task: {question}\nPick what follows from the lesson.\n{options}"
    ),
    Template(inputs="Apply the rule to the case.\nRule: {fact}.\nCase: {question}\nConclusion:"),
    Template(
        inputs="Think of what science says about this before you choose.\n{question}\n{options}"
    ),
    Template(
        kind="inversion",
        inputs='Task: {question}\nSolution: "{answer}"\nName the law of nature or plain fact behind it.',
        targets="{fact}",
    ),
    Template(
        kind="inversion",
        inputs='Write a task for which a pupil has to know this: {fact}. The solution must be "{answer}".',
        targets="{question}",
    ),
    Template(
        kind="inversion",
        inputs="These are the choices of a science task: {choices|choices}. It is meant to test this: {fact}. "
        "Complete the task.",
        targets="{question}",
    ),
)

_SQUAD_V1 = (
    Template(inputs="{passage}\n{question}"),
    Template(
        inputs="Find the words that answer the question.\nQuestion: {question}\nText: {passage}"
    ),
    Template(inputs='From an article headed "{title}": {passage} Reader: {question} Author:'),
    Template(inputs="{question} Copy the answer from this paragraph: {passage}"),
    Template(
        inputs="Underline one phrase in the text below so that it settles this: {question}\n{passage}"
    ),
    Template(inputs='I am short of time. Here is the text: "{passage}" Just tell me: {question}'),
    Template(
        inputs="Subject: {title}\nNotes: {passage}\nQuiz on the notes: {question}\nShort answer:"
    ),
    Template(
        inputs="A pupil with the book open is asked: {question}\nThe page reads: {passage}\nThe pupil replies:"
    ),
    Template(
        kind="inversion",
        inputs='In this text, "{answer}" shall be the answer. Write the question.\n{passage}',
        targets="{question}",
    ),
    Template(
        kind="inversion",
        inputs="Which article of an encyclopedia does this paragraph come from?\n{passage}",
        targets="{title}",
    ),
)

_SQUAD_V2 = (
    Template(
        inputs='{passage}\n{question}\nTake the answer from the text, or write "unanswerable" if it is not there.'
    ),
    Template(inputs='Question: {question}\nText: {passage}\nAnswer (or "unanswerable"):'),
    Template(
        inputs='Some questions cannot be answered from the page. Then reply "unanswerable".\nPage: {passage}\nAsked: {question}'
    ),
    Template(
        inputs='Careful, this may be a trick question: {question}\nIf the paragraph does not tell, say "unanswerable".\n{passage}'
    ),
    Template(
        inputs='An article headed "{title}" says: {passage}\nQuote the part that answers "{question}" and otherwise put '
        '"unanswerable".'
    ),
    Template(
        inputs="Do not guess. {question}\nEither a phrase from here or the word unanswerable: {passage}"
    ),
    Template(
        inputs='Search this document for the answer. No hit is reported as "unanswerable".\n'
        "Document: {passage}\nSearch: {question}\nHit:"
    ),
    Template(
        inputs="Topic: {title}\nText: {passage}\nAnswer from the text alone: {question}\n"
        'Reply "unanswerable" where it says nothing about this.'
    ),
    Template(
        inputs='A witness may speak only of what this record holds, and else says "unanswerable".\n'
        "Record: {passage}\nLawyer: {question}\nWitness:"
    ),
    Template(
        inputs='Which words of the passage answer the question? If none do, the label is "unanswerable".\n'
        "{question}\n{passage}"
    ),
)


def _task(
    key: str,
    source: sources.Tfds,
    to_fields: Callable[[Row], Fields | None],
    templates: tuple[Template, ...],
    metric: tuple[metrics.AnyMetric, ...],
    licence: str,
    publication: Publication,
    *,
    lineage: str = "",
    answer_choices: tuple[str, ...] | str | None = None,
    may_cut: tuple[str, ...] = ("passage",),
) -> InstructionTask:
    """A task of this cluster; with several right answers the first one is the target."""
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="reading_comprehension",
        source=source,
        to_fields=to_fields,
        answer_choices=answer_choices,
        templates=templates,
        metrics=metric,
        first_reference=answer_choices is None,
        lineage=(lineage or key,),
        licence=licence,
        publication=publication,
        may_cut=may_cut,
    )


def _tfds(name: str, train: str = "train[:30000]", test: str = "validation") -> sources.Tfds:
    return sources.Tfds(name, train=train, validation="train[-200:]", test=test)


_EXTRACTIVE = (metrics.squad_exact_match, metrics.squad_f1)

TASKS = (
    _task(
        "bool_q",
        _tfds("bool_q:1.0.0", train="train[:-200]"),
        bool_q_fields,
        _BOOL_Q,
        (metrics.accuracy,),
        "CC-BY-SA-3.0",
        Publication(url="https://aclanthology.org/N19-1300", download_bytes=8_764_539),
        answer_choices=_YES_NO,
    ),
    _task(
        "drop",
        _tfds("drop:2.0.0", test="dev"),
        drop_fields,
        _DROP,
        _EXTRACTIVE,
        "CC-BY-SA-4.0",
        Publication(url="https://aclanthology.org/N19-1246"),
    ),
    _task(
        "multirc",
        _tfds("super_glue/multirc:1.0.2", train="train[:-200]"),
        multirc_fields,
        _MULTIRC,
        (metrics.f1_of("yes"), metrics.accuracy),
        "unknown (not stated)",
        Publication(url="https://aclanthology.org/N18-1023", download_bytes=1_116_225),
        answer_choices=_YES_NO,
    ),
    _task(
        "openbookqa",
        sources.Tfds("openbookqa:0.1.0", train="train", validation="validation[:200]", test="test"),
        openbookqa_fields,
        _OPENBOOKQA,
        (metrics.accuracy,),
        "unknown (not stated)",
        Publication(url="https://aclanthology.org/D18-1260", download_bytes=1_446_098),
        answer_choices="choices",
        may_cut=(),
    ),
    _task(
        "squad_v1",
        _tfds("squad/v1.1:3.0.0"),
        squad_fields,
        _SQUAD_V1,
        _EXTRACTIVE,
        "CC-BY-SA-4.0",
        Publication(url="https://aclanthology.org/D16-1264", download_bytes=35_142_551),
        lineage="squad",
    ),
    _task(
        "squad_v2",
        _tfds("squad/v2.0:3.0.0"),
        squad_fields,
        _SQUAD_V2,
        _EXTRACTIVE,
        "CC-BY-SA-4.0",
        Publication(url="https://aclanthology.org/P18-2124", download_bytes=46_494_161),
        lineage="squad",
    ),
)
