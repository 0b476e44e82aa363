"""The flags of commands that several processes run together. What they mean: `flantune/host/processes.py`."""

import argparse
from typing import TYPE_CHECKING

from flantune.commands import shared

if TYPE_CHECKING:
    from flantune.host import processes


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--coordinator_address", help="HOST:PORT of process 0, for several processes"
    )
    parser.add_argument("--process_count", type=int, help="how many processes work together")
    parser.add_argument("--process_index", type=int, help="which of them this is, from 0")
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="find the other processes from a TPU pod's or SLURM's environment",
    )
    parser.add_argument(
        "--join_timeout",
        type=shared.whole_number(1),
        metavar="SECONDS",
        help="how long to wait for the others to start (default: 300)",
    )


def join(parsed: argparse.Namespace) -> "processes.Group":
    """The processes that the flags name, joined."""
    from flantune.host import processes

    return processes.join(
        coordinator_address=parsed.coordinator_address,
        count=parsed.process_count,
        index=parsed.process_index,
        detect=parsed.distributed,
        timeout_s=parsed.join_timeout or processes.JOIN_TIMEOUT_S,
    )
