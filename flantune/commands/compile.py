"""`flantune compile`: whether a run fits on a slice, before anybody pays for one."""

import argparse
import os

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Compile a run's training step for a TPU slice that need not exist, or estimate it for GPUs: memory, FLOPs, "
        "collectives, and the least time of a step. Needs no accelerator, no data and no vocabulary. Exit status 1 where "
        "the step does not fit."
    )
    parser = shared.command(commands, "compile", _run, about)
    parser.add_argument(
        "--topology",
        required=True,
        metavar="CHIP:SHAPE",
        help="for example v5e:16x16, v5p:4x4x4 (chips along each axis) or h100:8",
    )
    parser.add_argument(
        "--num_slices",
        type=int,
        default=1,
        help="such TPU slices, joined by the network (default: 1)",
    )
    parser.add_argument(
        "--optimization",
        default="O1",
        help="O1 (fast; needs memory to spare) or default (what a run gets; three to four times slower)",
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    os.environ["JAX_PLATFORMS"] = "cpu"  # an accelerator that is here is not looked at
    from flantune import configs, experiments
    from flantune.jobs import gin_files
    from flantune.views import feasibility_text, show

    shared.parse_gin(parsed, bindings)
    # A run file may leave the mixture to its user: here only the shape of a batch counts.
    data = gin_files.build(configs.DataConfig, mixture="", modules=(), vocabulary="")
    given = {"num_steps": _num_steps()} if _num_steps() else {}
    job = gin_files.bind(
        experiments.compile,
        topology=parsed.topology,
        num_slices=parsed.num_slices,
        optimization=parsed.optimization,
        data=data,
        **given,
    )
    found = job()
    view = feasibility_text.text(found)
    show.write(found.as_json(), view, as_json=parsed.json, console=shared.OUT)
    return 0 if found.fits else 1


def _num_steps() -> int | None:
    """What the run file binds for training; None where it does not."""
    from flantune import experiments
    from flantune.jobs import gin_files

    try:
        value = gin_files.binding(experiments.train, "num_steps")
    except ValueError:
        return None
    assert isinstance(value, int)
    return value
