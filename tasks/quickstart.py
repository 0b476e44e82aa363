"""Small procedural instruction tasks, made in code: a smoke run needs no file and no download.

The wordings are here and the rows in `quickstart_rows.py`. The cluster `extremes` is evaluated, never trained
on. Every wording shows all the inputs of a row, so rows of different splits give different prompts. Mixtures:
`mixtures.py`.
"""

from collections.abc import Mapping
import functools
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import quickstart_rows as rows_lib

HELD_OUT_CLUSTER = "extremes"
_YES_NO = ("no", "yes")

_MADE_HERE = Publication(url="", get="Made in code: there is nothing to get")


def to_fields(row: Mapping[str, Any]) -> Fields:
    return row


def _task(
    name: str,
    cluster: str,
    make: rows_lib.Maker,
    wordings: tuple[str, ...],
    held_out: tuple[str, ...],
    answer_choices: tuple[str, ...] | str | None = None,
) -> InstructionTask:
    """A task with its training wordings and the wordings that are kept for evaluation."""
    name = f"quickstart:{name}"
    counts = {
        "train": rows_lib.TRAIN_ROWS,
        "validation": rows_lib.EVALUATION_ROWS,
        "test": rows_lib.EVALUATION_ROWS,
    }
    return InstructionTask(
        name=name,
        cluster=cluster,
        source=sources.InMemory(
            **{
                split: functools.partial(rows_lib.rows, name, make, split, count)
                for split, count in counts.items()
            }
        ),
        to_fields=to_fields,
        answer_choices=answer_choices,
        templates=(
            *(Template(inputs=text) for text in wordings),
            *(Template(inputs=text, held_out=True) for text in held_out),
        ),
        metrics=(metrics.exact_match,),
        lineage=(name,),
        licence="Apache-2.0",
        publication=_MADE_HERE,
    )


_EDITING = (
    _task(
        "copy_words",
        "editing",
        rows_lib.copy_words,
        (
            "Copy this list: {words}",
            "Repeat the words exactly as they are.\n{words}",
            "Words: {words}\nThe same words again:",
            "{words}\nCopy the line above.",
            "Can you repeat {words} without any change?",
            "Write the words {words} exactly as they are.",
            "List: {words}\nRepeat the list:",
        ),
        (
            "Copy these words exactly: {words}",
            "{words}\nRepeat the words above without any change.",
        ),
    ),
    _task(
        "reverse_words",
        "editing",
        rows_lib.reverse_words,
        (
            "Reverse this list: {words}",
            "Write {words} backwards.",
            "Words: {words}\nReverse order:",
            "What is {words} in reverse order?",
            "Give the reverse of these words: {words}",
            "List: {words}\nThe list backwards:",
            "{words}\nGive the words above backwards, from the end to the start.",
        ),
        (
            "Give these words in reverse order: {words}",
            "{words}\nWrite the list above backwards.",
        ),
    ),
    _task(
        "opposite_words",
        "editing",
        rows_lib.opposite_words,
        (
            "Give the opposite of each word: {words}",
            "Replace every word of {words} with its opposite.",
            "Words: {words}\nOpposites:",
            "What are the opposites of {words}?",
            "{words}\nNow write the opposite of every word above.",
        ),
        (
            "Write the opposites of these words: {words}",
            "{words}\nGive the opposite of each of these.",
        ),
    ),
)

_PICKING = (
    _task(
        "first_word",
        "picking",
        rows_lib.first_word,
        (
            "What is the first word of this list? {words}",
            "Give only the first word: {words}",
            "Words: {words}\nFirst:",
            "Which word comes first in {words}?",
            "List: {words}\nWhich word is the first?",
            "{words}\nThe first word of the line above is",
        ),
        (
            "Which word is the first of {words}?",
            "{words}\nGive the first word of this list.",
        ),
    ),
    _task(
        "last_word",
        "picking",
        rows_lib.last_word,
        (
            "Which word ends this list? {words}",
            "Read {words} and write the last word.",
            "List: {words}\nLast word:",
            "In {words}, what is the last word?",
            "Give the last word: {words}",
            "{words}\nWhich word ends the line above?",
            "{words}\nTell me which one of these words is last.",
        ),
        (
            "Tell me the last word of this list: {words}",
            "{words}\nThe word that ends this list is",
        ),
    ),
)

_COUNTING = (
    _task(
        "count_words",
        "counting",
        rows_lib.count_words,
        (
            "How many words are in this list? {words}",
            "Count the words: {words}",
            "List: {words}\nNumber of words:",
            "How long is the list {words}?",
            "Give the number of words in {words}.",
            "{words}\nHow many words does this list have?",
            "{words}\nTell me the number of words in the line above.",
        ),
        (
            "Count the words in this list: {words}",
            "{words}\nTell me how many words the line above has.",
        ),
    ),
    _task(
        "count_kind",
        "counting",
        rows_lib.count_kind,
        (
            "How many times is there a word of the kind {kind} in {words}?",
            "Count only the {kind} words: {words}",
            "Kind: {kind}\nWords: {words}\nHow many of this kind:",
            "In {words}, how many words are of the kind {kind}?",
            "{words}\nTell me how many {kind} words are in the line above.",
        ),
        (
            "Count how many words are of the kind {kind}: {words}",
            "{words}\nHow many {kind} words are there?",
        ),
    ),
)

