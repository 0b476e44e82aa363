"""A model with its parameters in memory: texts in; texts, scores or vectors out. `flantune.load` and `flantune infer` use it.

    model.predict("Sort: 3 1 2")                     ->  "1 2 3"
    model.predict(["Sort: 3 1 2", "Sort: b a"])      ->  ["1 2 3", "a b"]
    model.predict(line for line in file)             ->  an iterator that reads and answers a batch at a time
    model.score("Is snow cold?", ["no", "yes"])      ->  (OptionScore(-4.1, ...), OptionScore(-0.3, ...))
    model.embed(["Sort: 3 1 2", "Sort: b a"])        ->  float32 [2, emb_dim]

What runs on the device is in `predictor.py`, `scoring.py` and `embedding.py`; `texts.py` sorts out what is given. How a model
is opened: `runs/assembly.py`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
import dataclasses
import functools
from typing import Any, TypedDict, Unpack, overload

import jax
from jaxtyping import Float, PyTree
import numpy as np

from flantune import configs
from flantune.configs import DecodingConfig
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.inference import embedding, predictor, scoring, texts
from flantune.inference.scoring import OptionScore
from flantune.models import t5

_KEPT = 16  # compiled predictors: one for each number of rows and way to decode
_GREEDY = DecodingConfig()


class Decoding(TypedDict, total=False):
    """What `LoadedModel.predict` may be told."""

    batch_size: int
    max_decode_length: int | None
    num_beams: int | None
    alpha: float | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    seed: int | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LoadedModel:
    """A model that answers.

    Prompts are padded to few lengths (32, 64, 128, ... tokens, up to `inputs_length`) in batches of few sizes (1, 2, 4, ...,
    `batch_size` rows). The first call of each shape compiles it, which takes seconds; later ones load and compile nothing. A
    prompt that is too long is refused, never cut. One text gets one answer, a collection a list, an iterator an iterator.

    Attributes:
        source: where the parameters come from.
        step: training steps that made them; 0 where the source does not say.
        network: the model without its parameters.
        params: nested dicts of float32 arrays, on their devices.
        vocabulary: turns texts into token ids and back.
        mesh: the devices; rows are split over them.
        inputs_length: longest prompt in tokens, with its EOS.
        max_decode_length: longest prediction in tokens, unless a call says otherwise.
        decoding: how predictions are made, unless a call says otherwise.
    """

    source: str
    step: int
    network: t5.EncoderDecoder
    params: PyTree = dataclasses.field(repr=False)
    vocabulary: vocabulary_lib.Vocabulary = dataclasses.field(repr=False)
    mesh: jax.sharding.Mesh = dataclasses.field(repr=False)
    inputs_length: int
    max_decode_length: int
    decoding: DecodingConfig = _GREEDY

    # Of each method the first face that fits counts: mypy minds that a text is a collection of texts too.
    @overload
    def predict(self, prompts: str, **how: Unpack[Decoding]) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, prompts: Collection[str], **how: Unpack[Decoding]) -> list[str]: ...  # type: ignore[overload-overlap]

    @overload
    def predict(self, prompts: Iterable[str], **how: Unpack[Decoding]) -> Iterator[str]: ...

    def predict(
        self,
        prompts: Iterable[object],
        *,
        batch_size: int = 32,
        max_decode_length: int | None = None,
        num_beams: int | None = None,
        alpha: float | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Any:
        """What the model writes after each prompt: one text, a list, or an iterator, as the prompts are.

        With several processes, all must call this with the same prompts.

        Args:
            prompts: one text, a collection of texts, or an iterator, from which `batch_size` prompts are taken at a time.
            batch_size: rows decoded together.
            max_decode_length: longest prediction in tokens.
            num_beams: this and the following: fields of `DecodingConfig`. A draw depends on the seed and on the prompt's
                number, wherever in a batch it stands.

        Raises:
            TypeError: a prompt is no text.
            ValueError: a prompt has more than `inputs_length` tokens, or settings contradict each other.
        """
        configs.check_whole("batch_size", batch_size)
        length = self.max_decode_length if max_decode_length is None else max_decode_length
        configs.check_whole("max_decode_length", length)
        given: dict[str, Any] = {
            "num_beams": num_beams,
            "alpha": alpha,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "seed": seed,
        }
        how = dataclasses.replace(
            self.decoding, **{name: value for name, value in given.items() if value is not None}
        )
        any_seed = dataclasses.replace(how, seed=0)  # one program for all seeds

        def answer(some: list[str], first: int) -> list[str]:
            own = self._predictor(_rows(len(some), first, batch_size), length, any_seed)
            return own.predict(self.params, some, seed=how.seed, first=first)

        return texts.each(answer, prompts, batch_size)

    @overload
    def score(self, prompts: str, targets: str, *, batch_size: int = 32) -> OptionScore: ...  # type: ignore[overload-overlap]

    @overload
    def score(  # type: ignore[overload-overlap]
        self, prompts: str, targets: Sequence[str], *, batch_size: int = 32
    ) -> tuple[OptionScore, ...]: ...

    @overload
    def score(  # type: ignore[overload-overlap]
        self, prompts: Collection[str], targets: Collection[str], *, batch_size: int = 32
    ) -> list[OptionScore]: ...

    @overload
    def score(  # type: ignore[overload-overlap]
        self, prompts: Collection[str], targets: Collection[Sequence[str]], *, batch_size: int = 32
    ) -> list[tuple[OptionScore, ...]]: ...

    @overload
    def score(  # type: ignore[overload-overlap]
        self, prompts: Iterable[str], targets: Iterable[str], *, batch_size: int = 32
    ) -> Iterator[OptionScore]: ...

    @overload
    def score(
        self, prompts: Iterable[str], targets: Iterable[Sequence[str]], *, batch_size: int = 32
    ) -> Iterator[tuple[OptionScore, ...]]: ...

    def score(
        self, prompts: Iterable[object], targets: Iterable[object], *, batch_size: int = 32
    ) -> Any:
        """How probable targets are after their prompts: log-probabilities in nats, as the ranking of options uses them.

        An `OptionScore` has `log_prob`, the sum over the target's tokens with its EOS, `per_token`, their mean, and the numbers
        of tokens and bytes. With several processes, all must call this with the same arguments.

        Args:
            prompts: one text, or several.
            targets: for each prompt a text, or a list of options, whose scores are then a tuple. For one prompt: the
                text or the list itself.
            batch_size: prompts encoded together, and rows of targets scored together.

        Raises:
            TypeError: a prompt or a target is no text.
            ValueError: a prompt has more than `inputs_length` tokens, or prompts and targets differ in number.
        """
        configs.check_whole("batch_size", batch_size)

        def answer(
            some: list[tuple[str, Sequence[str] | str]], first: int
        ) -> list[OptionScore | tuple[OptionScore, ...]]:
            questions = [(prompt, [own] if isinstance(own, str) else own) for prompt, own in some]
            scorer = self._scorer(_rows(len(some), first, batch_size))
            found = scorer.score(self.params, questions, first=first)
            return [
                scores[0] if isinstance(own, str) else scores
                for (_, own), scores in zip(some, found, strict=True)
            ]

        return texts.each_pair(answer, prompts, targets, batch_size)

    @overload
    def embed(self, prompts: str, *, batch_size: int = 32) -> Float[np.ndarray, "emb"]: ...  # type: ignore[overload-overlap]

    @overload
    def embed(  # type: ignore[overload-overlap]
        self, prompts: Collection[str], *, batch_size: int = 32
    ) -> Float[np.ndarray, "prompts emb"]: ...

    @overload
    def embed(
        self, prompts: Iterable[str], *, batch_size: int = 32
    ) -> Iterator[Float[np.ndarray, "emb"]]: ...

    def embed(self, prompts: Iterable[object], *, batch_size: int = 32) -> Any:
        """The mean of the encoder's last states over the tokens of each prompt, its EOS among them, as float32.

        Of one text [emb_dim], of a collection [prompts, emb_dim], of an iterator an iterator of [emb_dim]. With several
        processes, all must call this with the same prompts.

        Raises:
            TypeError: a prompt is no text.
            ValueError: a prompt has more than `inputs_length` tokens.
        """
        configs.check_whole("batch_size", batch_size)

        def answer(some: list[str], first: int) -> Float[np.ndarray, "prompts emb"]:
            embedder = self._embedder(_rows(len(some), first, batch_size))
            return embedder.embed(self.params, some, first=first)

        return texts.each(answer, prompts, batch_size)

    @functools.cached_property
    def _predictor(self) -> Callable[[int, int, DecodingConfig], predictor.Predictor]:
        def make(rows: int, max_decode_length: int, how: DecodingConfig) -> predictor.Predictor:
            return predictor.Predictor(
                **self._parts(rows), max_decode_length=max_decode_length, how=how
            )

        return functools.lru_cache(_KEPT)(make)

    @functools.cached_property
    def _scorer(self) -> Callable[[int], scoring.Scorer]:
        return functools.lru_cache(_KEPT)(lambda rows: scoring.Scorer(**self._parts(rows)))

    @functools.cached_property
    def _embedder(self) -> Callable[[int], embedding.Embedder]:
        return functools.lru_cache(_KEPT)(lambda rows: embedding.Embedder(**self._parts(rows)))

    def _parts(self, rows: int) -> dict[str, Any]:  # Any: keyword arguments of several types
        return {
            "model": self.network,
            "vocabulary": self.vocabulary,
            "batch_size": rows,
            "inputs_length": self.inputs_length,
            "mesh": self.mesh,
        }


def _rows(count: int, first: int, batch_size: int) -> int:
    """Rows of the batches for so many texts: a power of two that holds them, or `batch_size`.

    Empty rows cost less than compiling for another number; so the last texts of many fill up a batch of the size before.
    """
    if first or count >= batch_size:
        return batch_size
    return min(batch_size, 1 << (count - 1).bit_length()) if count else 1
