import pytest

from flantune.data import Mixture, equal, proportional, rates

TASKS = ("nli:rte", "nli:cb", "qa:boolq")
ROWS = {"nli:rte": 2500, "nli:cb": 250, "qa:boolq": 100_000}


class Sizes:
    """Rows, templates and mean tokens of the tasks above."""

    def rows(self, member):
        return ROWS[member.split("#")[0]]

    def num_templates(self, member):
        return 5 if member.startswith("nli:rte") else 10

    def tokens(self, member):
        return 100.0 if member.startswith("qa:") else 20.0


def book(mixtures=()):
    return rates.Book(
        tasks=dict.fromkeys(TASKS),
        mixtures={mixture.name: mixture for mixture in mixtures},
        supports=lambda task, setting: setting != "inversion" or task == "nli:rte",
        ruled_out=ruled_out,
    )


def ruled_out(plan, candidates):
    """The plans "no_nli" and "nothing" rule out what they say."""
    return frozenset(
        name for name in candidates if plan == "nothing" or (plan, name[:4]) == ("no_nli", "nli:")
    )


def shares(mixture, mixtures=()):
    return rates.shares(mixture, book(mixtures), Sizes())


def test_proportional_caps_rows():
    found = shares(Mixture(name="m", rates={"*": proportional(cap=1000)}))
    assert found == pytest.approx(
        {"nli:cb": 250 / 2250, "nli:rte": 1000 / 2250, "qa:boolq": 1000 / 2250}
    )


def test_temperature_two_takes_square_roots():
    found = shares(Mixture(name="m", rates={"*": proportional(cap=None, temperature=2)}))
    roots = {name: rows**0.5 for name, rows in ROWS.items()}
    assert found == pytest.approx(
        {name: root / sum(roots.values()) for name, root in roots.items()}
    )


def test_a_number_for_a_pattern_is_divided_equally():
    found = shares(Mixture(name="m", rates={"nli:*": 3, "qa:boolq": 1}))
    assert found == pytest.approx({"nli:cb": 0.375, "nli:rte": 0.375, "qa:boolq": 0.25})


def test_a_number_for_a_mixture_keeps_its_inner_shares():
    inner = Mixture(name="nli", rates={"nli:*": proportional(cap=None)})
    found = shares(Mixture(name="m", rates={"nli": 0.4, "qa:boolq": 0.6}), [inner])
    assert found["nli:rte"] == pytest.approx(0.4 * 2500 / 2750)
    assert found["qa:boolq"] == pytest.approx(0.6)


def test_settings_are_members_of_their_own():
    found = shares(Mixture(name="m", rates={"nli:rte": 1, "nli:rte#no_options": 1}))
    assert found == {"nli:rte": 0.5, "nli:rte#no_options": 0.5}


def test_exclude_applies_to_patterns():
    mixture = Mixture(name="m", rates={"*": equal()}, exclude=("nli:*",))
    assert rates.members(mixture, book()) == ("qa:boolq",)


def test_a_held_out_plan_applies_to_patterns_and_to_mixtures_inside():
    inner = Mixture(name="inner", rates={"nli:rte": 1, "qa:boolq": 3})
    outer = Mixture(name="m", rates={"inner": 1, "*#no_options": equal()}, held_out="no_nli")
    names = ("qa:boolq", "qa:boolq#no_options")
    assert rates.members(outer, book([inner, outer])) == names
    assert shares(outer, [inner, outer]) == pytest.approx(dict.fromkeys(names, 0.5))
    assert rates.left_out(outer, book([inner, outer])) == {"nli:rte", "nli:cb"}
    around = Mixture(name="all", rates={"m": 1, "nli:cb": 1})
    assert shares(around, [inner, outer]) == pytest.approx(
        {"qa:boolq": 0.25, "qa:boolq#no_options": 0.25, "nli:cb": 0.5}
    )


def test_a_task_that_its_mixtures_plan_rules_out_may_not_be_named():
    mixture = Mixture(name="m", rates={"*": 1, "nli:rte#few_shot": 1}, held_out="no_nli")
    with pytest.raises(ValueError, match=r"'m' names 'nli:rte#few_shot'.*'no_nli' rules out"):
        rates.members(mixture, book())


def test_a_mixture_of_which_its_plan_leaves_nothing_is_an_error():
    with pytest.raises(ValueError, match="'nothing' rules out all of them"):
        rates.members(Mixture(name="m", rates={"*": 1}, held_out="nothing"), book())


def test_unknown_member_names_the_closest():
    with pytest.raises(KeyError, match=r"'nli:rt'.*'nli:rte'"):
        shares(Mixture(name="m", rates={"nli:rt": 1}))


def test_a_pattern_without_a_match_is_an_error():
    with pytest.raises(KeyError, match="no task matches"):
        shares(Mixture(name="m", rates={"summ:*": 1}))


