"""`flantune preflight`: what can be known before a machine is paid for: the launchers of `launch/` call it first."""

import argparse
import os

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Check a run before a machine is paid for: its gin files bind everything, its data are prepared, its vocabulary and "
        "start are there, its folder can be written, its files are in what is shipped, its step fits the slice; and what it "
        "costs at best. Every check is made and told; exit status 1 if one fails."
    )
    parser = shared.command(commands, "preflight", _run, about)
    parser.add_argument(
        "--run_dir",
        help="the run's folder, as train gets it: an object is written there and removed",
    )
    parser.add_argument(
        "--topology",
        metavar="CHIP:SHAPE",
        help="what it will run on, as flantune compile has it; without it the fit is not checked",
    )
    parser.add_argument(
        "--num_slices", type=shared.whole_number(1), default=1, help="such TPU slices (default: 1)"
    )
    ships = parser.add_mutually_exclusive_group()
    ships.add_argument(
        "--ships_commit",
        metavar="CHECKOUT",
        help="the machines get the commit of this checkout: refuse a run file or module that git does not have as it is",
    )
    ships.add_argument(
        "--ships_folder",
        metavar="CHECKOUT",
        help="the machines get this folder: refuse a run file or module that is outside",
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    os.environ["JAX_PLATFORMS"] = "cpu"  # an accelerator that is here is not looked at
    from flantune import experiments
    from flantune.jobs import gin_files, preflight
    from flantune.views import show

    named = shared.parse_gin(parsed, bindings)
    gin_files.bind(experiments.train, run_dir="", config_text="")  # all that train needs is bound
    num_steps = gin_files.binding(experiments.train, "num_steps")
    assert isinstance(num_steps, int)
    paths = [path for path in parsed.gin_search_paths.split(",") if path]
    launch = preflight.Launch(
        run_dir=parsed.run_dir,
        num_steps=num_steps,
        topology=parsed.topology,
        num_slices=parsed.num_slices,
        commit_of=parsed.ships_commit,
        folder=parsed.ships_folder,
        run_files=tuple(named),
        files=tuple(gin_files.places(named, paths=paths)[1]),
    )
    checks = gin_files.bind(preflight.check, launch=launch)()
    lines = "\n".join(
        f"{'ok' if check.passed else 'FAILED':7}{check.what}: {check.found}" for check in checks
    )
    rows = [{"what": one.what, "passed": one.passed, "found": one.found} for one in checks]
    show.write_lines({"checks": rows}, lines, as_json=parsed.json, console=shared.OUT)
    return 0 if all(check.passed for check in checks) else 1
