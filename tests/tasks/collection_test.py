"""The collection's tasks: every wording in every setting on three rows that fit what TFDS declares. No network, no data."""

import collections

import pytest

from flantune.data import members, sources
from flantune.prompting import choice, rendering, settings

from . import collection

TASKS = collection.tasks()
SETTINGS = ("", "no_options", "fixed_options", "inversion", "2_shot", "2_shot.no_options")
USED = [
    (name, setting)
    for name, task in TASKS.items()
    for setting in SETTINGS
    if members.supports(task, settings.parse(setting))
]
CLUSTERS = {
    "natural_language_inference", "commonsense", "sentiment", "paraphrase", "closed_book_qa", "struct_to_text",
    "reading_comprehension", "reading_comprehension_with_commonsense", "coreference", "misc", "summarization",
    "translation", "word_prediction",
}  # fmt: skip


def fields_of(task):
    return [task.to_fields(row) for row in collection.example_rows()[task.name]]


def render(task, index, fields, setting, exemplars):
    return rendering.render(
        templates=task.templates,
        usable=(index,),
        fields=fields,
        constants=task.constants,
        answer_choices=task.answer_choices,
        setting=settings.parse(setting),
        chooser=choice.Chooser(0, 0, "row"),
        exemplars=exemplars,
        first_reference=task.first_reference,
    )


def test_tasks_without_rows_are_others_with_other_splits():
    for name, task in collection.all_tasks().items():
        if name not in TASKS:
            other = TASKS[name.replace("flan2022:", "flan2021:")]
            assert other is not task
            assert (task.to_fields, task.templates) == (other.to_fields, other.templates)
            assert task.answer_choices == other.answer_choices


@pytest.mark.parametrize("name", list(TASKS))
def test_rows_are_as_tfds_declares_them_and_its_version_can_be_built(name):
    source = TASKS[name].source
    rows = collection.example_rows()[name]
    assert len(rows) == 3
    if isinstance(source, sources.Tfds):
        dataset, _, version = source.name.partition(":")
        declared = collection.tfds_features()[dataset]
        assert version in (declared["version"], *declared["also"])
        assert [collection.misfit(row, declared["features"]) for row in rows] == [None] * 3


@pytest.mark.parametrize("name", list(TASKS))
def test_fields_are_those_that_the_task_declares_and_hold_the_answer(name):
    task = TASKS[name]
    for fields in fields_of(task):
        assert fields is not None
        assert set(task.needed_fields()) <= set(fields) <= set(task.known_fields())
        choices = task.answer_choices
        if choices is None:
            answers = [fields["answer"]] if isinstance(fields["answer"], str) else fields["answer"]
            assert answers
            assert all(answer.strip() == answer != "" for answer in answers)
            continue
        choices = fields[choices] if isinstance(choices, str) else choices
        assert 0 <= fields["label"] < len(choices)
        assert len(set(choices)) == len(choices) >= 2


@pytest.mark.parametrize(("name", "setting"), USED)
def test_every_wording_renders(name, setting):
    task = TASKS[name]
    examples = fields_of(task)
    for index in rendering.usable_templates(task.templates, "all", settings.parse(setting)):
        for row, fields in enumerate(examples):
            others = [
                rendering.Exemplar(row=other, fields=examples[other])
                for other in range(len(examples))
                if other != row
            ]
            prompt = render(task, index, fields, setting, others if "shot" in setting else ())
            assert prompt.input_text.strip()
            assert prompt.inputs == prompt.inputs.strip() != ""
            assert prompt.targets == prompt.targets.strip() != ""
            assert task.templates[index].extract(prompt.targets) == prompt.references[0]
            assert not prompt.candidates or prompt.references[0] in prompt.candidates
            assert len(set(prompt.candidates)) == len(prompt.candidates)


@pytest.mark.parametrize("name", [name for name in TASKS if name.startswith("flan20")])
def test_has_ten_different_wordings_at_most_three_inverted_and_says_where_it_comes_from(name):
    task = TASKS[name]
    texts = collections.Counter(template.inputs for template in task.templates)
    assert len(texts) == len(task.templates) >= 10
    assert sum(template.kind == "inversion" for template in task.templates) <= 3
    assert task.cluster in CLUSTERS
    assert task.lineage
    assert task.licence
    assert task.metrics
