"""Tasks and mixtures published in SeqIO, which is imported only when `register` runs. Read `publish.py` next."""

from flantune.registry.publish import register, seqio_name

__all__ = ["register", "seqio_name"]
