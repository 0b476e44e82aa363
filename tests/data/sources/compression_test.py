import bz2
import gzip
import lzma

from etils import epath
import pyarrow
import pytest

from flantune.data import sources
from flantune.data.sources import compression

TEXT = "".join(f'{{"x": "line {number}"}}\n' for number in range(300))
PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True),
}


def read(tmp_path, name):
    return list(sources.Jsonl(train=name).read("train", tmp_path))


@pytest.mark.parametrize("suffix", compression.SUFFIXES)
def test_rows_of_a_compressed_file(tmp_path, suffix):
    data = TEXT.encode()
    (tmp_path / f"rows.jsonl{suffix}").write_bytes(PACK[suffix](data) + PACK[suffix](data))
    assert [row["x"] for row in read(tmp_path, f"rows.jsonl{suffix}[298:302]")] == [
        "line 298",
        "line 299",
        "line 0",
        "line 1",
    ]


@pytest.mark.parametrize("suffix", compression.SUFFIXES)
def test_a_file_that_ends_early_or_is_not_compressed_is_an_error(tmp_path, suffix):
    path = tmp_path / f"rows.jsonl{suffix}"
    whole = PACK[suffix](TEXT.encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"rows.jsonl{suffix} cannot be decompressed"):
        read(tmp_path, path.name)
    path.write_bytes(TEXT.encode())
    with pytest.raises(ValueError, match=rf"rows.jsonl{suffix} cannot be decompressed"):
        read(tmp_path, path.name)


def test_all_kinds_of_files_may_be_compressed(tmp_path):
    for name, text in {
        "a.json": '[{"x": "1"}]',
        "a.tsv": "x\n1\n",
        "a.csv": 'x\n"1"\n',
        "a.xml": "<c><item><x>1</x></item></c>",
    }.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    for source in (
        sources.Json(train="a.json.gz"),
        sources.Tsv(train="a.tsv.gz", header=True),
        sources.Csv(train="a.csv.gz", header=True),
        sources.Xml(train="a.xml.gz"),
    ):
        assert list(source.read("train", tmp_path)) == [{"x": "1"}]
    task = '{"Instances": [{"id": "1", "input": "a", "output": "b"}]}'
    (tmp_path / "task1.json.gz").write_bytes(gzip.compress(task.encode()))
    (row,) = sources.NaturalInstructions("task1.json.gz").read("train", tmp_path)
    assert row == {"id": "1", "input": "a", "output": ["b"]}


def test_an_error_of_the_reader_is_not_taken_for_damage(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b'a,1\n"b,2\n'))
    with pytest.raises(ValueError, match="a quote is opened and never closed"):
        list(sources.Csv(train="a.csv.gz", columns=("q", "a")).read("train", tmp_path))


def test_a_plain_file_is_read_as_it_is(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\x1f\x8b")
    with compression.open_binary(epath.Path(tmp_path / "a.txt")) as file:
        assert file.read() == b"\x1f\x8b"
    assert compression.without_suffix("a.tsv.zst") == "a.tsv"
