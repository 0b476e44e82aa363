"""Held-out plans: what must not be trained on before something is evaluated. Checked by `flantune leakage --plan NAME`.

A plan finds only tasks of the modules that the run lists: list the modules of what it evaluates beside this one.
"""

from flantune.data.held_out_plan import HeldOutPlan, Waiver
from tasks import natural_instructions, super_ni_test_tasks

PLANS = (
    # The published split of Super-NaturalInstructions (https://arxiv.org/abs/2204.07705): its test tasks are left out,
    # and so are training tasks of the same source datasets.
    HeldOutPlan(
        name="super_ni",
        tasks=tuple(
            f"{natural_instructions.FAMILY}:{name}" for name in super_ni_test_tasks.TEST_TASKS
        ),
        evaluation={"super_ni_eval20": "test"},
    ),
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
