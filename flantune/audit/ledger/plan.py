"""`Ledger`: what a run will train on, task by task, before it trains: examples, tokens, epochs, what is cut and dropped.

    share of examples   the mixture's rates
    tokens per example  measured on a sample of each task (`data/input/measure.py`)
    examples per row    the first blocks of the schedule, packed (`rows.py`)

Times the rows of a run, these give its totals. Where shares come from: `data/rates.py`. Warnings and totals:
`totals.py`. Two ledgers: `diff.py`. Counted against planned: `comparison.py`.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
from typing import Any

from flantune.audit.ledger import rows as ledger_rows
from flantune.configs import DataConfig
from flantune.data import (
    catalog as catalog_lib,
    members as members_lib,
    mixture as mixture_lib,
    rates as rates_lib,
    task as task_lib,
)
from flantune.data.input import loading, measure
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib

FORMAT_VERSION = 3
_PACKED = 64  # examples packed for each example of a task that is measured: 4,096 by default


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """A task in a setting.

    Attributes:
        submixtures: share of the run's examples through each submixture, by the names that lead to the task joined by
            "/"; "" where it is a direct member.
        caps: rows that its rates count at most; empty without a cap.
        rate: share of the examples that the schedule visits.
        token_share: of all inputs and targets.
        loss_share: of all loss weights: what the task counts in the loss. Without weights, its share of the target tokens.
        loss_weight: mean of its examples' own weights.
        visits: examples of the schedule, dropped ones too.
        examples: those that are kept.
        epochs: visits by rows.
        inputs_error: standard error of `mean_inputs_tokens`.
        measured: examples from which the means, and the shares cut and dropped, are known.
        cut: share of the visits that are kept and shortened.
        lost: what they lose, exemplars, all or part of a field or the target's end, each with the share of the visits.
        dropped: share of the visits that cannot be made to fit.
        needed: the inputs_length at which 95 % of the visits would be kept; 0 where so many are.
        templates: how many it may use.
    """

    task: str
    cluster: str
    setting: str
    submixtures: dict[str, float]
    caps: tuple[int, ...]
    rows: int
    rate: float
    token_share: float
    loss_share: float
    loss_weight: float
    visits: float
    examples: float
    inputs_tokens: float
    targets_tokens: float
    epochs: float
    mean_inputs_tokens: float
    mean_targets_tokens: float
    inputs_error: float
    targets_error: float
    measured: int
    cut: float
    lost: dict[str, float]
    dropped: float
    needed: int
    templates: int
    kinds: tuple[str, ...]
    shots: tuple[int, ...]
    licence: str
    lineage: tuple[str, ...]

    @property
    def tokens(self) -> float:
        return self.inputs_tokens + self.targets_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unfit:
    """A task with a rate in tokens of which no example fits, so that training would refuse its mixture.

    Attributes:
        measured: examples that were tried.
        least_needed: the inputs_length at which the first of them would be kept; 0 where no wording applies to any.
        needed: the same of 95 % of them.
    """

    task: str
    rows: int
    measured: int
    least_needed: int
    needed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ledger:
    """A run's tasks and totals.

    Attributes:
        vocabulary: as the config names it.
        vocabulary_fingerprint: of its content.
        visits: examples of the schedule that the run reads.
        loss_weighting: as the config says.
        has_own_weights: whether a task names loss weights.
        examples_per_row: kept ones, in a packed row.
        examples_per_row_error: standard error of it.
        unfit: tasks that the plan leaves out.
        batch_sizes: steps, and the rows of each, range by range, of a run whose batch size changed; else empty.
    """

    mixture: str
    split: str
    num_steps: int
    batch_size: int
    inputs_length: int
    targets_length: int
    pack: bool
    loss_weighting: str
    has_own_weights: bool
    seed: int
    vocabulary: str
    vocabulary_fingerprint: str
    visits: float
    examples_per_row: float
    examples_per_row_error: float
    tasks: tuple[TaskEntry, ...]
    unfit: tuple[Unfit, ...] = ()
    batch_sizes: tuple[tuple[int, int], ...] = ()
    format_version: int = FORMAT_VERSION

    @property
    def num_rows(self) -> int:
        """Rows of all batches."""
        parts = self.batch_sizes or ((self.num_steps, self.batch_size),)
        return sum(steps * rows for steps, rows in parts)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "Ledger":  # whatever JSON holds
        """The ledger of what `to_json` gave.

        Raises:
            ValueError: it is something else, or of another version.
        """
        try:
            if value["format_version"] != FORMAT_VERSION:
                raise ValueError(
                    f"a ledger of format {value['format_version']}, not {FORMAT_VERSION}: write it again."
                )
            entries = [
                TaskEntry(**{name: _as_read(item) for name, item in entry.items()})
                for entry in value["tasks"]
            ]
            known = {field.name for field in dataclasses.fields(cls)}
            facts = {name: item for name, item in value.items() if name in known}
            unfit = [Unfit(**one) for one in value["unfit"]]
            sizes = tuple((steps, rows) for steps, rows in value["batch_sizes"])
            known_parts = {"tasks": tuple(entries), "unfit": tuple(unfit), "batch_sizes": sizes}
            return cls(**{**facts, **known_parts})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"not a ledger, which flantune ledger --json writes: {error!r}"
            ) from error


def _as_read(item: Any) -> Any:  # whatever JSON holds
    return tuple(item) if isinstance(item, list) else item


def loads(text: str) -> Ledger:
    """The ledger of a JSON text. Raises ValueError where it is something else."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from error
    return Ledger.from_json(value)


