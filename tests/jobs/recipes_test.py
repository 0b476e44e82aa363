"""Every recipe of gin/runs: its header, that all is bound, and that model, optimizer, step and mixtures can be made of it."""

import dataclasses
import functools
import json
import pathlib
import re

from etils import epath
import jax
import pytest
import rich.console

from flantune import cli, configs, experiments
from flantune.commands import shared
from flantune.data import catalog as catalog_lib
from flantune.data.store import reader as store_lib
from flantune.jobs import gin_files, recipes
from flantune.models import t5
from flantune.runs import assembly, preparation, start as start_lib
from flantune.training import optimizers, partial, sharding, state as state_lib, step as step_lib

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNS = sorted((ROOT / "gin" / "runs").glob("*.gin"))
NAMES = [path.stem for path in RUNS]
SMOKE = ("quickstart", "super_ni_tiny", "tiny")
# What a recipe leaves to its user: T5's vocabulary is not ours to give, and tiny.gin is for any mixture.
GIVEN = {
    "tiny": (
        "DataConfig.mixture=quickstart_train",
        "DataConfig.modules=('tasks.quickstart', 'tasks.mixtures')",
    )
}
VOCABULARY = "DataConfig.vocabulary=t5.model+100"


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@functools.cache
def all_recipes():
    return {one.name: one for one in recipes.read(ROOT / "gin" / "runs")}


def parse(name):
    """Parses a recipe with what its user gives."""
    given = [*GIVEN.get(name, ())]
    if name not in SMOKE:
        given.append(VOCABULARY)
    gin_files.parse([f"gin/runs/{name}.gin"], given)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_binds_all_that_a_run_needs(name):
    parse(name)
    job = gin_files.bind(experiments.train, run_dir="runs/x", config_text="")
    assert callable(job)
    evaluation = gin_files.build(configs.EvalConfig)
    assert evaluation.suites


def test_the_header_says_what_the_file_binds():
    found = all_recipes()
    order = [(one.header["System"].lower(), one.emb_dim) for one in found.values()]
    assert order == sorted(order)
    for name, one in found.items():
        assert one.title, name
        assert name in one.header["Command"], name
        if name not in SMOKE:
            assert one.header["Size"] in name.split("_"), name
            include = f'include "gin/models/t5_1_1_{one.header["Size"]}.gin"'
            assert include in one.file.read_text(), name
            assert "https://" in one.header["Source"], name
            assert "InitConfig.path" in one.header["Command"], name


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SMOKE])
def test_hardware_and_time_are_measured_figures(name):
    one = all_recipes()[name]
    used = re.findall(
        r"(v5e|h100):([\dx]+)[^,]*, ([\d.]+) of ([\d.]+) GiB a device \((compiled at O1|estimated)",
        one.header["Hardware"],
    )
    assert used
    assert all(float(needed) <= float(there) for _, _, needed, there, _ in used)
    times = re.findall(
        r"([\d.]+) (minutes|hours|days) at best on (\w+:[\dx]+), ([\d.]+) (ms|s) a step",
        one.header["Time"],
    )
    assert len(times) == len(used)
    seconds = {"minutes": 60, "hours": 3600, "days": 86400, "ms": 0.001, "s": 1}
    for amount, unit, _, step, step_unit in times:
        whole = one.num_steps * float(step) * seconds[step_unit]
        assert float(amount) * seconds[unit] == pytest.approx(whole, rel=0.05, abs=30)


def mixtures_of(name):
    """The catalog of a recipe without any data, and all mixtures that the run reads."""
    parse(name)
    data = gin_files.build(configs.DataConfig)
    wanted = preparation.splits_read(data, gin_files.build(configs.EvalConfig))
    return data, [mixture for mixture, _ in wanted]


@pytest.mark.parametrize("name", NAMES)
def test_mixtures_suites_and_plans_exist(name, tmp_path):
    data, mixtures = mixtures_of(name)
    catalog = catalog_lib.load(
        data.modules, store_lib.Store(tmp_path / "store"), tmp_path, skip_absent=True
    )
    for mixture in mixtures:
        if any(mark in mixture for mark in "*?["):
            assert f"{mixture.partition(':')[0]}:*" in catalog.may_be_absent
            catalog.setting(mixture)  # an unknown setting is an error
        elif not catalog.absent(mixture):  # an unknown name is an error of either
            assert catalog.members(mixture)
    if data.held_out is not None:
        assert catalog.plan(data.held_out)


