"""The FLAN part of the Flan Collection of 2022 (https://arxiv.org/abs/2301.13688): FLAN 2021's tasks on all of their rows.

"flan2022:KEY" is "flan2021:KEY" with the same wordings and other splits: the cap of 30,000 training rows moves from the
task to the mixture (`flan2022_mixtures.py`). Where TFDS has a validation split, the three splits are whole; where it has
none, the last 200 training rows remain validation. As in the Flan Collection, the rows made from ParaCrawl stay as they
were, there is no WSC273, and WSC comes in SuperGLUE's "fixed" version. QuAC's mark for questions without an answer is a
word here already in 2021, so its rows stay; the Flan Collection blanks it.

New in 2022: LAMBADA, whose last word is asked for (TFDS calls the published development set "train"), and the middle-school
questions of AI2 in UnifiedQA's form, those with exactly the options A to D.

PUBLISHED_ROWS are the training examples that the Flan Collection counts for its zero-shot prompts
(`T_NAME_TO_NUM_CASES`); its builder drops a last batch of fewer than ten.
"""

from collections.abc import Mapping
import dataclasses
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields, Source
from flantune.prompting import Template
from tasks import flan2021, row_fields

FAMILY = "flan2022"
_LEFT_OUT = ("wsc273",)
_CAP = "[:30000]"  # what the training splits of FLAN 2021 end with
_PARA_CRAWL = ("para_crawl_enes", "true_case", "fix_punct", "word_segment")

PUBLISHED_ROWS = {
    "aeslc": 14_430, "ag_news_subset": 119_800, "anli_r1": 16_940, "anli_r2": 45_460, "anli_r3": 100_450,
    "arc_challenge": 910, "arc_easy": 2_040, "bool_q": 9_220, "cb": 200, "cnn_dailymail": 287_040, "cola": 8_350,
    "common_gen": 67_180, "copa": 350, "coqa": 7_090, "cosmos_qa": 25_060, "dart": 62_450,
    "definite_pronoun_resolution": 1_120, "drop": 77_200, "e2e_nlg": 33_320, "fix_punct": 28_070,
    "gigaword": 2_044_370, "glue_mrpc": 3_460, "glue_qqp": 363_640, "hellaswag": 39_700, "imdb_reviews": 24_800,
    "lambada": 4_860, "math_dataset": 1_999_780, "mnli_matched": 392_500, "mnli_mismatched": 392_500,
    "multi_news": 44_960, "multirc": 27_040, "natural_questions": 87_720, "newsroom": 994_560, "openbookqa": 4_950,
    "opinion_abstracts_idebate": 1_650, "opinion_abstracts_rotten_tomatoes": 3_130, "para_crawl_enes": 30_000,
    "paws_wiki": 49_400, "piqa": 16_010, "qnli": 104_540, "quac": 83_360, "record": 100_520, "rte": 2_290,
    "samsum": 14_730, "sentiment140": 1_599_800, "snli": 549_360, "squad_v1": 87_390, "squad_v2": 130_110,
    "sst2": 67_140, "story_cloze": 1_670, "stsb": 5_640, "trec": 5_250, "trivia_qa": 87_420, "true_case": 29_260,
    "unified_qa_science_inst": 590, "web_nlg_en": 35_220, "wic": 5_220, "wiki_lingua_english_en": 99_000,
    "winogrande": 40_190, "wmt14_enfr": 40_835_840, "wmt16_translate_csen": 52_335_360,
    "wmt16_translate_deen": 4_548_800, "wmt16_translate_fien": 2_073_360, "wmt16_translate_roen": 610_320,
    "wmt16_translate_ruen": 2_516_160, "wmt16_translate_tren": 205_750, "wnli": 600, "word_segment": 30_000,
    "wsc": 500, "xsum": 203_560, "yelp_polarity_reviews": 559_800,
}  # fmt: skip

# UnifiedQA writes "Why? \n (A) this (B) that", the line break as a backslash and an n.
_OPTION = re.compile(r"\(([A-Z])\)")


def lambada_fields(row: Mapping[str, Any]) -> Fields | None:
    """The passage without its last word, and that word; None where the last one is no word, but a mark."""
    passage, _, word = row_fields.clean(row["passage"]).rpartition(" ")
    if not passage or not any(letter.isalnum() for letter in word):
        return None
    return {"passage": passage, "answer": word}


def science_fields(row: Mapping[str, Any]) -> Fields | None:
    """Question and options of UnifiedQA's one text; None where the options are not A to D, or the answer is none of them."""
    question, *parts = _OPTION.split(row["input"].replace("\\n", " "))
    letters, texts = parts[::2], [row_fields.clean(text) for text in parts[1::2]]
    answer = row_fields.clean(row["output"])
    if letters != ["A", "B", "C", "D"] or answer not in texts or not question.strip():
        return None
    return row_fields.with_choices(
        {"question": row_fields.clean(question)}, texts, texts.index(answer)
    )


