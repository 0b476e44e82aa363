"""What stands for SLURM's `srun` on one machine: starts the tasks of a step with the variables by which JAX finds them.

Knows the words that `launch/gpu_slurm.sh` uses. As srun does, it labels the lines of each task, ends a step whose task ended
badly (SIGTERM, then SIGKILL after a while), and ends with the highest exit status of the tasks.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time

_KILL_WAIT_S = 5.0  # SLURM's KillWait: 30 s by default


def _parse(words):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("--job-name", "--signal", "--partition"):
        parser.add_argument(name)
    for name in ("--nodes", "--ntasks-per-node", "--gpus-per-node", "--kill-on-bad-exit"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--label", action="store_true", required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(words)


def _start(command, index, tasks_per_node, num_tasks):
    step = {
        "SLURM_JOB_ID": os.environ.get("STANDIN_JOB_ID", "1"),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(num_tasks),
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index % tasks_per_node),
    }
    return subprocess.Popen(
        command, env={**os.environ, **step}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _label(index, process):
    for line in process.stdout:
        sys.stderr.buffer.write(b"%d: " % index + line)
        sys.stderr.buffer.flush()


def _end_step(processes):
    for number, wait_s in ((signal.SIGTERM, _KILL_WAIT_S), (signal.SIGKILL, 0.0)):
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)
        last_s = time.monotonic() + wait_s
        while time.monotonic() < last_s and any(process.poll() is None for process in processes):
            time.sleep(0.05)


def main(words):
    asked = _parse(words)
    num_tasks = asked.nodes * asked.ntasks_per_node
    processes = [
        _start(asked.command, index, asked.ntasks_per_node, num_tasks) for index in range(num_tasks)
    ]
    threads = [
        threading.Thread(target=_label, args=(index, process))
        for index, process in enumerate(processes)
    ]
    for thread in threads:
        thread.start()
    print("tasks", *(process.pid for process in processes), file=sys.stderr, flush=True)
    while any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes):
            _end_step(processes)
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    ends = [process.returncode for process in processes]
    return max(128 - end if end < 0 else end for end in ends)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
