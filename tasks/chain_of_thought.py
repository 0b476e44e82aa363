"""The nine chain-of-thought sets of the Flan Collection, from its own TSV files.

Each file `flan_cot/NAME_train.tsv` has the columns question, answer, rationale; a line break inside a field is written
as a backslash and an n. The files have no other split: the first rows are kept for validation. The question holds its
own options, where it has any. Wordings of kind "direct" ask for the answer alone, those of kind "cot" for the reasoning first, and
inversions give two, or one, of question, rationale and answer and ask for the rest.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

_VALIDATION_ROWS = 200  # under a fifth of the smallest set, QASC with 1,084 rows
# What the Flan Collection counts (`T_NAME_TO_NUM_CASES`): it keeps no rows for validation, and drops a last batch of fewer
# than ten, or fifteen, rows.
PUBLISHED_ROWS = {
    "esnli": 36_170, "gsm8k": 7_470, "ecqa": 7_110, "creak": 6_910, "sensemaking": 6_070, "qed": 5_145, "aqua": 2_715,
    "strategyqa": 2_060, "qasc": 1_080,
}  # fmt: skip
_SENTENCE_ENDS = (".", "!", "?", '"', ")")
_LICENCE = "Apache-2.0 (the files); the sources vary"
_PUBLICATION = Publication(
    url="https://arxiv.org/abs/2301.13688",
    get="Put the files of flan/v2/cot_data of https://github.com/google-research/FLAN into DATA/flan_cot",
)

_DIRECT = (
    "{question}\nAnswer:",
    "Question: {question}\nReply with the answer only.",
)
_REASONED = (
    (
        "{question}\nExplain your thinking first, then answer.",
        "{rationale} So the answer is {answer}.",
    ),
    (
        "Work towards an answer one step after another.\n{question}",
        "{rationale}\nAnswer: {answer}",
    ),
    ("Q: {question}\nReasoning and answer:", "{rationale} Therefore, the answer is {answer}."),
)

# One tuple for each kind of question: (direct wordings, wordings that ask for reasoning).
_CHOICE = (
    (
        "Which of the options fits best?\n{question}",
        "{question}\nWrite down the one right option and nothing else.",
    ),
    (
        (
            "Weigh the options below, say what speaks for the best one, and name it.\n{question}",
            "{rationale} This points to {answer}.",
        ),
    ),
)
_YES_NO = (
    (
        "Reply with yes or no.\n{question}",
        "{question}\nYes or no? One word is enough.",
    ),
    (
        (
            "{question}\nGive the facts that decide this, and end with yes or no.",
            "{rationale} The facts say: {answer}",
        ),
    ),
)
_OPEN = (
    (
        "Find the answer to this question: {question}",
        "{question}\nWhat is the result? No explanation, please.",
    ),
    (
        (
            "Show how you get there.\n{question}",
            "{rationale} The result is {answer}.",
        ),
    ),
)

# The Flan Collection's four inversions: what is given, and what is asked for.
_INVERTED = (
    (
        "Which question leads to this reasoning and this answer?\nReasoning: {rationale}\nAnswer: {answer}",
        "{question}",
    ),
    ("{rationale}\nSo it is {answer}. What was asked?", "{question}"),
    (
        "{question}\nThe answer is {answer}. Say why.",
        "{rationale}",
    ),
    (
        "Explain how one gets from the question to its answer.\n{question}\nAnswer: {answer}",
        "{rationale}",
    ),
    (
        "Somebody reasoned like this: {rationale}\nGive the question that they had, and their answer.",
        "{question}\nAnswer: {answer}",
    ),
    ("Reasoning: {rationale}\nWrite the question and the answer.", "{question}\n{answer}"),
    (
        "The answer is {answer}. Make up a question for it, and reason from the question to the answer.",
        "{question}\nReasoning: {rationale}",
    ),
    (
        'Write a question that has the answer "{answer}", with an explanation.',
        "{question}\n{rationale}",
    ),
)


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    question, answer, rationale = (
        row[column].replace("\\n", "\n").strip() for column in ("question", "answer", "rationale")
    )
    if not (question and answer and rationale):
        return None
    if not rationale.endswith(_SENTENCE_ENDS):
        rationale += "."
    return {"question": question, "answer": answer, "rationale": rationale}


def _task(
    name: str,
    cluster: str,
    kind: tuple[tuple[str, ...], tuple[tuple[str, str], ...]],
    lineage: tuple[str, ...],
    direct: str,
    reasoned: tuple[str, str],
) -> InstructionTask:
    """A set with the wordings of all sets, those of its kind of question, and its own."""
    file = f"flan_cot/{name}_train.tsv"
    direct_of_kind, reasoned_of_kind = kind
    return InstructionTask(
        name=f"chain_of_thought:{name}",
        cluster=cluster,
        source=sources.Tsv(
            train=f"{file}[{_VALIDATION_ROWS}:]",
            validation=f"{file}[:{_VALIDATION_ROWS}]",
            columns=("question", "answer", "rationale"),
        ),
        to_fields=to_fields,
        templates=(
            *(Template(inputs=text) for text in (*_DIRECT, *direct_of_kind, direct)),
            *(
                Template(inputs=text, targets=target, kind="cot")
                for text, target in (*_REASONED, *reasoned_of_kind, reasoned)
            ),
            *(
                Template(inputs=text, targets=target, kind="inversion")
                for text, target in _INVERTED
            ),
        ),
        metrics=(metrics.exact_match,),
        lineage=lineage,
        licence=_LICENCE,
        publication=_PUBLICATION,
        published_rows={"train": PUBLISHED_ROWS[name]},
    )


TASKS = (
    _task(
        "esnli",
        "natural_language_inference",
        _CHOICE,
        ("esnli", "snli"),
        "Decide what follows from the premise.\n{question}",
        (
            "{question}\nSay why the premise does or does not settle this, then decide.",
            "{rationale} Decision: {answer}",
        ),
    ),
    _task(
        "gsm8k",
        "math_word_problems",
        _OPEN,
        ("gsm8k",),
        "Calculate the number that this problem asks for.\n{question}",
        (
            "Solve this problem and write out each calculation.\n{question}",
            "{rationale} The number asked for is {answer}.",
        ),
    ),
    _task(
        "ecqa",
        "commonsense",
        _CHOICE,
        ("ecqa", "commonsense_qa"),
        "Use everyday knowledge to pick an option.\n{question}",
        (
            "{question}\nWhat does everyday knowledge say about this? Pick an option at the end.",
            "{rationale} My pick: {answer}",
        ),
    ),
    _task(
        "creak",
        "fact_checking",
        _YES_NO,
        ("creak",),
        "Check the claim against what you know.\n{question}",
        (
            "Check this claim, tell me what you know about it, and then judge it.\n{question}",
            "{rationale} Judgement: {answer}",
        ),
    ),
    _task(
        "sensemaking",
        "commonsense",
        _CHOICE,
        ("sensemaking", "comve"),
        "One of two sentences could not happen in real life.\n{question}",
        (
            "{question}\nSay what is odd about it before you name the sentence.",
            "{rationale} The odd one is {answer}.",
        ),
    ),
    _task(
        "qed",
        "question_answering",
        _OPEN,
        ("qed", "natural_questions"),
        "Read closely and reply in as few words as the text allows.\n{question}",
        (
            "Point to the words that the answer rests on, then give it.\n{question}",
            "{rationale} Hence: {answer}",
        ),
    ),
    _task(
        "aqua",
        "math_word_problems",
        _CHOICE,
        ("aqua_rat",),
        "Do the sums in your head and name the right letter.\n{question}",
        (
            "Do the sums on paper, so that I can follow, and name the right letter.\n{question}",
            "{rationale} The right letter is {answer}.",
        ),
    ),
    _task(
        "strategyqa",
        "commonsense",
        _YES_NO,
        ("strategyqa",),
        "This takes more than one fact to settle: {question}",
        (
            "Split this into the facts that it depends on, then settle it: {question}",
            "{rationale} Settled: {answer}",
        ),
    ),
    _task(
        "qasc",
        "science_questions",
        _CHOICE,
        ("qasc",),
        "A science quiz asks you this.\n{question}\nYour letter:",
        (
            "Join two facts of science to answer.\n{question}",
            "{rationale} Joined, they give {answer}.",
        ),
    ),
)

LINT_ALLOW = {
    task.name: {"answer_is_span": "the question lists its own options, or is about a passage"}
    for task in TASKS
}
