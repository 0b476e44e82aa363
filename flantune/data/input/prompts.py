"""From rows of the prepared store to prompts: reads fields and exemplars in batches, then renders.

    [Request(member, row 7, epoch 0)]  ->  [Prompt(inputs="...", targets="yes", exemplars=(12, 90))]

The same here, in training, in SeqIO and in evaluation. Read `tokenize.py` next.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import itertools

from flantune import prompting
from flantune.data import members as members_lib
from flantune.prompting import choice, few_shot, filters, rendering

_MEASURED_ROWS = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One example to render: a row of a member's split in one epoch."""

    member: members_lib.Member
    row: int
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """What a prompt is rendered from."""

    request: Request
    fields: rendering.Fields
    exemplars: tuple[prompting.Exemplar, ...]


def render(requests: Sequence[Request], *, seed: int) -> list[prompting.Prompt | None]:
    """The prompts of some rows, in order; None for a row to which no template applies."""
    return [render_one(material, seed=seed) for material in gather(requests, seed=seed)]


def render_one(
    material: Material,
    *,
    seed: int,
    shots: int | None = None,
    shortened: Mapping[str, rendering.FieldValue] | None = None,
) -> prompting.Prompt | None:
    """The prompt of one example; None where no template applies to it.

    Args:
        shots: show only the first so many exemplars; None: all.
        shortened: what stands in for fields and constants of the query which were too long.
    """
    task = material.request.member.task
    fields, constants = material.fields, task.constants
    if shortened:
        fields = {name: shortened.get(name, value) for name, value in fields.items()}
        constants = {
            name: filters.text_of(shortened.get(name, text)) for name, text in constants.items()
        }
    return prompting.render(
        templates=task.templates,
        usable=material.request.member.usable,
        fields=fields,
        constants=constants,
        answer_choices=task.answer_choices,
        setting=material.request.member.setting,
        chooser=_chooser(material.request, seed),
        exemplars=material.exemplars[:shots],
        first_reference=task.first_reference,
    )


def gather(requests: Sequence[Request], *, seed: int) -> list[Material]:
    """Fields and exemplars of each request, read with two calls for each member."""
    places: dict[int, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault(id(request.member), []).append(place)
    gathered: dict[int, Material] = {}
    for wanted in places.values():
        own = [requests[place] for place in wanted]
        rows = own[0].member.reader.fetch([request.row for request in own])
        gathered.update(zip(wanted, _with_exemplars(own, rows, seed), strict=True))
    return [gathered[place] for place in range(len(requests))]


def mean_bytes(member: members_lib.Member) -> float:
    """Mean UTF-8 length of a member's first prompts and targets: what stands in for tokens without a vocabulary."""
    rows = range(min(_MEASURED_ROWS, len(member.reader)))
    found = [one for one in render([Request(member, row, 0) for row in rows], seed=0) if one]
    return sum(len(f"{one.inputs}{one.targets}".encode()) for one in found) / max(1, len(found))


def _chooser(request: Request, seed: int) -> choice.Chooser:
    member = request.member
    return choice.Chooser(seed, request.epoch, f"{member.task.name}/{member.split}/{request.row}")


def _with_exemplars(
    requests: Sequence[Request], rows: Sequence[rendering.Fields], seed: int
) -> Iterable[Material]:
    """The material of one member's requests."""
    member = requests[0].member
    if member.pool is None:
        return [
            Material(request, fields, ()) for request, fields in zip(requests, rows, strict=True)
        ]
    searches = [
        _Search(request, fields, _chooser(request, seed))
        for request, fields in zip(requests, rows, strict=True)
    ]
    pending = searches
    while pending:
        wanted = [search.next_rows() for search in pending]
        found = dict.fromkeys(itertools.chain.from_iterable(wanted))
        read = dict(zip(found, member.pool.fetch(list(found)), strict=True))
        pending = [
            search
            for search, new in zip(pending, wanted, strict=True)
            if not search.is_done({row: read[row] for row in new})
        ]
    return [search.material() for search in searches]


class _Search:
    """The search for the exemplars of one request: candidates in their order, until enough of them fit."""

    def __init__(self, request: Request, fields: rendering.Fields, chooser: choice.Chooser) -> None:
        member = request.member
        assert member.pool is not None  # only then is there a search
        self._request = request
        self._fields = fields
        self._chooser = chooser
        picked = rendering.pick_template(member.task.templates, member.usable, fields, chooser)
        self._template = picked[1] if picked else member.task.templates[0]
        self._shots = few_shot.num_shots(member.setting, chooser) if picked else 0
        self._size = few_shot.num_candidates(member.setting, self._shots)
        own = (request.row,) if member.split == members_lib.POOL_SPLIT else ()
        self._order = few_shot.candidate_rows(chooser, len(member.pool), own)
        self._candidates: list[prompting.Exemplar] = []
        self._chosen: list[prompting.Exemplar] = []

    def next_rows(self) -> list[int]:
        """Rows of the pool to look at next."""
        return list(itertools.islice(self._order, self._size))

    def is_done(self, read: Mapping[int, rendering.Fields]) -> bool:
        """Takes the rows that were read; whether there are enough exemplars, or no row is left."""
        self._candidates += [
            prompting.Exemplar(row=row, fields=fields)
            for row, fields in read.items()
            if self._template.applies(fields)
        ]
        self._chosen = few_shot.select(
            self._candidates,
            shots=self._shots,
            query_text=self._template.shown_text(self._fields),
            text_of=lambda exemplar: self._template.shown_text(exemplar.fields),
            label_of=_label if self._request.member.setting.label_balanced else None,
            chooser=self._chooser,
        )
        return len(self._chosen) == self._shots or len(read) < self._size

    def material(self) -> Material:
        return Material(self._request, self._fields, tuple(self._chosen))


def _label(exemplar: prompting.Exemplar) -> str:
    """What an exemplar's answer is, for balancing: its label, or the text of its answer."""
    fields = exemplar.fields
    return filters.text_of(fields.get(rendering.LABEL, fields.get("answer", "")))
