"""FLAN 2021's reading comprehension with commonsense (https://arxiv.org/abs/2109.01652): what a text implies but does not say.

Rows come from TFDS, in FLAN's versions. Each task has at most the first 30,000 rows for training and the last 200 of the
training split for validation; test labels are hidden, so the published validation split is the test split here. A text that
is too long loses its end.

Cosmos QA has four choices a row, one of which may say that none of the others is right, in whatever place it stands.
ReCoRD asks which name of a news text fills a gap in a sentence about it, written "_" here. Its bullet points ("@highlight")
repeat the text and are left out, as FLAN does. Several names may be right: the first one is the target, all of them count. So
it has no answer choices; wordings list the names themselves.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import row_fields

_HIGHLIGHT = "@highlight"
_PLACEHOLDER = "@placeholder"
_GAP = "_"


def cosmos_qa_fields(row: Mapping[str, Any]) -> Fields | None:
    shown = {
        "passage": row_fields.clean(row["context"]),
        "question": row_fields.as_question(row["question"]),
    }
    return row_fields.with_choices(shown, [row[f"answer{n}"] for n in range(4)], row["label"])


def record_fields(row: Mapping[str, Any]) -> Fields | None:
    passage, _, _ = row["passage"].partition(_HIGHLIGHT)
    names = list(dict.fromkeys(map(row_fields.clean, row["entities"])))
    answers = [
        name for name in dict.fromkeys(map(row_fields.clean, row["answers"])) if name in names
    ]
    if not answers or _PLACEHOLDER not in row["query"]:
        return None
    return {
        "passage": row_fields.clean(passage),
        "sentence": row_fields.clean(row["query"].replace(_PLACEHOLDER, _GAP)),
        "names": names,
        "answer": answers,
    }


_COSMOS_QA = (
    Template(inputs="{passage}\n{question}\n{options}"),
    Template(inputs="Read between the lines.\nText: {passage}\nQuestion: {question}\n{options}"),
    Template(
        inputs="Someone posted this: {passage}\nIt does not say so outright, but what would you guess? {question}\n{options}"
    ),
    Template(
        inputs="{options}\nWhich of these is the most likely reply to the question?\n{question}\nStory: {passage}"
    ),
    Template(
        inputs='My neighbour told me: "{passage}" One thing I wonder about. {question}\n{options}\nLikeliest:'
    ),
    Template(
        inputs="{question} Reason it out from what people usually do.\n{options}\nPassage: {passage}"
    ),
    Template(
        inputs="Diary: {passage}\nAnswer with good sense, even where the diary is silent: {question}"
    ),
    Template(inputs="Here is what happened. {passage}\nPlease explain to an outsider: {question}"),
    Template(
        kind="inversion",
        inputs="{passage}\nAsk about something that a reader of this can only infer.",
        targets="{question}",
    ),
    Template(
        kind="inversion",
        inputs="Text: {passage}\nFour answers were offered: {choices|lettered}\nWhat was the question?",
        targets="{question}",
    ),
)

_RECORD = (
    Template(inputs="{passage}\nFill the gap, _, with a name from the report.\n{sentence}"),
    Template(
        inputs="News: {passage}\nLater somebody added: {sentence}\nWhich name was replaced by _? One of: {names|join}"
    ),
    Template(
        inputs="Names in the report: {names|join}\nReport: {passage}\nSummary with a gap: {sentence}\nGap:"
    ),
    Template(
        inputs="Who, what or which place is _ in this line? {sentence}\nThe news story behind it: {passage}"
    ),
    Template(
        inputs="Complete the sentence so that it is true of the article.\nSentence: {sentence}\nArticle: {passage}\n"
        "Candidates: {names|lettered}\nWrite the name itself, not its letter."
    ),
    Template(
        inputs="A printer lost a name and set _ instead: {sentence}\nHelp him. He has the article: {passage}"
    ),
    Template(
        inputs="You know the news: {passage}\nChoose among {names|join}.\nWhat belongs in the place of _? {sentence}"
    ),
    Template(
        inputs="Quiz for newspaper readers. {sentence}\nWhat is meant by _? It stands in this text: {passage}"
    ),
    Template(
        inputs="Take one of these names: {names|join}. It has to fit the gap in: {sentence}\nGo by this article: {passage}"
    ),
    Template(inputs="Article: {passage}\nClaim: {sentence}\nThe claim holds if _ is"),
)

TASKS = (
    InstructionTask(
        name="flan2021:cosmos_qa",
        cluster="reading_comprehension_with_commonsense",
        source=sources.Tfds(
            "cosmos_qa:1.0.0",
            train="train[:-200]",
            validation="train[-200:]",
            test="validation",
        ),
        to_fields=cosmos_qa_fields,
        answer_choices="choices",
        templates=_COSMOS_QA,
        metrics=(metrics.accuracy,),
        lineage=("cosmos_qa",),
        licence="CC-BY-4.0",
        publication=Publication(url="https://aclanthology.org/D19-1243", download_bytes=24_399_475),
        may_cut=("passage",),
    ),
    InstructionTask(
        name="flan2021:record",
        cluster="reading_comprehension_with_commonsense",
        source=sources.Tfds(
            "super_glue/record:1.0.2",
            train="train[:30000]",
            validation="train[-200:]",
            test="validation",
        ),
        to_fields=record_fields,
        templates=_RECORD,
        metrics=(metrics.squad_exact_match, metrics.squad_f1),
        first_reference=True,
        lineage=("record", "cnn_dailymail"),
        licence="unknown (not stated)",
        publication=Publication(url="https://arxiv.org/abs/1810.12885", download_bytes=51_757_880),
        may_cut=("passage",),
    ),
)
