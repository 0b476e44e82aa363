"""The verdict of `flantune compile` for a person: tables of memory, time and collectives. Called by its command alone."""

import rich.console
import rich.table

from flantune.training import feasibility as feasibility_lib

_GIB = 2**30


def text(found: feasibility_lib.Feasibility) -> rich.console.Group:
    """Everything that is known, the verdict last."""
    parts: list[rich.console.RenderableType] = [_facts(found)]
    if found.memory is not None:
        parts.append(_memory(found))
    if found.roofline is not None:
        parts.append(_time(found))
    if found.traffic is not None:
        parts.append(_collectives(found))
    if not found.fits:
        parts.append(_largest(found))
    parts.append(verdict(found))
    parts += [f"  - {lever}" for lever in found.levers]
    return rich.console.Group(*parts)


def verdict(found: feasibility_lib.Feasibility) -> str:
    """One sentence: whether it fits, and by how much."""
    usable, share = found.usable_bytes, feasibility_lib.USABLE[found.way]
    of = f"{usable / _GIB:.2f} GiB"
    if share < 1:
        of += f" ({share:.0%} of {found.topology.chip.hbm_bytes / _GIB:.2f}; {_why(found)})"
    if found.memory is None:
        return f"Does not fit: the compiler gave up. {' '.join(found.refusal.split())}"
    needs = f"{found.memory.total / _GIB:.2f} GiB"
    if found.fits:
        return f"Fits: each device needs {needs} of {of}."
    return f"Does not fit: each device needs {needs}, but there are {of}."


def _why(found: feasibility_lib.Feasibility) -> str:
    if found.way == "estimate":
        return "what JAX takes of a GPU"
    return "O1 finds up to 11 % less than the default level"


def _facts(found: feasibility_lib.Feasibility) -> rich.table.Table:
    table = _table("training step", "")
    place = found.topology
    devices = f"{place.num_devices} devices"
    if place.chip.devices_per_chip > 1:
        devices += f" on {place.num_devices // place.chip.devices_per_chip} chips"
    slices = f" x {place.num_slices} slices" if place.num_slices > 1 else ""
    table.add_row("topology", f"{place.name}{slices}, {devices}")
    table.add_row("mesh", " x ".join(f"{axis}={size}" for axis, size in found.mesh.items()))
    table.add_row(
        "batch", f"{found.rows} rows of {found.inputs_length} + {found.targets_length} tokens"
    )
    trained = f", of which {found.num_trained:,} are trained"
    is_partial = found.num_trained < found.num_params
    table.add_row("parameters", f"{found.num_params:,}{trained if is_partial else ''}")
    if found.way == "estimate":
        table.add_row("figures", feasibility_lib.NOT_COMPILED)
    else:
        table.add_row("compiled", f"at {found.way} in {found.seconds:.0f} s")
    return table


def _memory(found: feasibility_lib.Feasibility) -> rich.table.Table:
    memory = found.memory
    assert memory is not None
    table = _table("memory of each device", "GiB")
    rows = {
        "arguments: parameters, optimizer state, batch": memory.arguments,
        "outputs that do not take their place": memory.outputs - memory.aliased,
        "temporaries: activations, gradients, gathered weights": memory.temporaries,
        "code": memory.code,
        "needed": memory.total,
        "there": found.topology.chip.hbm_bytes,
    }
    for name, size in rows.items():
        table.add_row(name, f"{size / _GIB:.3f}")
    return table


def _time(found: feasibility_lib.Feasibility) -> rich.table.Table:
    roofline = found.roofline
    assert roofline is not None
    table = _table("a step at best", "")
    table.add_row("model FLOPs (counted from dimensions)", f"{found.model_flops / 1e12:,.1f} TFLOP")
    if found.repeated_flops:
        table.add_row(
            "repeated by rematerialisation, at most", f"{found.repeated_flops / 1e12:,.1f} TFLOP"
        )
    for name, bound in roofline.bounds.items():
        table.add_row(f"bound by {name}", f"{1e3 * bound:,.1f} ms")
    table.add_row("step", f"{1e3 * roofline.step_s:,.1f} ms, bound by {roofline.bound_by}")
    table.add_row("tokens, padding too", f"{found.slot_tokens / roofline.step_s:,.0f} a second")
    table.add_row("model FLOPs utilisation", f"{roofline.utilisation:.1%} at most")
    return table


def _collectives(found: feasibility_lib.Feasibility) -> rich.table.Table:
    traffic = found.traffic
    assert traffic is not None
    several = found.topology.num_slices > 1
    between = ["GB to other slices"] if several else []
    table = _table("collectives of a step", "times", "GB a device sends", *between)
    for one in traffic.collectives:
        sizes = [one.bytes_sent, one.network_bytes_sent] if several else [one.bytes_sent]
        table.add_row(one.kind, f"{one.count:,}", *(f"{size / 1e9:.3f}" for size in sizes))
    if traffic.loops_counted_once:
        table.add_row(f"{traffic.loops_counted_once} loops of unknown length counted once", "", "")
    return table


def _largest(found: feasibility_lib.Feasibility) -> rich.table.Table:
    table = _table("largest arrays, before any split along tensor", "GiB a device", "made by")
    for array in found.largest:
        repeated = " (one layer, computed again)" if array.repeated else ""
        table.add_row(array.array + repeated, f"{array.bytes_per_device / _GIB:.3f}", array.where)
    return table


def _table(*columns: str) -> rich.table.Table:
    table = rich.table.Table(*columns[:1])
    for column in columns[1:]:
        table.add_column(column, justify="right" if "G" in column or column == "times" else "left")
    return table
