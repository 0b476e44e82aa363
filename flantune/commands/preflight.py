"""`flantune preflight`: what can be known before a machine is paid for: the launchers of `launch/` call it first."""

import argparse
import os

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Check a run before a machine is paid for: its gin files bind everything, its mixture is prepared, its vocabulary "
        "and start are there, and its step fits the slice. Every check is made and told; exit status 1 if one fails."
    )
    parser = shared.command(commands, "preflight", _run, about)
    parser.add_argument("--run_dir", help="the run's folder, as train gets it")
    parser.add_argument(
        "--topology",
        metavar="CHIP:SHAPE",
        help="what it will run on, as flantune compile has it; without it the fit is not checked",
    )
    parser.add_argument(
        "--num_slices", type=shared.whole_number(1), default=1, help="such TPU slices (default: 1)"
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    os.environ["JAX_PLATFORMS"] = "cpu"  # an accelerator that is here is not looked at
    from flantune import experiments
    from flantune.jobs import gin_files, preflight
    from flantune.views import show

    shared.parse_gin(parsed, bindings)
    gin_files.bind(experiments.train, run_dir="", config_text="")  # all that train needs is bound
    checks = gin_files.bind(
        preflight.check, topology=parsed.topology, num_slices=parsed.num_slices
    )()
    lines = "\n".join(
        f"{'ok' if check.passed else 'FAILED':7}{check.what}: {check.found}" for check in checks
    )
    rows = [{"what": one.what, "passed": one.passed, "found": one.found} for one in checks]
    show.write({"checks": rows}, lines, as_json=parsed.json, console=shared.OUT)
    return 0 if all(check.passed for check in checks) else 1
