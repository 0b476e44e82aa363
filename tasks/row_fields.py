"""What the `to_fields` of several modules share: clean text, its first sentence, a question with its mark, choices that can
be told apart, references.
"""

from collections.abc import Sequence

from flantune.data.task import Fields

_SENTENCE_WORDS = 4  # "Dr. Smith" and "By J. R. Moe" end no sentence
_OPENING_WORDS = 60  # a target of an inversion fits 256 tokens


def clean(text: str) -> str:
    """Text with each run of white space as one space, as T5's vocabulary has it anyway, and none at its ends."""
    return " ".join(text.split())


def as_question(text: str) -> str:
    """A question with exactly one question mark, whether it came with one or not.

    A text that ends as a sentence does ("Name the river.") stays as it is, and so does a mark before a quotation's end.

    Example: `as_question("who wrote it ?")` and `as_question("who wrote it")` are "who wrote it?".
    """
    text = clean(text)
    if text.endswith((".", "!", ":", '?"', "?'")):
        return text
    return text.rstrip("? ") + "?"


def with_choices(fields: Fields, choices: Sequence[str], label: int) -> Fields | None:
    """The fields of a row that has choices of its own; None, so that the row is dropped, where they do not make a task.

    That is where the label is hidden or none of the choices, a choice is empty, or two are the same.
    """
    cleaned = [clean(choice) for choice in choices]
    if not 0 <= label < len(cleaned) or not all(cleaned) or len(set(cleaned)) < len(cleaned):
        return None
    return {**fields, "choices": cleaned, "label": label}


def first_sentence(text: str) -> str:
    """The text up to the first sentence's end that at least four words come before, at most 60 words of it.

    Example: `first_sentence("Mr. Ito left. He was late.")` is "Mr. Ito left. He was late.": three words are no sentence
    that could stand for the text.
    """
    words = text.split()
    ends = (
        count
        for count, word in enumerate(words, 1)
        if count >= _SENTENCE_WORDS and word.rstrip("\"')]”’").endswith((".", "!", "?"))
    )
    return " ".join(words[: min(next(ends, len(words)), _OPENING_WORDS)])


def answers(*texts: str) -> list[str]:
    """The texts that are not empty, clean and each once: a row's references, the first one first."""
    return list(dict.fromkeys(text for text in map(clean, texts) if text))
