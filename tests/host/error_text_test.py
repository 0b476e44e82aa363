"""Errors as the command line tells them: a full device says what to change."""

import jax
import jax.numpy as jnp
import pytest

from flantune import cli, configs
from flantune.host import error_text
from flantune.jobs import gin_files

TPU_TEXT = """RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 21.17G of 15.75G hbm. Exceeded by 5.42G.

Total hbm usage >= 21.42G:
    reserved        258.00M
"""


def test_a_full_device_is_told_in_one_sentence_with_names_that_gin_knows():
    error = jax.errors.JaxRuntimeError(TPU_TEXT)
    text = error_text.sentence(error)
    assert text.startswith(
        "A device's memory is full (Ran out of memory in memory space hbm. Used 21.17G of 15.75G hbm. Exceeded by 5.42G): "
    )
    assert "\n" not in text
    for config, field in (
        (configs.DataConfig, "batch_size"),
        (configs.EvalConfig, "batch_size"),
        (configs.OptimizerConfig, "microbatches"),
        (configs.ModelConfig, "remat"),
        (configs.MeshConfig, "fsdp"),
    ):
        assert f"{config.__name__}.{field}" in text
        assert field in config.__dataclass_fields__
    assert "vocabulary_chunks" in configs.OptimizerConfig.__dataclass_fields__
    assert error_text.exit_status(error) == 1


def test_an_allocation_that_no_machine_has_room_for_is_such_an_error():
    with pytest.raises(jax.errors.JaxRuntimeError) as found:
        jnp.zeros(1 << 45).block_until_ready()  # 128 TiB
    assert error_text.is_out_of_memory(found.value)
    assert "140737488355328 bytes" in error_text.sentence(found.value)


@pytest.mark.parametrize("text", ["INTERNAL: other", "an error of ours"])
def test_other_errors_of_jax_are_not_a_full_device(text):
    assert not error_text.is_out_of_memory(jax.errors.JaxRuntimeError(text))
    assert error_text.sentence(jax.errors.JaxRuntimeError(text)) == text


def test_the_command_ends_with_the_sentence_and_not_with_a_traceback(monkeypatch, tmp_path, capsys):
    def full(*_args, **_given):
        raise jax.errors.JaxRuntimeError(TPU_TEXT)

    monkeypatch.setattr(gin_files, "bind", lambda *_args, **_given: full)
    (tmp_path / "config.gin").write_text("")
    assert cli.main(["eval", "--checkpoint", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip().split("\n")[-1].startswith("flantune: A device's memory")
