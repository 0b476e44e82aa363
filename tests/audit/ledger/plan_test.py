import dataclasses
import json

import pytest

from flantune import testing
from flantune.audit.ledger import diff as ledger_diff, plan as ledger, totals as ledger_totals
from flantune.configs import DataConfig
from flantune.data import Mixture, catalog as catalog_lib, proportional
from flantune.data.input import loading
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
PLAIN = [Template(inputs="{text}")]
# With their ends, short examples have 4 + 2 tokens and long ones 8 + 2, so that a row of 8 + 8 holds two or one.
TASKS = [
    testing.make_task(
        f"l:{name}",
        {"train": [{"text": "x" * length, "answer": "y"}] * rows},
        templates=PLAIN,
        cluster=cluster,
        licence="CC0",
        lineage=("made",),
    )
    for name, length, rows, cluster in (("short", 3, 40, "one"), ("long", 7, 10, "two"))
]
TOO_LONG = testing.make_task(
    "l:too_long",
    {"train": [{"text": "x" * (4 if row % 4 else 40), "answer": "y"} for row in range(8)]},
    templates=PLAIN,
)
# With their ends, 41 and 42, and 101 to 120 tokens.
UNFIT = [
    testing.make_task(
        f"l:{name}",
        {"train": [{"text": "x" * (length + row), "answer": "y"} for row in range(rows)]},
        templates=PLAIN,
    )
    for name, length, rows in (("huge", 40, 2), ("vast", 100, 20))
]
MIXTURES = [
    Mixture(name="inner", rates={"l:long": proportional(cap=5)}),
    Mixture(name="all", rates={"l:short": 3, "inner": 1}),
    Mixture(name="shots", rates={"l:short": 1, "l:short#1_shot": 1}),
    Mixture(name="same_tokens", rates={"l:short": 1, "l:long": 1}, unit="tokens"),
    Mixture(name="dropping", rates={"l:too_long": 1}),
    Mixture(
        name="unfit", rates={"l:short": 1, "l:vast": 1, "inner": 1, "l:huge": 1}, unit="tokens"
    ),
    Mixture(name="all_unfit", rates={"l:vast": 1, "l:huge": 1}, unit="tokens"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    tasks = [*TASKS, TOO_LONG, *UNFIT]
    store = testing.prepare(tasks, root)
    with testing.task_module("ledger_tasks", tasks, MIXTURES):
        return catalog_lib.load(["ledger_tasks"], store, root), store


def plan(place, mixture, *, num_steps=10, **changes):
    catalog, store = place
    arguments = {
        "mixture": mixture,
        "modules": (),
        "vocabulary": "bytes",
        "inputs_length": 8,
        "targets_length": 8,
        "batch_size": 4,
        "block_size": 64,
    }
    data = DataConfig(**(arguments | changes))
    bound = loading.bind_mixture(catalog, store, mixture, split="train")
    bound = loading.in_tokens(catalog, store, bound, data, BYTES, seed=0, without_unfit=True)
    return ledger.plan(
        catalog, store, bound, data, BYTES, num_steps=num_steps, seed=0, num_examples=8
    )


def test_tasks_of_which_nothing_fits_are_listed_and_the_rest_is_planned(place):
    found, rest = plan(place, "unfit"), plan(place, "same_tokens")
    assert [dataclasses.astuple(one) for one in found.unfit] == [
        ("l:vast", 20, 64, 101, 119),  # in three epochs and a bit the three longest visits are 120
        ("l:huge", 2, 64, 41, 42),
    ]
    assert found.tasks[0] == rest.tasks[0]
    assert [entry.rate for entry in found.tasks] == [entry.rate for entry in rest.tasks]
    assert ledger.loads(json.dumps(found.to_json())) == found


def test_training_refuses_what_the_plan_leaves_out_and_names_all_of_it(place):
    catalog, store = place
    data = DataConfig(
        mixture="unfit",
        modules=(),
        vocabulary="bytes",
        inputs_length=8,
        targets_length=8,
        batch_size=4,
    )
    bound = loading.bind_mixture(catalog, store, "unfit", split="train")
    with pytest.raises(ValueError, match=r"2 tasks .*'l:vast' needs 101 .*119 .*'l:huge' needs 41"):
        loading.in_tokens(catalog, store, bound, data, BYTES, seed=0)
    with pytest.raises(ValueError, match="2 tasks have a rate in tokens"):
        plan(place, "all_unfit")


def test_what_shortened_examples_lose_is_told_with_its_share(tmp_path):
    rows = [{"text": "x " * (2 if row % 4 else 9), "answer": "y" * (row + 1)} for row in range(8)]
    task = testing.make_task("l:cut", {"train": rows}, templates=PLAIN, may_cut=("text",))
    store = testing.prepare([task], tmp_path)
    with testing.task_module("cut_tasks", [task]):
        found = plan((catalog_lib.load(["cut_tasks"], store, tmp_path), store), "l:cut")
    # A row of four has a long text; a target of eight and its end is too long.
    assert found.tasks[0].lost == {"part of 'text'": 0.25, "end of the target": 0.125}
    assert found.tasks[0].cut == 0.375
    (caution,) = (one for one in ledger_totals.cautions(found) if one.code == "cut")
    assert caution.message == (
        "37.5% of its examples are shortened to fit, and lose part of 'text' in 25.0%, end of the target in 12.5%."
    )


def entries(found):
    return {entry.task: entry for entry in found.tasks}


def test_a_plan_can_be_worked_out_by_hand(place):
    found = plan(place, "all")
    # Of four examples three are short: they take one and a half rows, the long one takes one.
    assert found.examples_per_row == pytest.approx(4 / 2.5, rel=0.01)
    assert found.visits == pytest.approx(10 * 4 * 4 / 2.5, rel=0.01)
    short, long = entries(found)["l:short"], entries(found)["l:long"]
    assert (short.rate, long.rate) == (0.75, 0.25)
    assert (short.mean_inputs_tokens, short.mean_targets_tokens) == (4.0, 2.0)
    assert (long.mean_inputs_tokens, long.inputs_error) == (8.0, 0.0)
    assert short.token_share == pytest.approx(0.75 * 6 / (0.75 * 6 + 0.25 * 10))
    assert short.examples == pytest.approx(48, rel=0.01)
    assert short.inputs_tokens == pytest.approx(4 * short.examples)
    assert short.epochs == pytest.approx(short.visits / 40)
    assert long.epochs == pytest.approx(long.visits / 10)
    assert (long.caps, short.caps) == ((5,), ())
    assert (long.submixtures, short.submixtures) == ({"inner": 0.25}, {"": 0.75})
    assert (short.cluster, short.licence, short.lineage) == ("one", "CC0", ("made",))
    assert (short.kinds, short.shots, short.templates) == (("direct",), (0,), 1)


def test_steps_of_several_sizes_are_planned_as_they_are(place):
    catalog, store = place
    same = plan(place, "all", num_steps=14)
    data = DataConfig(
        mixture="all",
        modules=(),
        vocabulary="bytes",
        inputs_length=8,
        targets_length=8,
        batch_size=2,
        block_size=64,
    )
    bound = loading.bind_mixture(catalog, store, "all", split="train")
    found = ledger.plan(
        catalog,
        store,
        bound,
        data,
        BYTES,
        num_steps=18,
        seed=0,
        num_examples=8,
        batch_sizes=[(10, 4), (8, 2)],
    )
    assert found.num_rows == same.num_rows == 56
    assert found.tasks == same.tasks
    assert ledger.loads(json.dumps(found.to_json())) == found


def test_shares_of_the_loss_by_hand(tmp_path):
    def task(name, answer, **changes):
        rows = [{"text": name, "answer": answer, "weight": row % 3} for row in range(9)]
        changes = {"extra_fields": ("weight",), **changes}
        return testing.make_task(f"l:{name}", {"train": rows}, templates=PLAIN, **changes)

    # With their ends, 2, 6 and 2 target tokens; weights 1, 1 and, in the mean, 1 times 3.
    tasks = [task("a", "y"), task("b", "y" * 5), task("c", "y", loss_weight="weight")]
    mixtures = [
        Mixture(name="two", rates={"l:a": 1, "l:b": 1}),
        Mixture(name="three", rates={"l:a": 1, "l:b": 1, "l:c": 2}),
    ]
    with testing.task_module("loss_tasks", tasks, mixtures):
        store = testing.prepare(tasks, tmp_path)
        place = catalog_lib.load(["loss_tasks"], store, tmp_path), store

    def shares(mixture, weighting):
        found = plan(place, mixture, loss_weighting=weighting)
        assert sum(total.loss_share for total in ledger_totals.by_cluster(found)) == pytest.approx(
            1
        )
        return found.has_own_weights, [entry.loss_share for entry in found.tasks]

    assert shares("two", "token") == (False, pytest.approx([2 / 8, 6 / 8]))
    assert shares("two", "example") == (False, pytest.approx([1 / 2, 1 / 2]))
    weight = entries(plan(place, "three"))["l:c"].loss_weight
    assert weight == pytest.approx(1, abs=0.3)  # of the 8 of its 9 rows that are measured
    total = 2 + 6 + 2 * 2 * weight
    assert shares("three", "token") == (
        True,
        pytest.approx([2 / total, 6 / total, 4 * weight / total]),
    )
    total = 1 + 1 + 2 * weight
    assert shares("three", "example") == (
        True,
        pytest.approx([1 / total, 1 / total, 2 * weight / total]),
    )


def test_steps_scale_everything_but_shares(place):
    ten, twenty = (entries(plan(place, "all", num_steps=steps))["l:long"] for steps in (10, 20))
    assert twenty.examples == pytest.approx(2 * ten.examples)
    assert twenty.epochs == pytest.approx(2 * ten.epochs)
    assert twenty.rate == ten.rate


def test_without_packing_a_row_holds_one_example(place):
    found = plan(place, "all", pack=False)
    assert (found.examples_per_row, found.visits) == (1.0, 40.0)


def test_settings_are_apart(place):
    few = entries(plan(place, "shots", inputs_length=32))["l:short#1_shot"]
    assert (few.setting, few.shots) == ("1_shot", (1,))
    # Rows of one text have no exemplar that is no duplicate.
    assert few.mean_inputs_tokens == 4.0


def test_dropped_examples_are_visits_without_tokens(place):
    (entry,) = plan(place, "dropping").tasks
    assert entry.dropped == 0.25
    assert entry.examples == pytest.approx(0.75 * entry.visits)
    assert entry.inputs_tokens == pytest.approx(5 * entry.examples)
    assert entry.epochs == pytest.approx(entry.visits / 8)


def test_shares_of_tokens_are_equal_where_the_mixture_says_so(place):
    shares = [entry.token_share for entry in plan(place, "same_tokens").tasks]
    assert shares == pytest.approx([0.5, 0.5])


def test_nothing_that_fits_is_an_error(place):
    with pytest.raises(ValueError, match=r"'l:long' fits: raise DataConfig\.inputs_length"):
        plan(place, "l:long", inputs_length=4)


def test_json_gives_the_same_ledger(place):
    found = plan(place, "all")
    assert ledger.loads(json.dumps(found.to_json() | {"totals": "more"})) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "not a ledger"),
        ('{"format_version": 3, "tasks": [{}]}', "not a ledger"),
        ('{"format_version": 0}', "format 0, not 3"),
    ],
)
def test_other_files_are_no_ledgers(text, message):
    with pytest.raises(ValueError, match=message):
        ledger.loads(text)


