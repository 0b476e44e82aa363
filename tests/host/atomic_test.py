import pytest

from flantune.host import atomic


def test_a_writer_that_fails_leaves_the_former_file_and_nothing_else(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("former")

    def parts():
        yield "half of "
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        atomic.write_text(path, parts())
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "former"


def test_a_reader_sees_the_former_file_until_all_is_written(tmp_path):
    path = tmp_path / "new" / "report.json"
    seen = []

    def parts():
        yield "a"
        seen.append(path.exists())
        yield "b"

    atomic.write_text(path, parts())
    assert seen == [False]
    assert path.read_text() == "ab"
    assert [item.name for item in path.parent.iterdir()] == ["report.json"]
