import dataclasses

import pytest

from flantune import testing
from flantune.data import Mixture, catalog as catalog_lib, equal, proportional

ROWS = {"t:a": 100, "t:b": 300, "u:c": 50}


@dataclasses.dataclass
class Sizes:
    """Every task has templates and tokens by its name's last letter."""

    def rows(self, member):
        return ROWS[member]

    def num_templates(self, member):
        return 1

    def tokens(self, member):
        return {"a": 10.0, "b": 20.0, "c": 40.0}[member[-1]]


def parts(*mixtures):
    """{(task, path): share} of the last mixture, which is also what its shares are, task by task."""
    catalog = catalog_lib.Catalog(
        modules=(),
        tasks={name: testing.make_task(name, {"train": []}) for name in ROWS},
        mixtures={mixture.name: mixture for mixture in mixtures},
    )
    found = catalog.parts(mixtures[-1].name, Sizes())
    totals = {}
    for part in found:
        totals[part.task] = totals.get(part.task, 0.0) + part.share
    assert totals == pytest.approx(catalog.rates(mixtures[-1].name, Sizes()))
    assert sum(totals.values()) == pytest.approx(1.0)
    return {(part.task, part.path): part for part in found}


def shares(found):
    return {key: pytest.approx(part.share) for key, part in found.items()}


def test_a_direct_member_has_no_path_and_its_own_cap():
    found = parts(Mixture(name="m", rates={"t:*": proportional(cap=200), "u:c": proportional()}))
    assert shares(found) == {("t:a", ()): 100 / 350, ("t:b", ()): 200 / 350, ("u:c", ()): 50 / 350}
    assert found["t:b", ()].rate.cap == 200
    assert found["u:c", ()].rate.cap == 30_000


def test_nested_mixtures_are_divided_by_their_own_rates():
    found = parts(
        Mixture(name="inner", rates={"t:*": proportional(cap=None)}),
        Mixture(name="middle", rates={"inner": 3, "u:c": 1}),
        Mixture(name="outer", rates={"middle": 0.5, "t:a": 0.5}),
    )
    assert shares(found) == {
        ("t:a", ("middle", "inner")): 0.5 * 0.75 * 0.25,
        ("t:b", ("middle", "inner")): 0.5 * 0.75 * 0.75,
        ("u:c", ("middle",)): 0.5 * 0.25,
        ("t:a", ()): 0.5,
    }


def test_a_mixture_without_a_number_gives_its_rate_to_each_task():
    found = parts(
        Mixture(name="inner", rates={"t:*": 1}), Mixture(name="outer", rates={"inner": equal()})
    )
    assert shares(found) == {("t:a", ("inner",)): 0.5, ("t:b", ("inner",)): 0.5}


@pytest.mark.parametrize("unit", ["examples", "tokens"])
def test_rates_in_tokens_have_the_same_parts(unit):
    # `parts` itself compares with the shares of the mixture.
    found = parts(
        Mixture(name="inner", rates={"t:*": proportional(cap=None)}, unit="tokens"),
        Mixture(name="outer", rates={"inner": 1, "u:c": 2, "t:b": equal()}, unit=unit),
    )
    assert set(found) == {("t:a", ("inner",)), ("t:b", ("inner",)), ("u:c", ()), ("t:b", ())}


def test_a_task_alone_is_one_part():
    catalog = catalog_lib.Catalog(
        modules=(), tasks={"t:a": testing.make_task("t:a", {"train": []})}, mixtures={}
    )
    (part,) = catalog.parts("t:a", Sizes())
    assert (part.task, part.path, part.share) == ("t:a", (), 1.0)
