"""What is asked of any source before anything is read: where its files are, which are there, how to get them."""

from flantune.data import sources
from flantune.data.sources import any_source


def test_places_are_files_once_and_folders_with_a_slash():
    jsonl = sources.Jsonl(train="a/x.jsonl[10:]", validation="a/x.jsonl[:10]", test="a/y.jsonl.gz")
    assert any_source.places(jsonl) == ("a/x.jsonl", "a/y.jsonl.gz")
    assert any_source.places(sources.Tfds("glue/rte:2.0.0", train="train")) == ("glue/rte/2.0.0/",)
    assert any_source.places(sources.HuggingFace("hf/rte", train="train")) == ("hf/rte/",)
    by_user = sources.ByUser(
        rows=sources.Jsonl(all="mine.jsonl"), text="prompt", max_per_user=1, same_prefix=5
    )
    assert any_source.places(by_user) == ("mine.jsonl",)
    assert any_source.places(sources.InMemory(train=[])) == ()


def test_files_that_are_there_have_their_sizes(tmp_path):
    (tmp_path / "x.jsonl").write_text("{}\n")
    found = any_source.files_here(sources.Jsonl(train=("x.jsonl", "y.jsonl")), "train", tmp_path)
    assert {path.name: size for path, size in found.items()} == {"x.jsonl": 3}
    assert any_source.files_here(sources.InMemory(train=[]), "train", tmp_path) == {}


def test_only_tfds_says_itself_how_it_is_got(tmp_path):
    tfds = sources.Tfds("glue/rte:2.0.0", train="train")
    assert any_source.how_to_get(tfds, "D") == "tfds build glue/rte:2.0.0 --data_dir=D"
    assert any_source.files_here(tfds, "train", tmp_path) == {}
    assert any_source.how_to_get(sources.Jsonl(train="x.jsonl"), "D") == ""
