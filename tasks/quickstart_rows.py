"""The rows of the quickstart tasks: each is a pure function of (task, number of the row), so no file is needed.

A maker gets a `Chooser` and returns the fields of one row. `rows` deals the rows to the splits by a hash of their
inputs, so the same input never stands in two splits. Read `quickstart.py` for the wordings.
"""

from collections.abc import Callable, Iterator, Sequence
import itertools
from typing import TypeVar

from flantune.prompting import choice

T = TypeVar("T")
TRAIN_ROWS = 4_000
EVALUATION_ROWS = 200  # of the validation split and of the test split
_SPLIT_OF = ("test", "validation") + ("train",) * 8  # by hash modulo 10
_OUTPUTS = ("answer", "label")
_MAX_TRIES_PER_ROW = 60


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _split(
    "Anna Ben Carl Dora Emma Finn Gina Hugo Ida Jack Kate Leo "
    "Mia Noah Olga Paul Rosa Sam Tina Ugo Vera Will Yara Zoe"
)
KINDS = {
    "animal": _split("dog cat horse cow sheep goat duck"),
    "fruit": _split("apple pear plum peach cherry lemon grape"),
    "colour": _split("red blue green black white brown pink"),
    "tool": _split("hammer saw drill spade rake axe brush"),
    "garment": _split("hat coat shirt shoe sock belt scarf"),
}
WORDS = tuple(word for kind in KINDS.values() for word in kind)
OPPOSITES = {
    word: other
    for pair in (
        ("hot", "cold"),
        ("big", "small"),
        ("old", "new"),
        ("wet", "dry"),
        ("fast", "slow"),
        ("open", "shut"),
        ("full", "empty"),
        ("hard", "soft"),
        ("high", "low"),
        ("rich", "poor"),
        ("good", "bad"),
    )
    for word, other in (pair, pair[::-1])
}
# One word for a letter, so that alphabetical order is a matter of the first letter.
LETTER_WORDS = _split(
    "apple ball cup dog egg fish goat hat ink jar key lamp mouse net owl pear rake shirt table vase wolf"
)
PLURALS = _split("apples pears plums books cups balls pens coins")
PLACES = _split("garden kitchen house school shop park car train")
EVENTS = _split("party lesson game test meal trip talk show")
DAYS = _split("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _split(
    "January February March April May June July August September October November December"
)

Fields = dict[str, str | int | list[str]]
Maker = Callable[[choice.Chooser], Fields]


def rows(task: str, make: Maker, split: str, count: int) -> Iterator[Fields]:
    """`count` different rows of a split, in a fixed order.

    Raises:
        ValueError: the maker has too few different inputs.
    """
    seen: set[int] = set()
    for number in itertools.count():
        if len(seen) == count:
            return
        if number > count * _MAX_TRIES_PER_ROW:
            raise ValueError(
                f"Task {task!r}: only {len(seen)} different rows of split {split!r} in {number} tries, {count} wanted."
            )
        fields = make(choice.Chooser(seed=0, epoch=0, example=f"{task}/{number}"))
        key = choice.hash64(task, *(fields[name] for name in sorted(set(fields) - set(_OUTPUTS))))
        if key in seen or _SPLIT_OF[key % len(_SPLIT_OF)] != split:
            continue
        seen.add(key)
        yield fields


def copy_words(draw: choice.Chooser) -> Fields:
    words = _words(draw, 2, 3)
    return {"words": " ".join(words), "answer": " ".join(words)}


def reverse_words(draw: choice.Chooser) -> Fields:
    words = _words(draw, 2, 3)
    return {"words": " ".join(words), "answer": " ".join(reversed(words))}


def opposite_words(draw: choice.Chooser) -> Fields:
    words = sample(draw, "words", tuple(OPPOSITES), 3)
    return {"words": " ".join(words), "answer": " ".join(OPPOSITES[word] for word in words)}


def first_word(draw: choice.Chooser) -> Fields:
    words = _words(draw, 2, 4)
    return {"words": " ".join(words), "answer": words[0]}


def last_word(draw: choice.Chooser) -> Fields:
    words = _words(draw, 2, 4)
    return {"words": " ".join(words), "answer": words[-1]}


def count_words(draw: choice.Chooser) -> Fields:
    words = _words(draw, 2, 6)
    return {"words": " ".join(words), "answer": str(len(words))}


def count_kind(draw: choice.Chooser) -> Fields:
    kind = draw.pick("kind", tuple(KINDS))
    others = [word for word in WORDS if word not in KINDS[kind]]
    times = draw.index("times", 4)
    words = sample(draw, "same", KINDS[kind], times) + sample(draw, "others", others, 3 - times)
    return {"words": " ".join(_shuffled(draw, words)), "kind": kind, "answer": str(times)}


def add_items(draw: choice.Chooser) -> Fields:
    a, b = _number(draw, "a", 2, 9), _number(draw, "b", 2, 9)
    return {**_owner(draw), "a": a, "b": b, "answer": str(a + b)}


def take_items(draw: choice.Chooser) -> Fields:
    rest, b = _number(draw, "rest", 2, 9), _number(draw, "b", 2, 9)
    return {**_owner(draw), "a": rest + b, "b": b, "answer": str(rest)}


def larger_number(draw: choice.Chooser) -> Fields:
    a, b = sample(draw, "numbers", range(2, 31), 2)
    return {"a": a, "b": b, "items": draw.pick("items", PLURALS), "answer": str(max(a, b))}


