"""How long a member's examples are: mean tokens, how many are cut or dropped. Measured on a sample, remembered in the store.

The sample is what a run of the same seed visits first, through the real tokenizer. `Measurer` keeps what it measured in
one file for each vocabulary and pair of lengths, below `measures/` in the prepared store. Token rates (`data/rates.py`) and
the ledger (`audit/ledger/plan.py`, read next) ask it.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
import json
import math
from typing import Any

from absl import logging
from etils import epath
from jaxtyping import Float
import numpy as np

from flantune.data import fingerprint, members as members_lib
from flantune.data.input import prompts, schedule as schedule_lib, tokenize as tokenize_lib
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.host import atomic
from flantune.prompting import choice

NUM_EXAMPLES = 64
_MOST = 0.95  # of the examples
_FOLDER = "measures"
_BATCH = 1024  # examples tokenised at a time: enough to keep every core busy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths of a member's examples, ends of sequence included.

    Attributes:
        inputs_tokens: mean over the examples that are kept, after shortening.
        targets_tokens: the same of targets.
        inputs_error: standard error of the mean.
        targets_error: standard error of the mean.
        cut: share of all examples that are kept and shortened.
        dropped: share of all examples that cannot be made to fit.
        examples: how many were measured.
        loss_weight: mean of the examples' own weights, over those that are kept.
        weighted_targets: mean of an example's target tokens times its own weight.
        lost: what the cut examples have lost (`tokenize.Tokenized.lost`), each with the share of all examples.
        least_needed: the inputs_length at which the first of the dropped examples would be kept; 0 where none is dropped.
        needed: the inputs_length at which 95 % of all examples would be kept; 0 where so many are.
    """

    inputs_tokens: float
    targets_tokens: float
    inputs_error: float
    targets_error: float
    cut: float
    dropped: float
    examples: int
    loss_weight: float
    weighted_targets: float
    lost: dict[str, float] = dataclasses.field(default_factory=dict)
    least_needed: int = 0
    needed: int = 0

    @property
    def tokens_per_visit(self) -> float:
        """Mean inputs and targets together of an example that the schedule visits; a dropped one has none."""
        return (1 - self.dropped) * (self.inputs_tokens + self.targets_tokens)

    def loss_per_visit(self, loss_weighting: str) -> float:
        """Mean loss weight of an example that the schedule visits, up to a factor that all tasks share."""
        per_example = self.loss_weight if loss_weighting == "example" else self.weighted_targets
        return (1 - self.dropped) * per_example


def measure(
    member: members_lib.Member,
    tokenizer: tokenize_lib.Tokenizer,
    *,
    seed: int,
    num_examples: int = NUM_EXAMPLES,
) -> Lengths:
    """The lengths of a member, measured now."""
    return measure_all([member], tokenizer, seed=seed, num_examples=num_examples)[0]


