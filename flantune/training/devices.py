"""Whether JAX can start the devices that it is asked for, and in words why not."""

import difflib

import jax
from jax.extend import backend

_PLATFORMS = ("cpu", "cuda", "gpu", "rocm", "tpu")
# A platform whose plugin is not installed fails a bare assertion of JAX's.
_ERRORS = (RuntimeError, AssertionError)


def check() -> None:
    """Starts JAX's devices, on all processes of a run.

    Raises:
        ValueError: JAX cannot start those that JAX_PLATFORMS asks for; it says what this machine has.
    """
    try:
        jax.devices()
    except _ERRORS as error:
        raise ValueError(_sentence(str(error))) from error


def _sentence(said: str) -> str:
    asked = jax.config.values["jax_platforms"]
    reason = " ".join(said.partition("(set JAX_PLATFORMS")[0].split()).rstrip(".")
    quoted = f" ({reason})" if reason else ""
    here = _here()
    has = f"This machine has {here}." if here else "JAX finds no other device here either."
    if not asked:
        return f"JAX cannot start the devices of this machine{quoted}. JAX_PLATFORMS=cpu takes the CPU."
    closest = [] if asked in _PLATFORMS else difflib.get_close_matches(asked, _PLATFORMS, n=1)
    meant = f" Did you mean {closest[0]!r}?" if closest else ""
    return (
        f"JAX_PLATFORMS asks for {asked!r}, which JAX cannot start here{quoted}.{meant} {has} Unset JAX_PLATFORMS to take "
        "what there is; JAX needs flantune's extra [cuda] for NVIDIA's GPUs and [tpu] for TPUs."
    )


def _here() -> str:
    """What JAX starts when nothing is asked for; nothing stays started, so that no later call takes it in silence."""
    asked = jax.config.values["jax_platforms"]
    jax.config.update("jax_platforms", None)
    try:
        return f"{jax.device_count()} {jax.default_backend()} device(s)"
    except _ERRORS:
        return ""
    finally:
        jax.config.update("jax_platforms", asked)
        backend.clear_backends()
