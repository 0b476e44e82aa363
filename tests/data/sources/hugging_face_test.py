"""Folders as `datasets` writes them (made here with pyarrow; compared with `datasets` where it is installed)."""

import json
import pickle
import subprocess
import sys

import pyarrow
from pyarrow import parquet
import pytest

from flantune.data import sources

ROWS = [
    {
        "text": f"tëxt {number}",
        "label": number % 2 if number < 4 else -1,
        "choices": {"text": ["x", "y"], "label": ["A", "B"]},
        "score": number / 2,
    }
    for number in range(5)
]
FEATURES = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": ["no", "yes"], "_type": "ClassLabel"},
}


def table(rows):
    noted = json.dumps({"info": {"features": FEATURES}})
    return pyarrow.Table.from_pylist(rows).replace_schema_metadata({"huggingface": noted})


def write_arrow(path, rows, new=pyarrow.ipc.new_stream):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = table(rows)
    with new(str(path), made.schema) as writer:
        writer.write_table(made)


def save(folder, shards, split=None):
    """What `Dataset.save_to_disk` writes."""
    names = [f"data-{number:05d}-of-{len(shards):05d}.arrow" for number in range(len(shards))]
    for name, rows in zip(names, shards, strict=True):
        write_arrow(folder / name, rows)
    state = {"_data_files": [{"filename": name} for name in names], "_split": split}
    (folder / "state.json").write_text(json.dumps(state))


def read(source, data_dir, split="train"):
    return list(source.read(split, data_dir))


def test_a_saved_dataset_with_splits(tmp_path):
    save(tmp_path / "hf" / "train", [ROWS[:2], ROWS[2:]])
    save(tmp_path / "hf" / "test", [ROWS[:1]])
    (tmp_path / "hf" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    source = sources.HuggingFace("hf", train="train[1:]", held="train[:1]", test="test")
    assert read(source, tmp_path) == ROWS[1:]
    assert read(source, tmp_path, "held") == ROWS[:1]
    assert read(source, tmp_path, "test") == ROWS[:1]
    (*_, last) = source.records("train", tmp_path)
    assert last.where == f"{tmp_path}/hf/train/data-00001-of-00002.arrow:row 2"
    assert pickle.loads(pickle.dumps(source)) == source
    assert source.fingerprint("train", tmp_path) != source.fingerprint("test", tmp_path)
    assert source.content_sha256("train", tmp_path) == source.content_sha256("train", tmp_path)


def test_a_saved_dataset_without_splits_is_the_one_it_was_made_from(tmp_path):
    save(tmp_path / "a", [ROWS])
    save(tmp_path / "b", [ROWS], split="validation")
    assert read(sources.HuggingFace("a", train="train"), tmp_path) == ROWS
    assert read(sources.HuggingFace("b", train="validation"), tmp_path) == ROWS
    with pytest.raises(KeyError, match=r"split 'train', which does not exist.*'validation'"):
        read(sources.HuggingFace("b", train="train"), tmp_path)


def test_label_names_come_from_the_class_labels(tmp_path):
    save(tmp_path / "a", [ROWS])
    parquet.write_table(table(ROWS), tmp_path / "a" / "unused.parquet")
    source = sources.HuggingFace("a", train="train", label_names=True)
    assert [row["label_name"] for row in read(source, tmp_path)] == ["no", "yes", "no", "yes", ""]


def test_a_folder_of_files_named_for_their_splits(tmp_path):
    folder = tmp_path / "mixed"
    (folder / "data").mkdir(parents=True)
    parquet.write_table(table(ROWS[:2]), folder / "data" / "train-00000-of-00002-0a1b.parquet")
    parquet.write_table(table(ROWS[2:]), folder / "data" / "train-00001-of-00002-0a1b.parquet")
    write_arrow(folder / "rte-validation.arrow", ROWS[:3])
    write_arrow(folder / "extra.arrow", ROWS[:1], pyarrow.ipc.new_file)
    (folder / "test.jsonl").write_text('{"text": "a"}\n{\n{"text": "b"}\n')
    (folder / "few").mkdir()
    (folder / "few" / "1.json").write_text('[{"text": "c"}]')
    (folder / "README.md").touch()
    (folder / "dataset_info.json").write_text("{}")
    splits = ("train", "validation", "extra", "test", "few")
    source = sources.HuggingFace("mixed", **{split: split for split in splits})
    assert read(source, tmp_path) == ROWS
    assert read(source, tmp_path, "validation") == ROWS[:3]
    assert read(source, tmp_path, "extra") == ROWS[:1]
    assert read(source, tmp_path, "few") == [{"text": "c"}]
    good, bad, _ = source.records("test", tmp_path)
    assert (good.row, bad.where) == ({"text": "a"}, f"{folder}/test.jsonl:2")
    with pytest.raises(KeyError, match=r"'valid'.*Did you mean"):
        read(sources.HuggingFace("mixed", train="valid"), tmp_path)


def test_absent_and_damaged_datasets_say_where(tmp_path):
    source = sources.HuggingFace("hf/glue", train="train")
    with pytest.raises(FileNotFoundError, match=r"HuggingFace: no file 'hf/glue'"):
        read(source, tmp_path)
    assert source.fingerprint("train", tmp_path) is None
    save(tmp_path / "hf" / "glue", [ROWS])
    data = tmp_path / "hf" / "glue" / "data-00000-of-00001.arrow"
    data.write_bytes(data.read_bytes()[:-300])
    with pytest.raises(ValueError, match=r"data-00000-of-00001.arrow cannot be read"):
        read(source, tmp_path)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"train.parquet cannot be read"):
        read(sources.HuggingFace("p", train="train"), tmp_path)
    state = tmp_path / "hf" / "glue" / "state.json"
    state.write_text('{"_data_files": [], "_indices_data_files": [{"filename": "indices.arrow"}]}')
    with pytest.raises(ValueError, match="save it again"):
        read(source, tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sources.HuggingFace("a"), "at least one split"),
        (lambda: sources.HuggingFace("a", train="[:5]"), "names no split"),
        (lambda: sources.HuggingFace("a", train="train[:5%]"), "whole numbers"),
    ],
)
def test_wrong_sources_are_told_when_they_are_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_rows_equal_those_that_datasets_gives(tmp_path):
    """`datasets` in a process of its own: a folder saved by it, shuffled and sharded, is read the same."""
    pytest.importorskip("datasets", reason="only where the hf extra is installed")
    code = f"""
import json, datasets
features = datasets.Features({{"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"]),
    "choices": {{"text": [datasets.Value("string")], "label": [datasets.Value("string")]}}, "score": datasets.Value("float64")}})
whole = datasets.Dataset.from_list(json.loads({json.dumps(json.dumps(ROWS))}), features=features)
both = datasets.DatasetDict(train=whole.shuffle(seed=0).filter(lambda row: row["label"] >= 0), test=whole)
both.save_to_disk({str(tmp_path / "saved")!r}, num_shards=dict(train=2, test=1))
whole.to_parquet({str(tmp_path / "files" / "train.parquet")!r})
print(json.dumps([list(datasets.load_from_disk({str(tmp_path / "saved")!r})["train"]), list(whole)]))
"""
    (tmp_path / "files").mkdir()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    train, whole = json.loads(done.stdout.splitlines()[-1])
    saved = sources.HuggingFace("saved", train="train", test="test", label_names=True)
    assert [{**row, "label_name": ["no", "yes"][row["label"]]} for row in train] == read(
        saved, tmp_path
    )
    assert read(sources.HuggingFace("files", train="train"), tmp_path) == whole
