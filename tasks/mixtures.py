"""Mixtures: rates, caps, weights. The tasks are in the other modules of this folder; FLAN 2021 has its own, `flan2021.py`."""

from flantune.data import Mixture, equal, proportional
from tasks import (
    chain_of_thought,
    natural_instructions,
    quickstart,
    self_instruct,
    t0,
    t0_prompts,
    tk_instruct,
)

# Twenty of the test tasks: one or two of each of the twelve published categories, generation and classification.
_SUPER_NI_EVAL20 = (
    "task020_mctaco_span_based_question",
    "task1439_doqa_cooking_isanswerable",
    "task391_causal_relationship",
    "task827_copa_commonsense_reasoning",
    "task033_winogrande_answer_generation",
    "task249_enhanced_wsc_pronoun_disambiguation",
    "task102_commongen_sentence_generation",
    "task957_e2e_nlg_text_generation_generate",
    "task879_schema_guided_dstc8_classification",
    "task1533_daily_dialog_formal_classification",
    "task1557_jfleg_answer_generation",
    "task613_politifact_text_generation",
    "task039_qasc_find_overlapping_words",
    "task035_winogrande_question_modification_person",
    "task442_com_qa_paraphrase_question_generation",
    "task190_snli_classification",
    "task1388_cb_entailment",
    "task288_gigaword_summarization",
    "task1356_xlsum_title_generation",
    "task1157_bard_analogical_reasoning_rooms_for_containers",
)

# T0's names in ours.
_T0 = {"T0": "t0_train", "T0+": "t0_plus_train", "T0++": "t0_plus_plus_train"}

MIXTURES = (
    Mixture(
        name="quickstart_train",
        rates={
            task.name: equal()
            for task in quickstart.TASKS
            if task.cluster != quickstart.HELD_OUT_CLUSTER
        },
    ),
    Mixture(
        name="quickstart_held_out",
        rates={
            task.name: equal()
            for task in quickstart.TASKS
            if task.cluster == quickstart.HELD_OUT_CLUSTER
        },
    ),
    Mixture(  # those whose answer options can be ranked
        name="quickstart_choices",
        rates={task.name: equal() for task in quickstart.TASKS if task.answer_choices},
    ),
    # 100 rows a task, as Tk-Instruct trains (https://arxiv.org/abs/2204.07705, appendix); more add little. Without the
    # test track and all tasks of its source datasets: list `tasks.held_out`, which has the plan, beside this module.
    Mixture(
        name="super_ni_train",
        rates={f"{natural_instructions.FAMILY}:*": proportional(cap=100)},
        held_out="super_ni",
    ),
    Mixture(
        name="super_ni_eval20",
        rates={f"{natural_instructions.FAMILY}:{name}": equal() for name in _SUPER_NI_EVAL20},
    ),
    # The Flan Collection's caps and shares: 100,000 rows a set, zero-shot and few-shot half each.
    *(
        Mixture(
            name=f"chain_of_thought_{shots}_shot",
            rates={
                f"{task.name}#chain_of_thought{setting}": proportional(cap=100_000)
                for task in chain_of_thought.TASKS
            },
        )
        for shots, setting in (("zero", ""), ("few", ".few_shot"))
    ),
    Mixture(
        name="chain_of_thought",
        rates={"chain_of_thought_zero_shot": 0.5, "chain_of_thought_few_shot": 0.5},
    ),
    # All of T0's prompts, those that turn a dataset around among them. A dataset of more than 500,000 rows shares these
    # among its prompts; a smaller one has its rows for each (https://arxiv.org/abs/2110.08207, section 5).
    *(
        Mixture(
            name=name,
            rates={
                f"{task}#with_inversions": proportional(
                    cap=500_000, per_template=True, shared_cap=True
                )
                for dataset in t0_prompts.trained_by(published)
                for task in t0.task_names(dataset.name)
            },
        )
        for published, name in _T0.items()
    ),
    Mixture(  # evaluated by ranking on the published prompts; T0+ and T0++ train on some of them
        name="t0_held_out",
        rates={
            task: equal()
            for dataset in t0_prompts.evaluated("held_out")
            for task in t0.task_names(dataset.name)
        },
    ),
    # Tk-Instruct's two tracks: 100 instances a task, each in one of the five encodings, equally often.
    Mixture(name="tk_instruct_train", rates={"tk_train:*": proportional(cap=tk_instruct.ROWS)}),
    Mixture(name="tk_instruct_test", rates={"tk_test:*": equal()}),
    Mixture(  # the encoding of the paper's headline results
        name="tk_instruct_train_definition_positive_2",
        rates={"tk_train:*#definition_positive_2": proportional(cap=tk_instruct.ROWS)},
    ),
    # Instruction rows as published, each row as often as any other.
    Mixture(name="alpaca", rates={"alpaca:alpaca": equal()}),
    Mixture(name="flan_alpaca", rates={"flan_alpaca:alpaca": equal()}),
    Mixture(
        name="self_instruct",
        rates={task.name: proportional(cap=None) for task in self_instruct.TASKS},
    ),
    Mixture(name="instructgpt_sft", rates={"instructgpt_sft:*": proportional(cap=None)}),
)
