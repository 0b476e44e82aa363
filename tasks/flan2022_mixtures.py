"""The Flan Collection's mixtures (https://arxiv.org/abs/2301.13688): four submixtures, their settings, and published weights.

List these modules in `DataConfig.modules`: tasks.flan2022, tasks.t0, tasks.natural_instructions, tasks.chain_of_thought,
tasks.dialog and this one. What a mixture is, before any data are there: `flantune ledger --published flan2022`.

    flan2022                   weights of the collection's example script, run_example.py
    flan2022_library_default   DEFAULT_MIXTURE_RATES of its mixtures.py, which nothing there reads
    flan2022_paper_a, _b       Flan-T5's paper, for its ablations and for the released models
                               (https://arxiv.org/abs/2210.11416, appendix): no dialog, no inverted reasoning

A submixture halves into zero-shot and few-shot; FLAN and T0 halve these again, with and without answer options. Within a
setting a task counts its rows up to a cap. Inversions of chain of thought and dialog are members of their own at weight
0.3; FLAN's and T0's are among the wordings of their tasks, each as often as any other.

What differs from the collection: the few-shot settings show one to five exemplars instead of five, or 2.5 on average. T0's
prompts without options are those whose own text lists no choices, where the collection keeps most of these as they are. The
paper's Muffin had dialog and program synthesis too, at weights that are not published: `flan2022_flan` stands for it, and
`flan2022_program_synthesis` can be added at a weight of your own. Natural Instructions are capped task by task; the
collection registers them as one task, so that its cap does nothing.
"""

from collections.abc import Iterable, Mapping, Sequence

from flantune.data import InstructionTask, Mixture, proportional
from flantune.data.mixture import Rate
from tasks import (
    chain_of_thought,
    dialog,
    flan2022,
    natural_instructions,
    program_synthesis,
    t0,
    t0_prompts,
)

INVERSION_WEIGHT = 0.3
_FLAN_CAP = 30_000
_T0_CAP = 20_000  # of each prompt
_COT_CAP = 100_000
_NIV2_CAP = 5_000
_DIALOG_CAP = 200_000

# The 26 datasets of T0-SF: of those that T0, T0+ and T0++ train on, the ones that FLAN has not.
T0_SF = (
    "adversarial_qa/dbert", "adversarial_qa/dbidaf", "adversarial_qa/droberta", "amazon_polarity", "app_reviews",
    "cos_e/v1.11", "dbpedia_14", "dream", "duorc/ParaphraseRC", "duorc/SelfRC", "kilt_tasks/hotpotqa", "qasc", "quail",
    "quarel", "quartz", "quoref", "race/high", "race/middle", "ropes", "sciq", "social_i_qa", "web_questions",
    "wiki_bio", "wiki_hop/original", "wiki_qa", "wiqa",
)  # fmt: skip
# Prompts of WikiQA that every row has; the others are for the 1,040 rows whose answer is right.
_WIKI_QA = (
    "Decide_good_answer",
    "Is This True?",
    "automatic_system",
    "exercise",
    "found_on_google",
)
_WIKI_QA_RIGHT_ROWS = 1_040
# Ids of Natural Instructions that the collection leaves out because they are MMLU's questions.
MMLU_IDS = (*range(664, 668), *range(685, 738))

# The settings of FLAN and T0-SF, and those of the rest, in the collection's names and in our words.
_WITH_AND_WITHOUT_OPTIONS = {
    "zsopt": (),
    "fsopt": ("few_shot",),
    "zsnoopt": ("no_options",),
    "fsnoopt": ("few_shot", "no_options"),
}
_WITH_OPTIONS = {"zsopt": (), "fsopt": ("few_shot",)}


def _flan(*words: str) -> dict[str, Rate]:
    """FLAN's tasks in the setting of some words."""
    setting = ".".join(("with_inversions", *words))
    return {f"{task.name}#{setting}": proportional(cap=_FLAN_CAP) for task in flan2022.TASKS}


def _t0(*words: str) -> dict[str, Rate]:
    """T0-SF's datasets, of which each prompt counts as a task; those that have none in the setting are left out."""
    setting = ".".join(("with_inversions", *words))
    rates: dict[str, Rate] = {}
    for dataset in map(t0_prompts.DATASETS.__getitem__, T0_SF):
        left_out = dataset.with_choices if "no_options" in words else frozenset()
        used = [one for one in (*dataset.prompts, *dataset.other_prompts) if one not in left_out]
        if used:
            cap = _mean_wiki_qa_rows(used) if dataset.name == "wiki_qa" else _T0_CAP
            (task,) = t0.task_names(dataset.name)
            rates[f"{task}#{setting}"] = proportional(cap=cap, per_template=True)
    return rates


def _mean_wiki_qa_rows(prompts: Sequence[str]) -> int:
    """Rows up to the cap that a prompt of WikiQA has on average."""
    rows = [_T0_CAP if one in _WIKI_QA else _WIKI_QA_RIGHT_ROWS for one in prompts]
    return round(sum(rows) / len(rows))


