"""FLAN 2021's cluster "misc" (https://arxiv.org/abs/2109.01652): datasets that are alone in their kind, or nearly.

Rows come from TFDS, cut as FLAN 2021 cut them: at most the first 30,000 rows for training, validation from the end of the
training rows, and the published validation rows as test set where test labels are hidden. Text formatting, the rest of the
cluster, is in `text_formatting.py`.

- CoQA: all questions about a story at once, numbered, and as many numbered answers.
  TFDS calls the published validation rows "test".
- QuAC: one turn of a conversation, without the turns before it. "CANNOTANSWER" is taken
  from the end of a section and is the answer "unanswerable"; what other annotators answered counts as right too. Whether
  to follow up, and whether the answer is yes or no, is not used.
- TREC: the wordings and names of classes of `trec.py`.
- CoLA: TFDS's version 2.0.0 (FLAN names none).
- WiC: some wordings mark the word in the sentences, where it may be inflected.
- Mathematics Dataset: only linear equations in one unknown.
"""

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields, Row
from flantune.prompting import Template
from tasks import row_fields, trec

_UNANSWERABLE = "unanswerable"
_NO_ANSWER = "CANNOTANSWER"  # as QuAC writes it
_TREC_TYPES = ("DESC", "ENTY", "ABBR", "HUM", "NUM", "LOC")  # TFDS's order
_OPENING_WORDS = 2


def coqa_fields(row: Row) -> Fields | None:
    questions = [row_fields.as_question(text) for text in row["questions"]]
    answers = [row_fields.clean(text) for text in row["answers"]["input_text"]]
    if len(questions) != len(answers) or not questions or not all(answers):
        return None
    return {
        "story": row_fields.clean(row["story"]),
        "questions": questions,
        "answer": "\n".join(f"{number}. {text}" for number, text in enumerate(answers, 1)),
    }


def quac_fields(row: Row) -> Fields | None:
    found = [row["orig_answer"]["text"], *row["answers"]["text"]]
    answers = [_UNANSWERABLE if text == _NO_ANSWER else row_fields.clean(text) for text in found]
    if not answers[0]:
        return None
    return {
        "title": row_fields.clean(row["title"]),
        "section": row_fields.clean(row["section_title"]),
        "background": row_fields.clean(row["background"]),
        "context": row_fields.clean(row["context"].removesuffix(_NO_ANSWER)),
        "question": row_fields.as_question(row["question"]),
        "answer": [text for text in dict.fromkeys(answers) if text],
    }


def trec_fields(row: Row) -> Fields | None:
    question, label = row_fields.clean(row["text"]), row["label-coarse"]
    if not question or label < 0:
        return None
    return {"question": question, "label": list(trec.TYPES).index(_TREC_TYPES[label])}


