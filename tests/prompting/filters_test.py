from hypothesis import given, strategies as st
import pytest

from flantune import prompting
from flantune.prompting import filters, template as template_lib

VALUES = st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text(), max_size=30))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{words}", "a, b, c"),
        ("{words|choices}", "a, b or c"),
        ("{words|lettered}", "(A) a\n(B) b\n(C) c"),
        ("{words|numbered}", "1. a\n2. b\n3. c"),
        ("{words|first}", "a"),
        ("{words|capitalise|join}", "A, B, C"),
        ("{words|first|capitalise}!", "A!"),
        ("<{text|strip}>", "<of the x>"),
        ("{text|strip|capitalise}", "Of the x"),
        ("{text|lettered}", " of the x "),
        ("{number|numbered}", "7"),
    ],
)
def test_filters_by_hand(text, expected):
    values = {"words": ["a", "b", "c"], "text": " of the x ", "number": 7}
    assert template_lib.fill(text, values) == expected


@given(VALUES, st.lists(st.sampled_from(sorted(filters.FILTERS)), max_size=4))
def test_every_chain_of_filters_gives_a_text_for_every_value(value, names):
    assert isinstance(filters.apply(names, value), str)


@given(st.lists(st.text(alphabet="xyz", min_size=1), min_size=1, max_size=60))
def test_letters_are_all_different(items):
    letters = [line.split(") ")[0] for line in filters.apply(["lettered"], items).split("\n")]
    assert len(set(letters)) == len(items)


def test_an_unknown_filter_names_the_closest():
    with pytest.raises(ValueError, match=r"'letered'.*'lettered'.*Filters: choices"):
        prompting.Template(inputs="{words|letered}")


@pytest.mark.parametrize("text", ["{options|join} {x}", "{x} {options|strip}"])
def test_options_cannot_be_filtered(text):
    with pytest.raises(ValueError, match=r"filters \{options\}"):
        prompting.Template(inputs=text)


def test_a_filtered_field_counts_as_used():
    template = prompting.Template(inputs="Pick: {words|choices}")
    assert template.fields == ("words",)
