"""The family of promptsource's template files: a small folder written here, and the real one where it is."""

import json

import pytest

from flantune.data import catalog as catalog_lib
from flantune.data.input import loading, prompts, tokenize
from flantune.data.store import prepare, reader as store_lib
from flantune.data.vocabularies import vocabulary
from flantune.interop import promptsource as promptsource_lib, promptsource_rows
from tasks import promptsource

TEMPLATES = """
dataset: glue
subset: rte
templates:
  a: !Template
    answer_choices: yes ||| no
    jinja: '{{premise}} So, {{hypothesis}} Right? ||| {{answer_choices[label]}}'
    metadata: !TemplateMetadata
      metrics: [Accuracy]
      original_task: true
    name: right
  b: !Template
    jinja: '{% if label == 0 %}What follows from "{{premise}}"? ||| {{hypothesis}}{% endif %}'
    metadata: !TemplateMetadata
      metrics: [ROUGE]
      original_task: false
    name: what follows
  c: !Template
    jinja: '{{premise}}'
    metadata: !TemplateMetadata
      original_task: true
    name: broken
"""
ROWS = [{"premise": f"P{n}.", "hypothesis": f"H{n}.", "label": n % 2, "idx": n} for n in range(4)]
# Templates and rows of the real files, and rows for which a template has no prompt.
REAL = {
    "promptsource:super_glue_copa": (12, {"train": 400, "validation": 100, "test": 500}),
    "promptsource:commonsense_qa": (5, {"validation": 500}),
    "promptsource:glue_sst2": (5, {"validation": 872}),
}


