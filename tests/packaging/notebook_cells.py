"""The cells of a notebook, run without Jupyter: in a process of its own, inside a running event loop.

That is where Jupyter runs them: code that starts a loop of its own fails there. Jupyter itself would be forty packages more.
"""

import json
import os
import pathlib
import subprocess
import sys

_LOOP = """
import asyncio, json, sys
cells = json.load(sys.stdin)
async def run():
    shared = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), shared)
asyncio.run(run())
"""


def code_of(path: pathlib.Path) -> list[str]:
    """The code of a notebook's cells."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(path: pathlib.Path, folder: pathlib.Path, python: str = sys.executable) -> str:
    """Runs a notebook's cells in a folder, where its store is made too; returns what they print."""
    environment = os.environ | {
        "FLANTUNE_PREPARED_DIR": str(folder / "prepared"),
        "MPLBACKEND": "agg",
        "TMPDIR": str(folder),
    }
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)  # another environment has a flantune of its own
    done = subprocess.run(
        [python, "-c", _LOOP],
        input=json.dumps(code_of(path)),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
