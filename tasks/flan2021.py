"""FLAN 2021 (https://arxiv.org/abs/2109.01652): the tasks of its twelve clusters, its mixtures, plans and few-shot setting.

A run lists this module alone. The tasks and their wordings are in the clusters' own modules.

    flan2021                   for training: all wordings, inverted ones too, by rows, of which 3,000 a task count at most
    flan2021_without_CLUSTER   the same without what the plan of the same name holds out: a cluster and those near to it
    flan2021_CLUSTER           for evaluation: the tasks of a cluster, uncapped

The clusters are the twelve of the paper's figure 3. The code of the paper has 17: eleven are the same, and "misc" is taken
apart into conversational_qa, math, word_disambiguation, linguistic_acceptability, question_classification and
text_formatting. WSC, WMT14, true_case and word_segment are in that code but not in the figure, and stand beside the tasks
nearest to them; WSC273 is in the figure alone, and has no training rows.

Plans go by clusters, as published: a source that two clusters share (QNLI has SQuAD's paragraphs) leaves no task out.
`flantune leakage` lists what is shared as waived.
"""

from flantune.data import HeldOutPlan, InstructionTask, Mixture, Waiver, proportional
from flantune.prompting import PromptSetting, Separators
from tasks import (
    closed_book_qa,
    commonsense,
    coreference,
    misc,
    nli,
    paraphrase,
    reading_comprehension,
    reading_comprehension_with_commonsense,
    sentiment,
    struct_to_text,
    summarization_everyday,
    summarization_news,
    text_formatting,
    translation,
)

_MODULES = (
    closed_book_qa,
    commonsense,
    coreference,
    misc,
    nli,
    paraphrase,
    reading_comprehension,
    reading_comprehension_with_commonsense,
    sentiment,
    struct_to_text,
    summarization_everyday,
    summarization_news,
    text_formatting,
    translation,
)

TASKS: tuple[InstructionTask, ...] = tuple(task for module in _MODULES for task in module.TASKS)
CLUSTERS = tuple(sorted({task.cluster for task in TASKS}))
# What is not trained on either where a cluster is held out (flan/task_splits.py of google-research/FLAN).
NEAR = {
    "reading_comprehension": ("reading_comprehension_with_commonsense",),
    "commonsense": ("reading_comprehension_with_commonsense",),
    "reading_comprehension_with_commonsense": ("reading_comprehension", "commonsense"),
    "natural_language_inference": ("paraphrase",),
    "paraphrase": ("natural_language_inference",),
}
_CAPPED = proportional(cap=3_000)  # the paper, section 2.4
_BY_CLUSTER_ALONE = Waiver(
    evaluation="*",
    training="flan2021:*",
    reason="FLAN 2021 holds out clusters; what tasks of other clusters share with them it trains on",
    kinds=("lineage", "ngram"),
)

MIXTURES = (
    Mixture(
        name="flan2021",
        rates={
            f"{task.name}#with_inversions": _CAPPED
            for task in TASKS
            if "train" in task.source.splits
        },
    ),
    *(
        Mixture(
            name=f"flan2021_without_{cluster}",
            rates={"flan2021": _CAPPED},
            held_out=f"flan2021_without_{cluster}",
        )
        for cluster in CLUSTERS
    ),
    *(
        Mixture(
            name=f"flan2021_{cluster}",
            rates={task.name: proportional(cap=None) for task in TASKS if task.cluster == cluster},
        )
        for cluster in CLUSTERS
    ),
)

PLANS = tuple(
    HeldOutPlan(
        name=f"flan2021_without_{cluster}",
        clusters=(cluster, *NEAR.get(cluster, ())),
        evaluation={f"flan2021_{cluster}": "test"},
        waivers=(_BY_CLUSTER_ALONE,),
    )
    for cluster in CLUSTERS
)

# "flan2021_few_shot" has up to 16 exemplars; "flan2021_few_shot.3_shot" up to 3. FLAN bounds the exemplars by 960 tokens, here
# it is the prompt that is bounded, of at most 1,024 there.
SETTINGS = {
    "flan2021_few_shot": PromptSetting(
        shots=16,
        separators=(
            Separators(
                inputs_prefix="0 ",
                targets_prefix="1 ",
                x_y_delimiter=" X ",
                example_separator=" X ",
                final_suffix="FLAN",
            ),
        ),
        max_input_tokens=960,
    )
}

LINT_ALLOW = {
    name: codes for module in _MODULES for name, codes in getattr(module, "LINT_ALLOW", {}).items()
}
