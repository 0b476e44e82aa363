"""Held-out plans: what must not be trained on before something is evaluated. Checked by `flantune leakage --plan NAME`.

A plan finds only tasks of the modules that the run lists: list the modules of what it evaluates beside this one.
"""

from flantune.data.held_out_plan import HeldOutPlan, Waiver
from tasks import natural_instructions, super_ni_test_tasks

_NI = natural_instructions.FAMILY
# Further tasks on the Winograd schemas of task249, whose files name other sources: each holds 4 of its 100 rows.
_WINOGRAD = ("*_winowhy_*", "task647_answer_generation")

PLANS = (
    # The published split of Super-NaturalInstructions (https://arxiv.org/abs/2204.07705): its test tasks are left out,
    # and so are training tasks of the same source datasets. The counts of waivers are those of 250 instances a task.
    HeldOutPlan(
        name="super_ni",
        tasks=tuple(f"{_NI}:{name}" for name in (*super_ni_test_tasks.TEST_TASKS, *_WINOGRAD)),
        evaluation={"super_ni_eval20": "test"},
        waivers=(
            Waiver(
                evaluation=f"{_NI}:task039_qasc_find_overlapping_words",
                training=f"{_NI}:*_obqa_*",
                reason="QASC and OpenBookQA quote the same facts; no question is in both (2 rows and 1 row)",
                kinds=("ngram",),
                max_rows=2,
            ),
            Waiver(
                evaluation=f"{_NI}:task879_schema_guided_dstc8_classification",
                training=f"{_NI}:*",
                reason='what everybody says, "you re welcome have a great day", in six tasks (4, 2, 2, 1, 1 and 1 rows)',
                kinds=("ngram",),
                max_rows=4,
            ),
        ),
    ),
    # T0's held-out tasks: natural language inference, coreference, sentence completion, word senses.
    HeldOutPlan(name="t0", evaluation={"t0_held_out": "validation"}),
    # What the Flan models were evaluated on (https://arxiv.org/abs/2210.11416).
    HeldOutPlan(
        name="mmlu_and_bbh",
        tasks=("mmlu:*", "bbh:*"),
        evaluation={"mmlu:*": "test", "bbh:*": "test"},
    ),
    HeldOutPlan(
        name="commonsense",
        tasks=("commonsense_qa:*", "copa:*"),
        evaluation={"commonsense_qa:*": "test", "copa:*": "test"},
    ),
    # GSM8K's own training set may be trained on, in either form; its test set may not.
    HeldOutPlan(
        name="gsm8k",
        evaluation={"gsm8k:gsm8k": "test"},
        waivers=(
            Waiver(
                evaluation="gsm8k:gsm8k",
                training="*:gsm8k",
                reason="the published training set of the same dataset",
                kinds=("lineage",),
            ),
            Waiver(
                evaluation="gsm8k:gsm8k",
                training="*:gsm8k",
                reason="three problems are told alike with other numbers in both published sets",
                kinds=("ngram",),
                max_rows=3,
            ),
        ),
    ),
)