_ARITHMETIC = (
    _task(
        "add_items",
        "arithmetic",
        rows_lib.add_items,
        (
            "{name} has {a} {items} and gets {b} more. How many {items} are there in total?",
            "Name: {name}\nItems: {items}\nBefore: {a}\nMore: {b}\nTotal:",
            "Add {b} to the {a} {items} of {name}. What is the total?",
            "What is {a} {items} plus {b} {items}, all for {name}?",
            "{name} buys {a} {items} and then {b} more. Add them.",
        ),
        (
            "{name} has {a} {items}. Add {b} more. How many in total?",
            "{name} gets {a} {items} plus {b} more. What is the total?",
        ),
    ),
    _task(
        "take_items",
        "arithmetic",
        rows_lib.take_items,
        (
            "{name} has {a} {items} and gives away {b}. How many {items} are left?",
            "Name: {name}\nItems: {items}\nBefore: {a}\nTaken away: {b}\nLeft:",
            "Take {b} from the {a} {items} of {name}. How many are left?",
            "What is {a} {items} minus {b} {items}, all from {name}?",
            "{name} had {a} {items} and lost {b} of them. What is left?",
        ),
        (
            "{name} had {a} {items}. Take away {b}. How many are left?",
            "{name} lost {b} of {a} {items}. What is left?",
        ),
    ),
)

_COMPARISON = (
    _task(
        "larger_number",
        "comparison",
        rows_lib.larger_number,
        (
            "Which number is larger, {a} {items} or {b} {items}?",
            "Compare {a} with {b} {items} and give the larger number.",
            "First: {a} {items}\nSecond: {b} {items}\nLarger:",
            "What is more, {a} or {b} {items}? Write the larger number.",
            "{a} {items}, {b} {items}\nThe larger number is",
        ),
        (
            "Of {a} {items} and {b} {items}, which number is larger?",
            "Compare {a} {items} with {b} {items}. Larger number:",
        ),
    ),
    _task(
        "smaller_number",
        "comparison",
        rows_lib.smaller_number,
        (
            "Which number is smaller, {a} {items} or {b} {items}?",
            "Look at {a} and {b} {items} and give the smaller number.",
            "First: {a} {items}\nSecond: {b} {items}\nSmaller:",
            "What is less, {a} {items} or {b}? Write the smaller number.",
            "{a} {items} and {b} {items}\nName the smaller number.",
        ),
        (
            "Name the smaller number: {a} {items} or {b} {items}.",
            "Look at {a} {items} and {b} {items}. Which number is smaller?",
        ),
    ),
)

_SORTING = (
    _task(
        "sort_numbers",
        "sorting",
        rows_lib.sort_numbers,
        (
            "Sort these numbers: {numbers}",
            "Put {numbers} in rising order.",
            "Numbers: {numbers}\nSorted:",
            "What are the numbers {numbers} from smallest to largest?",
            "{numbers}\nWrite the numbers above with the smallest first.",
        ),
        (
            "Write these numbers in rising order: {numbers}",
            "{numbers}\nSort the numbers from smallest to largest.",
        ),
    ),
    _task(
        "sort_words",
        "sorting",
        rows_lib.sort_words,
        (
            "Sort these words from A to Z: {words}",
            "Put {words} in alphabetical order.",
            "Words: {words}\nAlphabetical order:",
            "How does the alphabet sort {words}?",
            "{words}\nWrite the words above in the order of the alphabet.",
        ),
        (
            "Write these words in alphabetical order: {words}",
            "{words}\nSort the words above from A to Z.",
        ),
    ),
)

_MEMBERSHIP = (
    _task(
        "find_kind",
        "membership",
        rows_lib.find_kind,
        (
            "Which of these is the {kind}? {words}",
            "Find the {kind} in {words}.",
            "Words: {words}\nKind: {kind}\nAnswer:",
            "One of {words} is the {kind}. Which one?",
            "Which one of {words} is the {kind}?\n{options}",
        ),
        (
            "Kind: {kind}. Which one of these words is it? {words}",
            "{words}\nWhich of these words is the {kind}?",
        ),
        answer_choices="choices",
    ),
    _task(
        "odd_one_out",
        "membership",
        rows_lib.odd_one_out,
        (
            "Which word does not belong? {words}",
            "Find the odd one out: {words}",
            "List: {words}\nOdd one:",
            "Three of {words} are of one kind. Which word is not?",
            "{words}\nName the word that does not fit.",
        ),
        (
            "Name the odd one out in {words}.",
            "{words}\nWhich word does not fit?",
        ),
    ),
    _task(
        "all_of_kind",
        "membership",
        rows_lib.all_of_kind,
        (
            "Are there only {kind} words in this list? {words}",
            "Are all of {words} of the kind {kind}?",
            "Words: {words}\nKind: {kind}\nAll of it:",
            "Yes or no: every one of {words} is of the kind {kind}.",
            "{words}\nIs every word above of the kind {kind}?",
            "Yes or no: all words in {words} are of the kind {kind}.",
            "{words}\nAre all words above of the kind {kind}?\n{options}",
        ),
        (
            "Is every word of the kind {kind}? {words}",
            "{words}\nYes or no: all of these are of the kind {kind}.",
        ),
        answer_choices=_YES_NO,
    ),
)

