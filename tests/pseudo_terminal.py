"""Programs on a pseudo-terminal: what a person would see, where that is not what a pipe gets."""

import fcntl
import os
import pathlib
import pty
import re
import struct
import subprocess
import sys
import termios

ROOT = pathlib.Path(__file__).resolve().parent.parent
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def python(*arguments: str, width: int = 80, **environment: str) -> tuple[int, str]:
    """Runs Python on a terminal of so many columns; returns its exit status and all that it wrote, without escape codes.

    Standard output and standard error are both the terminal, as for a person. Lines end in "\\n"; what a line is
    overwritten with follows as a line of its own.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")
    }
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**inherited, "TERM": "xterm", "PYTHONPATH": str(ROOT), **environment},
    )
    os.close(theirs)
    written = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    text = _ESCAPE.sub("", written.decode()).replace("\r\n", "\n").replace("\r", "\n")
    return process.wait(), text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # EIO: nobody has the other end open any more
        return b""
