"""Everything that may be bound has a meaning and an example that binds it; places of bindings are true."""

import dataclasses
import pathlib
import shlex

import pytest

from flantune import configs
from flantune.jobs import config_examples, config_reference, config_values, gin_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWNERS = config_reference.owners()
BINDINGS = [(owner.name.partition(".")[0], one) for owner in OWNERS for one in owner.bindings]
RUNS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "gin" / "runs").glob("*.gin"))
HEADER = "from __gin__ import dynamic_registration\nfrom flantune import configs\nfrom flantune import experiments\n"


def test_every_dataclass_and_function_is_listed():
    names = {owner.name for owner in OWNERS}
    assert {"configs.DataConfig", "configs.LoraConfig", "experiments.train"} <= names
    listed = {one.name for _, one in BINDINGS}
    for field in dataclasses.fields(configs.DataConfig):
        assert f"DataConfig.{field.name}" in listed


@pytest.mark.parametrize(("module", "one"), BINDINGS, ids=lambda item: getattr(item, "name", ""))
def test_every_binding_has_a_meaning(module, one):
    assert one.meaning.endswith("."), f"{module}.{one.name}: its docstring says nothing of it"


def test_every_example_binds_its_name_to_a_value_that_is_allowed():
    words = [shlex.split(one.example) for _, one in BINDINGS]
    assert all(len(split) == 1 for split in words)
    gin_files.parse([], [word.removeprefix("--gin.") for (word,) in words])
    for module, one in BINDINGS:
        assert gin_files.bound_value(f"{module}.{one.name}") is not None, one.name
    for name in configs.__all__:
        if dataclasses.is_dataclass(getattr(configs, name)):
            gin_files.build(getattr(configs, name))


def test_examples_are_of_names_that_there_are():
    assert set(config_examples.VALUES) <= {one.name for _, one in BINDINGS}


def test_types_defaults_and_meanings_are_those_of_the_code():
    lanes = config_reference.find("DataConfig.lanes")
    assert (lanes.type, lanes.default) == ("int | None", "None")
    assert lanes.meaning.startswith("independent streams of blocks")
    modules = config_reference.find("configs.DataConfig.modules")
    assert (modules.type, modules.default) == ("tuple[str, ...]", None)
    train = config_reference.find("train")
    assert train.built["model"] == "configs.ModelConfig"
    with pytest.raises(KeyError, match=r"Did you mean 'DataConfig\.mixture'"):
        config_reference.find("DataConfig.mixtur")


@pytest.mark.parametrize("run", RUNS)
def test_places_are_the_lines_that_bind(run):
    found, files = gin_files.places([run])
    assert files[0] == run
    for place in found:
        line = pathlib.Path(place.file).read_text().splitlines()[place.line - 1]
        assert line.partition(" = ")[0].strip() == place.name


def test_a_value_comes_from_the_last_place_that_binds_it(tmp_path):
    (tmp_path / "part.gin").write_text(HEADER + "configs.MeshConfig.fsdp = 2\n")
    run = tmp_path / "run.gin"
    run.write_text(
        HEADER + "configs.MeshConfig.fsdp = 4\n"
        f"include {str(tmp_path / 'part.gin')!r}\n"
        "configs.MeshConfig:\n  tensor = 8\n"
        "one/configs.EvalSuite.name = 'a'\n"
        "experiments.infer.batch_size = 3\n"
    )
    gin_files.parse([str(run)], ["MeshConfig.data=1"])
    flags = {gin_files.bound_name("MeshConfig.data=1"): "--gin.MeshConfig.data"}
    found = {one.name: one for one in config_values.values([str(run)], flags)}
    assert found["configs.MeshConfig.fsdp"].value == "2"
    assert found["configs.MeshConfig.fsdp"].origin == f"{tmp_path / 'part.gin'}, line 4"
    assert found["configs.MeshConfig.tensor"].origin == f"{run}, line 7"
    assert found["configs.MeshConfig.data"].origin == "--gin.MeshConfig.data"
    assert found["configs.MeshConfig.slice"].origin == "default"
    assert found["one/configs.EvalSuite.name"].value == "'a'"
    assert "configs.EvalSuite.name" not in found  # it need not be bound without the scope
    assert found["experiments.infer.batch_size"].value == "3"
    assert "experiments.infer.step" not in found  # training does not read it
    assert "configs.LoraConfig.rank" not in found  # nothing builds it
    assert found["configs.ModelConfig.emb_dim"].origin == "not bound"
