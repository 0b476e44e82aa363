"""promptsource files: small ones written here, and the real ones, compared with plain Jinja, where they are."""

import functools
import json
import pickle
import textwrap

from hypothesis import given, strategies
import jinja2
import pytest

from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.data.store import prepare, reader as store_lib
from flantune.interop import promptsource, promptsource_rows
from flantune.prompting import choice

CHOOSER = choice.Chooser(0, 0, "row")
ROW = {"text": "It rained.", "label": 1, "choices": {"text": ["dry", "wet"]}, "nothing": None}


def template(jinja, **values):
    return promptsource.JinjaTemplate.from_source(jinja, name="t", **values)


def fields(row, *templates):
    """Fields of a row, without the note of the templates that have no prompt."""
    made = promptsource.to_fields(row, templates=templates)
    return {name: made[name] for name in made if name != promptsource_rows.NOT_RENDERED}


def encoded(row):
    return {name: promptsource_rows.encode(value) for name, value in row.items()}


def outcome(jinja, row=ROW, **values):
    return template(jinja, **values).outcome(encoded(row))


def parts(jinja, row=ROW, **values):
    made = outcome(jinja, row, **values)
    return (made.inputs, made.targets) if not isinstance(made, str) else made


def write(tmp_path, templates, head="dataset: rain"):
    text = f"{head}\ntemplates:\n{textwrap.indent(textwrap.dedent(templates), '  ')}"
    path = tmp_path / "templates.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# ---- files


def test_a_file_with_its_tags_and_metadata(tmp_path):
    path = write(
        tmp_path,
        """
        0a: !Template
          answer_choices: no ||| yes
          id: 0a
          jinja: '{{text}} Wet? ||| {{answer_choices[label]}}'
          metadata: !TemplateMetadata
            choices_in_prompt: true
            languages: [en]
            metrics: [accuracy, Accuracy, 'COQA F1', Rouge]
            original_task: true
          name: wet or not
          reference: ''
        0b: !Template
          answer_choices: null
          jinja: 'Write a sentence about {{choices.text[1]}} weather. ||| {{text}}'
          metadata: !TemplateMetadata
            choices_in_prompt: null
            original_task: false
          name: turned around
        """,
        "dataset: weather\nsubset: rain",
    )
    file = promptsource.read(path)
    assert (file.dataset, file.refused) == ("weather/rain", ())
    asked, turned = file.templates
    assert (asked.name, asked.kind, asked.choices_in_prompt) == ("wet or not", "direct", True)
    assert asked.metrics == ("accuracy", "coqa_f1", "rouge")
    assert asked.languages == ("en",)
    assert asked.fields == ("label", "text")
    assert (turned.kind, turned.choices_in_prompt, turned.metrics) == ("inversion", False, ())
    made = asked.outcome(encoded(ROW))
    assert (made.inputs, made.targets) == ("It rained. Wet?", "yes")
    assert (made.references, made.candidates) == (("yes",), ("no", "yes"))
    made = turned.outcome(encoded(ROW))
    assert (made.inputs, made.targets) == ("Write a sentence about wet weather.", "It rained.")
    assert (made.references, made.candidates) == (("It rained.",), ())
    assert promptsource.TemplateFile.from_json(json.loads(json.dumps(file.as_json()))) == file
    assert pickle.loads(pickle.dumps(file)) == file


def test_what_is_refused_is_listed_with_its_reason(tmp_path):
    entries = {
        "good": "'{{text}} ||| x'",
        "syntax": "'{% if text %} ||| x'",
        "no separator": "'{{text}}'",
        "unknown filter": "'{{text|upsidedown}} ||| x'",
        "unknown filter in a branch": "'{% if text %}{{text|upsidedown}}{% endif %} ||| x'",
        "includes": "'{% include text %} ||| x'",
        "imports": "'{% from text import a %}{{text}} ||| x'",
        "no column": "'Say something. ||| {{text}}'",
        "no choices": "'{{text}} ||| {{answer_choices[0]}}'",
        "no text": "null",
    }
    path = write(
        tmp_path,
        "".join(
            f"{number}: !Template\n  name: {name}\n  jinja: {text}\n"
            for number, (name, text) in enumerate(entries.items())
        )
        + "again: !Template\n  name: good\n  jinja: '{{text}} ||| y'\nlast: 7\n",
    )
    file = promptsource.read(path)
    assert [one.name for one in file.templates] == ["good"]
    reasons = {refusal.template: refusal.reason for refusal in file.refused}
    assert reasons.pop("syntax").startswith("Jinja does not read it: Unexpected end of template.")
    assert reasons.pop("unknown filter").startswith(
        "Jinja does not read it: No filter named 'upsidedown'"
    )
    assert reasons == {
        "no separator": "it has no ||| between prompt and target",
        "unknown filter in a branch": "it uses the filter 'upsidedown', which does not exist",
        "includes": "it includes or imports another file",
        "imports": "it includes or imports another file",
        "no column": "its prompt uses no column of the row: every prompt would be the same",
        "no choices": "it uses answer_choices and has none",
        "no text": "it has no text under 'jinja'",
        "good": "another template of the file has the same name",
        "last": "it has no text under 'jinja'",
    }