def test_totals_add_up(place):
    found = plan(place, "all")
    total = ledger_totals.overall(found)
    assert (total.tasks, total.rate, total.token_share) == (2, 1.0, pytest.approx(1.0))
    clusters = {one.name: one for one in ledger_totals.by_cluster(found)}
    assert clusters["one"].examples == entries(found)["l:short"].examples
    assert sum(one.examples for one in clusters.values()) == pytest.approx(total.examples)
    submixtures = {one.name: one.rate for one in ledger_totals.by_submixture(found)}
    assert submixtures == {"inner": 0.25, ledger_totals.DIRECT: 0.75}
    settings = ledger_totals.by_setting(plan(place, "shots", inputs_length=32))
    assert {one.name: one.rate for one in settings} == {"": 0.5, "1_shot": 0.5}


def test_a_submixture_has_all_that_is_inside_it(place):
    found = plan(place, "all")
    entry = dataclasses.replace(found.tasks[0], submixtures={"a/b": 0.5, "a": 0.125, "c": 0.125})
    found = dataclasses.replace(found, tasks=(entry,))
    parts = {one.name: one.rate for one in ledger_totals.by_submixture(found)}
    assert parts == {"a": 0.625, "a/b": 0.5, "c": 0.125}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"examples": 0.4, "visits": 0.4}, "no_examples"),
        ({"examples": 0.0, "dropped": 1.0}, "no_examples"),
        ({"epochs": 16.5}, "epochs"),
        ({"rate": 0.01, "token_share": 0.051}, "token_share"),
        ({"dropped": 0.02}, "dropped"),
        ({"cut": 0.25}, "cut"),
    ],
)
def test_what_deserves_a_second_look(place, changes, code):
    found = plan(place, "all")
    assert ledger_totals.cautions(found) == []
    odd = dataclasses.replace(found.tasks[0], **changes)
    (caution,) = ledger_totals.cautions(dataclasses.replace(found, tasks=(odd,)))
    assert (caution.code, caution.task) == (code, "l:short")


