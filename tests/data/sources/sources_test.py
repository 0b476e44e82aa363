import pickle
import subprocess
import sys

import numpy as np
import pytest

from flantune.data import sources


def read(source, data_dir, split="train"):
    return list(source.read(split, data_dir))


def problems(source, data_dir, split="train"):
    return [
        (record.where.replace(str(data_dir), "."), record.problem)
        for record in source.records(split, data_dir)
        if record.row is None
    ]


def test_tsv_with_columns_and_slices(tmp_path):
    (tmp_path / "qa.tsv").write_text("a\t1\nb\t2\n\nc\t3\nd\t4\n")
    source = sources.Tsv(
        train="qa.tsv[1:]", test="qa.tsv[:1]", last="qa.tsv[-2:]", columns=("question", "answer")
    )
    assert source.splits == ("train", "test", "last")
    assert read(source, tmp_path, "test") == [{"question": "a", "answer": "1"}]
    assert [row["question"] for row in read(source, tmp_path)] == ["b", "c", "d"]
    assert [row["question"] for row in read(source, tmp_path, "last")] == ["c", "d"]


def test_tsv_with_a_header_a_byte_order_mark_and_windows_line_ends(tmp_path):
    (tmp_path / "qa.tsv").write_bytes("\ufefftext\tlabel\r\nit 's \x85 fine\t1\r\n".encode())
    assert read(sources.Tsv(train="qa.tsv", header=True), tmp_path) == [
        {"text": "it 's \x85 fine", "label": "1"}
    ]


def test_several_files_are_joined_in_order(tmp_path):
    (tmp_path / "a.txt").write_text("1\n2\n")
    (tmp_path / "b.txt").write_text("3\n4\n")
    source = sources.Lines(train=("b.txt[1:]", "a.txt"), column="line")
    assert read(source, tmp_path) == [{"line": "4"}, {"line": "1"}, {"line": "2"}]


