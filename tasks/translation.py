"""FLAN 2021's translation (https://arxiv.org/abs/2109.01652): English and eight other languages, in both directions.

Rows come from TFDS, cut as FLAN 2021 cut them: the first 30,000 rows for training; 200 rows of the published validation split
and the published test split for WMT. ParaCrawl has training rows only: its last 1,000 are the test set, the 200 before them
validation.

Whether a row is translated out of English or into it is decided by a hash of its English side, once for all wordings, so that
each wording is used in both directions. FLAN fixes the direction by wording instead. BLEU is taken over both together: the
scores of one direction that are published elsewhere are no match for it.

The training rows of WMT are other corpora, which several pairs share: the lineage.
"""

import dataclasses
import functools

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields, Row
from flantune.prompting import Template, choice
from tasks import row_fields

_LANGUAGES = {
    "cs": "Czech",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "ro": "Romanian",
    "ru": "Russian",
    "tr": "Turkish",
}
PARA_CRAWL = "https://aclanthology.org/W19-6721"
_WMT16_PUBLICATION = Publication(url="https://aclanthology.org/W16-2301")
_WMT_LICENCE = "free for research, as WMT states; that of each corpus applies"


def pair_fields(row: Row, other: str) -> Fields | None:
    """A row of English and another language in the direction that its English side decides."""
    texts = {language: row_fields.clean(row[language]) for language in ("en", other)}
    if not all(texts.values()):
        return None
    source, target = ("en", other) if choice.hash64(texts["en"]) % 2 else (other, "en")
    return {
        "text": texts[source],
        "source_language": _LANGUAGES[source],
        "target_language": _LANGUAGES[target],
        "answer": texts[target],
    }


_WEB = (
    Template(inputs="Put this sentence from a website into {target_language}.\n{text}"),
    Template(inputs="{text}\nThe page also comes in {target_language}. There the same says:"),
    Template(inputs="{source_language}: {text}\n{target_language}:"),
    Template(
        inputs="A visitor to the site reads nothing but {target_language}. Tell them what is written here.\n{text}"
    ),
    Template(inputs='How would the {target_language} version of a web page say "{text}"?'),
    Template(
        inputs=(
            "Here is a line in {source_language}. Write the same line in {target_language}.\n"
            "Line: {text}\nTranslation:"
        )
    ),
    Template(
        inputs=(
            "You run a site in two languages, {source_language} and {target_language}. "
            "This is still missing in the second one: {text}"
        )
    ),
    Template(inputs="Text of a link, a menu or a paragraph: {text}\nIn {target_language}, please."),
    Template(
        inputs="Translate what follows out of {source_language} and into {target_language}: {text}"
    ),
    Template(
        inputs=(
            "{answer}\nThat was translated from {source_language} for a web page. "
            "What may the page have said before?"
        ),
        targets="{text}",
        kind="inversion",
    ),
)

_WMT14 = (
    Template(inputs="{text}\nSay it in {target_language}."),
    Template(inputs="What is the {target_language} for this sentence?\n{text}"),
    Template(
        inputs=(
            'An interpreter hears "{text}" and has to go on in {target_language}. '
            "What does the interpreter say?"
        )
    ),
    Template(
        inputs=(
            "The minutes are kept in {source_language} and in {target_language}.\n"
            "First version: {text}\nSecond version:"
        )
    ),
    Template(
        inputs=(
            "Give a faithful {target_language} translation, with all names and numbers.\n"
            "To translate: {text}"
        )
    ),
    Template(inputs="Turn this sentence from {source_language} into {target_language}: {text}"),
    Template(
        inputs="I wrote this in {source_language}: {text}\nMy colleague wants it in {target_language}."
    ),
    Template(
        inputs="Order for a translator. From: {source_language}. To: {target_language}. Text: {text}"
    ),
    Template(
        inputs='With dictionary and grammar at hand, render the following in {target_language}: "{text}"'
    ),
    Template(
        inputs=(
            'Someone translated a sentence into {target_language}: "{answer}" '
            "Translate it back into {source_language}."
        ),
        targets="{text}",
        kind="inversion",
    ),
)

