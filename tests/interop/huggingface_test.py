"""Folders in Hugging Face's layout, written here by hand or by our writer, and read as a source of parameters."""

import dataclasses
import json
import os

import jax
import ml_dtypes
import numpy as np
from numpy.testing import assert_array_equal
import pytest

from flantune import testing
from flantune.interop import (
    huggingface,
    huggingface_names,
    huggingface_writer,
    safetensors_file,
    tree_source,
)
from flantune.interop.param_source import ArrayInfo, ParamSource
from flantune.models import t5

MODEL = dataclasses.replace(testing.MODEL, num_encoder_layers=2)
PARAMS = jax.tree.map(np.asarray, t5.EncoderDecoder(MODEL).init(jax.random.key(0)))
SOURCE = tree_source.TreeSource("The tree", PARAMS)


@pytest.fixture
def folder(tmp_path):
    huggingface_writer.write(tmp_path, SOURCE, MODEL, dtype="float32")
    return tmp_path


def rewrite(folder, change, config=None):
    """Writes the arrays of a one-file model again after `change` of their dict, and changes its config."""
    file = safetensors_file.open_file(folder / "model.safetensors")
    arrays = {name: file.read(name) for name in file.arrays}
    change(arrays)
    infos = {name: ArrayInfo(array.shape, array.dtype) for name, array in arrays.items()}
    safetensors_file.write_file(folder / "model.safetensors", infos, arrays.__getitem__)
    if config:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))


def assert_same(source, expected):
    assert source.arrays.keys() == expected.arrays.keys()
    for name in expected.arrays:
        assert_array_equal(source.read(name), expected.read(name), err_msg=name)


def test_kernels_lie_the_other_way_round_and_names_are_theirs(folder):
    file = safetensors_file.open_file(folder / "model.safetensors")
    query = file.read("decoder.block.0.layer.1.EncDecAttention.q.weight")
    expected = PARAMS["decoder"]["layers_0"]["encoder_decoder_attention"]["query"]["kernel"]
    assert_array_equal(query, expected.T)
    assert_array_equal(file.read("shared.weight"), PARAMS["token_embedder"]["embedding"])
    bias = file.read("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    assert_array_equal(bias, PARAMS["encoder"]["relpos_bias"]["rel_embedding"].T)


def test_what_is_written_is_read_back(folder):
    source = huggingface.open_model(folder)
    assert isinstance(source, ParamSource)
    assert source.model == dataclasses.replace(MODEL, dtype="bfloat16", scan_layers=True)
    assert source.family == "t5"
    assert_same(source, SOURCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"mlp_activations": ("relu",), "logits_via_embedding": True},
        {"relative_attention_per_layer": True},
    ],
)
def test_other_families_are_read_back(tmp_path, changes):
    model = dataclasses.replace(MODEL, **changes)
    params = t5.EncoderDecoder(model).init(jax.random.key(0))
    source = tree_source.TreeSource("The tree", params)
    huggingface_writer.write(tmp_path, source, model, dtype="float32")
    found = huggingface.open_model(tmp_path)
    for name, value in changes.items():
        assert getattr(found.model, name) == value
    assert_same(found, source)


def test_parts_of_a_kernel_are_read_in_our_order(folder):
    source = huggingface.open_model(folder)
    name = "encoder/layers_1/mlp/wi_0/kernel"
    whole = source.read(name)
    assert whole.shape == (MODEL.emb_dim, MODEL.mlp_dim)
    for index in ((slice(2, 5),), (slice(None), slice(1, 9)), (slice(3, 4), slice(0, 2))):
        assert_array_equal(source.read(name, index), whole[index])


def test_bfloat16_is_rounded_once(tmp_path):
    huggingface_writer.write(tmp_path, SOURCE, MODEL, dtype="bfloat16")
    source = huggingface.open_model(tmp_path)
    array = source.read("token_embedder/embedding")
    assert array.dtype == ml_dtypes.bfloat16
    assert_array_equal(array, PARAMS["token_embedder"]["embedding"].astype(ml_dtypes.bfloat16))


def test_float16_is_refused(tmp_path):
    with pytest.raises(ValueError, match="written as float32 or bfloat16, not 'float16'"):
        huggingface_writer.write(tmp_path, SOURCE, MODEL, dtype="float16")


def test_a_parameter_that_t5_lacks_is_refused(tmp_path):
    source = tree_source.TreeSource("The tree", {"encoder": {"layers_0": {"lora": np.ones(2)}}})
    with pytest.raises(ValueError, match="no parameter for 'encoder/layers_0/lora'"):
        huggingface_writer.write(tmp_path, source, MODEL, dtype="float32")