def measure_all(
    members: Sequence[members_lib.Member],
    tokenizer: tokenize_lib.Tokenizer,
    *,
    seed: int,
    num_examples: int = NUM_EXAMPLES,
) -> list[Lengths]:
    """The lengths of some members, measured now."""
    per_batch = max(1, _BATCH // num_examples)
    found: list[Lengths] = []
    for first in range(0, len(members), per_batch):
        samples = [
            _sample(member, seed, num_examples) for member in members[first : first + per_batch]
        ]
        tokenized = iter(tokenizer.tokenize([request for own in samples for request in own]))
        for own in samples:
            results = list(itertools.islice(tokenized, len(own)))
            dropped = [one for one, result in zip(own, results, strict=True) if result is None]
            needed = [length for length in tokenizer.needed(dropped) if length is not None]
            found.append(_lengths(results, sorted(needed)))
    return found


class Measurer:
    """Measures members, each only once for its rows, wording, vocabulary, lengths and seed."""

    def __init__(
        self,
        vocabulary: vocabulary_lib.Vocabulary,
        *,
        inputs_length: int,
        targets_length: int,
        seed: int,
        store: store_lib.Store,
        num_examples: int = NUM_EXAMPLES,
    ) -> None:
        self._tokenizer = tokenize_lib.Tokenizer(
            vocabulary, inputs_length=inputs_length, targets_length=targets_length, seed=seed
        )
        self._seed = seed
        self._num_examples = num_examples
        key = choice.hash64(
            vocabulary.fingerprint, inputs_length, targets_length, seed, num_examples
        )
        self._file = store.root / _FOLDER / f"{key:016x}.json"
        self._known: dict[str, dict[str, Any]] | None = None

    def measure(self, members: Sequence[members_lib.Member]) -> dict[str, Lengths]:
        """The lengths of some members by name; those not yet known are measured and written to the store."""
        if self._known is None:
            self._known = _read(self._file)
        keys = {member.name: _member_fingerprint(member) for member in members}
        missing = [
            member
            for member in members
            if self._known.get(_entry(member), {}).get("key") != keys[member.name]
        ]
        if missing:
            logging.info("Measuring the lengths of %d tasks.", len(missing))
            measured = measure_all(
                missing, self._tokenizer, seed=self._seed, num_examples=self._num_examples
            )
            new = {
                _entry(member): {"key": keys[member.name], "lengths": dataclasses.asdict(lengths)}
                for member, lengths in zip(missing, measured, strict=True)
            }
            self._known = _read(self._file) | self._known | new
            _write(self._file, self._known)
        known = self._known
        return {member.name: Lengths(**known[_entry(member)]["lengths"]) for member in members}

    def mean_tokens(self, member: members_lib.Member) -> float:
        """Mean inputs and targets together of an example of a member that the schedule visits.

        Raises:
            ValueError: no measured example fits, so that a rate in tokens has no meaning.
        """
        lengths = self.measure([member])[member.name]
        if not lengths.tokens_per_visit:
            raise nothing_fits({member.name: lengths})
        return lengths.tokens_per_visit


def nothing_fits(unfit: Mapping[str, Lengths]) -> ValueError:
    """What is wrong where rates in tokens ask for the lengths of tasks of which no measured example fits."""
    tasks = "; ".join(
        f"{name!r} needs {lengths.least_needed:,} for the first of its examples, {lengths.needed:,} for 95 %"
        if lengths.needed
        else f"no wording of {name!r} applies to its examples"
        for name, lengths in unfit.items()
    )
    return ValueError(
        f"{len(unfit)} tasks have a rate in tokens, and none of the examples that were measured fits "
        f"DataConfig.inputs_length: {tasks}. Raise it, give the tasks may_drop or may_cut, or leave them out."
    )


def _sample(member: members_lib.Member, seed: int, num_examples: int) -> list[prompts.Request]:
    """The first examples that a run of this seed visits; a small split is visited several times, in several epochs."""
    if not len(member.reader):
        return []
    schedule = schedule_lib.Schedule(
        names=[member.name],
        rates=[1.0],
        num_rows=[len(member.reader)],
        block_size=num_examples,
        seed=seed,
    )
    return [prompts.Request(member, visit.row, visit.epoch) for visit in schedule.block(0)]


def _lengths(results: Sequence[tokenize_lib.Tokenized | None], needed: Sequence[int]) -> Lengths:
    """Args: `needed` of the dropped examples that have a prompt, in order."""
    kept = [result for result in results if result is not None]
    inputs, inputs_error = _mean([len(result.inputs) for result in kept])
    targets, targets_error = _mean([len(result.targets) for result in kept])
    count = max(1, len(results))
    lost = collections.Counter(part for result in kept for part in result.lost)
    # Kept examples need less than dropped ones, so the place among all gives the place among these.
    place = math.ceil(_MOST * len(results)) - len(kept) - 1
    return Lengths(
        inputs_tokens=inputs,
        targets_tokens=targets,
        inputs_error=inputs_error,
        targets_error=targets_error,
        cut=sum(result.cut for result in kept) / count,
        dropped=(len(results) - len(kept)) / count,
        examples=len(results),
        loss_weight=_mean([result.weight for result in kept])[0],
        weighted_targets=_mean([result.weight * len(result.targets) for result in kept])[0],
        lost={part: number / count for part, number in sorted(lost.items())},
        least_needed=needed[0] if needed else 0,
        needed=needed[min(place, len(needed) - 1)] if needed and place >= 0 else 0,
    )


def _mean(lengths: Sequence[int] | Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; 0 where there is nothing to average."""
    values: Float[np.ndarray, " n"] = np.asarray(lengths, np.float64)
    if not len(values):
        return 0.0, 0.0
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(error)


def _entry(member: members_lib.Member) -> str:
    return f"{member.name} {member.split}"


def _member_fingerprint(member: members_lib.Member) -> str:
    """Changes when anything does that decides how a member's rows are rendered and tokenised."""
    task = member.task
    readers = (member.reader, member.pool)
    return fingerprint.value_fingerprint(
        {
            "rows": [
                [shard.sha256 for shard in reader.manifest.shards] for reader in readers if reader
            ],
            "templates": [repr(task.templates[position]) for position in member.usable],
            "setting": repr(member.setting),
            "constants": dict(task.constants),
            "choices": repr(task.answer_choices),
            "shortened": [task.may_drop, task.may_cut],
            "loss_weight": task.loss_weight,
            "first_reference": task.first_reference,
            "code": _code_fingerprint(),
        }
    )


@functools.cache
def _code_fingerprint() -> str:
    return fingerprint.function_fingerprint(tokenize_lib.Tokenizer)


def _read(file: epath.Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(_entries(json.loads(file.read_text())))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}  # nothing measured yet, or by another version


def _entries(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of this version; a file that holds anything else holds nothing."""
    names = {field.name for field in dataclasses.fields(Lengths)}
    for name, entry in value.items() if isinstance(value, dict) else ():
        if isinstance(entry, dict) and set(entry.get("lengths", ())) == names:
            yield name, entry


def _write(file: epath.Path, known: Mapping[str, object]) -> None:
    try:
        atomic.write_text(file, json.dumps(known))
    except OSError as error:  # a store for reading only: the next start measures again
        logging.warning("The measures %s cannot be written: %s", file, error)
