"""Summaries of what people write, in FLAN 2021 (https://arxiv.org/abs/2109.01652): mails, chats, how-tos, reviews, arguments.

Every set is read from TFDS, cut as FLAN 2021 cut it: at most 30,000 training rows and 200 for validation; Opinion Abstracts,
which has training rows only, gives its last 600 to validation (100) and test (500). A text that makes a prompt too long
loses its end, a list of reviews its first ones. Inversions ask for the beginning of a long text, not for all of it, which no
target has room for. What the rows look like:

- AESLC: mails of a firm with their subject lines.
- Opinion Abstracts: IDebate has arguments and the claim that they support, Rotten Tomatoes
  reviews of a film and the critics' consensus. At most ten are shown, numbered, as in FLAN 2021. A film's name has spaces for
  underscores.
- SAMSum: other marks between angle brackets
  than those of files become spaces; "<file_photo>" becomes "[photo]".
- WikiLingua: the steps of a how-to and what they come down to, from
  TFDS's GEM.

Headlines and highlights: `summarization_news.py`.
"""

from collections.abc import Callable, Mapping
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import row_fields

_LAST_ROWS = {"train": "train[:-600]", "validation": "train[-600:-500]", "test": "train[-500:]"}
_MAX_OPINIONS = 10
_FILE = re.compile(r"<file_(\w+)>")
_MARK = re.compile(r"<[^<>\n]*>")

_AESLC = (
    Template(inputs="Mail: {text}\nSubject:"),
    Template(inputs="What should the subject line of this mail say?\n{text}"),
    Template(inputs="I wrote this to a colleague: {text}\nI forgot the subject. Fill it in."),
    Template(inputs="In a few words, what is this message about?\nMessage: {text}"),
    Template(inputs="An inbox shows one line for every mail. Write that line for this.\n{text}"),
    Template(inputs='Someone opens a mail and reads "{text}" Which subject did they click on?'),
    Template(inputs="{text}\n\nFile this mail under a short title of its own."),
    Template(
        inputs="Sort my mail: for each, note the matter in a handful of words.\nMail: {text}\nMatter:"
    ),
    Template(
        inputs="A colleague's mail has the subject line: {answer}\nHow might the mail begin?",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="Subject: {answer}\nWrite the first sentence of the message:",
        targets="{opening}",
        kind="inversion",
    ),
)

_IDEBATE = (
    Template(inputs="Topic: {topic}\nArguments:\n{arguments|numbered}\nWhat do they claim?"),
    Template(
        inputs="Sum up the point that a debater makes with this, in one sentence.\n{arguments|numbered}"
    ),
    Template(
        inputs="{arguments|numbered}\nAll of that stands behind a single claim about: {topic}\nThe claim:"
    ),
    Template(inputs="In a debate someone says: {arguments|first}\nWhat are they arguing for?"),
    Template(
        inputs="You chair a debate and repeat each speaker's case briefly.\nThe speaker said:\n{arguments|numbered}"
    ),
    Template(
        inputs="Debate: {topic}\nGive a headline for this part of it.\n{arguments|numbered}\nHeadline:"
    ),
    Template(inputs="I took down what was said. What was it meant to prove?\n{arguments|numbered}"),
    Template(
        inputs="Somebody claims: {answer}\nIn which debate might that come up?",
        targets="{topic}",
        kind="inversion",
    ),
    Template(
        inputs="The debate is about this: {topic}\nGive an argument for the following claim: {answer}",
        targets="{arguments|first}",
        kind="inversion",
    ),
    Template(
        inputs="{arguments|numbered}\nSpeakers used this to show: {answer}\nName the topic they debated.",
        targets="{topic}",
        kind="inversion",
    ),
)

_ROTTEN_TOMATOES = (
    Template(inputs="Reviews of {movie}:\n{reviews|numbered}\nWhat do the critics agree on?"),
    Template(
        inputs="Critics have seen {movie}. Put their view into a sentence or two.\n{reviews|numbered}"
    ),
    Template(inputs="{reviews|numbered}\nMake one verdict of those reviews."),
    Template(
        inputs="I wonder whether to see {movie}. What do people say who have seen it?\n{reviews|numbered}"
    ),
    Template(
        inputs="A film page shows what critics think as a whole.\nFilm: {movie}\nThey wrote:\n{reviews|numbered}\nAs a whole:"
    ),
    Template(inputs="A critic writes: {reviews|first}\nWhat might critics say of {movie} overall?"),
    Template(
        inputs="Read what the papers wrote about a film and say how it was received.\n{reviews|numbered}"
    ),
    Template(
        inputs="Critics on {movie}, taken together: {answer}\nWhat could one of them have written?",
        targets="{reviews|first}",
        kind="inversion",
    ),
    Template(
        inputs="The consensus on a film is this: {answer}\nWrite a line from a review that fits it.",
        targets="{reviews|first}",
        kind="inversion",
    ),
    Template(
        inputs="{reviews|numbered}\nIn short: {answer}\nWhich film is this about?",
        targets="{movie}",
        kind="inversion",
    ),
)

_SAMSUM = (
    Template(inputs="{text}\n\nWhat did they talk about? Tell it in a sentence or three."),
    Template(inputs="Chat: {text}\nIn short:"),
    Template(inputs="Report what comes of this chat to someone who was not in it.\n{text}"),
    Template(inputs="I missed these messages. What do I need to know?\n{text}"),
    Template(inputs="Write minutes, as short as can be, of this conversation.\n{text}\nMinutes:"),
    Template(inputs="Some friends write to each other.\n{text}\nWho does what, wants what or says what?"),
    Template(inputs="Retell the following messages without quoting them.\nMessages: {text}"),
    Template(
        inputs="This is what a chat was about: {answer}\nWrite the message that opens it, with the sender's name.",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="Summary of a chat: {answer}\nIts first message, by name:",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="Messages went back and forth; in the end it came to this: {answer}\nWho wrote first, and what?",
        targets="{opening}",
        kind="inversion",
    ),
)  # fmt: skip