def test_diff_lists_the_largest_change_of_tokens_first(place):
    first = plan(place, "all")
    more = dataclasses.replace(first.tasks[0], rate=0.5, inputs_tokens=1000.0, cut=0.1)
    other = dataclasses.replace(first.tasks[1], task="l:new")
    second = dataclasses.replace(first, num_steps=20, tasks=(other, more))
    found = ledger_diff.diff(first, second)
    assert found.facts == {"num_steps": (10, 20)}
    assert found.unchanged == 0
    assert [(change.task, change.kind) for change in found.changes] == [
        ("l:short", "changed"),
        ("l:long", "removed"),
        ("l:new", "added"),
    ]
    changed, removed, added = found.changes
    assert set(changed.fields) == {"rate", "inputs_tokens", "cut"}
    assert changed.fields["rate"] == (0.75, 0.5)
    assert changed.tokens == pytest.approx(1000 - first.tasks[0].inputs_tokens)
    assert removed.tokens == -added.tokens == -first.tasks[1].tokens


def test_a_ledger_does_not_differ_from_itself(place):
    found = plan(place, "all")
    read = ledger.loads(json.dumps(found.to_json()))
    assert ledger_diff.diff(found, read) == ledger_diff.Difference(
        facts={}, changes=(), unchanged=2
    )