def bound_names(path):
    return set(re.findall(r"^([\w./]+) = ", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_no_parameter_is_bound_twice(name):
    text = (ROOT / "gin" / "runs" / f"{name}.gin").read_text()
    files = [ROOT / included for included in re.findall(r'^include "(.+)"', text, re.MULTILINE)]
    assert not [file for file in files if file.parent.name == "runs"]
    seen = {}
    for file in (*files, ROOT / "gin" / "runs" / f"{name}.gin"):
        for parameter in bound_names(file):
            assert seen.setdefault(parameter, file) == file, parameter
    assert len(files) >= 2


def shapes(name):
    """What the training step of a recipe depends on."""
    parse(name)
    model = gin_files.build(configs.ModelConfig)
    return model.emb_dim, model.lora is not None


def one_of_each_size():
    first = {}
    for name in NAMES:
        if name not in SMOKE:
            first.setdefault(shapes(name), name)
    return sorted(first.values())


@pytest.mark.parametrize(
    "size",
    [
        "small",
        *(
            pytest.param(size, marks=pytest.mark.slow)
            for size in ("base", "large", "xl", "xxl", "lora")
        ),
    ],
)
def test_a_step_of_each_size_can_be_made(size, tmp_path):
    """Traced, not compiled and not run: every array is a shape."""
    (name,) = [
        one
        for one in one_of_each_size()
        if (size == "lora") == (shapes(one)[1]) and (size in ("lora", one.split("_")[-1]))
    ]
    parse(name)
    data, optimizer_config = (
        gin_files.build(config) for config in (configs.DataConfig, configs.OptimizerConfig)
    )
    model_config = dataclasses.replace(gin_files.build(configs.ModelConfig), layer_loop="scan")
    model = t5.EncoderDecoder(model_config)  # as on an accelerator: a CPU unrolls the layers
    mesh_config = gin_files.build(configs.MeshConfig)
    mesh = sharding.make_mesh(mesh_config, jax.devices()[:1])
    rules = sharding.axis_rules(mesh_config)
    start = start_lib.of_run(
        model,
        mesh=mesh,
        rules=rules,
        seed=0,
        init=None,
        trainable=None,
        run_dir=epath.Path(tmp_path),
        is_new=True,
        needs_all=False,
    )
    steps = all_recipes()[name].num_steps
    optimizer = optimizers.make_optimizer(optimizer_config, steps, start.model.logical_axes())
    state = state_lib.abstract_state(start.model, optimizer, mesh, rules)
    batch = sharding.abstract_batch(assembly.abstract_batch(data), mesh, rules)
    train_step = step_lib.make_train_step(
        model=start.model,
        optimizer=optimizer,
        optimizer_config=optimizer_config,
        num_steps=steps,
        mesh=mesh,
        rules=rules,
        seed=0,
    )
    frozen = partial.frozen_part(start.model, state_lib.abstract_params(model, mesh, rules))
    with jax.set_mesh(mesh):
        after, metrics = jax.eval_shape(train_step, state, batch, frozen)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )
    assert metrics["loss"].shape == ()


def run(capsys, *arguments):
    status = cli.main(["recipes", *arguments])
    return status, capsys.readouterr()


def test_the_command_lists_every_run_file(capsys, monkeypatch):
    monkeypatch.setattr(shared, "OUT", rich.console.Console(width=250))
    status, printed = run(capsys)
    assert status == 0
    assert not [name for name in NAMES if name not in printed.out]
    (line,) = [line for line in printed.out.splitlines() if line.startswith("t0_xxl ")]
    for cell in ("t0_train", "12,200", "1,024", "1024 + 256", "0.001", "h100:", "65.2"):
        assert cell in line


def test_json_has_all_fields(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the checkout is found from anywhere
    status, printed = run(capsys, "--json")
    assert status == 0
    value = {one["name"]: one for one in json.loads(printed.out)["recipes"]}
    assert sorted(value) == NAMES
    t0 = value["t0_xxl"]
    assert (t0["system"], t0["size"], t0["mixture"]) == ("T0", "xxl", "t0_train")
    assert (t0["num_steps"], t0["batch_size"], t0["learning_rate"]) == (12200, 1024, 1e-3)
    assert "2110.08207" in t0["source"]
    assert t0["differs"]
    assert value["tiny"]["mixture"] is None


def test_recipes_here_stand_before_those_that_come_with_flantune(capsys, tmp_path, monkeypatch):
    folder = tmp_path / "gin" / "runs"
    folder.mkdir(parents=True)
    quickstart = (ROOT / "gin" / "runs" / "quickstart.gin").read_text()
    (folder / "quickstart.gin").write_text(quickstart.replace("smoke run", "my run"))
    (folder / "mine.gin").write_text(quickstart)
    (folder / "bare.gin").write_text("# Without a header.\n")
    monkeypatch.chdir(tmp_path)
    status, printed = run(capsys, "--json")
    assert status == 0
    found = {one["name"]: one["system"] for one in json.loads(printed.out)["recipes"]}
    assert sorted(found) == sorted([*NAMES, "mine"])
    assert (found["quickstart"], found["mine"], found["tiny"]) == (
        "my run",
        "smoke run",
        "smoke run",
    )
    assert "bare.gin: its header has the fields none" in printed.err
    status, printed = run(capsys, "--folder", "gin/runs")
    assert status == 2  # a folder that is named has recipes only


HEADER = "".join(f"# {field}: x\n" for field in recipes.FIELDS)


@pytest.mark.parametrize(
    ("files", "arguments", "expected"),
    [
        (None, ["--folder", "{tmp}/none"], "There is no folder .*none"),
        ({}, ["--folder", "{tmp}"], "holds no file that ends in .gin"),
        (
            {"a.gin": "# Nothing.\n"},
            ["--folder", "{tmp}"],
            r"a\.gin: its header has the fields none",
        ),
        (
            {"a.gin": HEADER.replace("# Time: x\n", "")},
            ["--folder", "{tmp}"],
            r"fields System.*a run file's are System, .*Time",
        ),
        ({"a.gin": f"{HEADER}configs.X = 1\n"}, ["--folder", "{tmp}"], r"a\.gin"),
        (None, ["--gin.DataConfig.batch_size=3"], "takes no bindings"),
    ],
)
def test_wrong_use_is_one_sentence(files, arguments, expected, tmp_path, capsys):
    for name, text in (files or {}).items():
        (tmp_path / name).write_text(text)
    status, printed = run(capsys, *(word.format(tmp=tmp_path) for word in arguments))
    assert status == 2
    assert re.search(expected, printed.err)
    assert printed.err.count("\n") == 1


def test_a_field_goes_on_over_lines():
    text = (
        "# Two\n# lines.\n"
        + HEADER.replace("# Time: x", "# Time: one hour,\n#   as measured")
        + "code"
    )
    title, fields = recipes.parse_header(text, "a.gin")
    assert title == "Two lines."
    assert fields["Time"] == "one hour, as measured"
