"""The two dialog sets of the Flan Collection (https://arxiv.org/abs/2301.13688) that are public: QReCC and WikiDialog.

Rows come from TFDS. Two people speak in turns, and the reply asked for is one of the second speaker's, drawn once for each
row; what comes before it is shown. QReCC has a row for each question of a conversation,
with all before it: as published, only rows from the seventh question on are used. WikiDialog
has whole dialogs written around the sentences of Wikipedia; the greeting that opens each
is left out, and the reply is among the first 20. QReCC is tested on its test split, WikiDialog on its validation split.

Inversions give the reply and ask for the dialog before it. Chats from files of your own: `instruction_rows.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template, choice
from tasks import row_fields

FAMILY = "dialog"
_FIRST_QRECC_TURN = 7
_MAX_REPLIES = 20


def qrecc_fields(row: Mapping[str, Any]) -> Fields | None:
    if row["turn_id"] < _FIRST_QRECC_TURN:
        return None
    turns = [*row["context"], row["question"], row["answer"]]
    return _before_a_reply(turns, f"{row['conversation_id']}/{row['turn_id']}")


def wiki_dialog_fields(row: Mapping[str, Any]) -> Fields | None:
    turns = row["utterances"][1:]
    return _before_a_reply(turns[: 2 * _MAX_REPLIES], row["pid"])


def _before_a_reply(turns: Sequence[str], row: str) -> Fields | None:
    """The turns before one of the second speaker's, and that one; None where they are silent.

    Args:
        row: its name, by which the reply is drawn.
    """
    texts = [row_fields.clean(text) for text in turns]
    replies = [place for place in range(1, len(texts), 2) if all(texts[: place + 1])]
    if not replies:
        return None
    place = choice.Chooser(0, 0, row).pick("reply", replies)
    return {
        "turns": texts[:place],
        "roles": ["asks" if number % 2 == 0 else "replies" for number in range(place)],
        "answer": texts[place],
    }


_TEMPLATES = (
    Template(inputs="{dialog}\n{next_speaker}:", kind="dialog"),
    Template(inputs="{dialog}\n\nIt is the turn of {next_speaker} now.", kind="dialog"),
    Template(inputs="Two people are talking. Write what comes next.\n{dialog}", kind="dialog"),
    Template(
        inputs="Somebody wants to learn about a subject and asks one question after another.\n{dialog}\n"
        "Answer the last one.",
        kind="dialog",
    ),
    Template(
        inputs="You speak for {next_speaker} in this conversation. Reply to what was said last.\n{dialog}",
        kind="dialog",
    ),
    Template(
        inputs="{dialog}\nThe log breaks off here. What did {next_speaker} answer?", kind="dialog"
    ),
    Template(
        inputs="Go on from where they are, with one reply and nothing more.\n{dialog}",
        kind="dialog",
    ),
    Template(
        inputs="{answer}\n\nThat was the last reply in a conversation. Write the conversation up to it.",
        targets="{dialog}",
        kind="inversion",
    ),
    Template(
        inputs='How may two people have come to the point where one says: "{answer}"?',
        targets="{dialog}",
        kind="inversion",
    ),
    Template(
        inputs="Make up the questions and answers that lead to this reply. Reply: {answer}",
        targets="{dialog}",
        kind="inversion",
    ),
)


def _task(key: str, source: sources.Tfds, **parts: Any) -> InstructionTask:
    return InstructionTask(
        name=f"{FAMILY}:{key}",
        cluster="dialog",
        source=source,
        templates=_TEMPLATES,
        metrics=(metrics.rouge_l,),
        licence="unknown (TFDS does not state it)",
        may_cut=("turns",),
        **parts,
    )


# Published rows: examples that the Flan Collection counts (`T_NAME_TO_NUM_CASES`).
TASKS = (
    _task(
        "qrecc",
        sources.Tfds("q_re_cc:1.0.0", train="train", test="test"),
        to_fields=qrecc_fields,
        publication=Publication(url="https://arxiv.org/abs/2010.04898"),
        lineage=("qrecc", "quac", "natural_questions", "trec_cast"),
        published_rows={"train": 10_170},
    ),
    _task(
        "wiki_dialog",
        sources.Tfds("wiki_dialog/OQ:1.0.0", train="train", test="validation"),
        to_fields=wiki_dialog_fields,
        publication=Publication(url="https://arxiv.org/abs/2205.09073"),
        lineage=("wiki_dialog", "wikipedia"),
        published_rows={"train": 11_264_000},
    ),
)
