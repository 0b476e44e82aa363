"""The console script `flantune`, and `python -m flantune`."""

import contextlib
import os
import sys

from flantune.host import interrupts


def program() -> int:
    """Runs `cli.main`; a Ctrl-C is neither lost nor followed by a crash."""
    was_pressed = interrupts.remember()
    try:
        from flantune import cli  # here, so that Ctrl-C waits for its imports

        status = cli.main()
    except BaseException as error:
        if not was_pressed() or isinstance(error, SystemExit):
            raise
        print("flantune: stopped.", file=sys.stderr)
        status = interrupts.STATUS
    if status == interrupts.STATUS:
        # At once: threads may still compile or compute, and XLA crashes where Python is taken down around them.
        with contextlib.suppress(OSError):  # nobody reads it any more
            sys.stdout.flush()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(program())
