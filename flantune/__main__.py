"""`python -m flantune` is the console script `flantune`."""

import sys

from flantune import cli

if __name__ == "__main__":
    sys.exit(cli.main())
