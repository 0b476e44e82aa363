"""Several files of a run folder written as one: after a kill at any point all of them are there, or none.

They are written to one file first, `.start.json`, and from it to their places. Whoever opens a run folder calls `finish`,
which ends what a kill has left between the two.
"""

import base64
from collections.abc import Mapping
import json

from etils import epath

from flantune.host import atomic

_WRITTEN_AHEAD = ".start.json"


def write(run_dir: epath.PathLike, files: Mapping[str, str | bytes | None]) -> None:
    """Writes files, text or bytes by name, into a folder that is made where it is not there; None: no such file."""
    folder = epath.Path(run_dir)
    held = {name: _held(content) for name, content in files.items()}
    atomic.write_text(folder / _WRITTEN_AHEAD, json.dumps(held))
    finish(folder)


def finish(run_dir: epath.PathLike) -> None:
    """Writes what an interrupted `write` left undone; where there is nothing to finish, nothing is touched.

    Several processes may do so at once: all write the same.
    """
    folder = epath.Path(run_dir)
    ahead = folder / _WRITTEN_AHEAD
    try:
        held = json.loads(ahead.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, content in held.items():
        if content is None:
            (folder / name).unlink(missing_ok=True)
        else:
            atomic.write_bytes(folder / name, base64.b64decode(content))
    ahead.unlink(missing_ok=True)


def _held(content: str | bytes | None) -> str | None:
    if content is None:
        return None
    data = content.encode() if isinstance(content, str) else content
    return base64.b64encode(data).decode("ascii")
