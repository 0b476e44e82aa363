import pytest

from flantune.data import Mixture, equal, proportional

TASKS = ("nli:rte", "nli:cb", "qa:boolq")
ROWS = {"nli:rte": 2500, "nli:cb": 250, "qa:boolq": 100_000}


def shares(mixture, mixtures=()):
    return mixture.task_rates({m.name: m for m in mixtures}, TASKS, lambda n: ROWS[n.split("#")[0]])


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
    assert mixture.members({}, TASKS) == ("qa:boolq",)


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