def cola_fields(row: Row) -> Fields | None:
    sentence = row_fields.clean(row["sentence"])
    if not sentence or row["label"] < 0:
        return None
    words = sentence.split()
    opening = " ".join(words[: max(1, min(_OPENING_WORDS, len(words) // 3))])
    return {"sentence": sentence, "opening": opening, "label": row["label"]}


def wic_fields(row: Row) -> Fields | None:
    if row["label"] < 0:
        return None
    return {
        "word": row_fields.clean(row["word"]),
        "sentence1": row_fields.clean(row["sentence1"]),
        "sentence2": row_fields.clean(row["sentence2"]),
        "marked1": _marked(row["sentence1"], row["start1"], row["end1"]),
        "marked2": _marked(row["sentence2"], row["start2"], row["end2"]),
        "label": row["label"],
    }


def _marked(sentence: str, start: int, end: int) -> str:
    """Example: `_marked("It ran out.", 3, 6)` is "It *ran* out."."""
    return row_fields.clean(f"{sentence[:start]}*{sentence[start:end]}*{sentence[end:]}")


def math_fields(row: Row) -> Fields | None:
    question, answer = row_fields.clean(row["question"]), row_fields.clean(row["answer"])
    return {"question": question, "answer": answer} if question and answer else None


_COQA = (
    Template(
        inputs="{story}\nAnswer these questions about the story, each under its number.\n{questions|numbered}"
    ),
    Template(
        inputs=(
            "Somebody asked the following, one thing after another.\n{questions|numbered}\n"
            "All of it can be found out from this text: {story}\nList the answers by number."
        )
    ),
    Template(
        inputs="Text: {story}\nQuestions: {questions|numbered}\nNumbered answers, as short as can be:"
    ),
    Template(
        inputs=(
            "Read the passage, then fill in the answer sheet, one line for every question.\n"
            "Passage: {story}\nQuestions: {questions|numbered}\nAnswer sheet:"
        )
    ),
    Template(
        inputs=(
            "A child has just heard this: {story}\nA teacher wants to know: {questions|numbered}\n"
            "What does the child reply to each? Keep the teacher's numbers."
        )
    ),
    Template(
        inputs=(
            "Later questions may take up earlier ones, so go through them in order.\n"
            "{questions|numbered}\nTake the replies from here and number them likewise: {story}"
        )
    ),
    Template(
        inputs="Quiz on a text.\n{story}\nThe quiz: {questions|numbered}\nThe key to the quiz, numbered as it is:"
    ),
    Template(
        inputs=(
            "I read this and was then interviewed about it: {story}\n"
            "The interviewer said: {questions|numbered}\nWrite my side of the interview, with the same numbers."
        )
    ),
    Template(
        inputs=(
            "Give a numbered list of short answers.\nQuestions: {questions|numbered}\n"
            "Where to look: {story}\nAnswers:"
        )
    ),
    Template(
        inputs=(
            "{story}\nSomeone was questioned about this text and gave these answers: {answer}\n"
            "Write the questions that were put, numbered in the same way."
        ),
        targets="{questions|numbered}",
        kind="inversion",
    ),
)

_QUAC = (
    Template(
        inputs=(
            'From the article on {title}, section "{section}": {context}\n'
            'A student asks: {question}\nQuote the part that answers this, or reply "unanswerable".'
        )
    ),
    Template(
        inputs=(
            "About {title}: {background}\nMore of it: {context}\nQuestion: {question}\n"
            'Answer in the words of the text. Where it has none, the answer is "unanswerable".'
        )
    ),
    Template(
        inputs=(
            "Two people talk about {title}. One of them has this page open: {context}\n"
            'The other says: {question}\nReply from the page. If it does not tell, the reply is "unanswerable".'
        )
    ),
    Template(
        inputs=(
            "Topic: {title}\nSection: {section}\nText: {context}\nQuestion: {question}\n"
            'Answer (write "unanswerable" if there is none):'
        )
    ),
    Template(
        inputs=(
            "{question}\nThis is asked in a conversation about {title}. Here is what is known. "
            'Background: {background} Details: {context}\nFind the passage to reply with, or else say "unanswerable".'
        )
    ),
    Template(
        inputs=(
            '"{section}" is a section on {title}. It reads: {context}\n'
            'Which words of it reply to "{question}"? If no words do, put "unanswerable".'
        )
    ),
    Template(
        inputs=(
            'You may only repeat what the source says, or say "unanswerable".\nSource: {context}\n'
            "The talk is about {title}, and you are asked: {question}"
        )
    ),
    Template(
        inputs=(
            "Introduction: {background}\nSection: {context}\nA reader of both wants to know: {question}\n"
            'Give the reader the sentence to look at, or "unanswerable".'
        )
    ),
    Template(
        inputs=(
            "{context}\nIn a conversation about this text on {title}, somebody got the answer "
            '"{answer}" What had they asked?'
        ),
        targets="{question}",
        kind="inversion",
    ),
    Template(
        inputs=(
            'A text on {title}, under the heading "{section}": {context}\nAnswer given: {answer}\n'
            "Write the question before this answer."
        ),
        targets="{question}",
        kind="inversion",
    ),
)

_COLA = (
    Template(inputs="{sentence}\nWould a linguist call this sentence acceptable?\n{options}"),
    Template(
        inputs='Could a native speaker say "{sentence}" just like that?\n{options}',
        label_words=("no", "yes"),
    ),
    Template(inputs="Judge the grammar of this sentence.\n{options}\nSentence: {sentence}"),
    Template(
        inputs="{options}\nPick what fits this piece of English: {sentence}",
        label_words=("badly formed", "well formed"),
    ),
    Template(
        inputs='A learner of English wrote: "{sentence}" Is that right or wrong, as a sentence?',
        label_words=("wrong", "right"),
    ),
    Template(
        inputs=(
            "In a grammar book, sentences that nobody would say carry a star. "
            "Does this one need a star or no star? {sentence}"
        ),
        label_words=("a star", "no star"),
    ),
    Template(
        inputs="Sentence: {sentence}\nDo not mind what it says, only how it is built. It is\n{options}"
    ),
    Template(
        inputs='Read it aloud: "{sentence}"\nDoes it sound like good English? Answer yes or no.',
        label_words=("no", "yes"),
    ),
    Template(
        inputs=(
            'An example in a book on syntax starts with "{opening}" and is marked {answer}. '
            "What is the whole example?"
        ),
        targets="{sentence}",
        kind="inversion",
    ),
    Template(
        inputs='Go on from "{opening}" so that the sentence {answer} the rules of English grammar.',
        targets="{sentence}",
        kind="inversion",
        label_words=("breaks", "keeps to"),
    ),
)

_WIC = (
    Template(
        inputs=(
            "First: {sentence1}\nSecond: {sentence2}\n"
            'What does the word "{word}" have in the two sentences?\n{options}'
        )
    ),
    Template(
        inputs=(
            '"{word}" occurs in both of these.\nA: {sentence1}\nB: {sentence2}\n'
            "Does it mean the same in A and B? Answer yes or no."
        ),
        label_words=("no", "yes"),
    ),
    Template(
        inputs=(
            "{options}\nThe word between asterisks can have these in the two examples. Which is it?\n"
            "{marked1}\n{marked2}"
        )
    ),
    Template(
        inputs=(
            'A dictionary lists several senses of "{word}". Are these two uses to be listed under '
            "one sense or under two senses?\n- {sentence1}\n- {sentence2}"
        ),
        label_words=("two senses", "one sense"),
    ),
    Template(
        inputs=(
            'Someone who learns English knows "{word}" from this sentence: {sentence1}\n'
            "Will that meaning do for the next one too? {sentence2}\n{options}"
        ),
        label_words=("no, another meaning is needed", "yes, it will do"),
    ),
    Template(
        inputs=(
            "Compare the marked words, *like this*, in both sentences.\n1: {marked1}\n2: {marked2}\n"
            "Same sense, or different senses?"
        ),
        label_words=("different senses", "same sense"),
    ),
    Template(
        inputs="Word: {word}\nExample 1: {sentence1}\nExample 2: {sentence2}\nBetween the examples, the meaning\n{options}",
        label_words=("changes", "stays"),
    ),
    Template(
        inputs=(
            'If you had to translate "{word}" in these two sentences, would one translation do?\n'
            "{options}\n{sentence1}\n{sentence2}"
        ),
        label_words=("no", "yes"),
    ),
    Template(
        inputs=(
            'I underlined "{word}" twice, here: {sentence1} And here: {sentence2}\n'
            "Tell me whether I found different meanings or the same meaning."
        )
    ),
    Template(
        inputs="Sentence one: {marked1}\nSentence two: {marked2}\nThe two words in asterisks share\n{options}",
        label_words=("only their spelling", "their meaning"),
    ),
)

_MATH = (
    Template(inputs="{question}\nWrite only the number."),
    Template(inputs="Here is an equation with one unknown. {question}"),
    Template(inputs="Algebra homework: {question}\nResult:"),
    Template(inputs="What value does the letter have?\n{question}"),
    Template(inputs="Collect the terms on either side and divide.\n{question}\nThe letter equals"),
    Template(inputs="Problem: {question}\nSolution, a whole number:"),
    Template(inputs='The next task on the worksheet says "{question}" What do I fill in?'),
    Template(inputs="{question} No steps, please, just what comes out."),
    Template(inputs="Which number makes both sides equal? {question}"),
    Template(inputs="A calculator for equations gets this line: {question} It prints"),
)


_LAST_200 = {"train": "train[:-200]", "validation": "train[-200:]"}
_CAPPED = {"train": "train[:30000]", "validation": "train[-200:]"}
_EXTRACTIVE = (metrics.squad_exact_match, metrics.squad_f1)

TASKS = (
    InstructionTask(
        name="flan2021:coqa",
        cluster="misc",
        source=sources.Tfds(
            "coqa:1.0.0", train="train[:-100]", validation="train[-100:]", test="test"
        ),
        to_fields=coqa_fields,
        templates=_COQA,
        metrics=_EXTRACTIVE,
        lineage=("coqa", "cnn_dailymail", "mctest", "race"),  # where stories come from
        licence="mixed: CC-BY-SA-4.0 (literature, Wikipedia), MSR-LA (MCTest), RACE's own, Apache-2.0 (CNN)",
        publication=Publication(url="https://aclanthology.org/Q19-1016"),
        may_cut=("story",),
    ),
    InstructionTask(
        name="flan2021:trec",
        cluster="misc",
        source=sources.Tfds("trec:1.0.0", **_LAST_200, test="test"),
        to_fields=trec_fields,
        answer_choices=tuple(trec.TYPES.values()),
        templates=trec.TEMPLATES,
        metrics=(metrics.accuracy,),
        lineage=("trec",),
        licence="unknown (not stated)",
        publication=Publication(url=trec.URL, download_bytes=359_212),
    ),
    InstructionTask(
        name="flan2021:quac",
        cluster="misc",
        source=sources.Tfds("quac:1.0.0", **_CAPPED, test="validation"),
        to_fields=quac_fields,
        templates=_QUAC,
        metrics=_EXTRACTIVE,
        first_reference=True,
        lineage=("quac",),
        licence="CC-BY-SA-4.0",
        publication=Publication(url="https://aclanthology.org/D18-1241", download_bytes=77_043_986),
        may_cut=("background", "context"),
    ),
    InstructionTask(
        name="flan2021:cola",
        cluster="misc",
        source=sources.Tfds("glue/cola:2.0.0", **_LAST_200, test="validation"),
        to_fields=cola_fields,
        answer_choices=("unacceptable", "acceptable"),
        templates=_COLA,
        metrics=(metrics.accuracy,),
        lineage=("cola",),
        licence="unknown (not stated)",
        publication=Publication(url="https://aclanthology.org/Q19-1040", download_bytes=376_971),
    ),
    InstructionTask(
        name="flan2021:wic",
        cluster="misc",
        source=sources.Tfds("super_glue/wic:1.0.2", **_LAST_200, test="validation"),
        to_fields=wic_fields,
        answer_choices=("different meanings", "the same meaning"),
        templates=_WIC,
        metrics=(metrics.accuracy,),
        lineage=("wic",),
        licence="CC-BY-NC-4.0",
        publication=Publication(url="https://aclanthology.org/N19-1128", download_bytes=396_213),
    ),
    InstructionTask(
        name="flan2021:math_dataset",
        cluster="misc",
        source=sources.Tfds("math_dataset/algebra__linear_1d:1.0.0", **_CAPPED, test="test"),
        to_fields=math_fields,
        templates=_MATH,
        metrics=(metrics.accuracy,),
        lineage=("math_dataset",),
        licence="Apache-2.0",
        publication=Publication(
            url="https://arxiv.org/abs/1904.01557", download_bytes=2_333_082_954
        ),
    ),
)

LINT_ALLOW = {"flan2021:quac": {"answer_is_span": "the task is to find the passage that answers"}}