_WIKI_LINGUA = (
    Template(inputs="{text}\n\nName the steps without the explanations."),
    Template(inputs="Instructions: {text}\nThe short version:"),
    Template(inputs="Make a checklist out of this how-to.\n{text}\nChecklist:"),
    Template(inputs="I only need to know what to do, not why. Shorten this for me: {text}"),
    Template(inputs="What does this guide tell you to do, step by step?\n{text}"),
    Template(
        inputs="The following text explains how to do something. Boil every step down to one sentence.\n{text}"
    ),
    Template(inputs="Guide: {text}\nWrite what goes on a note on the fridge:"),
    Template(inputs='Someone reads you this advice: "{text}" Repeat it in brief.'),
    Template(
        inputs="The steps of a guide are these: {answer}\nHow might the guide's text begin?",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="To do: {answer}\nExplain the start of that in one sentence, as a guide would:",
        targets="{opening}",
        kind="inversion",
    ),
)


def aeslc_fields(row: Mapping[str, Any]) -> Fields | None:
    return _text_fields(row["email_body"], row["subject_line"])


def wiki_lingua_fields(row: Mapping[str, Any]) -> Fields | None:
    return _text_fields(row["source"], row["target"])


def _text_fields(text: str, answer: str) -> Fields | None:
    """The fields of a text and its summary; None where one is empty."""
    text, answer = row_fields.clean(text), row_fields.clean(answer)
    if not text or not answer:
        return None
    return {"text": text, "opening": row_fields.first_sentence(text), "answer": answer}


def samsum_fields(row: Mapping[str, Any]) -> Fields | None:
    marked = _MARK.sub(" ", _FILE.sub(r"[\1]", row["dialogue"]))
    turns = [turn for turn in map(row_fields.clean, marked.splitlines()) if turn]
    answer = row_fields.clean(row["summary"])
    if not turns or not answer:
        return None
    return {"text": "\n".join(turns), "opening": turns[0], "answer": answer}


def idebate_fields(row: Mapping[str, Any]) -> Fields | None:
    return _opinion_fields(
        row["_claim"],
        topic=row_fields.clean(row["_debate_name"]),
        arguments=row_fields.answers(*row["_argument_sentences"]["value"]),
    )


def rotten_tomatoes_fields(row: Mapping[str, Any]) -> Fields | None:
    return _opinion_fields(
        row["_critic_consensus"],
        movie=row_fields.clean(row["_movie_name"].replace("_", " ")),
        reviews=row_fields.answers(*row["_critics"]["value"]),
    )


def _opinion_fields(answer: str, **fields: str | list[str]) -> Fields | None:
    """The fields of a row, of a list the first items; None where a field or the answer is empty."""
    answer = row_fields.clean(answer)
    if not answer or not all(fields.values()):
        return None
    shown = {
        name: value if isinstance(value, str) else value[:_MAX_OPINIONS]
        for name, value in fields.items()
    }
    return {**shown, "answer": answer}


def _task(
    key: str,
    source: sources.Tfds,
    to_fields: Callable[[Mapping[str, Any]], Fields | None],
    templates: tuple[Template, ...],
    publication: Publication,
    *,
    may_cut: str = "text",
    licence: str = "unknown (not stated)",
    derived: tuple[str, ...] = (),
) -> InstructionTask:
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="summarization",
        source=source,
        to_fields=to_fields,
        templates=templates,
        metrics=(metrics.rouge_1, metrics.rouge_2, metrics.rouge_lsum),
        lineage=(key, *derived),
        licence=licence,
        publication=publication,
        may_cut=(may_cut,),
    )


_OPINIONS = Publication(url="https://aclanthology.org/N16-1007", download_bytes=21_057_086)

TASKS = (
    _task(
        "aeslc",
        sources.Tfds("aeslc:1.0.0", train="train", validation="validation[-200:]", test="test"),
        aeslc_fields,
        _AESLC,
        Publication(url="https://arxiv.org/abs/1906.03497", download_bytes=11_643_743),
    ),
    _task(
        "opinion_abstracts_idebate",
        sources.Tfds("opinion_abstracts/idebate:1.0.0", **_LAST_ROWS),
        idebate_fields,
        _IDEBATE,
        _OPINIONS,
        may_cut="arguments",
    ),
    _task(
        "opinion_abstracts_rotten_tomatoes",
        sources.Tfds("opinion_abstracts/rotten_tomatoes:1.0.0", **_LAST_ROWS),
        rotten_tomatoes_fields,
        _ROTTEN_TOMATOES,
        _OPINIONS,
        may_cut="reviews",
    ),
    _task(
        "samsum",
        sources.Tfds("samsum:1.0.0", train="train", validation="validation[:200]", test="test"),
        samsum_fields,
        _SAMSUM,
        Publication(
            url="https://arxiv.org/abs/1911.12237",
            get="Put the files of https://arxiv.org/src/1911.12237v2/anc/corpus.7z into DATA/downloads/manual",
        ),
        licence="CC-BY-NC-ND-4.0",
    ),
    _task(
        "wiki_lingua_english_en",
        sources.Tfds(
            "gem/wiki_lingua_english_en:1.1.0",
            train="train[:30000]",
            validation="validation[:200]",
            test="test",
        ),
        wiki_lingua_fields,
        _WIKI_LINGUA,
        Publication(url="https://aclanthology.org/2020.findings-emnlp.360"),
        licence="CC-BY-NC-SA-3.0",
        derived=("wiki_lingua",),
    ),
)
