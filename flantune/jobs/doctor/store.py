"""The prepared store: what lies in it, and what a run wants of it."""

import collections
from collections.abc import Mapping
import os
import pathlib

from flantune.data.store import survey as survey_lib
from flantune.jobs.doctor import storage
from flantune.jobs.doctor.findings import Finding, ok, problem, shown, warning

_WHAT = "prepared rows"


def store(root: pathlib.Path) -> list[Finding]:
    """What lies in a local store, if there is one; a folder that cannot be read is a problem."""
    if not root.exists():
        return []
    if not os.access(root, os.R_OK | os.X_OK):
        return [
            problem(_WHAT, f"{root} cannot be read.", f"Get permission to read it (ls -ld {root}).")
        ]
    return check(str(root), survey_lib.survey(root))


def check(root: str, found: survey_lib.Survey) -> list[Finding]:
    """What is damaged, of another version or left behind; `prepare` mends all of it that a run needs."""
    splits = f"{found.splits:,} split{'' if found.splits == 1 else 's'}"
    said = f"{splits} in {root}, {storage.size_text(found.bytes)} of rows"
    if found.in_work:
        said += f"; a process prepares {shown(found.in_work)} now"
    prepare = "Run flantune prepare with the run's files and flags: it makes them again."
    remove = f"flantune prepare goes on where it is; if the run is gone, remove them below {root}."
    faults = (
        ("damaged: files of rows are missing or of another size", found.damaged, prepare),
        ("without a manifest that this version reads", found.unreadable, prepare),
        ("left behind by processes that were killed", found.left_behind, remove),
    )
    return [
        ok(_WHAT, said),
        *(
            warning(_WHAT, f"{len(paths)} in {root} {what}: {shown(paths)}.", advice)
            for what, paths, advice in faults
            if paths
        ),
    ]


def check_splits(states: Mapping[str, str], data_dir: str) -> list[Finding]:
    """Whether a run's splits are prepared or can be.

    Args:
        states: of each split, "TASK (SPLIT)", as `prepare.state` tells it.
    """
    by_state: dict[str, list[str]] = collections.defaultdict(list)
    for name, state in states.items():
        by_state[state].append(name)
    what, findings = "splits", []
    if absent := by_state["absent"]:
        findings.append(
            problem(
                what,
                f"{len(absent)} of {len(states)} splits are neither prepared nor is their source below {data_dir}: "
                f"{shown(absent)}.",
                "Name the folder of the sources with --data_dir, or a store that has them with --prepared_dir.",
            )
        )
    if stale := by_state["stale"]:
        findings.append(
            warning(
                what,
                f"{len(stale)} of {len(states)} splits are not what their source, to_fields or files are now: {shown(stale)}.",
                "flantune prepare and train look at them again, and read what has changed.",
            )
        )
    if missing := by_state["missing"]:
        findings.append(
            warning(
                what,
                f"{len(missing)} of {len(states)} splits are not prepared yet: {shown(missing)}.",
                "flantune train prepares them first; run flantune prepare where no TensorFlow or source is at hand.",
            )
        )
    return findings or [ok(what, f"all {len(states)} are prepared")]
