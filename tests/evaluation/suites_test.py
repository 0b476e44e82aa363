"""From rows of a prepared store to the questions of suites."""

import itertools

import pytest

from flantune import testing
from flantune.configs import EvalConfig, EvalSuite
from flantune.data import Mixture, catalog as catalog_lib, equal
from flantune.data.input import tokenize
from flantune.data.vocabularies import vocabulary
from flantune.evaluation import suites
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
ROWS = {"test": [{"text": "It rains.", "label": 1}, {"text": "It is hot.", "label": 0}]}
PLAIN = Template(inputs="{text} Wet?")
LISTED = Template(inputs="{text}\nWet?\n{options}")


def _choice_task(name="toy:wet", rows=ROWS, templates=(PLAIN,), **changes):
    values = {"answer_choices": ("no", "yes"), **changes}
    return testing.make_task(name, rows, templates=templates, **values)


class Words(vocabulary.ByteVocabulary):
    """A vocabulary that knows three words; all others are one unknown token."""

    known = ("no", "yes", "so")

    def encode(self, text):
        return [3 + self.known.index(w) if w in self.known else 2 for w in text.split()]

    def encode_batch(self, texts):
        return [self.encode(text) for text in texts]


def written(params, requests):
    return requests


def scored(params, requests):
    return requests


def _build(tmp_path, tasks, vocabulary=BYTES, mixture="toy:*", inputs_length=64, **changes):
    store = testing.prepare(tasks, tmp_path)
    catalog = catalog_lib.Catalog(
        modules=(),
        tasks={task.name: task for task in tasks},
        mixtures={"all": Mixture(name="all", rates={mixture: equal()})},
    )
    tokenizer = tokenize.Tokenizer(
        vocabulary, inputs_length=inputs_length, targets_length=8, seed=0
    )
    evaluation = EvalConfig(
        suites=(EvalSuite(name="suite", **{"answer_by": "ranking", **changes}),),
        metric="exact_match",
        batch_size=2,
        max_decode_length=4,
    )
    builder = suites.Builder(tokenizer, vocabulary, {"generation": written, "ranking": scored})
    return builder.build(evaluation, catalog, store, default_mixture="all")["suite"]


def _examples(*arguments, **keywords):
    (task,) = _build(*arguments, **keywords).tasks
    return task.examples


def test_a_suite_is_generated_unless_it_says_ranking(tmp_path):
    suite = _build(tmp_path, [_choice_task()], answer_by="generation")
    assert (suite.answer, suite.metric) == (written, "exact_match")
    assert suite.tasks[0].requests() == ["It rains. Wet?", "It is hot. Wet?"]
    suite = _build(tmp_path, [_choice_task()], metric="rank_accuracy/pmi")
    assert (suite.answer, suite.metric) == (scored, "rank_accuracy/pmi")
    assert suite.tasks[0].requests()[2:] == [
        ("It is hot. Wet?", ("no", "yes")),
        (" Wet?", ("no", "yes")),
    ]


def test_an_example_has_its_options_the_right_one_and_their_order(tmp_path):
    first, second = _examples(tmp_path, [_choice_task()])
    assert (first.options, first.right, first.references) == (("no", "yes"), (1,), ("yes",))
    assert (second.options, second.right) == (("no", "yes"), (0,))
    assert first.uid == "toy:wet/test/0"


def test_lettered_options_stay_in_the_order_of_the_choices(tmp_path):
    rows = {"test": [{"text": f"Row {number}.", "label": number % 2} for number in range(60)]}
    examples = _examples(tmp_path, [_choice_task(rows=rows, templates=(LISTED,))])
    assert {example.choices for example in examples} == {("no", "yes")}
    assert [example.right for example in examples] == [(number % 2,) for number in range(60)]
    lettered = [example for example in examples if example.options[0] in ("(A)", "(B)")]
    assert {example.options for example in lettered} == {("(A)", "(B)"), ("(B)", "(A)")}
    for example in lettered:
        shown = f"{example.options[1]} yes"
        assert shown in example.inputs
        assert shown in example.unconditional_inputs  # a letter means nothing without its option
        assert "Row" not in example.unconditional_inputs


