"""The notebooks of `docs/` run from beginning to end, in an empty folder."""

import json
import pathlib

import pytest

from . import notebook_cells

NOTEBOOKS = sorted(
    (pathlib.Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb")
)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder(path, tmp_path):
    assert notebook_cells.run(path, tmp_path)  # what its cells print


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path):
    """Outputs would not be those of the code for long."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert any(cell["cell_type"] == "code" for cell in notebook["cells"])


def test_there_is_a_first_one():
    assert "first_model" in [path.stem for path in NOTEBOOKS]