_LOGIC = (
    _task(
        "both_there",
        "logic",
        rows_lib.both_there,
        (
            "{fact} Are both {a} and {b} in the {place}?",
            "Are {a} and {b} both in the {place}? {fact}",
            "{fact}\nBoth {a} and {b} in the {place}:",
            "{fact} Yes or no: both {a} and {b} are in the {place}.",
            "{fact} Is it true that both {a} and {b} are in the {place}?\n{options}",
        ),
        (
            "Is it true that {a} and {b} are both in the {place}? {fact}",
            "{fact}\nYes or no: {a} and {b} are both there, in the {place}.",
        ),
        answer_choices=_YES_NO,
    ),
    _task(
        "either_there",
        "logic",
        rows_lib.either_there,
        (
            "{fact} Is {a} or {b} in the {place}?",
            "Is at least one of {a} and {b} in the {place}? {fact}",
            "{fact}\nEither {a} or {b} in the {place}:",
            "{fact} Yes or no: either {a} or {b} is in the {place}.",
            "Say yes if {a} or {b} is in the {place}, and no if not. {fact}",
        ),
        (
            "Is it true that either {a} or {b} is in the {place}? {fact}",
            "{fact}\nYes or no: is at least one of {a} and {b} in the {place}?",
        ),
        answer_choices=_YES_NO,
    ),
)

_DATES = (
    _task(
        "day_later",
        "dates",
        rows_lib.day_later,
        (
            "The {event} of {name} is on {day}. Which day is {shift} later?",
            "What day comes {shift} after {day}, the day when {name} has a {event}?",
            "Event: {event} of {name}\nDay: {day}\nLater by: {shift}\nNew day:",
            "Move the {event} of {name} from {day} to {shift} later. What is the new day?",
            "{name} has a {event} on {day}. Name the day {shift} after it.",
        ),
        (
            "The {event} of {name} on {day} is now {shift} later. Name the new day.",
            "{name} has a {event} on {day}. What day comes {shift} later?",
        ),
    ),
    _task(
        "month_later",
        "dates",
        rows_lib.month_later,
        (
            "The {event} of {name} is in {month}. Which month is {shift} later?",
            "What month comes {shift} after {month}, when {name} has a {event}?",
            "Plan: {event} of {name}\nMonth: {month}\nLater by: {shift}\nNew month:",
            "Put the {event} of {name} in {month} off by {shift}. What is the new month?",
            "{name} has a {event} in {month}. Name the month {shift} after it.",
        ),
        (
            "The {event} of {name} in {month} is put off by {shift}. Name the new month.",
            "{name} has a {event} in {month}. What month comes {shift} later?",
        ),
    ),
)

_EXTREMES = (
    _task(
        "largest_number",
        HELD_OUT_CLUSTER,
        rows_lib.largest_number,
        (
            "Which number is the largest? {numbers}",
            "Give the largest of {numbers}.",
            "Numbers: {numbers}\nLargest:",
            "What is the largest number in {numbers}?",
            "{numbers}\nName the largest number above.",
        ),
        (
            "Of {numbers}, which is the largest number?",
            "Find the largest number: {numbers}",
        ),
    ),
    _task(
        "smallest_number",
        HELD_OUT_CLUSTER,
        rows_lib.smallest_number,
        (
            "Which number is the smallest? {numbers}",
            "Name the smallest of {numbers}.",
            "Numbers: {numbers}\nSmallest:",
            "Find the smallest number in {numbers}.",
            "{numbers}\nThe smallest number above is",
        ),
        (
            "Of the numbers {numbers}, give the smallest.",
            "Look at {numbers}. What is the smallest number?",
        ),
    ),
    _task(
        "first_in_alphabet",
        HELD_OUT_CLUSTER,
        rows_lib.first_in_alphabet,
        (
            "Which word comes first in the alphabet? {words}",
            "Give the word of {words} that the alphabet puts first.",
            "Words: {words}\nFirst from A to Z:",
            "What is the first of {words} in alphabetical order?",
            "{words}\nName the word that is first in the alphabet.",
        ),
        (
            "In alphabetical order, which of {words} is first?",
            "{words}\nWhich of the words above comes first from A to Z?",
        ),
    ),
)

TASKS = (
    *_EDITING,
    *_PICKING,
    *_COUNTING,
    *_ARITHMETIC,
    *_COMPARISON,
    *_SORTING,
    *_MEMBERSHIP,
    *_LOGIC,
    *_DATES,
    *_EXTREMES,
)