def test_numbers_of_options_may_differ_by_row(tmp_path):
    rows = {
        "test": [
            {"text": "a", "people": ["Ann"], "label": 0},
            {"text": "b", "people": ["Ann", "Bob", "Cid"], "label": 2},
        ]
    }
    first, second = _examples(tmp_path, [_choice_task(rows=rows, answer_choices="people")])
    assert (first.options, first.right) == (("Ann",), (0,))
    assert (second.options, second.right) == (("Ann", "Bob", "Cid"), (2,))


def test_what_is_scored_is_the_target_with_the_words_around_the_answer(tmp_path):
    template = Template(inputs="{text} Wet?", targets="I say {answer}.")
    first, _ = _examples(tmp_path, [_choice_task(templates=(template,))])
    assert first.options == ("I say no.", "I say yes.")
    assert first.choices == ("no", "yes")
    assert first.right == (1,)


def test_options_with_the_same_tokens_are_found(tmp_path):
    rows = {"test": [{"text": "a", "label": 1}, {"text": "b", "label": 0}]}
    task = _choice_task(rows=rows, answer_choices=("no", "green", "blue"))
    first, second = _examples(tmp_path, [task], vocabulary=Words())
    assert first.same_as == (0, 1, 1)
    assert (first.is_alike, second.is_alike) == (True, False)


INVERTED = Template(inputs="Answer: {answer}. Sentence:", targets="{text}", kind="inversion")
REASONED = Template(inputs="{text} Wet?", targets="{text} So {answer}.", kind="cot")


@pytest.mark.parametrize(
    ("mixture", "reason"),
    [
        ("toy:wet#inversion", r"1 of its 1 tasks: 'toy:wet#inversion' \(its wording is inverted"),
        ("toy:wet#chain_of_thought", r"'toy:wet#chain_of_thought' \(its targets hold more than"),
        ("toy:*", r"1 of its 2 tasks: 'toy:free' \(it has no answer choices\)"),
    ],
)
def test_what_cannot_be_ranked_is_refused_by_name(tmp_path, mixture, reason):
    free = testing.make_task("toy:free", {"test": [{"text": "a", "answer": "b"}]})
    tasks = [_choice_task(templates=(PLAIN, INVERTED, REASONED)), free]
    with pytest.raises(ValueError, match=rf"Suite 'suite' ranks answer options, .*{reason}"):
        _build(tmp_path, tasks, mixture=mixture)


@pytest.mark.parametrize("mixture", ["toy:*", "toy:*#with_inversions"])
def test_inverted_wordings_of_a_ranked_task_are_never_asked(tmp_path, mixture):
    rows = {"test": [{"text": f"Row {number}.", "label": 0} for number in range(30)]}
    task = _choice_task(rows=rows, templates=(INVERTED, PLAIN, INVERTED))
    examples = _examples(tmp_path, [task], mixture=mixture, templates="all")
    assert {example.template_id for example in examples} == {1}
    assert not any("Answer:" in text for e in examples for text in (e.inputs, *e.options))


def test_a_question_that_does_not_fit_is_left_out(tmp_path):
    rows = {"test": [{"text": "a" * 90, "label": 0}, {"text": "b", "label": 0}]}
    (kept,) = _examples(tmp_path, [_choice_task(rows=rows)])
    assert kept.inputs == "b Wet?"
    with pytest.raises(ValueError, match="no question of 'toy:wet' fits"):
        _build(tmp_path, [_choice_task()], inputs_length=4)


def test_rows_and_templates_are_those_of_generation(tmp_path):
    rows = {"test": [{"text": f"Row {number}.", "label": 0} for number in range(20)]}
    tasks = [_choice_task(rows=rows, templates=(LISTED, PLAIN))]
    ranked, written = (
        _build(tmp_path, tasks, answer_by=kind, examples_per_task=12).tasks[0].examples
        for kind in ("ranking", "generation")
    )
    assert len(ranked) == 12
    for one, other in itertools.zip_longest(ranked, written):
        assert (one.uid, one.template_id, one.inputs) == (
            other.uid,
            other.template_id,
            other.inputs,
        )