def test_shards_stay_below_their_size_and_the_index_names_them(tmp_path):
    huggingface_writer.write(tmp_path, SOURCE, MODEL, dtype="float32", shard_bytes=20_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) >= 3
    assert files[0] == f"model-00001-of-{len(files):05}.safetensors"
    sizes = []
    for name in files:
        arrays = safetensors_file.open_file(tmp_path / name).arrays
        assert {key for key, file in index["weight_map"].items() if file == name} == set(arrays)
        sizes.append(sum(4 * int(np.prod(info.shape)) for info in arrays.values()))
    assert max(sizes) <= 20_000
    assert index["metadata"]["total_size"] == sum(sizes)
    assert_same(huggingface.open_model(tmp_path), SOURCE)


def test_a_missing_shard_and_a_lost_array_are_named(tmp_path):
    huggingface_writer.write(tmp_path, SOURCE, MODEL, dtype="float32", shard_bytes=20_000)
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    index = tmp_path / "model.safetensors.index.json"
    changed = json.loads(index.read_text())
    changed["weight_map"]["decoder.block.9.nothing"] = shard.name
    index.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=rf"{shard.name} lacks 'decoder.block.9.nothing'"):
        huggingface.open_model(tmp_path)
    shard.unlink()
    with pytest.raises(ValueError, match=f"lacks 1 of the .* files that .*: {shard.name}"):
        huggingface.open_model(tmp_path)


def test_a_file_cut_short_is_refused(folder):
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"model\.safetensors is not whole"):
        huggingface.open_model(folder)


def test_folders_without_safetensors_say_what_to_do(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin.*can run code.*save_pretrained"):
        huggingface.open_model(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ValueError, match="has no weights"):
        huggingface.open_model(folder)


def test_aliases_of_the_embedding_are_the_embedding(folder):
    def change(arrays):
        arrays["encoder.embed_tokens.weight"] = arrays.pop("shared.weight")
        arrays["decoder.embed_tokens.weight"] = arrays["encoder.embed_tokens.weight"]
        arrays["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"] = np.ones(
            (32, 2), np.float32
        )

    rewrite(folder, change)
    assert_same(huggingface.open_model(folder), SOURCE)


def test_unknown_arrays_keep_their_name_so_that_a_comparison_finds_them(folder):
    rewrite(folder, lambda arrays: arrays.update({"adapter.weight": np.ones((2, 2), np.float32)}))
    source = huggingface.open_model(folder)
    assert set(source.arrays) - set(SOURCE.arrays) == {"adapter.weight"}


def test_t5_1_0_may_hold_its_logits_kernel_twice(folder):
    def tie(arrays):
        arrays["lm_head.weight"] = arrays["shared.weight"]

    rewrite(folder, tie, {"tie_word_embeddings": True})
    source = huggingface.open_model(folder)
    assert source.model.logits_via_embedding
    assert "decoder/logits_dense/kernel" not in source.arrays


def test_tied_logits_with_another_kernel_are_refused(folder):
    rewrite(folder, lambda arrays: None, {"tie_word_embeddings": True})
    with pytest.raises(ValueError, match=r"lm_head\.weight differs from shared\.weight"):
        huggingface.open_model(folder)


def test_t5_1_1_without_a_logits_kernel_takes_the_embedding_unscaled(folder):
    rewrite(folder, lambda arrays: arrays.pop("lm_head.weight"))
    source = huggingface.open_model(folder)
    assert not source.model.logits_via_embedding
    kernel = source.read("decoder/logits_dense/kernel")
    assert_array_equal(kernel, PARAMS["token_embedder"]["embedding"].T)


def test_every_parameter_has_a_name_there_and_back():
    for per_layer in (False, True):
        model = dataclasses.replace(MODEL, relative_attention_per_layer=per_layer)
        shapes = jax.eval_shape(t5.EncoderDecoder(model).init, jax.random.key(0))
        flat = jax.tree_util.tree_leaves_with_path(shapes)
        for path, _ in flat:
            name = "/".join(key.key for key in path)
            theirs = huggingface_names.to_theirs(name)
            assert theirs is not None, name
            assert huggingface_names.to_ours(theirs, bias_per_layer=per_layer) == name
    assert huggingface_names.to_ours("encoder.block.0.layer.3.q", bias_per_layer=False) is None
    assert huggingface_names.to_theirs("encoder/layers_0/lora/kernel") is None