def test_older_files_list_their_choices(tmp_path):
    path = write(
        tmp_path,
        """
        0a: !Template
          answer_choices: [dry, wet]
          answer_choices_key: null
          jinja: '{{text}} ||| {{answer_choices[label]}}'
          metadata: !TemplateMetadata {original_task: true, _do_eval: false}
          name: old
        0b: !Template
          answer_choices: [dry, wet]
          jinja: '{{text}} ||| {{answer_choices[label]}} weather'
          metadata: !TemplateMetadata {original_task: null}
          name: unmarked
        """,
    )
    old, unmarked = promptsource.read(path).templates
    assert old.outcome(encoded(ROW)).candidates == ("dry", "wet")
    assert unmarked.kind == "inversion"  # only what is marked as the original task is
    made = unmarked.outcome(encoded(ROW))
    assert (made.targets, made.candidates) == ("wet weather", ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("templates: [", "is not promptsource YAML"),
        ("templates: [1]", "no dictionary 'templates'"),
        ("x: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("x: !Other {}", "could not determine a constructor"),
    ],
)
def test_other_yaml_is_an_error_and_runs_nothing(tmp_path, text, message):
    path = tmp_path / "templates.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        promptsource.read(path)


# ---- rendering


def test_nothing_is_cut_and_outer_white_space_goes():
    long = "word " * 2_000
    made = outcome("\n {{text}} \n||| {{text}}\n", {"text": long})
    assert made.inputs == made.targets == long.strip()


def test_a_separator_in_the_row_separates_nothing():
    row = {"text": "a ||| b", "options": ["x ||| y", "z"], "label": 0}
    made = outcome(
        "{{text}} ||| {{answer_choices[label]}}", row, answer_choices="{{options|join('|||')}}"
    )
    assert (made.inputs, made.targets) == ("a ||| b", "x ||| y")
    assert made.candidates == ("x ||| y", "z")


def test_text_of_the_row_is_never_run():
    assert parts("{{text}} ||| x", {"text": "{{ 7 * 7 }} {% if %}"}) == (
        "{{ 7 * 7 }} {% if %}",
        "x",
    )


def test_further_parts_are_further_right_answers():
    made = outcome("{{text}} ||| a ||| b")
    assert made.references == ("a", "b")
    targets = {
        template("{{text}} ||| a ||| b")
        .render_with(encoded(ROW), choice.Chooser(0, 0, str(number)))
        .targets
        for number in range(50)
    }
    assert targets == {"a", "b"}


def test_the_filters_and_globals_of_promptsource():
    row = {"names": ["b", "a", "b"], "words": ["x", "y"]}
    assert parts("{{names|most_frequent|join}} ||| {{names|unique|join}}", row) == ("b", "ba")
    assert parts("{% for a, b in zip(names, words) %}{{a}}{{b}} {% endfor %}||| -", row) == (
        "bx ay",
        "-",
    )
    assert parts("{{names[:-1]|join}} or {{names[-1]}} ||| {{range(names|length)|sum}}", row) == (
        "ba or b",
        "3",
    )


def test_choice_is_drawn_from_the_example_and_from_nothing_else():
    drawing = template("{{['a', 'b', 'c']|choice}}{{[1, 2, 3]|random}}{{text}} ||| x")
    made = [
        drawing.render_with(encoded(ROW), choice.Chooser(0, 0, str(number))).inputs
        for number in range(200)
    ]
    assert made == [
        drawing.render_with(encoded(ROW), choice.Chooser(0, 0, str(number))).inputs
        for number in range(200)
    ]
    counts = {text: made.count(text) for text in made}
    assert len(counts) == 9  # each letter with each number: the two draws are independent
    assert min(counts.values()) > 8


def test_an_unlucky_draw_does_not_lose_a_row():
    lucky = template("{% if ['', text]|choice %}{{text}} ||| x{% endif %}")
    seeds = [choice.Chooser(seed, 0, "row") for seed in range(20)]
    drawn = {lucky.outcome(encoded(ROW), chooser) for chooser in seeds}
    assert len(drawn) == 2  # sometimes there is nothing
    assert lucky.applies(encoded(ROW))
    made = [lucky.render_with(encoded(ROW), chooser).inputs for chooser in seeds]
    assert made == ["It rained."] * 20