def plan(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    bound: loading.BoundMixture,
    data: DataConfig,
    vocabulary: vocabulary_lib.Vocabulary,
    *,
    num_steps: int,
    seed: int,
    num_examples: int = measure.NUM_EXAMPLES,
    batch_sizes: Sequence[tuple[int, int]] = (),
) -> Ledger:
    """The ledger of a run.

    Args:
        bound: the run's mixture, with the shares that training will use.
        num_examples: measured of each task; 64 times as many of the mixture are packed.
        batch_sizes: as in the ledger; together `num_steps` steps.
    """
    lengths = {"inputs_length": data.inputs_length, "targets_length": data.targets_length}
    measurer = measure.Measurer(
        vocabulary, seed=seed, store=store, num_examples=num_examples, **lengths
    )
    measured = measurer.measure(bound.members)
    density = ledger_rows.measure_density(
        bound, data, vocabulary, seed=seed, num_packed=_PACKED * num_examples
    )
    parts = batch_sizes or [(num_steps, data.batch_size)]
    visits = sum(steps * rows for steps, rows in parts) * density.visits_per_row
    found = _entries(catalog, bound, measured, visits, data.loss_weighting)
    return Ledger(
        mixture=bound.name,
        split=data.split,
        num_steps=num_steps,
        batch_size=parts[-1][1],
        pack=data.pack,
        loss_weighting=data.loss_weighting,
        has_own_weights=any(member.task.loss_weight != 1 for member in bound.members),
        seed=seed,
        vocabulary=data.vocabulary,
        vocabulary_fingerprint=vocabulary.fingerprint,
        visits=visits,
        examples_per_row=density.examples_per_row,
        examples_per_row_error=density.error,
        tasks=tuple(found),
        batch_sizes=tuple(parts) if len(parts) > 1 else (),
        unfit=tuple(
            Unfit(
                task=name,
                rows=one.rows,
                measured=one.lengths.examples,
                least_needed=one.lengths.least_needed,
                needed=one.lengths.needed,
            )
            for name, one in bound.unfit.items()
        ),
        **lengths,
    )


def _entries(
    catalog: catalog_lib.Catalog,
    bound: loading.BoundMixture,
    measured: Mapping[str, measure.Lengths],
    visits: float,
    loss_weighting: str,
) -> list[TaskEntry]:
    members = {member.name: member for member in bound.members}
    sizes = loading.Sizes(
        members, lambda member: measured[member.name].tokens_per_visit, without=bound.unfit
    )
    parts: dict[str, list[rates_lib.Part]] = {name: [] for name in members}
    for part in catalog.parts(bound.name, sizes):
        parts[part.task].append(part)
    shares = dict(zip(members, bound.rates, strict=True))
    tokens = {name: shares[name] * measured[name].tokens_per_visit for name in members}
    losses = {
        name: shares[name] * measured[name].loss_per_visit(loss_weighting) for name in members
    }
    all_tokens, all_losses = (sum(own.values()) or 1.0 for own in (tokens, losses))
    return [
        _entry(
            member,
            parts[name],
            measured[name],
            rate=shares[name],
            token_share=tokens[name] / all_tokens,
            loss_share=losses[name] / all_losses,
            visits=visits * shares[name],
        )
        for name, member in members.items()
    ]


def _entry(
    member: members_lib.Member,
    parts: Sequence[rates_lib.Part],
    lengths: measure.Lengths,
    *,
    rate: float,
    token_share: float,
    loss_share: float,
    visits: float,
) -> TaskEntry:
    own = sum(part.share for part in parts) or 1.0
    submixtures: dict[str, float] = {}
    for part in parts:
        path = "/".join(part.path)
        # Of the share in training: in a mixture that counts tokens, lengths were measured on another sample.
        submixtures[path] = submixtures.get(path, 0.0) + rate * part.share / own
    rules = [part.rate for part in parts]
    caps = {rule.cap for rule in rules if isinstance(rule, mixture_lib.Proportional) and rule.cap}
    examples = visits * (1 - lengths.dropped)
    task = member.task
    return TaskEntry(
        task=member.name,
        cluster=task.cluster,
        setting=task_lib.split_name(member.name)[1],
        submixtures=submixtures or {"": rate},
        caps=tuple(sorted(caps)),
        rows=len(member.reader),
        rate=rate,
        token_share=token_share,
        loss_share=loss_share,
        loss_weight=lengths.loss_weight,
        visits=visits,
        examples=examples,
        inputs_tokens=examples * lengths.inputs_tokens,
        targets_tokens=examples * lengths.targets_tokens,
        epochs=visits / max(1, len(member.reader)),
        mean_inputs_tokens=lengths.inputs_tokens,
        mean_targets_tokens=lengths.targets_tokens,
        inputs_error=lengths.inputs_error,
        targets_error=lengths.targets_error,
        measured=lengths.examples,
        cut=lengths.cut,
        lost=lengths.lost,
        dropped=lengths.dropped,
        needed=lengths.needed,
        templates=len(member.usable),
        kinds=tuple(sorted({task.templates[position].kind for position in member.usable})),
        shots=member.setting.shot_counts,
        licence=task.licence,
        lineage=task.lineage,
    )
