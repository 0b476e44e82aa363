"""What the published sizes of Flan-T5 take on slices of several kinds, by `flantune compile`, one at a time.

    python tests/benchmarks/ahead_of_time.py [--only NAME] [--optimization O1]

Prints a line of a Markdown table for each; the README beside this file has them. GPUs' lines are estimates.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TENSOR4 = "--gin.MeshConfig.tensor=4"
SLICES = (
    ("small", "v5e:2x2"),
    ("base", "v5e:2x2"),
    ("large", "v5e:2x4"),
    ("xl", "v5e:4x4"),
    ("xxl", "v5e:4x8"),
    ("xxl", "v5e:16x16", TENSOR4),
    ("small", "v5p:1x1x1"),
    ("base", "v5p:1x1x1"),
    ("large", "v5p:1x1x1"),
    ("xl", "v5p:2x2x1"),
    ("xxl", "v5p:2x2x1"),
    ("xxl", "v5p:4x4x4"),
    *(
        (size, gpu)
        for gpu in ("h100:8", "h200:8")
        for size in ("small", "base", "large", "xl", "xxl")
    ),
)
COLUMNS = (
    "size",
    "slice",
    "mesh",
    "GiB a device",
    "of",
    "fits",
    "PFLOP",
    "compute ms",
    "memory ms",
    "links ms",
    "tokens/s",
    "MFU at most",
    "compile s",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", help="lines that hold this text, for example xl or v5p"
    )
    parser.add_argument("--optimization", default="O1")
    parsed = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for size, place, *flags in SLICES:
        if parsed.only in f"{size} {place}":
            print(_line(size, place, flags, parsed.optimization), flush=True)


def _line(size: str, place: str, flags: list[str], optimization: str) -> str:
    run = f"gin/runs/flan_t5_{size}.gin"
    command = [sys.executable, "-m", "flantune", "compile", run, "--topology", place, "--json"]
    done = subprocess.run(
        [*command, "--optimization", optimization, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if not done.stdout:
        return f"| {size} | {place} | {done.stderr[-300:]} |"
    return f"| {size} | {place} | {' | '.join(_cells(json.loads(done.stdout)))} |"


def _cells(found: dict) -> list[str]:
    mesh = "x".join(str(found["mesh"][axis]) for axis in ("data", "fsdp", "tensor"))
    of = f"{found['usable_bytes'] / 2**30:.2f}"
    flops = f"{found['model_flops'] / 1e15:.3f}"
    seconds = f"{found['seconds']:.0f}" if found["compiled"] else "not compiled"
    memory, bounds = found["memory"], found["roofline"]
    if memory is None:
        return [mesh, "too much", of, "no", flops, *["-"] * 5, seconds]
    times = [bounds[name] for name in ("compute_s", "memory_s", "links_s")]
    return [
        mesh,
        f"{memory['total'] / 2**30:.2f}",
        of,
        "yes" if found["fits"] else "no",
        flops,
        *("-" if bound is None else f"{1e3 * bound:.0f}" for bound in times),
        f"{bounds['tokens_per_s']:,.0f}",
        f"{bounds['utilisation']:.0%}",
        seconds,
    ]


if __name__ == "__main__":
    main()
