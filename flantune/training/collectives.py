"""Collective operations of a compiled program, by kind, with the bytes that one device sends: read from its HLO text.

Here: `count`, which follows loops and called computations from the entry and multiplies by trip counts. Not here: how long
the bytes take (`roofline.py`); read it next.

With `n` devices in a group and an array of `b` bytes (whole, as it is before or after), a device sends at least: all-gather,
reduce-scatter, all-to-all `b (n - 1) / n`; all-reduce `2 b (n - 1) / n`; collective-permute `b`, between slices if any of
its pairs lies in two. Where TPU slices are to exchange something, libtpu's program has a collective within each slice and
gives the rest to hosts, in `send` instructions that say of what kind it is: each device sends its share of the array.
"""

from collections.abc import Mapping
import dataclasses
import functools
import math
import re

import numpy as np

_KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(
    rf"^\s+(?:ROOT )?%?[\w.\-]+ = (?P<type>.*?) (?P<kind>{'|'.join(_KINDS)})(?P<start>-start)?\("
)
_TO_OTHER_SLICES = re.compile(
    r" = \((?P<type>.*?), .* send\(.*megascale_runtime.*_xla_megascale_transfer_type=\"(?P<kind>\w+)\""
)
_CALLS = re.compile(r"(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_CALLED_LISTS = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
_WHILE = re.compile(r" while\(.*condition=%?(?P<condition>[\w.\-]+), body=%?(?P<body>[\w.\-]+)")
_TRIP_COUNT = re.compile(r'known_trip_count"?:\{"n":"(\d+)"\}')
_CONSTANT = re.compile(r"%?([\w.\-]+) = [su]\d+\[\]\S* constant\((\d+)\)")
_LESS_THAN = re.compile(r"ROOT .* compare\((?P<operands>.*?)\), direction=LT")
_ARRAY = re.compile(r"\b(pred|bf16|[sufc]\d+|f8\w+)\[([\d,]*)\]")
# The name that XLA gives the computation of an all-reduce of which each device keeps its own slice.
_FUSED_REDUCE_SCATTER = "all-reduce-scatter"
# At the default level of optimization libtpu runs an all-gather beside other work: an instruction starts it, fusions of that
# work take steps of it, and an instruction ends it. Each of them has the whole all-gather in its computation; the first counts.
_CONTINUED = re.compile(r"^\s+%?async-collective-done|calls=%?async_collective_fusion")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collective:
    """All collectives of one kind in one execution of the program, as one device sees them.

    Attributes:
        kind: as HLO names it, for example "all-gather".
        count: how often one is executed.
        bytes_sent: within slices.
        network_bytes_sent: between slices.
    """

    kind: str
    count: int
    bytes_sent: int
    network_bytes_sent: int = 0

    def times(self, factor: int, plus: "Collective | None" = None) -> "Collective":
        """This many times, and another of the same kind."""
        fields = ("count", "bytes_sent", "network_bytes_sent")
        sums = {
            name: factor * getattr(self, name) + (getattr(plus, name) if plus else 0)
            for name in fields
        }
        return Collective(kind=self.kind, **sums)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traffic:
    """The collectives of a program, the most bytes first.

    Attributes:
        collectives: one for each kind that occurs.
        loops_counted_once: loops with collectives whose trip count the text does not tell; their true number is unknown.
    """

    collectives: tuple[Collective, ...]
    loops_counted_once: int

    @property
    def bytes_sent(self) -> int:
        return sum(one.bytes_sent for one in self.collectives)

    @property
    def network_bytes_sent(self) -> int:
        return sum(one.network_bytes_sent for one in self.collectives)


def count(hlo_text: str, *, num_devices: int, num_slices: int = 1) -> Traffic:
    """The collectives that one device executes in one run of a compiled program, `compiled.as_text()`.

    A loop's trip count is the compiler's note, or the bound that its counter, which JAX starts at 0, is compared with.
    Every branch of a conditional counts. Devices are numbered slice by slice.
    """
    computations, entry = _computations(hlo_text)
    unknown: set[str] = set()

    @functools.cache
    def of(name: str) -> Mapping[str, Collective]:
        total: dict[str, Collective] = {}

        def add(found: Collective, times: int = 1) -> None:
            total[found.kind] = found.times(times, total.get(found.kind))

        for line in computations.get(name, ()):
            match = _INSTRUCTION.match(line)
            if match and not (match["start"] and "calls=" in line):
                fused = name.startswith(_FUSED_REDUCE_SCATTER)
                kind = "reduce-scatter" if fused else match["kind"]
                add(_collective(line, match, kind, num_devices, num_slices, whole=fused))
            passed_on = _TO_OTHER_SLICES.search(line)
            if passed_on:
                add(_between_slices(passed_on, num_slices))
            for callee, times in _callees(line, computations):
                inner = of(callee)
                if inner and times is None:
                    unknown.add(callee)
                for found in inner.values():
                    add(found, times or 1)
        return total

    rows = sorted(of(entry).values(), key=lambda row: (-row.bytes_sent, row.kind))
    return Traffic(collectives=tuple(rows), loops_counted_once=len(unknown))


def _computations(hlo_text: str) -> tuple[dict[str, list[str]], str]:
    """Lines of each computation, and the name of the entry."""
    computations: dict[str, list[str]] = {}
    lines: list[str] = []
    entry = ""
    for line in hlo_text.splitlines():
        match = None if line.startswith(" ") else _COMPUTATION.match(line)
        if match:
            lines = computations[match["name"]] = []
            entry = match["name"] if match["entry"] else entry
        else:
            lines.append(line)
    return computations, entry


def _callees(line: str, computations: Mapping[str, list[str]]) -> list[tuple[str, int | None]]:
    """Computations that an instruction runs, and how often; None where the text does not tell."""
    if _CONTINUED.search(line):
        return []
    loop = _WHILE.search(line)
    if loop:
        return [(loop["body"], _trip_count(line, computations.get(loop["condition"], [])))]
    names = _CALLS.findall(line)
    for listed in _CALLED_LISTS.findall(line):
        names += [name.strip().lstrip("%") for name in listed.split(",")]
    return [(name, 1) for name in names]


def _trip_count(line: str, condition: list[str]) -> int | None:
    noted = _TRIP_COUNT.search(line)
    if noted:
        return int(noted[1])
    text = "\n".join(condition)
    compared = _LESS_THAN.search(text)
    constants = dict(_CONSTANT.findall(text))
    for name in re.findall(r"%?([\w.\-]+)", compared["operands"]) if compared else ():
        if name in constants:
            return int(constants[name])
    return None


def _collective(
    line: str, match: re.Match[str], kind: str, num_devices: int, num_slices: int, *, whole: bool
) -> Collective:
    """One instruction. `whole`: its type is the array before a reduce-scatter rather than the share after it."""
    group = _first_group(line, num_devices)
    size = len(group)
    shown = sum(map(_bytes, _ARRAY.findall(match["type"])))
    started = bool(match["start"])
    if started and kind in ("all-gather", "reduce-scatter"):
        array = shown * size // (size + 1)  # an n-th stands beside the whole
    elif kind == "reduce-scatter" and not whole:
        array = shown * size
    elif started and kind != "all-reduce":
        array = shown // 2  # what goes in stands beside what comes out
    else:
        array = shown
    per_slice = num_devices // num_slices
    if kind.startswith("collective-"):
        pairs = re.findall(r"\{(\d+),(\d+)\}", line)
        crosses = any(int(a) // per_slice != int(b) // per_slice for a, b in pairs)
        sent, between = (0, array) if crosses else (array, 0)
    else:
        passes = 2 if kind == "all-reduce" else 1
        slices = len({device // per_slice for device in group})
        within = size // slices
        sent = passes * array * (within - 1) // within
        # Each device of a slice carries its share of what the slice exchanges with the others.
        between = passes * array // within * (slices - 1) // slices
    return Collective(kind=kind, count=1, bytes_sent=sent, network_bytes_sent=between)


def _between_slices(match: re.Match[str], num_slices: int) -> Collective:
    """What a device hands to its host, to be exchanged with its counterparts in the other slices."""
    kind = match["kind"].lower().replace("_", "-")
    share = sum(map(_bytes, _ARRAY.findall(match["type"])))
    others = num_slices - 1
    if kind == "all-gather":
        sent = share * others
    elif kind in ("all-reduce", "reduce-scatter", "all-to-all"):
        sent = (2 if kind == "all-reduce" else 1) * share * others // num_slices
    else:
        sent = share
    return Collective(kind=kind, count=1, bytes_sent=0, network_bytes_sent=sent)


def _bytes(array: tuple[str, str]) -> int:
    dtype, shape = array
    bits = 8 if dtype == "pred" else int(re.findall(r"\d+", dtype)[0])
    return math.prod(int(size) for size in shape.split(",") if size) * bits // 8


def _first_group(line: str, num_devices: int) -> list[int]:
    """Devices of the first replica group, in each of the three forms that HLO text has; all where it names none."""
    named = re.search(r"replica_groups=mesh\[(?P<mesh>[^\]]*)\].*?\{(?P<axes>[^}]*)\}", line)
    if named:
        return _mesh_group(named["mesh"], named["axes"])
    listed = re.search(r"replica_groups=\{\{([\d,]*)\}", line)
    if listed:
        return [int(device) for device in listed[1].split(",") if device]
    iota = re.search(
        r"replica_groups=\[\d+,(?P<size>\d+)\]<=\[(?P<shape>[\d,]+)\](?:T\((?P<order>[\d,]+)\))?",
        line,
    )
    if iota:
        shape = _whole_numbers(iota["shape"])
        devices = np.arange(math.prod(shape)).reshape(shape)
        if iota["order"]:
            devices = devices.transpose(_whole_numbers(iota["order"]))
        return devices.reshape(-1)[: int(iota["size"])].tolist()
    return list(range(num_devices))


def _mesh_group(mesh: str, axes: str) -> list[int]:
    """Devices of a group over some axes of a mesh, or over parts of axes, written 'axis':(devices before)devices."""
    sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", mesh)}
    strides, after = {}, 1
    for name in reversed(sizes):
        strides[name] = after
        after *= sizes[name]
    devices = np.zeros(1, np.int64)
    for name, before, size in re.findall(r"'([^']+)'(?::\((\d+)\)(\d+))?", axes):
        number = int(size or sizes[name])
        stride = strides[name] * sizes[name] // (int(before or 1) * number)
        devices = (devices[:, None] + stride * np.arange(number)).reshape(-1)
    return devices.tolist()


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))