@pytest.fixture(params=["promptsource", "promptsource/promptsource/templates"])
def data_dir(tmp_path, request):
    folder = tmp_path / "data" / request.param / "glue" / "rte"
    folder.mkdir(parents=True)
    (folder / "templates.yaml").write_text(TEMPLATES)
    absent = tmp_path / "data" / request.param / "imdb"
    absent.mkdir()
    (absent / "templates.yaml").write_text(TEMPLATES)
    rows = tmp_path / "data" / "hf" / "glue" / "rte"
    rows.mkdir(parents=True)
    (rows / "train.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return tmp_path / "data"


def catalog_of(data_dir, tmp_path):
    store = store_lib.Store(tmp_path / "store")
    return catalog_lib.load(("tasks.promptsource",), store, data_dir), store


def test_a_folder_of_template_files_and_one_of_rows(data_dir, tmp_path):
    catalog, store = catalog_of(data_dir, tmp_path)
    assert sorted(catalog.tasks) == ["promptsource:glue_rte"]
    task = catalog.task("promptsource:glue_rte")
    kinds = {template.name: template.kind for template in task.templates}
    assert kinds == {"right": "direct", "what follows": "inversion"}
    assert task.metadata["refused"] == [
        {"template": "broken", "reason": "it has no ||| between prompt and target"}
    ]
    assert (task.cluster, task.lineage) == ("natural_language_inference", ("rte",))
    assert [metric.name for metric in task.metrics] == ["accuracy"]
    report = prepare.prepare([(task, ["train"])], store, data_dir, num_processes=2)
    report.raise_if_failed()
    reader = store.reader(store.manifest(task, "train"))
    note = promptsource_rows.NOT_RENDERED
    columns = {"premise": "P0.", "hypothesis": "H0.", "label": 0, "answer": "yes"}
    assert reader[0] == {**columns, note: []}
    assert [row[note] for row in reader.fetch(range(4))] == [[], ["what follows"]] * 2


def test_what_ranking_needs_of_a_jinja_template(data_dir, tmp_path):
    catalog, store = catalog_of(data_dir, tmp_path)
    task = catalog.task("promptsource:glue_rte")
    prepare.prepare([(task, ["train"])], store, data_dir, num_processes=0).raise_if_failed()
    (member,) = loading.bind_mixture(catalog, store, task.name, split="train").members
    tokenizer = tokenize.Tokenizer(
        vocabulary.ByteVocabulary(), inputs_length=64, targets_length=8, seed=0
    )
    requests = [prompts.Request(member, 0, 0)]
    (asked,) = (result.prompt for result in tokenizer.tokenize(requests))
    template = task.templates[asked.template]
    assert [template.target_of(candidate) for candidate in asked.candidates] == ["yes", "no"]
    assert asked.choices == ("yes", "no")
    assert tokenizer.unconditional(requests, [asked]) == [None]  # Jinja's words may turn on fields


def test_members_render_their_own_kind_of_template(data_dir, tmp_path):
    catalog, store = catalog_of(data_dir, tmp_path)
    task = catalog.task("promptsource:glue_rte")
    prepare.prepare([(task, ["train"])], store, data_dir, num_processes=0).raise_if_failed()
    made = {}
    for name in (task.name, f"{task.name}#inversion", f"{task.name}#2_shot"):
        (member,) = loading.bind_mixture(catalog, store, name, split="train").members
        requests = [prompts.Request(member, row, 0) for row in range(4)]
        made[name.partition("#")[2]] = prompts.render(requests, seed=0)
    asked = made[""][1]
    assert (asked.inputs, asked.targets) == ("P1. So, H1. Right?", "no")
    assert (asked.references, asked.candidates) == (("no",), ("yes", "no"))
    assert asked.input_text == "P1. H1."
    turned = made["inversion"]
    assert [one and one.targets for one in turned] == ["H0.", None, "H2.", None]
    assert (turned[0].inputs, turned[0].candidates) == ('What follows from "P0."?', ())
    shown = made["2_shot"][1]
    assert len(shown.exemplars) == 2
    assert 1 not in shown.exemplars
    assert shown.inputs.endswith("P1. So, H1. Right?")
    assert shown.inputs.count("Right?") == 3


def test_the_store_remembers_tasks_whose_files_are_gone(data_dir, tmp_path):
    before, _ = catalog_of(data_dir, tmp_path)
    after, _ = catalog_of(tmp_path / "nowhere", tmp_path)
    name = "promptsource:glue_rte"
    assert after.task(name).templates == before.task(name).templates


@pytest.mark.parametrize("name", list(REAL))
def test_real_rows_are_rendered_by_real_templates(name, real_data):
    num_templates, splits = REAL[name]
    dataset = name.partition(":")[2]
    path = promptsource.files(real_data)[dataset]
    task = promptsource.make_task(dataset, promptsource.read_metadata(path))
    assert len(task.templates) == num_templates
    for split, num_rows in splits.items():
        rows = [task.to_fields(row) for row in task.source.read(split, real_data)]
        assert len(rows) == num_rows
        assert all(rows), "every row has a prompt in some template"
        for fields in rows[:50]:
            able = [one for one in task.templates if one.applies(fields)]
            assert all(isinstance(one.outcome(fields), promptsource_lib.Rendered) for one in able)


def test_real_rows_without_a_prompt_are_counted(real_data):
    """COPA's templates for causes say nothing of effects; one of commonsense_qa's offers four of five choices."""
    found = {}
    for dataset, split in (("super_glue_copa", "train"), ("commonsense_qa", "test")):
        path = promptsource.files(real_data)[dataset]
        task = promptsource.make_task(dataset, promptsource.read_metadata(path))
        to_row = task.to_fields.keywords["to_row"]
        rows = map(to_row, task.source.read(split, real_data))
        for one in promptsource_lib.coverage(task.templates, rows):
            if one.reasons:
                found[one.template] = (one.rendered, dict(one.reasons))
    whole = "the whole text is empty"
    other = "the target is none of the answer choices"
    assert found == {
        "…What could happen next, C1 or C2?": (202, {whole: 198}),
        "…As a result, C1 or C2?": (202, {whole: 198}),
        "…which may be caused by": (198, {whole: 202}),
        "…why? C1 or C2": (198, {whole: 202}),
        "question_to_answer_index": (986, {other: 235}),  # the 235 rows whose answer is E
    }


NO_OPTIONS = TEMPLATES.replace(
    """      metrics: [Accuracy]
      original_task: true
    name: right
""",
    """      choices_in_prompt: true
      original_task: true
    name: right
  d: !Template
    answer_choices: yes ||| no
    jinja: '{{premise}} {{hypothesis}} ||| {{answer_choices[label]}}'
    metadata: !TemplateMetadata
      original_task: true
    name: bare
""",
)


def test_without_options_no_template_that_prints_its_choices_is_used(data_dir, tmp_path):
    (path,) = data_dir.rglob("glue/rte/templates.yaml")
    path.write_text(NO_OPTIONS)
    catalog, store = catalog_of(data_dir, tmp_path)
    task = catalog.tasks["promptsource:glue_rte"]
    prepare.prepare([(task, ("train",))], store, data_dir, num_processes=0).raise_if_failed()

    def wordings(setting):
        bound = loading.bind_mixture(catalog, store, f"{task.name}{setting}", split="train")
        (member,) = bound.members
        return [task.templates[place].name for place in member.usable]

    assert wordings("") == ["right", "bare"]
    assert wordings("#no_options") == ["bare"]
    assert wordings("#inversion.no_options") == ["what follows"]


def test_without_options_a_task_whose_templates_all_print_them_is_an_error(data_dir, tmp_path):
    (path,) = data_dir.rglob("glue/rte/templates.yaml")
    path.write_text(
        NO_OPTIONS.replace("original_task: true\n    name: bare", "x: 0\n    name: bare")
    )
    catalog, store = catalog_of(data_dir, tmp_path)
    task = catalog.tasks["promptsource:glue_rte"]
    prepare.prepare([(task, ("train",))], store, data_dir, num_processes=0).raise_if_failed()
    with pytest.raises(
        ValueError, match=r"glue_rte#no_options' leaves answer options out, but every"
    ):
        loading.bind_mixture(catalog, store, f"{task.name}#no_options", split="train")
    with pytest.raises(KeyError, match="no task matches"):  # a pattern goes without it
        catalog.members("promptsource:*#no_options")