_WMT16 = (
    Template(inputs="Put down in {target_language} what this line of news says.\n{text}"),
    Template(inputs="News in {source_language}: {text}\nThe same news in {target_language}:"),
    Template(inputs="{text}\nTranslate into {target_language}."),
    Template(
        inputs='Tell a reader of {target_language}, in that language, just what "{text}" says.'
    ),
    Template(
        inputs=(
            "Somebody who speaks {target_language} but no {source_language} cannot read this. "
            "Help them.\n{text}"
        )
    ),
    Template(
        inputs="{target_language} is wanted, {source_language} is given.\nGiven: {text}\nWanted:"
    ),
    Template(
        inputs=(
            "A report comes in, written in {source_language}. Send it on in {target_language}.\n"
            "Report: {text}"
        )
    ),
    Template(
        inputs=(
            "You know {source_language} and {target_language} equally well. "
            "How do you carry this over into the latter? {text}"
        )
    ),
    Template(
        inputs="Subtitles are due in {target_language}. What is spoken, in {source_language}: {text}"
    ),
    Template(
        inputs=(
            "An archive still has the {target_language} translation: {answer}\n"
            "The {source_language} original is lost. Write what it probably was."
        ),
        targets="{text}",
        kind="inversion",
    ),
)


def _task(
    key: str,
    other: str,
    source: sources.Tfds,
    templates: tuple[Template, ...],
    licence: str,
    publication: Publication,
    *lineage: str,
) -> InstructionTask:
    """English and another language; `lineage` has the corpora of the training rows."""
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="translation",
        source=source,
        to_fields=functools.partial(pair_fields, other=other),
        templates=templates,
        metrics=(metrics.bleu,),
        lineage=lineage,
        licence=licence,
        publication=publication,
    )


def _wmt(name: str) -> sources.Tfds:
    return sources.Tfds(name, train="train[:30000]", validation="validation[:200]", test="test")


def _wmt16(
    other: str, *lineage: str, publication: Publication = _WMT16_PUBLICATION
) -> InstructionTask:
    source = _wmt(f"wmt16_translate/{other}-en:1.0.0")
    return _task(
        f"wmt16_translate_{other}en", other, source, _WMT16, _WMT_LICENCE, publication, *lineage
    )


TASKS = (
    _task(
        "para_crawl_enes",
        "es",
        sources.Tfds(
            "para_crawl/enes:1.2.0",
            train="train[:30000]",
            validation="train[-1200:-1000]",
            test="train[-1000:]",
        ),
        _WEB,
        "CC0-1.0",
        Publication(url=PARA_CRAWL, download_bytes=1_953_839_527),
        "para_crawl",
    ),
    _task(
        "wmt14_enfr",
        "fr",
        _wmt("wmt14_translate/fr-en:1.0.0"),
        _WMT14,
        _WMT_LICENCE,
        Publication(url="https://aclanthology.org/W14-3302"),
        "europarl",
        "common_crawl",
        "multiun",
        "news_commentary",
        "gigafren",
    ),
    _wmt16(
        "cs",
        "europarl",
        "common_crawl",
        "news_commentary",
        "czeng",
        publication=dataclasses.replace(
            _WMT16_PUBLICATION,
            get="Put CzEng 1.6pre (https://ufal.mff.cuni.cz/czeng) into DATA/downloads/manual",
        ),
    ),
    _wmt16("de", "europarl", "common_crawl", "news_commentary"),
    _wmt16("fi", "europarl", "wikiheadlines"),
    _wmt16("ro", "europarl", "setimes"),
    _wmt16("ru", "common_crawl", "news_commentary", "yandex_corpus", "wikiheadlines"),
    _wmt16("tr", "setimes"),
)
