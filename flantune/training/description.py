"""What is told of a run before and after its first step: devices, mesh, parameters, global batch.

The log gets the sums, `parameters.txt` of the run folder the table of parameters.
"""

from collections.abc import Mapping
import math

from absl import logging
from etils import epath
import jax
from jax.sharding import Mesh
from jaxtyping import Array, PyTree, Shaped

from flantune.host import atomic
from flantune.training import partial, sharding, state as state_lib

FILE = "parameters.txt"


def describe(
    run_dir: epath.PathLike,
    model: state_lib.Model,
    state: state_lib.TrainState,
    frozen: PyTree,
    mesh: Mesh,
) -> None:
    """Logs devices, mesh and size, and writes the tables of parameters, trained and frozen."""
    device = jax.devices()[0]
    logging.info(
        "%d %s device(s), kind %s, in %d process(es); mesh %s.",
        jax.device_count(),
        device.platform,
        device.device_kind,
        jax.process_count(),
        " x ".join(f"{axis}={size}" for axis, size in mesh.shape.items()),
    )
    rows = _rows(state.params, model.logical_axes())
    opt_bytes = sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(state.opt_state)
    )
    logging.info(
        "%s parameters; per device %s bytes of parameters and %s of optimizer state.",
        f"{_size(rows):,}",
        f"{sum(row.bytes_per_device for row in rows):,}",
        f"{opt_bytes:,}",
    )
    text = sharding.format_parameter_table(rows)
    if frozen is not None and isinstance(model, partial.PartialModel):
        frozen_rows = _rows(frozen, partial.frozen_part(model, model.whole.logical_axes()))
        share = _share(_size(rows), _size(frozen_rows))
        frozen_bytes = sum(row.bytes_per_device for row in frozen_rows)
        logging.info("%s; the others are frozen: %s bytes per device.", share, f"{frozen_bytes:,}")
        text += "\nFrozen, and not in this run's checkpoints:\n"
        text += f"{sharding.format_parameter_table(frozen_rows)}\n{share}.\n"
    if jax.process_index() == 0:
        atomic.write_text(epath.Path(run_dir) / FILE, text)


def _rows(params: PyTree, axes: PyTree) -> tuple[sharding.ParameterRow, ...]:
    return sharding.parameter_table(params, axes, state_lib.shardings_of(params))


def _size(rows: tuple[sharding.ParameterRow, ...]) -> int:
    return sum(math.prod(row.shape) for row in rows)


def _share(trained: int, frozen: int) -> str:
    total = trained + frozen
    return f"{trained:,} of {total:,} parameters ({100 * trained / total:.2f} %) are trained"


def describe_first_step(batch: Mapping[str, Shaped[Array, "batch ..."]], elapsed_s: float) -> None:
    """Logs how long it took until the first step, which compiles, was done, and its global batch."""
    logging.info(
        "First step done after %.1f s. Global batch: %s rows, inputs of %s tokens, targets of %s.",
        elapsed_s,
        *batch["encoder_input_tokens"].shape,
        batch["decoder_target_tokens"].shape[1],
    )
