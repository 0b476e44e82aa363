import pytest

from flantune.prompting import PromptSetting, Separators, settings


def test_words_change_what_they_name():
    assert settings.parse("") == PromptSetting()
    assert settings.parse("5_shot.no_options") == PromptSetting(shots=5, options="none")
    assert settings.parse("chain_of_thought").kinds == ("cot",)
    assert settings.parse("inversion").kinds == ("inversion",)
    assert settings.parse("").kinds == ("direct", "dialog")
    assert settings.parse("with_inversions").kinds == ("direct", "dialog", "inversion")


def test_a_modules_own_setting_can_be_changed_further():
    own = {"flan": PromptSetting(separators=(Separators(inputs_prefix="0 "),))}
    found = settings.parse("flan.few_shot", own)
    assert found.separators == own["flan"].separators
    assert found.shot_counts == (1, 2, 3, 4, 5)
    with pytest.raises(ValueError, match="must begin with 'flan'"):
        settings.parse("few_shot.flan", own)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("few_shots", KeyError, "Did you mean 'few_shot'"),
        ("3shot", KeyError, "Did you mean '3_shot'"),
        ("3_shots", KeyError, "Did you mean '3_shot'"),
        ("few_shot.3_shot", ValueError, "sets shots twice"),
        ("chain_of_thought.inversion", ValueError, "exclude each other"),
        ("inversion.with_inversions", ValueError, "exclude each other"),
        ("label_balanced", ValueError, "needs shots"),
        ("no_options.", KeyError, "does not exist"),
    ],
)
def test_what_cannot_be_is_refused(name, error, message):
    with pytest.raises(error, match=message):
        settings.parse(name)


@pytest.mark.parametrize(
    "changes",
    [
        {"shots": -1},
        {"shots": ()},
        {"options": "some"},
        {"option_order": "random"},
        {"max_input_tokens": 0},
    ],
)
def test_values_are_checked(changes):
    with pytest.raises(ValueError, match=f"PromptSetting.{next(iter(changes))}"):
        PromptSetting(**changes)


@pytest.mark.parametrize(
    "changes", [{"example_separator": ""}, {"x_y_delimiter": "", "targets_prefix": ""}]
)
def test_separators_must_separate(changes):
    with pytest.raises(ValueError, match="run together"):
        Separators(**changes)


@pytest.mark.parametrize("name", ["few_shot", "3_shot", "a.b", "Big"])
def test_an_own_setting_may_not_take_a_words_name(name):
    with pytest.raises(ValueError, match=name):
        settings.check_name(name)