@pytest.mark.parametrize(
    ("jinja", "reason"),
    [
        ("{% if label == 0 %}{{text}} ||| x{% endif %}", "the whole text is empty"),
        ("{{text}} ||| {% if label == 0 %}x{% endif %}", "the target is empty"),
        ("{% if label == 0 %}{{text}}{% endif %} ||| x", "the prompt is empty"),
        ("{{txt}} ||| x", "UndefinedError: 'txt' is undefined"),
        ("{{lipsum()}}{{text}} ||| x", "UndefinedError: 'lipsum' is undefined"),
        ("{{nothing}} ||| x", "UndefinedError: a null would be printed"),
        ("{{choices.words}} ||| x", "UndefinedError: 'dict object' has no attribute 'words'"),
        ("{{text}} ||| {{['no', 'yes'][label - 2]}}", "UndefinedError: there is no item -1"),
        ("{{text}} ||| {{['no', 'yes'][label + 1]}}", "UndefinedError: list object has no element"),
        ("{{text + label}} ||| x", "TypeError: can only concatenate str"),
        ("{{text}} ||| {{1 / (label - 1)}}", "ZeroDivisionError: division by zero"),
        ("{{text.__class__.__mro__}} ||| x", "SecurityError: access to attribute '__class__'"),
        (
            "{{text}}{% for a in range(10 ** 9) %}{% endfor %} ||| x",
            "OverflowError: Range too big",
        ),
    ],
)
def test_why_a_template_has_no_prompt_for_a_row(jinja, reason):
    assert outcome(jinja).startswith(reason)


def test_a_column_that_is_absent_is_not_defined():
    made = template("{% if extra is defined %}{{extra}}{% else %}-{% endif %}{{text}} ||| x")
    kept = fields({"text": "a"}, made)
    assert made.outcome(kept).inputs == "-a"
    assert made.outcome(fields({"text": "a", "extra": "b"}, made)).inputs == "ba"


def test_a_target_that_is_none_of_the_choices_is_no_example():
    """commonsense_qa's template with A to D for five choices does this to a fifth of the rows."""
    asked = "{{text}} ||| {{key}}"
    choices = {"answer_choices": "A ||| B"}
    assert parts(asked, {"text": "?", "key": "B"}, **choices) == ("?", "B")
    assert parts(asked, {"text": "?", "key": "E"}, **choices) == (
        "the target is none of the answer choices"
    )


json_values = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.text()
    | strategies.text().map(lambda text: f"json:{text}"),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(strategies.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json_values)
def test_columns_come_back_from_fields_as_they_were(value):
    kept = promptsource_rows.encode(value)
    assert isinstance(kept, str | int | float | bool | list)
    assert kept != promptsource_rows.MISSING
    assert promptsource_rows.decode(kept) == value


# ---- rows of a task

ALWAYS = promptsource.JinjaTemplate.from_source(
    "{{text}} ||| {{answer_choices[label]}}", name="always", answer_choices="no ||| yes"
)
SOMETIMES = promptsource.JinjaTemplate.from_source(
    "{% if text != 'b' %}{{text}}? ||| {{ ['n', 'y'][label] }}{% endif %}", name="sometimes"
)
ROWS = [
    {"text": "a", "label": 0, "idx": 0},
    {"text": "b", "label": 1, "idx": 1},
    {"text": "c", "label": -1, "idx": 2},
]


def make_task(rows):
    templates = (ALWAYS, SOMETIMES)
    return InstructionTask(
        name="p3:rain",
        cluster="weather",
        source=sources.InMemory(train=rows),
        to_fields=functools.partial(promptsource.to_fields, templates=templates),
        templates=templates,
        metrics=(metrics.accuracy,),
        extra_fields=promptsource.EXTRA_FIELDS,
    )


def test_rows_keep_what_templates_need_and_which_have_no_prompt(tmp_path):
    """Through `prepare`; the hidden label is dropped and counted, not taken for the last choice."""
    task = make_task(ROWS)
    store = store_lib.Store(tmp_path)
    report = prepare.prepare([(task, ["train"])], store, tmp_path, num_processes=0)
    report.raise_if_failed()
    manifest = store.manifest(task, "train")
    assert (manifest.rows, manifest.dropped) == (2, 1)
    first, second = store.reader(manifest).fetch([0, 1])
    note = promptsource_rows.NOT_RENDERED
    assert first == {"text": "a", "label": 0, "answer": "no", note: []}
    assert second == {"text": "b", "label": 1, "answer": "yes", note: ["sometimes"]}
    assert [one.applies(second) for one in task.templates] == [True, False]
    assert SOMETIMES.applies({"text": "a", "label": 0})  # without a note it tries
    assert SOMETIMES.render_with(second, CHOOSER) is None


