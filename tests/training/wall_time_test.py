"""Wall time of a run over its sessions: phases, steps that were lost, goodput, the file of the run folder."""

import json
import types

import pytest

from flantune.training import trainer, wall_time

from . import linear_model


def _session(first_step, last_step, **seconds):
    return wall_time.Session(
        started=0.0,
        until=sum(seconds.values()),
        first_step=first_step,
        last_step=last_step,
        seconds=seconds,
    )


def test_goodput_is_the_share_of_wall_time_in_steps():
    one = wall_time.WallTime(
        [_session(1, 20, start=10.0, steps=60.0, evaluation=20.0, saving=10.0)]
    )
    assert one.goodput == pytest.approx(0.6)
    assert (one.total_s, one.phase_s("evaluation")) == (100.0, 20.0)
    assert one.lost_steps() == [0]


def test_steps_that_a_later_session_does_again_are_lost():
    sessions = [
        _session(1, 20, start=10.0, steps=40.0),  # goes on from 10: 10 of 20 steps are lost, 20 s
        _session(11, 30, start=10.0, steps=40.0),  # from 26: 5 of 20 steps, 10 s
        _session(26, 40, start=10.0, steps=30.0),
    ]
    whole = wall_time.WallTime(sessions)
    assert whole.lost_steps() == [10, 5, 0]
    assert whole.goodput == pytest.approx((20 + 30 + 30) / 140)


def test_a_session_may_lose_all_its_steps_to_the_one_after_the_next():
    sessions = [
        _session(1, 5, start=1.0, steps=1.0),
        _session(6, 9, start=1.0, steps=1.0),
        _session(4, 9, start=1.0, steps=1.0),  # checkpoint_5 was damaged
        _session(10, 9, start=1.0),  # killed before its first step
    ]
    whole = wall_time.WallTime(sessions)
    assert whole.lost_steps() == [2, 4, 0, 0]
    assert whole.goodput == pytest.approx((3 / 5 + 0 + 1) / 7)


@pytest.fixture
def now(monkeypatch):
    """The time, at will."""
    now = types.SimpleNamespace(seconds=0.0)
    stub = types.SimpleNamespace(monotonic=lambda: now.seconds, time=lambda: 1000.0 + now.seconds)
    monkeypatch.setattr(wall_time, "time", stub)
    return now


def _run(run_dir, now, start_step, last_step):
    """A session with 5 s of start, 2 s of each step, 3 s of saving."""
    clock = wall_time.Clock()
    now.seconds += 5
    clock.begin(run_dir, start_step, 9)
    clock.enter(wall_time.STEPS)
    for step in range(start_step + 1, last_step + 1):
        now.seconds += 2
        clock.done(step)
    clock.enter(wall_time.SAVING)
    now.seconds += 3
    clock.write()
    return clock


def test_every_moment_of_a_session_is_in_one_phase(tmp_path, now):
    _run(tmp_path, now, 0, 4)
    (session,) = wall_time.read(tmp_path).sessions
    assert session.seconds == {"start": 5, "steps": 8, "saving": 3}
    assert (session.started, session.until) == (1000, 1016)
    assert (session.first_step, session.last_step) == (1, 4)


def test_a_later_session_is_added_and_time_between_them_is_in_none(tmp_path, now):
    _run(tmp_path, now, 0, 4)
    now.seconds += 1000
    clock = _run(tmp_path, now, 2, 9)
    found = wall_time.read(tmp_path)
    assert [session.first_step for session in found.sessions] == [1, 3]
    assert found == clock.wall_time()
    assert found.lost_steps() == [2, 0]
    assert found.goodput == pytest.approx((4 + 14) / (16 + 22))


def test_a_session_that_is_killed_is_known_until_shortly_before(tmp_path, now):
    clock = wall_time.Clock()
    clock.begin(tmp_path, 0, 9)
    clock.enter(wall_time.STEPS)
    for step in range(1, 7):
        now.seconds += 4
        clock.done(step)
    (session,) = wall_time.read(tmp_path).sessions
    assert (session.last_step, session.seconds["steps"]) == (6, 24)  # 10 s after the write at 12 s
    now.seconds += 4
    clock.done(7)
    assert wall_time.read(tmp_path).sessions == (session,)


def test_a_run_with_no_step_left_writes_nothing(tmp_path, now):
    _run(tmp_path, now, 9, 9)
    assert wall_time.read(tmp_path) == wall_time.WallTime(())
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "wall_time.json").write_text('{"sessions": [{"started": 1}]}')
    with pytest.raises(ValueError, match=r"wall_time.json is damaged .*Delete it"):
        wall_time.read(tmp_path)


def test_training_that_goes_on_from_an_earlier_checkpoint_loses_steps(tmp_path):
    """Step 9 is done, and checkpoint_7 the last: steps 8 and 9 are done again."""

    def fail(step, *_):
        raise RuntimeError("The machine is gone.")

    with pytest.raises(RuntimeError, match="gone"):
        linear_model.train(tmp_path, callbacks=[trainer.Callback(every_steps=9, on_step=fail)])
    linear_model.train(tmp_path)
    linear_model.train(tmp_path)  # nothing to do
    found = wall_time.read(tmp_path)
    ranges = [(session.first_step, session.last_step) for session in found.sessions]
    assert ranges == [(1, 9), (8, 20)]
    assert found.lost_steps() == [2, 0]
    assert set(found.sessions[1].seconds) == {"start", "steps", "saving"}
    for session in found.sessions:
        took = session.until - session.started
        assert sum(session.seconds.values()) == pytest.approx(took)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= line["train/goodput"] < 1 for line in lines if "train/loss" in line)
    assert lines[-1]["train/goodput"] > 0