_LAMBADA = (
    Template(inputs="{passage}\nWhich single word comes next?"),
    Template(inputs="One word is missing at the end of this passage. Supply it.\n{passage} ..."),
    Template(inputs="Guess the last word of the scene.\n{passage}"),
    Template(inputs="Passage without its final word: {passage}\nFinal word:"),
    Template(inputs="The page is torn after this:\n{passage}\nWhat did the next word say?"),
    Template(inputs="Read what happens, and complete the last sentence with one word. {passage}"),
    Template(
        inputs="A novel is being read aloud, and the reader stops just before a word. Say the word.\n{passage}"
    ),
    Template(inputs="{passage} ___\nFill in the blank from what was told before."),
    Template(
        inputs='Write a short passage whose last word is "{answer}", and leave that word out.',
        targets="{passage}",
        kind="inversion",
    ),
    Template(
        inputs="Make up a scene from a story. It must lead up to this word, which you do not write: {answer}",
        targets="{passage}",
        kind="inversion",
    ),
)

_SCIENCE = (
    Template(inputs="Science, grades six to eight: {question}\n{options}"),
    Template(inputs="{question}\nPick what a science teacher would accept.\n{options}"),
    Template(inputs="{options}\nOne of the lines above is right for this question. {question}"),
    Template(inputs="Question of a middle-school exam: {question}\n{options}\nSolution:"),
    Template(inputs="Which choice is scientifically correct?\n{question}\n{options}"),
    Template(inputs="{question}\nThink of what you learned in physics, chemistry and biology."),
    Template(inputs="Help a pupil with the homework in science.\n{question}\n{options}"),
    Template(inputs="Exam sheet\nItem: {question}\n{options}\nMark one:"),
    Template(
        inputs='Write a question for a science exam to which "{answer}" is the right answer, out of {choices|choices}.',
        targets="{question}",
        kind="inversion",
    ),
    Template(
        inputs="A science quiz has these answers, but no question yet.\n{choices|lettered}\nThe right one is: {answer}",
        targets="{question}",
        kind="inversion",
    ),
)


def _of_2021(task: InstructionTask) -> InstructionTask:
    """FLAN 2021's task with the splits of 2022."""
    key = task.name.partition(":")[2]
    return dataclasses.replace(
        task,
        name=f"{FAMILY}:{key}",
        source=_source(key, task.source),
        published_rows={"train": PUBLISHED_ROWS[key]},
    )


def _source(key: str, source: Source) -> Source:
    """FLAN 2021's source without its cap."""
    if isinstance(source, sources.HuggingFace):  # XSum
        whole = _uncapped(dict(source.dataset_splits))
        return sources.HuggingFace(source.folder, label_names=source.label_names, **whole)
    assert isinstance(source, sources.Tfds)
    splits = dict(source.tfds_splits)
    if key not in _PARA_CRAWL:
        splits = _uncapped(splits)
    name = "super_glue/wsc.fixed:1.0.2" if key == "wsc" else source.name
    return sources.Tfds(name, **splits)


def _uncapped(splits: Mapping[str, str]) -> dict[str, str]:
    """The splits on all rows: all of "validation" where that is used, else all training rows but the last 200."""
    if splits["validation"] == "validation[:200]":
        return {**splits, "train": "train", "validation": "validation"}
    if not splits["train"].endswith(_CAP):
        return dict(splits)
    return {**splits, "train": splits["train"].removesuffix(_CAP) + "[:-200]"}


def _new(key: str, source: sources.Tfds, **parts: Any) -> InstructionTask:
    return InstructionTask(
        name=f"{FAMILY}:{key}",
        source=source,
        published_rows={"train": PUBLISHED_ROWS[key]},
        **parts,
    )


TASKS = (
    *(_of_2021(task) for task in flan2021.TASKS if task.name.partition(":")[2] not in _LEFT_OUT),
    _new(
        "lambada",
        sources.Tfds("lambada:1.0.0", train="train", test="test"),
        cluster="word_prediction",
        to_fields=lambada_fields,
        templates=_LAMBADA,
        metrics=(metrics.exact_match,),
        lineage=("lambada", "bookcorpus"),
        licence="CC-BY-4.0",
        publication=Publication(url="https://arxiv.org/abs/1606.06031", download_bytes=334_527_694),
        may_cut=("passage",),
    ),
    _new(
        "unified_qa_science_inst",
        sources.Tfds(
            "unified_qa/ai2_science_middle:1.0.0",
            train="train",
            validation="validation",
            test="test",
        ),
        cluster="closed_book_qa",
        to_fields=science_fields,
        answer_choices="choices",
        templates=_SCIENCE,
        metrics=(metrics.accuracy,),
        lineage=("ai2_science", "arc"),
        licence="unknown (not stated)",
        publication=Publication(url="https://arxiv.org/abs/2005.00700"),
    ),
)

LINT_ALLOW = {
    name.replace("flan2021:", f"{FAMILY}:"): codes for name, codes in flan2021.LINT_ALLOW.items()
}
