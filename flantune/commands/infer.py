"""`flantune infer`: prompts of a file or of standard input, answered by a checkpoint."""

import argparse

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = "Answer prompts with a checkpoint: JSON lines with `inputs`, or plain lines on standard input."
    parser = shared.command(commands, "infer", _run, about)
    shared.add_checkpoint(parser)
    parser.add_argument("--input", help="JSONL file with `inputs` (default: standard input)")
    parser.add_argument(
        "--output", help="JSONL file that gets `prediction` added (default: standard output)"
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.inference import prompts_file
    from flantune.jobs import gin_files
    from flantune.training import devices

    shared.check_output("--output", parsed.output)
    shared.parse_gin(parsed, bindings)
    devices.check()
    rows = prompts_file.read(parsed.input)
    job = gin_files.bind(
        experiments.infer,
        checkpoint=parsed.checkpoint,
        step=parsed.step,
        prompts=[row["inputs"] for row in rows],
    )
    prompts_file.write(rows, job(), parsed.output, as_json=parsed.json or bool(parsed.input))
    return 0
