"""The format byte by byte, parts of arrays, damaged files; equal to the library's where that is installed."""

import json
import os

import ml_dtypes
import numpy as np
from numpy.testing import assert_array_equal
import pytest

from flantune.interop import safetensors_file
from flantune.interop.param_source import ArrayInfo

ARRAYS = {
    "matrix": np.arange(60, dtype=np.float32).reshape(10, 6),
    "half": np.arange(8, dtype=ml_dtypes.bfloat16).reshape(2, 4),
    "scalar": np.array(7, np.float32),
    "ids": np.array([3, -1], np.int64),
}


@pytest.fixture
def path(tmp_path):
    infos = {name: ArrayInfo(array.shape, array.dtype) for name, array in ARRAYS.items()}
    safetensors_file.write_file(tmp_path / "a.safetensors", infos, ARRAYS.__getitem__)
    return tmp_path / "a.safetensors"


def test_a_file_is_a_length_a_header_and_the_arrays_in_order(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert header["__metadata__"] == {"format": "pt"}
    assert header["half"] == {"dtype": "BF16", "shape": [2, 4], "data_offsets": [240, 256]}
    assert data[8 + length :] == b"".join(array.tobytes() for array in ARRAYS.values())


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_comes_back_with_its_shape_and_dtype(path, name):
    array = safetensors_file.open_file(path).read(name)
    assert array.dtype == ARRAYS[name].dtype
    assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize(
    "index",
    [
        (slice(3, 7),),
        (slice(None), slice(1, 3)),
        (slice(8, 1, -3), slice(None, None, 2)),
        (slice(-2, None), slice(-1, None)),
        (slice(4, 4), slice(None)),
    ],
)
def test_parts_equal_numpys(path, index, monkeypatch):
    expected = ARRAYS["matrix"][index]
    file = safetensors_file.open_file(path)
    assert_array_equal(file.read("matrix", index), expected)
    monkeypatch.setattr(safetensors_file, "_BLOCK_BYTES", 48)  # two rows
    assert_array_equal(file.read("matrix", index), expected)


def test_a_part_reads_only_its_rows(path):
    file = safetensors_file.open_file(path)
    os.truncate(path, file.starts["matrix"] + 5 * 6 * 4)
    assert_array_equal(file.read("matrix", (slice(2, 5),)), ARRAYS["matrix"][2:5])
    with pytest.raises(ValueError, match="ended within 'matrix'"):
        file.read("matrix", (slice(2, 6),))


def test_a_file_that_is_not_whole_is_refused(path):
    size = path.stat().st_size
    os.truncate(path, size - 1)
    with pytest.raises(ValueError, match=rf"not whole: it has {size - 1:,} of {size:,} bytes"):
        safetensors_file.open_file(path)
    os.truncate(path, 40)
    with pytest.raises(ValueError, match="not whole: it has 40 bytes, and its header alone"):
        safetensors_file.open_file(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{" * 8, "header is no JSON"),
        (b'{"a": {"dtype": "F32"}}', "does not say where 'a' lies"),
        (
            b'{"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}',
            "'a' as F8_E4M3, which is not read",
        ),
        (
            b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
            r"4 bytes, which do not fit F32 \[2\]",
        ),
    ],
)
def test_damaged_headers_say_what_is_wrong(tmp_path, header, message):
    path = tmp_path / "b.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(ValueError, match=message):
        safetensors_file.open_file(path)


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(b"PK\x03\x04 a zip file of some length")
    with pytest.raises(ValueError, match="no safetensors file"):
        safetensors_file.open_file(path)


def test_the_library_reads_what_we_write_and_we_what_it_writes(path, tmp_path):
    library = pytest.importorskip("safetensors.numpy", reason="only with the hf extra")
    with library.safe_open(path, framework="numpy") as opened:
        assert opened.metadata() == {"format": "pt"}
        for name in ("matrix", "scalar", "ids"):
            assert_array_equal(opened.get_tensor(name), ARRAYS[name])
    others = {name: ARRAYS[name] for name in ("matrix", "ids")}
    library.save_file(others, tmp_path / "theirs.safetensors")
    ours = safetensors_file.open_file(tmp_path / "theirs.safetensors")
    for name, array in others.items():
        assert_array_equal(ours.read(name), array)