def smaller_number(draw: choice.Chooser) -> Fields:
    a, b = sample(draw, "numbers", range(2, 31), 2)
    return {"a": a, "b": b, "items": draw.pick("items", PLURALS), "answer": str(min(a, b))}


def sort_numbers(draw: choice.Chooser) -> Fields:
    numbers = sample(draw, "numbers", range(21), 3)
    return {"numbers": _joined(numbers), "answer": _joined(sorted(numbers))}


def sort_words(draw: choice.Chooser) -> Fields:
    words = sample(draw, "words", LETTER_WORDS, 3)
    return {"words": " ".join(words), "answer": " ".join(sorted(words))}


def find_kind(draw: choice.Chooser) -> Fields:
    kinds = sample(draw, "kinds", tuple(KINDS), 3)
    words = [draw.pick(f"word {kind}", KINDS[kind]) for kind in kinds]
    label = draw.index("label", len(words))
    return {"kind": kinds[label], "words": " ".join(words), "choices": words, "label": label}


def odd_one_out(draw: choice.Chooser) -> Fields:
    kind, other = sample(draw, "kinds", tuple(KINDS), 2)
    odd = draw.pick("odd", KINDS[other])
    words = _shuffled(draw, [*sample(draw, "same", KINDS[kind], 3), odd])
    return {"words": " ".join(words), "answer": odd}


def all_of_kind(draw: choice.Chooser) -> Fields:
    kind, other = sample(draw, "kinds", tuple(KINDS), 2)
    label = draw.index("label", 2)
    words = sample(draw, "same", KINDS[kind], 4)
    if not label:
        num_others = _number(draw, "others", 2, 4)
        words[:num_others] = sample(draw, "other", KINDS[other], num_others)
    return {"words": " ".join(_shuffled(draw, words)), "kind": kind, "label": label}


def both_there(draw: choice.Chooser) -> Fields:
    return _two_people(draw, all)


def either_there(draw: choice.Chooser) -> Fields:
    return _two_people(draw, any)


def day_later(draw: choice.Chooser) -> Fields:
    day, days = draw.index("day", len(DAYS)), _number(draw, "days", 1, 4)
    return {
        **_appointment(draw),
        "day": DAYS[day],
        "shift": "1 day" if days == 1 else f"{days} days",
        "answer": DAYS[(day + days) % len(DAYS)],
    }


def month_later(draw: choice.Chooser) -> Fields:
    month, months = draw.index("month", len(MONTHS)), _number(draw, "months", 1, 3)
    return {
        **_appointment(draw),
        "month": MONTHS[month],
        "shift": "1 month" if months == 1 else f"{months} months",
        "answer": MONTHS[(month + months) % len(MONTHS)],
    }


def largest_number(draw: choice.Chooser) -> Fields:
    numbers = sample(draw, "numbers", range(31), 3)
    return {"numbers": _joined(numbers), "answer": str(max(numbers))}


def smallest_number(draw: choice.Chooser) -> Fields:
    numbers = sample(draw, "numbers", range(31), 3)
    return {"numbers": _joined(numbers), "answer": str(min(numbers))}


def first_in_alphabet(draw: choice.Chooser) -> Fields:
    words = sample(draw, "words", LETTER_WORDS, 3)
    return {"words": " ".join(words), "answer": min(words)}


def sample(draw: choice.Chooser, purpose: str, items: Sequence[T], count: int) -> list[T]:
    """`count` different items in a random order."""
    places: list[int] = []
    tries = 0
    while len(places) < count:
        place = draw.index(f"{purpose} {tries}", len(items))
        tries += 1
        if place not in places:
            places.append(place)
    return [items[place] for place in places]


def _number(draw: choice.Chooser, purpose: str, low: int, high: int) -> int:
    """A number from `low` to `high`, both included."""
    return low + draw.index(purpose, high - low + 1)


def _words(draw: choice.Chooser, low: int, high: int) -> list[str]:
    """From `low` to `high` different words."""
    return sample(draw, "words", WORDS, _number(draw, "count", low, high))


def _shuffled(draw: choice.Chooser, words: Sequence[T]) -> list[T]:
    return [words[place] for place in draw.order("order", len(words))]


def _joined(numbers: Sequence[int]) -> str:
    return " ".join(str(number) for number in numbers)


def _owner(draw: choice.Chooser) -> Fields:
    return {"name": draw.pick("name", NAMES), "items": draw.pick("items", PLURALS)}


def _appointment(draw: choice.Chooser) -> Fields:
    return {"name": draw.pick("name", NAMES), "event": draw.pick("event", EVENTS)}


def _two_people(draw: choice.Chooser, holds: Callable[[Sequence[bool]], bool]) -> Fields:
    """Where two people are, and whether `holds` is true of it: all of them are there, or any."""
    a, b = sample(draw, "names", NAMES, 2)
    place = draw.pick("place", PLACES)
    label = draw.index("label", 2)
    cases = [(x, y) for x in (False, True) for y in (False, True) if holds((x, y)) == bool(label)]
    first, second = ("is" if there else "is not" for there in draw.pick("case", cases))
    fact = f"{a} {first} in the {place}. {b} {second} in the {place}."
    return {"fact": fact, "a": a, "b": b, "place": place, "label": label}
