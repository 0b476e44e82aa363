"""For `python -m t5x.train`, `eval` and `infer`: flantune's mixtures as SeqIO has them, and the vocabulary. t5x is not imported.

The gin files of `gin/t5x/` bind two functions, which run when t5x builds its configs, before it asks SeqIO:

    from flantune.interop import t5x as flantune
    MIXTURE_OR_TASK_NAME = @flantune.mixture()
    VOCABULARY = @flantune.vocabulary()

Checkpoints of t5x are another matter: `t5x_checkpoint.py`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flantune import registry
from flantune.data import names
from flantune.data.plain_seqio import features as seqio_features
from flantune.data.vocabularies import vocabulary as vocabulary_lib

if TYPE_CHECKING:
    import seqio


def register(
    *,
    modules: Sequence[str],
    vocabulary: str,
    lengths: Mapping[str, int] | None = None,
    seqio_modules: Sequence[str] = (),
    settings: Sequence[str] = (),
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    split: str = "train",
    seed: int = 0,
) -> tuple[str, ...]:
    """Publishes the tasks and mixtures of some modules in SeqIO; returns their names there. A second time changes nothing.

    Args:
        modules: Python modules that export TASKS and MIXTURES.
        vocabulary: as `DataConfig.vocabulary`, but none that is still to be trained.
        lengths: tokens of "inputs" and "targets". With them, prompts are shortened as in flantune's own training;
            without them, SeqIO cuts the end of whatever is too long.
        seqio_modules: modules that register plain SeqIO tasks, for members "seqio:NAME".
        settings: published for every task, besides those that mixtures name: "few_shot".
        data_dir: root of source files, as `DataConfig.data_dir`.
        prepared_dir: the prepared store, as `DataConfig.prepared_dir`; what it lacks is prepared.
        split: whose rows decide the rates of mixtures.
        seed: of templates, options and exemplars.

    Raises:
        ValueError: a module or vocabulary cannot be used.
    """
    return registry.register(
        tuple(modules),
        seqio_features.features(vocabulary_lib.load(vocabulary)),
        data_dir=data_dir,
        prepared_dir=prepared_dir,
        split=split,
        seed=seed,
        settings=tuple(settings),
        seqio_modules=tuple(seqio_modules),
        lengths=None if lengths is None else dict(lengths),
    )


def mixture(
    name: str,
    *,
    modules: Sequence[str],
    vocabulary: str,
    lengths: Mapping[str, int] | None = None,
    seqio_modules: Sequence[str] = (),
    settings: Sequence[str] = (),
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    split: str = "train",
    seed: int = 0,
) -> str:
    """The name in SeqIO of a mixture or task, published with all others of its modules; arguments as `register`.

    Raises:
        ValueError: no module defines `name`.
    """
    published = register(
        modules=modules,
        vocabulary=vocabulary,
        lengths=lengths,
        seqio_modules=seqio_modules,
        settings=settings,
        data_dir=data_dir,
        prepared_dir=prepared_dir,
        split=split,
        seed=seed,
    )
    found = registry.seqio_name(name)
    if found not in published:
        raise ValueError(
            names.unknown(
                f"Of the modules {', '.join(modules)} you asked for the mixture or task",
                name,
                published,
            )
        )
    return found


def vocabulary(name: str) -> "seqio.Vocabulary":
    """SeqIO's vocabulary with flantune's ids, which t5x's model must have too.

    Raises:
        ValueError: no such vocabulary.
    """
    return seqio_features.seqio_vocabulary(vocabulary_lib.load(name))
