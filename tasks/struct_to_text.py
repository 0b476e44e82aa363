"""Text from concepts, triples and attributes in FLAN 2021 (https://arxiv.org/abs/2109.01652), as GEM has them.

Every set is read from TFDS's GEM (https://arxiv.org/abs/2102.01672), cut as FLAN 2021 cut it: at most 30,000 training rows,
validation from the end of the training rows, and GEM's validation rows as the test set, because its test references are
hidden. GEM's training rows have one target and no references, its other rows a target and all references; the answers are
the target and the references, each once. What the rows look like:

- CommonGen: a list of concepts.
- DART: TFDS joins subject, relation and object of a triple by spaces. The cells "[TITLE]"
  and "[TABLECONTEXT]", which stand for the title of a table and the table itself, become words.
- E2E: "name[The Mill], area[riverside]" becomes "name = The Mill, area = riverside".
- WebNLG: "A_B | leader | C" becomes "A B, leader, C".
"""

from collections.abc import Callable, Mapping
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import row_fields

_CELLS = {"[TABLECONTEXT]": "table", "[TITLE]": "title"}
_ATTRIBUTE = re.compile(r"\s*([^\[\],]+)\[([^\]]*)\]")

_COMMON_GEN = (
    Template(
        inputs="Words: {concepts}\nMake a sentence of an everyday scene that uses all of them."
    ),
    Template(inputs="Say something in which all of these occur: {concepts}"),
    Template(inputs="What might one see in a short film with these keywords?\n{concepts|numbered}"),
    Template(inputs="A photo is tagged {concepts}. Describe it in one sentence."),
    Template(inputs="I need one plain sentence for each word list. This list has: {concepts}"),
    Template(
        inputs="Connect the following ideas in a single sentence.\nIdeas: {concepts}\nSentence:"
    ),
    Template(
        inputs=(
            "Learners of English get some words and must fit them all into a sentence, in any order and form. "
            "The words are {concepts}. What could a learner write?"
        )
    ),
    Template(
        inputs="{answer}\nName the main words of that sentence in their basic form.",
        targets="{concepts|join}",
        kind="inversion",
    ),
    Template(
        inputs="Somebody had to use a few given words and wrote: {answer}\nThe given words:",
        targets="{concepts|join}",
        kind="inversion",
    ),
    Template(
        inputs="Which things and actions does this sentence bring together?\nSentence: {answer}",
        targets="{concepts|join}",
        kind="inversion",
    ),
)

_DART = (
    Template(inputs="Facts: {facts}\nState them in plain English."),
    Template(
        inputs="Each part between semicolons is a fact from a table: {facts}\nWrite them out:"
    ),
    Template(inputs="How would you tell a reader what these records say?\n{facts}"),
    Template(inputs="Records: {facts}\nText that reports all of them:"),
    Template(inputs="Read these entries aloud, but as proper sentences: {facts}"),
    Template(
        inputs="A database gives subject, relation and object. Put what it gives here into words.\n{facts}"
    ),
    Template(inputs="I copied this out of a data sheet: {facts}\nWhat does it mean, in words?"),
    Template(
        inputs="Write for people who do not read tables.\nFrom the table: {facts}\nFor people:"
    ),
    Template(
        inputs="{answer}\nTake that apart into subject, relation and object, with semicolons between facts.",
        targets="{facts}",
        kind="inversion",
    ),
    Template(
        inputs="Text: {answer}\nWhich records was it written from?",
        targets="{facts}",
        kind="inversion",
    ),
)

_E2E_NLG = (
    Template(inputs="Describe this place to eat for a guide.\n{attributes}"),
    Template(inputs="{attributes}\nPut all of that into a short text about the venue."),
    Template(inputs="Data: {attributes}\nDescription:"),
    Template(inputs="A friend asks about a place. You know this: {attributes}\nWhat do you say?"),
    Template(inputs="Write down for customers what the list holds.\nList: {attributes}"),
    Template(inputs="An app has these values for an entry: {attributes}\nIt shows them as text:"),
    Template(inputs="What would a review site print above an entry with {attributes}?"),
    Template(
        inputs="Leave nothing out and add nothing: tell me in words about the place with {attributes}"
    ),
    Template(
        inputs="You answer the phone at a tourist office and look at this card.\n{attributes}"
    ),
    Template(
        inputs="In a sentence or two, introduce a place that has these features: {attributes}"
    ),
)

