"""Several processes of one run: how they find each other, over `jax.distributed`.

Here: `join`, and `Group`, which it returns. Not here: how all of them stop when one is gone (`process_watch.py`) or gets a
signal (`training/preemption.py`), and the flags (`commands/process_flags.py`).
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import errno
import os
import socket
import threading
from typing import Any

from absl import logging
import jax
from jax._src import distributed  # the only private name: no public one gives the client

from flantune.host import process_watch

# A process that sends no sign of life for so long counts as gone. JAX's default is 100 s; the threads that send are not
# Python's, so that neither compiling nor loading data holds them up.
HEARTBEAT_TIMEOUT_S = 30
JOIN_TIMEOUT_S = 300
_SLURM_STEP = ("SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """The processes that train together; this one's place among them."""

    index: int = 0
    count: int = 1
    found_by: str = "alone"

    def log_place(self) -> None:
        """Logs this process's place and devices, where there are others; all processes must call it."""
        if self.count > 1:
            logging.info(
                "Process %d of %d (%s): %d of %d %s device(s) are its own.",
                self.index,
                self.count,
                self.found_by,
                jax.local_device_count(),
                jax.device_count(),
                jax.default_backend(),
            )

    @contextlib.contextmanager
    def watched(self, how_to_continue: Callable[[], str]) -> Iterator[None]:
        """While it runs, the loss of any process ends this one, and an error here tells the others.

        Args:
            how_to_continue: the end of the sentence that says what to do.
        """
        if self.count == 1:
            yield
            return
        watch = process_watch.Watch(
            client=_client(),
            coordinator_address=distributed.global_state.coordinator_address or "",
            index=self.index,
            count=self.count,
            heartbeat_timeout_s=HEARTBEAT_TIMEOUT_S,
            how_to_continue=how_to_continue,
        )
        watch.start()
        try:
            yield
            watch.wait_for_all()
        except BaseException as error:
            watch.leave(error)
            raise
        watch.end()


def join(
    *,
    coordinator_address: str | None = None,
    count: int | None = None,
    index: int | None = None,
    detect: bool = False,
    timeout_s: int = JOIN_TIMEOUT_S,
) -> Group:
    """The group of this process, once all of its processes are there; alone where nothing is asked for.

    Without all of them after `timeout_s` the process ends with a sentence. Call it before anything asks for devices.

    Args:
        coordinator_address: HOST:PORT of process 0. It, `count` and `index` go together.
        detect: JAX finds all three in the environment of SLURM, Open MPI, Kubernetes or a TPU.

    Raises:
        ValueError: the arguments do not fit each other, or nothing is detected.
    """
    given = [value is not None for value in (coordinator_address, count, index)]
    if not any(given) and not detect:
        return Group()
    if any(given) and (detect or not all(given)):
        raise ValueError(
            "--coordinator_address, --process_count and --process_index go together; --distributed needs none of them."
        )
    if detect:
        found_by = "found in the environment"
        _check_slurm()
        with _joining("the processes that the environment tells of", timeout_s):
            _initialize_detected(timeout_s)
    else:
        assert coordinator_address is not None
        assert count is not None
        assert index is not None
        found_by = f"coordinator {coordinator_address}"
        _check_place(coordinator_address, count, index)
        who = f"the {count} processes of the run (this is process {index}, {found_by})"
        with _joining(who, timeout_s):
            _initialize(
                timeout_s,
                coordinator_address=coordinator_address,
                num_processes=count,
                process_id=index,
            )
    state = distributed.global_state
    return Group(index=state.process_id, count=state.num_processes, found_by=found_by)


def _client() -> process_watch.Client:
    client = distributed.global_state.client
    if not isinstance(client, process_watch.Client):
        raise RuntimeError(
            f"JAX {jax.__version__} has another client of the coordination service than JAX 0.10 to 0.12, for which "
            "several processes are written: install one of these."
        )
    return client


def _initialize(timeout_s: int, **place: Any) -> None:
    # Else JAX aborts all processes when one is lost, at the moment when `process_watch.py` would learn which it is.
    jax.config.update("jax_enable_recoverability", True)
    jax.distributed.initialize(
        **place,
        initialization_timeout=timeout_s + 60,  # ours ends first, with a sentence
        heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT_S,
    )


def _initialize_detected(timeout_s: int) -> None:
    try:
        _initialize(timeout_s)
    except ValueError as error:  # JAX's words for a place that it does not know
        raise ValueError(
            f"--distributed finds neither a TPU nor SLURM, Open MPI or Kubernetes here ({error}). Name the processes: "
            "--coordinator_address HOST:PORT --process_count N --process_index I."
        ) from error


def _check_slurm() -> None:
    """Refuses a job's first shell, where JAX would see no SLURM at all."""
    missing = [name for name in _SLURM_STEP if name not in os.environ]
    if "SLURM_JOB_ID" in os.environ and missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(
            f"--distributed: in this SLURM job {', '.join(missing)} {verb} not set: start flantune with srun."
        )


def _check_place(coordinator_address: str, count: int, index: int) -> None:
    host, _, port = coordinator_address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(
            f"--coordinator_address must be HOST:PORT, with a free port of process 0's machine, not "
            f"{coordinator_address!r}."
        )
    if count < 1:
        raise ValueError(f"--process_count must be at least 1, not {count}.")
    if not 0 <= index < count:
        raise ValueError(
            f"--process_index ({index}) must be from 0 to {count - 1}, less than --process_count ({count})."
        )
    if index == 0:
        try:
            socket.create_server(("", int(port))).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:  # JAX would crash without a word
                raise ValueError(
                    f"Port {port} of --coordinator_address {coordinator_address} is in use on this machine: end the run "
                    "that holds it, or name another port in all processes."
                ) from error
            raise


@contextlib.contextmanager
def _joining(who: str, timeout_s: int) -> Iterator[None]:
    """Ends the process where joining takes too long: JAX itself would abort, with a C++ trace instead of a reason."""
    joined = threading.Event()

    def wait() -> None:
        if not joined.wait(timeout_s):
            process_watch.exit_with(
                f"Waited {timeout_s} s for {who}, and not all have come: one was not started, ended early, "
                "or cannot reach process 0. See the others' logs, and start the same command in all processes again."
            )

    threading.Thread(target=wait, daemon=True).start()
    try:
        yield
    finally:
        joined.set()