def test_coverage_counts_each_template_by_reason():
    always, sometimes = promptsource.coverage((ALWAYS, SOMETIMES), ROWS)
    hidden = "UndefinedError: there is no item -1 (a hidden label?)"
    assert (always.rendered, dict(always.reasons)) == (2, {hidden: 1})
    assert (sometimes.rendered, dict(sometimes.reasons)) == (
        1,
        {"the whole text is empty": 1, hidden: 1},
    )


def test_a_template_that_changes_a_list_changes_it_for_itself_alone():
    adding = promptsource.JinjaTemplate.from_source(
        "{% if words.append('c') %}{% endif %}{{words|join}} ||| x", name="adding"
    )
    counting = promptsource.JinjaTemplate.from_source(
        "{{words|join}} ||| {{words|length}}", name="counting", answer_choices="2 ||| 9"
    )
    row = {"words": ["a", "b"]}
    made = promptsource.to_fields(row, templates=(adding, counting))
    assert made[promptsource_rows.NOT_RENDERED] == []  # with "c", the target would be no choice
    assert made["words"] == row["words"] == ["a", "b"]
    assert [one.outcome(made).inputs for one in (adding, counting)] == ["abc", "ab"]


def test_another_wording_prepares_the_rows_anew(tmp_path):
    task = make_task(ROWS)
    store = store_lib.Store(tmp_path)
    again = [
        prepare.prepare([(make_task(ROWS), ["train"])], store, tmp_path, num_processes=0)
        for _ in range(2)
    ]
    assert [report.results[0].status for report in again] == ["prepared", "fresh"]
    other = functools.partial(promptsource.to_fields, templates=(ALWAYS,))
    changed = InstructionTask(
        **{
            **{name: getattr(task, name) for name in ("name", "cluster", "source", "metrics")},
            "to_fields": other,
            "templates": (ALWAYS,),
            "extra_fields": promptsource.EXTRA_FIELDS,
        }
    )
    report = prepare.prepare([(changed, ["train"])], store, tmp_path, num_processes=0)
    assert report.results[0].status == "prepared"


def test_shown_text_is_what_the_prompt_looks_up():
    asked = template(
        "{{choices.text|join(' or ')}} {{text}} ||| {{other}}", answer_choices="{{more}} ||| x"
    )
    row = encoded({**ROW, "other": "hidden", "more": "hidden"})
    assert asked.shown_text(row) == "dry wet It rained."
    listed = template("{{answer_choices|join}} ||| {{text}}", answer_choices="{{more}} ||| x")
    assert listed.shown_text(row) == "hidden"


# ---- the real files


def test_every_real_template_can_be_used(real_data):
    files = [
        promptsource.read(path) for path in sorted(real_data.glob("promptsource/**/templates.yaml"))
    ]
    assert len(files) == 11
    assert [refusal for file in files for refusal in file.refused] == []
    kinds = [one.kind for file in files for one in file.templates]
    assert (kinds.count("direct"), kinds.count("inversion")) == (103, 4)
    assert {name for file in files for one in file.templates for name in one.metrics} == {
        "accuracy",
        "bleu",
        "rouge",
    }


@functools.cache
def plain_jinja():
    environment = jinja2.Environment()
    environment.globals["zip"] = zip
    return environment


def as_promptsource_does(one, row):
    """promptsource's own way to render, but without its cut to 2,048 characters."""
    values = dict(row)
    if one.answer_choices is not None:
        shown = plain_jinja().from_string(one.answer_choices).render(**row)
        values["answer_choices"] = [item.strip() for item in shown.split("|||")]
    rendered = plain_jinja().from_string(one.jinja).render(**values)
    return [part.strip() for part in rendered.split("|||")]


MADE_UP = {
    "ag_news": {"text": "Oil prices rise.", "label": 2},
    "anli": {"premise": "It rains.", "hypothesis": "It is wet.", "label": 1},
    "imdb": {"text": "A film. " * 400, "label": 0},
    "glue/mrpc": {"sentence1": "A.", "sentence2": "B.", "label": 1},
    "super_glue/boolq": {"passage": "P.", "question": "is it", "label": 0},
    "super_glue/cb": {"premise": "It rains.", "hypothesis": "It is wet.", "label": 2},
    "super_glue/rte": {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0},
    "super_glue/wic": {"word": "w", "sentence1": "A w.", "sentence2": "W.", "label": 1},
}


def test_real_templates_render_as_in_plain_jinja(real_data):
    compared = 0
    for dataset, row in MADE_UP.items():
        file = promptsource.read(real_data / "promptsource" / dataset / "templates.yaml")
        for one in file.templates:
            expected = as_promptsource_does(one, row)
            made = one.outcome(encoded(row))
            if isinstance(made, str):
                assert made == "the whole text is empty"
                assert expected == [""]
            else:
                assert [made.inputs, *made.references] == expected
                compared += 1
    assert compared > 75
