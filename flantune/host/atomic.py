"""Files that are whole or not there: on a disk written under a temporary name, then renamed; in a bucket one object."""

from collections.abc import Iterable
import uuid

from etils import epath

from flantune.host import buckets, places


def write_text(file: epath.PathLike, parts: str | Iterable[str]) -> None:
    """Writes a text, or parts one after another, as UTF-8; on any error the former file stays.

    A character that UTF-8 cannot hold (half of a surrogate pair) is written as its escape, which JSON reads back.
    """
    texts = (parts,) if isinstance(parts, str) else parts
    _write(file, (text.encode("utf-8", errors="backslashreplace") for text in texts))


def write_bytes(file: epath.PathLike, data: bytes) -> None:
    """Writes bytes; on any error the former file stays."""
    _write(file, (data,))


def _write(file: epath.PathLike, parts: Iterable[bytes]) -> None:
    path = epath.Path(file)
    if places.is_bucket(path):
        buckets.write(path, b"".join(parts))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("wb") as opened:
            for part in parts:
                opened.write(part)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
