r"""A vocabulary that treats text as T5's does: "\n" and runs of spaces become one space, "{" and "<" are unknown."""

import io

import pytest
import sentencepiece

from flantune import testing
from flantune.audit.lint import tokens as lint_tokens
from flantune.data.input import prompts
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Separators, Template

BYTES = vocabulary.ByteVocabulary()
DEFAULT = (Separators(),)


@pytest.fixture(scope="module")
def t5_like():
    """Trained here: released vocabularies are not part of the project."""
    model = io.BytesIO()
    words = [f"{a} {b}: the {c}? Options (A) - yes. 'no', \"X\" [1] Answer" for a, b, c in zip(
        "abcdefghijklmnop", "qrstuvwxyzABCDEF", "GHIJKLMNOPQRSTUV", strict=True)]  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*words, "0123456789+*;!,"] * 3),
        model_writer=model,
        vocab_size=90,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        character_coverage=1.0,
        normalization_rule_name="nmt_nfkc",
        remove_extra_whitespaces=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return vocabulary.SentencePieceVocabulary(model.getvalue(), "t5_like")


def found(
    vocabulary_, *templates, rows=({"text": "a b", "answer": "c"},), separators=DEFAULT, **changes
):
    """[(code, template, message)] of templates, with the rows rendered."""
    task = testing.make_task("t:tokens", {"train": []}, templates=templates, **changes)
    member = testing.make_member(task, rows=rows, templates="all")
    rendered = prompts.render(
        [prompts.Request(member, row, epoch) for row in range(len(rows)) for epoch in range(8)],
        seed=0,
    )
    sample = lint_tokens.Sample(prompts=rendered, separators=separators)
    check = lint_tokens.TokenCheck(vocabulary_).check(task, sample)
    return [(one.code, one.template, one.message) for one in check]


def codes(*arguments, **keywords):
    return [code for code, _, _ in found(*arguments, **keywords)]


MULTI_LINE = Template(inputs="Read:\n\n{text}\n\nThe answer:")


def test_bytes_keep_everything():
    template = Template(inputs="Read {{this}}  <now>:\n\n{text}\n\n¿Qué? →")
    assert not found(BYTES, template)


def test_unknown_characters_are_named(t5_like):
    (finding,) = [
        one
        for one in found(t5_like, Template(inputs="Read <{text}> {{x}}: ~"))
        if one[0] == "unknown_character"
    ]
    assert finding[1] == 0
    assert finding[2] == (
        "The wording has '<' (U+003C), '>' (U+003E), '{' (U+007B), '}' (U+007D), '~' (U+007E), unknown to the vocabulary."
    )


def test_unknown_characters_of_rows_are_counted_apart(t5_like):
    rows = [{"text": "a", "answer": "b"}, {"text": "ŵ a", "answer": "~"}]
    assert (
        "unknown_in_data",
        None,
        "The fields of 8 of 16 sampled prompts have 'ŵ' (U+0175), '~' (U+007E), unknown to the vocabulary.",
    ) in found(t5_like, Template(inputs="Q: {text}"), rows=rows)


def test_unknown_characters_of_choices_and_styles(t5_like):
    rows = [{"text": f"{i}", "label": i % 2} for i in range(12)]
    findings = found(
        t5_like, Template(inputs="Q: {text} {options}"), rows=rows, answer_choices=("a~", "b")
    )
    assert (
        "unknown_character",
        None,
        "The answer choices have '~' (U+007E), unknown to the vocabulary.",
    ) in findings
    assert any(code == "unknown_in_styles" and "'>'" in message for code, _, message in findings)


def test_line_breaks_and_runs_of_spaces_that_vanish(t5_like):
    assert found(t5_like, Template(inputs="Read:\n\n{text}  end\nof it."))[0] == (
        "lost_whitespace",
        0,
        "The inputs lose 3 line breaks and 1 run of spaces.",
    )
    assert "lost_whitespace" not in codes(BYTES, MULTI_LINE)


def test_constants_count_with_the_wording(t5_like):
    template = Template(inputs="{example}{text}")
    message = found(t5_like, template, constants={"example": "a\nb\n"})[0][2]
    assert message == "The inputs lose 2 line breaks."


def test_boundaries_made_of_white_space_vanish(t5_like):
    messages = [
        m for code, _, m in found(t5_like, Template(inputs="{text}")) if code == "lost_boundary"
    ]
    assert messages == [
        r"Of '\n\n' between the input of a solved example and its target only a space is left.",
        r"Of '\n\n\n' between one solved example and the next only a space is left.",
    ]


def test_words_around_the_fields_keep_a_boundary(t5_like):
    assert "lost_boundary" not in codes(t5_like, Template(inputs="Q: {text}\nA:"))
    only_last = [
        m for c, _, m in found(t5_like, Template(inputs="{text}\nA:")) if c == "lost_boundary"
    ]
    assert len(only_last) == 1
    assert "the next" in only_last[0]


def test_separators_of_settings_and_templates_are_checked(t5_like):
    marks = Separators(
        inputs_prefix="0 ", targets_prefix="1 ", x_y_delimiter=" X ", example_separator=" X "
    )
    assert "lost_boundary" not in codes(t5_like, Template(inputs="{text}"), separators=(marks,))
    own = Template(inputs="{text}", separators=marks)
    assert "lost_boundary" not in codes(t5_like, own)


def test_an_input_that_ends_as_an_example_does():
    same = Separators(x_y_delimiter="\n\n", example_separator="\n\n")
    assert ("same_boundaries", 0) in [
        one[:2] for one in found(BYTES, Template(inputs="{text}"), separators=(same,))
    ]
    assert "same_boundaries" not in codes(BYTES, Template(inputs="Q: {text}"), separators=(same,))


def test_boundaries_inside_the_text():
    rows = [{"text": "a\n\n\nb", "answer": "c"}]
    assert (
        "boundary_in_text",
        0,
        r"'\n\n\n' stands elsewhere too in 8 of 8 sampled examples.",
    ) in found(BYTES, Template(inputs="{text}."), rows=rows)
    assert codes(BYTES, Template(inputs="{text}.")) == []
    # What ends the input of an exemplar, "\n\n", stands in the template too.
    assert codes(BYTES, Template(inputs="Read.\n\n{text}")) == ["input_end_in_text"]


def test_candidates_with_the_same_tokens(t5_like):
    rows = [{"text": "a", "label": 0}]
    template = Template(inputs="Q: {text}")
    assert found(t5_like, template, rows=rows, answer_choices=("<", ">"))[-1] == (
        "options_alike",
        None,
        "In 8 of 8 sampled prompts two candidates have the same tokens: '<' and '>'.",
    )
    assert "options_alike" not in codes(BYTES, template, rows=rows, answer_choices=("<", ">"))


def test_the_same_choice_twice_is_no_matter_of_tokens():
    rows = [{"text": "a", "options": ["x", "y", "x"], "label": 0}]
    assert not found(BYTES, Template(inputs="Q: {text}"), rows=rows, answer_choices="options")
