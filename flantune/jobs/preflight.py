"""What can be known of a run before a machine is paid for. `flantune preflight` prints it; `launch/` asks it first."""

from collections.abc import Callable, Iterator
import dataclasses

from flantune import experiments
from flantune.configs import (
    DataConfig,
    EvalConfig,
    InitConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
    TrainableConfig,
)
from flantune.data.input import loading, mixture_vocabulary
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.runs import preparation

_GIB = 2**30
_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, whether the run can do with it, and what was found."""

    what: str
    passed: bool
    found: str


def check(
    *,
    model: ModelConfig,
    data: DataConfig,
    optimizer: OptimizerConfig,
    mesh: MeshConfig,
    evaluation: EvalConfig | None = None,
    init: InitConfig | None = None,
    trainable: TrainableConfig | None = None,
    topology: str | None = None,
    num_slices: int = 1,
) -> list[Check]:
    """Every check of a run; nothing is prepared, trained or written.

    Args:
        topology: where it is to run, as `flantune compile` has it; None leaves the fit out.
    """

    def checks() -> Iterator[Check]:
        yield _checked("data", lambda: _prepared(data, evaluation))
        yield _checked("vocabulary", lambda: _vocabulary(model, data, init))
        if init is not None:
            yield _checked("start", lambda: _start(init))
        if topology is not None:
            yield _checked(
                "fit",
                lambda: _fit(topology, num_slices, model, data, optimizer, mesh, trainable),
            )

    return list(checks())


def _checked(what: str, look: Callable[[], str]) -> Check:
    """The check's result; what stands against the run comes as an error."""
    try:
        return Check(what=what, passed=True, found=look())
    except (ValueError, KeyError, OSError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        return Check(what=what, passed=False, found=str(text))


def _prepared(data: DataConfig, evaluation: EvalConfig | None) -> str:
    store = loading.open_store(data)
    wanted = preparation.splits_read(data, evaluation)
    catalog = loading.load_catalog(data, store, [name for name, _ in wanted])
    needed = [
        (task, split) for task, splits in loading.splits_needed(catalog, wanted) for split in splits
    ]
    missing = [
        f"{task} ({split})"
        for task, split in needed
        if store.manifest(catalog.task(task), split) is None
    ]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise ValueError(
            f"{len(missing)} of {len(needed)} splits are not in the prepared store {store.root}: "
            f"{', '.join(missing[:_SHOWN])}{more}. Run flantune prepare with the same files and flags, and copy the store "
            "to where all hosts read it."
        )
    absent = catalog.absent(data.mixture)
    without = f"; without {len(absent)} absent tasks" if absent else ""
    return f"{len(needed)} splits of {data.mixture!r} and its suites are in {store.root}{without}"


def _vocabulary(model: ModelConfig, data: DataConfig, init: InitConfig | None) -> str:
    found = _loaded_vocabulary(data, init)
    if found.size > model.vocab_size:
        raise ValueError(
            f"{data.vocabulary} has {found.size} pieces, and ModelConfig.vocab_size is {model.vocab_size}."
        )
    return f"{data.vocabulary}, {found.size} pieces of the model's {model.vocab_size}"


def _loaded_vocabulary(data: DataConfig, init: InitConfig | None) -> vocabulary_lib.Vocabulary:
    """The run's vocabulary, which its start allows; one that is trained must lie in the prepared store."""
    from flantune.interop import start_vocabulary  # brings JAX

    data = start_vocabulary.followed(data, init)
    size = vocabulary_lib.size_to_train(data.vocabulary)
    if size is None:
        found = vocabulary_lib.load(data.vocabulary)
    else:
        store = loading.open_store(data)
        catalog = loading.load_catalog(data, store, [data.mixture])
        bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
        model = mixture_vocabulary.kept(store, data, bound, size)
        if model is None:
            raise ValueError(
                f"{data.vocabulary} is not in the prepared store {store.root} yet: flantune prepare trains it."
            )
        found = vocabulary_lib.SentencePieceVocabulary(model, data.vocabulary)
    start_vocabulary.check(found, data.vocabulary, init)
    return found


def _start(init: InitConfig) -> str:
    from flantune.interop import sources  # brings JAX

    opened = sources.open_params(init.path, init.step)
    return f"{init.path}, {opened.kind}, step {opened.step}"


def _fit(
    topology: str,
    num_slices: int,
    model: ModelConfig,
    data: DataConfig,
    optimizer: OptimizerConfig,
    mesh: MeshConfig,
    trainable: TrainableConfig | None,
) -> str:
    found = experiments.compile(
        topology=topology,
        num_slices=num_slices,
        model=model,
        data=data,
        optimizer=optimizer,
        mesh=mesh,
        trainable=trainable,
    )
    if found.memory is None:
        raise ValueError(f"the compiler gave up on {topology}: {found.refusal}")
    need = f"{found.memory.total / _GIB:.2f} GiB of {found.usable_bytes / _GIB:.2f} usable"
    if not found.fits:
        raise ValueError(
            f"{topology} is too small, {need} on each device. {' '.join(found.levers)}"
        )
    return f"{topology}, {need} on each device ({found.way})"
