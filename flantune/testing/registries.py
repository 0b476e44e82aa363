"""SeqIO's registries are global: what a test publishes must not reach the next one."""

from collections.abc import Iterator
import contextlib


@contextlib.contextmanager
def temporary_registries() -> Iterator[None]:
    """SeqIO's tasks and mixtures of before come back when the block ends."""
    import seqio

    registries = (seqio.TaskRegistry, seqio.MixtureRegistry)
    before = [set(registry.names()) for registry in registries]
    try:
        yield
    finally:
        for registry, names in zip(registries, before, strict=True):
            for name in set(registry.names()) - names:
                registry.remove(name)