def _each(tasks: Iterable[InstructionTask], cap: int, *words: str) -> dict[str, Rate]:
    setting = "".join(("#", ".".join(words))) if words else ""
    return {f"{task.name}{setting}": proportional(cap=cap) for task in tasks}


def _whole(name: str, settings: Mapping[str, Mapping[str, Rate]]) -> tuple[Mixture, ...]:
    """A submixture and its settings, each with the same share: "flan2022_cot" has "flan2022_cot_zsopt" and others."""
    parts = {f"{name}_{setting}": rates for setting, rates in settings.items()}
    return (
        Mixture(name=name, rates=dict.fromkeys(parts, 1 / len(parts))),
        *(Mixture(name=part, rates=rates) for part, rates in parts.items()),
    )


def _with_inversion(name: str) -> tuple[Mixture, ...]:
    """A submixture of "NAME_forward" and "NAME_inversion", setting by setting."""
    return _whole(
        name,
        {
            setting: {
                f"{name}_forward_{setting}": 1,
                f"{name}_inversion_{setting}": INVERSION_WEIGHT,
            }
            for setting in _WITH_OPTIONS
        },
    )


_SUBMIXTURES = (
    *_whole(
        "flan2022_flan", {name: _flan(*words) for name, words in _WITH_AND_WITHOUT_OPTIONS.items()}
    ),
    *_whole(
        "flan2022_t0", {name: _t0(*words) for name, words in _WITH_AND_WITHOUT_OPTIONS.items()}
    ),
    *_with_inversion("flan2022_cot"),
    *_whole(
        "flan2022_cot_forward",
        {
            name: _each(chain_of_thought.TASKS, _COT_CAP, "chain_of_thought", *words)
            for name, words in _WITH_OPTIONS.items()
        },
    ),
    *_whole(
        "flan2022_cot_inversion",
        {
            name: _each(chain_of_thought.TASKS, _COT_CAP, "inversion", *words)
            for name, words in _WITH_OPTIONS.items()
        },
    ),
    *_with_inversion("flan2022_dialog"),
    *_whole(
        "flan2022_dialog_forward",
        {name: _each(dialog.TASKS, _DIALOG_CAP, *words) for name, words in _WITH_OPTIONS.items()},
    ),
    *_whole(
        "flan2022_dialog_inversion",
        {
            name: _each(dialog.TASKS, _DIALOG_CAP, "inversion", *words)
            for name, words in _WITH_OPTIONS.items()
        },
    ),
)


def _niv2(setting: str) -> Mixture:
    """Natural Instructions without MMLU, in one of the encodings of its module."""
    encoding = {"zsopt": "definition", "fsopt": "definition_positive_2"}[setting]
    return Mixture(
        name=f"flan2022_niv2_{setting}",
        rates={f"{natural_instructions.FAMILY}:*#{encoding}": proportional(cap=_NIV2_CAP)},
        exclude=tuple(f"{natural_instructions.FAMILY}:task{number}_*" for number in MMLU_IDS),
    )


MIXTURES = (
    *_SUBMIXTURES,
    Mixture(name="flan2022_niv2", rates={"flan2022_niv2_zsopt": 0.5, "flan2022_niv2_fsopt": 0.5}),
    _niv2("zsopt"),
    _niv2("fsopt"),
    *_whole(
        "flan2022_program_synthesis",
        {
            "zsopt": {f"{program_synthesis.FAMILY}:*": proportional(cap=_FLAN_CAP)},
            "fsopt": {f"{program_synthesis.FAMILY}:*#few_shot": proportional(cap=_FLAN_CAP)},
        },
    ),
    Mixture(
        name="flan2022",
        rates={
            "flan2022_flan": 0.40,
            "flan2022_t0": 0.32,
            "flan2022_niv2": 0.20,
            "flan2022_cot": 0.05,
            "flan2022_dialog": 0.03,
        },
    ),
    Mixture(
        name="flan2022_library_default",
        rates={
            "flan2022_flan": 4,
            "flan2022_t0": 3,
            "flan2022_niv2": 1,
            "flan2022_cot_forward": 1,
            "flan2022_cot_inversion": INVERSION_WEIGHT,
            "flan2022_dialog_forward": 1,
            "flan2022_dialog_inversion": INVERSION_WEIGHT,
        },
    ),
    Mixture(
        name="flan2022_paper_a",
        rates={
            "flan2022_flan": 52,
            "flan2022_t0": 15,
            "flan2022_niv2": 30,
            "flan2022_cot_forward": 3,
        },
    ),
    Mixture(
        name="flan2022_paper_b",
        rates={
            "flan2022_flan": 46.0,
            "flan2022_t0": 27.9,
            "flan2022_niv2": 24.2,
            "flan2022_cot_forward": 1.8,
        },
    ),
)