def test_lines_in_another_encoding(tmp_path):
    (tmp_path / "a.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert read(sources.Lines(train="a.txt", encoding="latin-1"), tmp_path) == [{"text": "café"}]
    assert problems(sources.Lines(train="a.txt"), tmp_path) == [
        ("./a.txt:1", "not utf-8: unexpected end of data at byte 3")
    ]


def test_csv_keeps_quoted_line_ends_and_says_which_row_is_wrong(tmp_path):
    (tmp_path / "a.csv").write_text('q,a\n"one,\ntwo ""x""",1\nshort\n\nlast,2\n')
    source = sources.Csv(train="a.csv", header=True)
    rows = [record.row for record in source.records("train", tmp_path) if record.row]
    assert rows == [{"q": 'one,\ntwo "x"', "a": "1"}, {"q": "last", "a": "2"}]
    assert problems(source, tmp_path) == [("./a.csv:4", "1 columns, not 2 (q, a)")]


def test_csv_goes_on_after_a_line_that_is_not_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,1\n\xff,2\nb,3\n")
    source = sources.Csv(train="a.csv", columns=("q", "a"))
    assert problems(source, tmp_path)[0][0] == "./a.csv:2"
    assert [record.row["q"] for record in source.records("train", tmp_path) if record.row] == [
        "a",
        "b",
    ]


def test_csv_whose_quote_never_closes_is_an_error_and_not_one_long_row(tmp_path):
    (tmp_path / "a.csv").write_text('a,1\n"b,2\nc,3\n')
    with pytest.raises(ValueError, match=r"a.csv:2: a quote is opened and never closed"):
        read(sources.Csv(train="a.csv", columns=("q", "a")), tmp_path)


def test_jsonl_and_its_malformed_rows(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": "a"}\n\n{"q": \n[1]\n{"q": "b"}')
    source = sources.Jsonl(train="a.jsonl")
    assert problems(source, tmp_path) == [
        ("./a.jsonl:3", "not JSON: Expecting value at column 7"),
        ("./a.jsonl:4", "a list, not an object with named fields"),
    ]
    with pytest.raises(ValueError, match=r"a.jsonl:3: not JSON"):
        read(source, tmp_path)


def test_json_list_and_list_under_a_key(tmp_path):
    (tmp_path / "a.json").write_text('[{"x": 1}]')
    (tmp_path / "b.json").write_text('{"examples": [{"x": 2}]}')
    assert read(sources.Json(train="a.json"), tmp_path) == [{"x": 1}]
    assert read(sources.Json(train="b.json", items="examples"), tmp_path) == [{"x": 2}]
    with pytest.raises(ValueError, match=r"under the key 'example'.*'examples'"):
        read(sources.Json(train="b.json", items="example"), tmp_path)
    (tmp_path / "c.json").write_text('[\n{"x": 1},\n}')
    with pytest.raises(ValueError, match=r"c.json:3 is not JSON"):
        read(sources.Json(train="c.json"), tmp_path)


def test_natural_instructions_splits_are_slices_of_one_file(tmp_path):
    (tmp_path / "task1.json").write_text(
        '{"Definition": "Do.", "Instances": [{"id": "1", "input": "a", "output": ["x", "y"]},'
        '{"id": "2", "input": "b", "output": "z"}, {"id": "3"}]}'
    )
    source = sources.NaturalInstructions("task1.json", train="[1:]", test="[:1]")
    assert read(source, tmp_path, "test") == [{"id": "1", "input": "a", "output": ["x", "y"]}]
    good, bad = source.records("train", tmp_path)
    assert good.row == {"id": "2", "input": "b", "output": ["z"]}
    assert bad.where.endswith("task1.json:instance 2")
    assert sources.NaturalInstructions("task1.json").splits == ("train",)


def test_xml_rows_are_attributes_and_child_texts(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<?xml version="1.0"?><!DOCTYPE c SYSTEM "c.dtd"><c><item id="1"><p>A <b>b</b></p><x>1</x><x>2</x></item></c>'
    )
    assert read(sources.Xml(train="a.xml"), tmp_path) == [{"id": "1", "p": "A b", "x": ["1", "2"]}]
    (tmp_path / "b.xml").write_text("<c>\n<item></c>")
    with pytest.raises(ValueError, match=r"b.xml is not XML: mismatched tag: line 2"):
        read(sources.Xml(train="b.xml"), tmp_path)


def test_a_missing_file_names_the_directory_the_flag_and_the_closest_file(tmp_path):
    (tmp_path / "cot").mkdir()
    (tmp_path / "cot" / "gsm8k.tsv").touch()
    source = sources.Tsv(train="cot/gsmk8.tsv[:5]", columns=("q",))
    with pytest.raises(FileNotFoundError) as error:
        read(source, tmp_path)
    for part in (
        "'cot/gsmk8.tsv'",
        str(tmp_path),
        "--data_dir",
        "FLANTUNE_DATA_DIR",
        "'gsm8k.tsv'",
    ):
        assert part in str(error.value)
    assert source.fingerprint("train", tmp_path) is None
    assert source.content_sha256("train", tmp_path) is None


def test_a_missing_split_names_the_splits(tmp_path):
    with pytest.raises(KeyError, match=r"no split 'test'.*'train', 'validation'"):
        read(sources.Lines(train="a", validation="b"), tmp_path, "test")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sources.Tsv(train="a.tsv"), "either columns.*neither"),
        (lambda: sources.Csv(train="a.csv", columns=("a",), header=True), "both"),
        (lambda: sources.Lines(), "at least one split"),
        (lambda: sources.Lines(train="a.txt[:10%]"), "whole numbers"),
        (lambda: sources.NaturalInstructions("a.json", train="b.json"), r"like '\[100:\]'"),
        (lambda: sources.Jsonl(train="a.jsonl", encoding="utf-16"), "convert the file to UTF-8"),
        (lambda: sources.Chat(train="a.jsonl", encoding="utf-88"), "which Python does not know"),
    ],
)
def test_wrong_sources_are_told_when_they_are_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_fingerprint_follows_files_slices_and_parsing(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("a\tb\n")
    source = sources.Tsv(train="a.tsv", test="a.tsv[:5]", columns=("x", "y"))
    before = source.fingerprint("train", tmp_path)
    content = source.content_sha256("train", tmp_path)
    other = sources.Tsv(train="a.tsv", test="a.tsv[:6]", columns=("x", "y"))
    assert (
        other.fingerprint("train", tmp_path) == before
    )  # another split's slice is none of its business
    assert other.fingerprint("test", tmp_path) != source.fingerprint("test", tmp_path)
    renamed = sources.Tsv(train="a.tsv", columns=("x", "z"))
    assert renamed.content_sha256("train", tmp_path) != content
    path.touch()
    assert source.fingerprint("train", tmp_path) != before
    assert source.content_sha256("train", tmp_path) == content
    path.write_text("a\tc\n")
    assert source.content_sha256("train", tmp_path) != content


def test_sources_can_be_pickled_and_compared():
    source = sources.Tsv(train=("a.tsv", "b.tsv"), columns=("x",))
    assert pickle.loads(pickle.dumps(source)) == source
    assert hash(source) == hash(sources.Tsv(train=("a.tsv", "b.tsv"), columns=("x",)))
    tfds = sources.Tfds("a/b:1.0.0", train="train")
    assert pickle.loads(pickle.dumps(tfds)) == tfds


def _two_rows():
    return ({"x": number} for number in range(2))


def test_in_memory_rows_and_functions(tmp_path):
    source = sources.InMemory(train=[{"x": 5}], test=_two_rows)
    assert read(source, tmp_path) == [{"x": 5}]
    assert read(source, tmp_path, "test") == [{"x": 0}, {"x": 1}]
    same = sources.InMemory(train=[{"x": 5}])
    assert same.fingerprint("train", tmp_path) == source.fingerprint("train", tmp_path)
    other = sources.InMemory(train=[{"x": 6}])
    assert other.fingerprint("train", tmp_path) != source.fingerprint("train", tmp_path)


def test_importing_sources_imports_no_tensorflow():
    code = "import sys, flantune.data.sources; print({'tensorflow', 'seqio', 'jax'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_tfds_dataset_that_is_absent_tells_how_to_build_it(tmp_path):
    source = sources.Tfds("bool_q:1.0.0", train="train")
    with pytest.raises(FileNotFoundError, match=r"tfds build bool_q:1\.0\.0 --data_dir="):
        read(source, tmp_path)
    assert source.fingerprint("train", tmp_path) is None


def test_tfds_round_trip(tmp_path):
    """A dataset written in TFDS's own format, read back through seqio.TfdsDataSource (imports TensorFlow)."""
    tfds = pytest.importorskip("tensorflow_datasets")
    rows = [
        {"text": f"täxt {n}", "label": n % 2, "spans": [str(i) for i in range(n)], "weight": n / 2}
        for n in range(10)
    ]
    features = tfds.features.FeaturesDict(
        {
            "text": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["no", "yes"]),
            "spans": tfds.features.Sequence(tfds.features.Text()),
            "weight": tfds.features.Scalar(np.float32),
        }
    )
    directory = tmp_path / "tiny" / "1.2.0"
    identity = tfds.core.dataset_info.DatasetIdentity(
        name="tiny", version=tfds.core.Version("1.2.0"), data_dir=str(directory), module_name="tiny"
    )
    directory.mkdir(parents=True)
    writer = tfds.core.SequentialWriter(
        tfds.core.DatasetInfo(builder=identity, features=features), max_examples_per_shard=4
    )
    writer.initialize_splits(["train", "test"])
    writer.add_examples({"train": rows, "test": rows[:3]})
    writer.close_all()
    source = sources.Tfds("tiny:1.2.0", train="train[:80%]", validation="train[80%:]", test="test")
    got = [row for split in ("train", "validation") for row in read(source, tmp_path, split)]
    assert got == rows
    assert all(type(row["label"]) is int and type(row["spans"]) is list for row in got)
    assert read(source, tmp_path, "test") == rows[:3]
    assert read(sources.Tfds("tiny", train="train"), tmp_path) == rows  # the newest version
    assert source.fingerprint("train", tmp_path) != source.fingerprint("test", tmp_path)
    assert source.content_sha256("train", tmp_path) == source.content_sha256("train", tmp_path)
    with pytest.raises(ValueError, match="trai"):
        read(sources.Tfds("tiny:1.2.0", train="trai"), tmp_path)
