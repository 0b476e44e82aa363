"""What can be known of a run before a machine is paid for. `flantune preflight` prints it; `launch/` asks it first."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import pathlib

from flantune import experiments
from flantune.audit import datasets
from flantune.configs import (
    DataConfig,
    DecodingConfig,
    EvalConfig,
    InitConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
    TrainableConfig,
)
from flantune.data.input import loading, mixture_vocabulary
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.host import places
from flantune.jobs import cost, launch_files
from flantune.runs import preparation
from flantune.training import ahead_of_time, feasibility
from flantune.views import datasets_text, sizes

_GIB = 2**30
_SHOWN = 5
# What stands against a run: said by flantune, by XLA, or by a library that is not installed.
_EXPECTED = (ValueError, KeyError, OSError, RuntimeError, ImportError)
_GREEDY = DecodingConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """What was looked at, whether the run can do with it, and what was found; a line."""

    what: str
    passed: bool
    found: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """How the run is to be started.

    Attributes:
        run_dir: its folder; None: not checked.
        num_steps: of the run; None: what goes by them is left out.
        topology: where it is to run, as `flantune compile` has it; None: what goes by it is left out.
        num_slices: such slices.
        commit_of: a checkout whose commit is all that the machines get.
        folder: a checkout whose folder is all that they get.
        run_files: as the command line names them.
        files: these and the gin files that they include.
    """

    run_dir: str | None = None
    num_steps: int | None = None
    topology: str | None = None
    num_slices: int = 1
    commit_of: str | None = None
    folder: str | None = None
    run_files: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def check(
    *,
    launch: Launch,
    model: ModelConfig,
    data: DataConfig,
    optimizer: OptimizerConfig,
    mesh: MeshConfig,
    evaluation: EvalConfig | None = None,
    decoding: DecodingConfig = _GREEDY,
    init: InitConfig | None = None,
    trainable: TrainableConfig | None = None,
) -> list[Check]:
    """Every check of a run, whether an earlier one fails or not; nothing is prepared or trained, and nothing left written."""

    @functools.cache
    def needed() -> list[datasets.Dataset]:
        return datasets.needed(data, preparation.splits_read(data, evaluation))

    @functools.cache
    def step() -> feasibility.Feasibility:
        return experiments.compile(
            topology=launch.topology or "",
            num_slices=launch.num_slices,
            model=model,
            data=data,
            optimizer=optimizer,
            mesh=mesh,
            trainable=trainable,
        )

    def checks() -> Iterator[Check]:
        yield _checked("data", lambda: _data(data, needed()))
        yield _checked("store", lambda: _store(data, needed()))
        yield _checked("vocabulary", lambda: _vocabulary(model, data, init))
        if init is not None:
            yield _checked("start", lambda: _start(init))
        if launch.run_dir is not None:
            yield _checked("run_dir", lambda: _run_dir(launch.run_dir or ""))
        if launch.commit_of is not None or launch.folder is not None:
            yield _checked("files", lambda: _files(launch, data))
        place = None
        if launch.topology is not None:
            fit = _checked("fit", lambda: _fit(launch.topology or "", step()))
            yield fit
            place = step().topology if fit.passed else None
            if fit.passed and launch.num_steps is not None:
                yield _checked("cost", lambda: cost.training(step(), launch.num_steps or 0))
        if evaluation is not None and evaluation.suites and launch.num_steps is not None:
            yield _checked(
                "evaluation",
                lambda: _evaluation(launch, model, data, evaluation, decoding, place),
            )

    return list(checks())


def _checked(what: str, look: Callable[[], str]) -> Check:
    """The check's result; what stands against the run comes as an error."""
    try:
        return Check(what=what, passed=True, found=look())
    except _EXPECTED as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        return Check(what=what, passed=False, found=" ".join(str(text).split()))


def _data(data: DataConfig, needed: Sequence[datasets.Dataset]) -> str:
    missing = [one for one in needed if one.state == datasets.MISSING]
    root = loading.open_store(data).root
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(needed)} datasets are neither prepared nor below {loading.data_dir(data)}: "
            f"{_some([datasets_text.where(one) for one in missing])}; not in the prepared store {root} are "
            f"{_some([name for one in missing for name in one.missing])}. flantune data, with the same files and flags, says how "
            "to get each; then run flantune prepare."
        )
    unprepared = [
        name for one in needed if one.state != datasets.LEFT_OUT for name in one.unprepared
    ]
    splits = sum(one.num_splits for one in needed)
    if unprepared:
        raise ValueError(
            f"{len(unprepared)} of {splits} splits are not in the prepared store {root}: {_some(unprepared)}. Their sources are "
            "there: run flantune prepare with the same files and flags, and copy the store to where all hosts read it."
        )
    left_out = [datasets_text.where(one) for one in needed if one.state == datasets.LEFT_OUT]
    without = f" Without {_some(left_out)}." if left_out else ""
    return f"{splits} splits are in {root}; {datasets_text.summary(needed)}{without}"


def _store(data: DataConfig, needed: Sequence[datasets.Dataset]) -> str:
    """How large the store is; what is not prepared yet counts as its sources do."""
    text = f"{sizes.in_bytes(sum(one.prepared_bytes for one in needed))} in {loading.open_store(data).root}"
    coming = sum(one.unprepared_bytes for one in needed)
    unknown = sum(bool(one.missing) and not one.unprepared_bytes for one in needed)
    if coming:
        text += (
            f"; about {sizes.in_bytes(coming)} more once all is prepared, as large as the sources"
        )
    if unknown:
        text += f"; what {unknown} missing of {len(needed)} datasets will take is not known"
    return text


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


def _run_dir(run_dir: str) -> str:
    places.check_writable(f"The run folder {run_dir}", run_dir)
    return f"{run_dir} can be written"


def _files(launch: Launch, data: DataConfig) -> str:
    modules = launch_files.modules_files([*data.modules, *data.seqio_modules])
    files = [*launch.files, *modules]
    if launch.commit_of is not None:
        return launch_files.check_commit(pathlib.Path(launch.commit_of), launch.run_files, files)
    return launch_files.check_folder(pathlib.Path(launch.folder or ""), launch.run_files, files)


def _fit(topology: str, found: feasibility.Feasibility) -> str:
    if found.memory is None:
        raise ValueError(f"the compiler gave up on {topology}: {found.refusal}")
    need = f"{found.memory.total / _GIB:.2f} GiB of {found.usable_bytes / _GIB:.2f} usable"
    if not found.fits:
        raise ValueError(
            f"{topology} is too small, {need} on each device. {' '.join(found.levers)}"
        )
    return f"{topology}, {need} on each device ({found.way})"


def _evaluation(
    launch: Launch,
    model: ModelConfig,
    data: DataConfig,
    evaluation: EvalConfig,
    decoding: DecodingConfig,
    place: ahead_of_time.Topology | None,
) -> str:
    store = loading.open_store(data)
    names = [suite.mixture or data.mixture for suite in evaluation.suites]
    found = cost.of_evaluation(
        model,
        data,
        evaluation,
        decoding,
        num_steps=launch.num_steps or 0,
        catalog=datasets.open_catalog(data, store, names),
        store=store,
        place=place,
    )
    return found.sentence()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