def test_a_mixture_that_contains_itself_is_an_error():
    first = Mixture(name="a", rates={"b": 1})
    second = Mixture(name="b", rates={"a": 1})
    with pytest.raises(ValueError, match="a -> b -> a"):
        shares(first, [first, second])


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_rates_must_be_above_zero(rate):
    with pytest.raises(ValueError, match="above 0"):
        Mixture(name="m", rates={"nli:rte": rate})


def test_patterns_leave_out_tasks_without_a_template_for_the_setting():
    assert rates.members(Mixture(name="m", rates={"*#inversion": equal()}), book()) == (
        "nli:rte#inversion",
    )


def tokens(shares_by_name):
    """The share of each task in tokens."""
    counted = {name: share * Sizes().tokens(name) for name, share in shares_by_name.items()}
    return {name: count / sum(counted.values()) for name, count in counted.items()}


def test_rates_in_tokens_divide_tokens():
    found = shares(Mixture(name="m", rates={"nli:rte": 3, "qa:boolq": 1}, unit="tokens"))
    assert tokens(found) == pytest.approx({"nli:rte": 0.75, "qa:boolq": 0.25})
    assert found["nli:rte"] == pytest.approx(15 / 16)


def test_a_mixture_inside_one_in_tokens_keeps_its_own_unit():
    inner = Mixture(name="half", rates={"nli:rte": 1, "qa:boolq": 1})
    outer = Mixture(name="m", rates={"half": 0.6, "nli:cb": 0.4}, unit="tokens")
    found = shares(outer, [inner])
    assert found["nli:rte"] == pytest.approx(found["qa:boolq"])  # examples, inside
    assert tokens(found)["nli:cb"] == pytest.approx(0.4)  # tokens, outside


def test_proportional_rates_in_tokens():
    found = shares(Mixture(name="m", rates={"*": proportional(cap=1000)}, unit="tokens"))
    assert tokens(found) == pytest.approx(
        {"nli:cb": 250 / 2250, "nli:rte": 1000 / 2250, "qa:boolq": 1000 / 2250}
    )


def test_caps_for_each_template():
    found = shares(Mixture(name="m", rates={"*": proportional(cap=1000, per_template=True)}))
    weights = {"nli:rte": 5 * 1000, "nli:cb": 10 * 250, "qa:boolq": 10 * 1000}
    assert found == pytest.approx({name: w / 17_500 for name, w in weights.items()})


def test_a_cap_that_a_datasets_templates_share_as_in_t0():
    rate = proportional(cap=2000, per_template=True, shared_cap=True)
    found = shares(Mixture(name="m", rates={"*": rate}))
    weights = {"nli:rte": 2000, "nli:cb": 10 * 250, "qa:boolq": 2000}
    assert found == pytest.approx({name: w / 6500 for name, w in weights.items()})


@pytest.mark.parametrize(
    "weights",
    [
        {"muffin": 0.40, "t0": 0.32, "niv2": 0.20, "cot": 0.05, "dialog": 0.03},
        {"muffin": 4, "t0": 3, "niv2": 1, "cot": 1, "dialog": 1},
        {"muffin": 52, "t0": 15, "niv2": 30, "cot": 3},
        {"muffin": 46.0, "t0": 27.9, "niv2": 24.2, "cot": 1.8},
    ],
)
def test_the_published_weights_of_the_flan_collection(weights):
    """Caps inside a submixture, its settings in equal parts, fixed weights outside."""
    caps = {"muffin": 30_000, "t0": 20_000, "niv2": 5_000, "cot": 100_000, "dialog": 200_000}
    four = ("", "#few_shot", "#no_options", "#few_shot.no_options")
    settings = {"muffin": four, "t0": four, **dict.fromkeys(("niv2", "cot", "dialog"), four[:2])}
    patterns = {name: "qa:*" if name in ("t0", "cot") else "nli:*" for name in caps}
    inner = [
        Mixture(
            name=f"{name}_in{setting}",
            rates={patterns[name] + setting: proportional(cap=caps[name])},
        )
        for name in weights
        for setting in settings[name]
    ]
    submixtures = [
        Mixture(name=name, rates=dict.fromkeys((f"{name}_in{s}" for s in settings[name]), 1))
        for name in weights
    ]
    outer = Mixture(name="flan2022", rates=weights)
    found = shares(outer, [*inner, *submixtures])
    total = sum(weights.values())
    # nli:rte has 2,500 of the 2,750 rows of nli:*, a quarter (or half) of which have exemplars and options.
    expected = sum(
        weight / len(settings[name]) * 2500 / 2750
        for name, weight in weights.items()
        if patterns[name] == "nli:*"
    )
    assert found["nli:rte#few_shot"] == pytest.approx(expected / total)
