import pytest

from flantune.data import Publication


def test_without_a_url_it_must_say_where_rows_come_from():
    assert Publication(url="", get="Made in code.").get
    with pytest.raises(ValueError, match="must say in `get`"):
        Publication(url="")


def test_a_url_is_one_that_a_browser_opens():
    with pytest.raises(ValueError, match="not be 'arxiv"):
        Publication(url="arxiv.org/abs/2109.01652")
