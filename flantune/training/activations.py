"""What the forward pass keeps for the backward pass: most of a step's memory, read from the traced program.

Here: `kept`. It needs neither a compiler nor a device, so it also names the arrays of a step that a compiler refused as too
large. XLA keeps these arrays too: for a large model without rematerialisation their sum was within 4 % of its temporaries.
Read `proof.py` next.
"""

import dataclasses
import math
import re
from typing import Any

import jax
from jax.extend import core, source_info_util
import jax.numpy as jnp
from jaxtyping import PyTree

from flantune.configs import OptimizerConfig
from flantune.training import loss as loss_lib, partial, state as state_lib, step as step_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptArray:
    """One array, of the whole batch.

    Attributes:
        shape: with the stack of layers first, where they are scanned.
        dtype: name of it.
        where: module and operation that made it.
        layers: how many layers share it.
    """

    shape: tuple[int, ...]
    dtype: str
    where: str
    layers: int = 1

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * jnp.dtype(self.dtype).itemsize


def kept(
    model: state_lib.Model,
    params: PyTree[jax.ShapeDtypeStruct],
    batch: step_lib.AbstractBatch,
    config: OptimizerConfig,
    frozen: PyTree[jax.ShapeDtypeStruct] = None,
) -> tuple[KeptArray, ...]:
    """Arrays that the backward pass of one step needs of the forward pass, parameters and batch aside, the largest first.

    `frozen`: the parameters that a `PartialModel` does not train.
    """

    def backward_needs(
        params: state_lib.Params, frozen: PyTree, batch: step_lib.Batch, step: jax.Array
    ) -> list[jax.Array]:
        def loss(params: state_lib.Params) -> jax.Array:
            rng, whole = step_lib.dropout_key(0, step), partial.with_frozen(model, frozen)
            tokens = step_lib.token_losses(whole, params, batch, rng, config)
            weights = batch["decoder_loss_weights"]
            return loss_lib.sum_losses(tokens, weights, z_loss=config.z_loss).loss

        return jax.tree.leaves(jax.vjp(loss, params)[1])

    step = jax.ShapeDtypeStruct((), jnp.int32)
    jaxpr = jax.make_jaxpr(backward_needs)(params, frozen, batch, step).jaxpr
    producers = {var: eqn for eqn in jaxpr.eqns for var in eqn.outvars}
    variables = (var for var in jaxpr.outvars if not isinstance(var, core.Literal))
    results = dict.fromkeys(var for var in variables if var in producers)
    found = [_array(var, producers[var]) for var in results if _holds_numbers(var)]
    return tuple(sorted(found, key=lambda array: -array.bytes))


def _holds_numbers(var: Any) -> bool:
    """Not a random key, which has no size. `var`: core.Var, which does not declare what its `aval` has."""
    return not jnp.issubdtype(var.aval.dtype, jax.dtypes.prng_key)


def _array(var: Any, eqn: core.JaxprEqn) -> KeptArray:
    """A result, described by what made it: of a scan, by what made it in its body."""
    made: core.JaxprEqn | None = eqn
    name_stacks, layers = [str(eqn.source_info.name_stack)], 1
    if eqn.primitive.name == "scan":
        body = eqn.params["jaxpr"].jaxpr
        result: Any = body.outvars[eqn.outvars.index(var)]
        is_stacked = len(var.aval.shape) > len(result.aval.shape)
        layers = eqn.params["length"] if is_stacked else 1
        made = next((one for one in body.eqns if result in one.outvars), None)
    if made is None:  # what goes into a layer comes out as it was
        detail = "input"
    else:
        name_stacks += [] if made is eqn else [str(made.source_info.name_stack)]
        source = re.search(r"(\w+\.py:\d+)", source_info_util.summarize(made.source_info))
        detail = ", ".join([made.primitive.name, *(source.groups() if source else ())])
    return KeptArray(
        shape=tuple(var.aval.shape),
        dtype=str(var.aval.dtype),
        where=f"{_module(name_stacks)} ({detail})",
        layers=layers,
    )


def _module(name_stacks: list[str]) -> str:
    """Path of the module, without what JAX and Flax put around it: "encoder/layers/attention"."""
    parts = [
        part
        for stack in name_stacks
        for part in stack.split("/")
        if part and not re.search(r"[().]|^while$|^body$|^closed_call$|^checkpoint$", part)
    ]
    return "/".join(parts) or "loss"