_WEB_NLG = (
    Template(inputs="Facts: {facts}\nTell somebody all of this in writing."),
    Template(inputs="What do these entries of an encyclopedia say?\n{facts}\nIn sentences:"),
    Template(inputs="Subject, property, value: {facts}\nThe same as a text:"),
    Template(inputs="Help me word this for a school book: {facts}"),
    Template(inputs="Start an article with what is known so far.\nKnown: {facts}\nArticle:"),
    Template(inputs="{facts}\nTurn what stands above into a text that reads well."),
    Template(
        inputs="A knowledge base holds the following, with semicolons between items. Phrase it in English.\n{facts}"
    ),
    Template(inputs="A robot knows only this: {facts}\nHow does it say so?"),
    Template(
        inputs="{answer}\nGive the facts in that text, each as subject, property and value.",
        targets="{facts}",
        kind="inversion",
    ),
    Template(
        inputs="Fill a knowledge base from this text.\nText: {answer}\nEntries:",
        targets="{facts}",
        kind="inversion",
    ),
)


def common_gen_fields(row: Mapping[str, Any]) -> Fields | None:
    concepts = [concept for concept in map(row_fields.clean, row["concepts"]) if concept]
    return _with_answers(row, "concepts", concepts)


def dart_fields(row: Mapping[str, Any]) -> Fields | None:
    return _with_answers(row, "facts", "; ".join(map(triple_text, row["tripleset"])))


def triple_text(triple: str) -> str:
    """A triple of DART in words.

    Example: `triple_text("[TABLECONTEXT] [TITLE] Towns")` is "table title Towns".
    """
    for cell, word in _CELLS.items():
        triple = triple.replace(cell, word)
    return row_fields.clean(triple.replace("_", " "))


def e2e_nlg_fields(row: Mapping[str, Any]) -> Fields | None:
    pairs = _ATTRIBUTE.findall(row["meaning_representation"])
    attributes = (f"{name.strip()} = {row_fields.clean(value)}" for name, value in pairs)
    return _with_answers(row, "attributes", ", ".join(attributes))


def web_nlg_fields(row: Mapping[str, Any]) -> Fields | None:
    triples = (triple.replace("_", " ").replace(" | ", ", ") for triple in row["input"])
    return _with_answers(row, "facts", "; ".join(map(row_fields.clean, triples)))


def _with_answers(row: Mapping[str, Any], name: str, value: str | list[str]) -> Fields | None:
    """The fields of a row; None where there is nothing to tell or no answer."""
    answer = row_fields.answers(row["target"], *row["references"])
    return {name: value, "answer": answer} if value and answer else None


def _task(
    key: str,
    to_fields: Callable[[Mapping[str, Any]], Fields | None],
    templates: tuple[Template, ...],
    licence: str,
    url: str,
    *derived: str,
) -> InstructionTask:
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="struct_to_text",
        source=sources.Tfds(
            f"gem/{key}:1.1.0", train="train[:30000]", validation="train[-200:]", test="validation"
        ),
        to_fields=to_fields,
        templates=templates,
        metrics=(metrics.rouge_1, metrics.rouge_2, metrics.rouge_lsum),
        lineage=(key, *derived),
        licence=licence,
        publication=Publication(url=url),
    )


TASKS = (
    _task("common_gen", common_gen_fields, _COMMON_GEN, "MIT", "https://arxiv.org/abs/1911.03705"),
    # DART took triples from WebNLG and E2E, and tables of two sets of questions.
    _task(
        "dart", dart_fields, _DART, "MIT", "https://arxiv.org/abs/2007.02871",
        "web_nlg_en", "e2e_nlg", "wikisql", "wikitablequestions",
    ),
    _task("e2e_nlg", e2e_nlg_fields, _E2E_NLG, "CC-BY-SA-4.0", "https://arxiv.org/abs/1706.09254"),
    _task("web_nlg_en", web_nlg_fields, _WEB_NLG, "CC-BY-NC-SA-4.0", "https://aclanthology.org/P17-1017"),
)  # fmt: skip

LINT_ALLOW = {
    f"flan2021:{key}": {"conflicting_duplicates": "one text of several that fit; GEM has a row for each"}
    for key in ("common_gen", "dart", "e2e_nlg", "web_nlg_en")
}  # fmt: skip
