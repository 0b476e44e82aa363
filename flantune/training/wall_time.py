"""Where the wall time of a run goes, over all its restarts: start, steps, evaluation, saving.

Process 0 keeps `wall_time.json` in the run folder, an entry for each session, which is one start of the training job until
it ends or is killed. The file counts nothing that a checkpoint holds: steps that a session did after the checkpoint from
which a later one went on are done again, and are lost. Goodput is the share of all sessions' time that went into steps
which were not lost. Time between sessions belongs to none of them.

A session that is killed is known up to its last write: up to `_WRITE_EVERY_S` before, or the last pause.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import time
from typing import Any

from etils import epath

from flantune.host import atomic

FILE = "wall_time.json"
# `START` includes the first step, which compiles; `SAVING` what else is written at the end.
START, STEPS, EVALUATION, SAVING = "start", "steps", "evaluation", "saving"
PROFILING = "profiling"
_WRITE_EVERY_S = 10  # in a bucket a write takes a good part of a second


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """One start of the training job.

    Attributes:
        started: seconds since 1970.
        until: the same, when it ended or was last written.
        first_step: the first that it was to do.
        last_step: the last that it had done; one less than `first_step` before there was one.
        seconds: wall time by phase; together `until` - `started`.
    """

    started: float
    until: float
    first_step: int
    last_step: int
    seconds: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class WallTime:
    """The sessions of a run, in their order."""

    sessions: Sequence[Session]

    @property
    def total_s(self) -> float:
        """Seconds of all sessions."""
        return sum(sum(session.seconds.values()) for session in self.sessions)

    def phase_s(self, phase: str) -> float:
        """Seconds of a phase in all sessions."""
        return sum(session.seconds.get(phase, 0.0) for session in self.sessions)

    def lost_steps(self) -> list[int]:
        """For each session, how many of its steps a later one did again."""
        lost = []
        for number, session in enumerate(self.sessions):
            later = [one.first_step - 1 for one in self.sessions[number + 1 :]]
            kept_until = max(min([session.last_step, *later]), session.first_step - 1)
            lost.append(session.last_step - kept_until)
        return lost

    @property
    def goodput(self) -> float:
        """Share of the wall time in steps that count, 0 to 1; a session's steps take the same time each."""
        useful_s = 0.0
        for session, lost in zip(self.sessions, self.lost_steps(), strict=True):
            done = session.last_step - session.first_step + 1
            useful_s += session.seconds.get(STEPS, 0.0) * (done - lost) / max(done, 1)
        return useful_s / self.total_s if self.total_s else 0.0

    def as_json(self) -> dict[str, float]:
        """Goodput, numbers of sessions and lost steps, and seconds: of all, and by phase; nothing without a session."""
        if not self.sessions:
            return {}
        phases = dict.fromkeys(phase for session in self.sessions for phase in session.seconds)
        return {
            "goodput": self.goodput,
            "sessions": len(self.sessions),
            "lost_steps": sum(self.lost_steps()),
            "wall_seconds": self.total_s,
            **{f"{phase}_seconds": self.phase_s(phase) for phase in phases},
        }


def read(run_dir: epath.PathLike) -> WallTime:
    """The sessions that a run folder knows; none where the file is missing.

    Raises:
        ValueError: the file is damaged.
    """
    path = epath.Path(run_dir) / FILE
    if not path.exists():
        return WallTime(())
    try:
        found: Any = json.loads(path.read_text())  # whatever JSON holds
        return WallTime(tuple(Session(**session) for session in found["sessions"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}). Delete it: nothing but the record of wall time is lost."
        ) from error


class Clock:
    """Counts the wall time of a session, each moment in one phase; the first is `START`.

    Nothing is written before `begin`: a run that is refused, or has no step left to do, leaves no trace.
    """

    def __init__(self) -> None:
        self._started = time.time()
        self._since = time.monotonic()
        self._phase = START
        self._seconds: dict[str, float] = {}
        self._path: epath.Path | None = None
        self._earlier: Sequence[Session] = ()
        self._first_step = self._last_step = 0
        self._written = self._since

    def begin(self, run_dir: epath.PathLike, start_step: int, num_steps: int) -> None:
        """The session has a state to go on from, with so many steps done of the run's `num_steps`."""
        import jax  # reports read the file without it

        self._first_step, self._last_step = start_step + 1, start_step
        if start_step < num_steps and jax.process_index() == 0:
            self._path = epath.Path(run_dir) / FILE
            self._earlier = read(run_dir).sessions
            self.write()

    def enter(self, phase: str) -> None:
        """Another phase begins."""
        self._count()
        self._phase = phase
        self.write()

    def done(self, step: int) -> None:
        """A step is done."""
        self._last_step = step
        if time.monotonic() - self._written >= _WRITE_EVERY_S:
            self.write()

    def has_steps(self) -> bool:
        """Whether a step was done in this session."""
        return self._last_step >= self._first_step

    def elapsed_s(self) -> float:
        """Seconds since the session started."""
        self._count()
        return sum(self._seconds.values())

    def wall_time(self) -> WallTime:
        """All sessions up to now; on other processes than the first only this one."""
        seconds = self.elapsed_s()
        session = Session(
            started=self._started,
            until=self._started + seconds,
            first_step=self._first_step,
            last_step=self._last_step,
            seconds=dict(self._seconds),
        )
        return WallTime((*self._earlier, session))

    def write(self) -> None:
        """Brings the run folder's file up to date."""
        if self._path is None:
            return
        sessions = [dataclasses.asdict(session) for session in self.wall_time().sessions]
        try:
            atomic.write_text(self._path, json.dumps({"sessions": sessions}, indent=1) + "\n")
        except OSError as error:
            raise OSError(
                f"Writing {self._path} failed: {error}. Make room or repair the disk; the same command then continues "
                "from the last checkpoint."
            ) from error
        self._written = time.monotonic()

    def _count(self) -> None:
        """Adds the time since the last call to the phase."""
        now = time.monotonic()
        self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._since = now
