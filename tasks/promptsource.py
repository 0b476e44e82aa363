"""promptsource, the templates of P3 and T0: every template file becomes tasks.

Templates are read from `promptsource/` below the data directory: a checkout, or a folder of DATASET/[CONFIG/]templates.yaml
as in it. A dataset is listed where its rows are there too: in `hf/DATASET[/CONFIG]/` as `datasets` saves it (or as a folder
of Parquet, Arrow or JSONL files with the same columns; splits train, validation and test), or, for the datasets of `_LOCAL`,
in the files that another module of this folder reads. `super_glue/copa` is the task "promptsource:super_glue_copa".

Templates that turn the dataset's own task around have the kind "inversion": "promptsource:super_glue_copa#inversion" is
made of them alone. The setting "no_options" uses only templates that do not list their choices (`choices_in_prompt`). A
row without a prompt in any template is dropped, and so is, in a setting, one without a prompt in any
of the setting's; `flantune promptsource TASK` counts rows by template and reason. To use rows of your own, copy this file.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import pathlib
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, TaskFamily, sources
from flantune.data.task import Row, Source
from flantune.interop import promptsource
from tasks import commonsense_qa, copa, sst2

FAMILY = "promptsource"
_FOLDERS = ("promptsource/promptsource/templates", "promptsource")  # a checkout, a folder
FOLDERS = (*_FOLDERS, "hf")
_FILE = "templates.yaml"
LICENCE = "unknown (see the dataset); templates Apache-2.0"
_GET_TEMPLATES = "git clone https://github.com/bigscience-workshop/promptsource DATA/promptsource"
PUBLICATION = Publication(
    url="https://arxiv.org/abs/2202.01279",
    get=f"{_GET_TEMPLATES}, and each dataset from https://huggingface.co/datasets: "
    "datasets.load_dataset(DATASET, CONFIG).save_to_disk('DATA/hf/DATASET/CONFIG')",
)
_BENCHMARKS = ("glue", "super_glue")  # collections: their configurations are datasets of their own
_METRICS = {
    "accuracy": metrics.accuracy,
    "rouge": metrics.rouge_l,
    "squad": metrics.exact_match,
    "trivia_qa": metrics.exact_match,
}
# As T0 groups them (https://arxiv.org/abs/2110.08207), in the names of the other modules here.
_CLUSTERS = {
    "coreference": ("super_glue/wsc.fixed", "winogrande/winogrande_xl"),
    "natural_language_inference": ("anli", "glue/rte", "super_glue/cb", "super_glue/rte"),
    "paraphrase": ("glue/mrpc", "glue/qqp", "paws/labeled_final"),
    "reading_comprehension": (
        "quoref",
        "ropes",
        "squad_v2",
        "super_glue/boolq",
        "super_glue/multirc",
    ),
    "sentiment": ("amazon_polarity", "app_reviews", "imdb", "rotten_tomatoes", "yelp_review_full"),
    "commonsense": ("cos_e/v1.11", "cosmos_qa", "hellaswag", "piqa", "social_i_qa"),
    "science_questions": ("openbookqa/main", "qasc", "sciq"),
    "structure_to_text": ("common_gen", "wiki_bio"),
    "summarization": ("cnn_dailymail/3.0.0", "gigaword", "multi_news", "samsum", "xsum"),
    "topic_classification": ("ag_news", "dbpedia_14"),
    "question_classification": ("trec",),
    "word_sense_disambiguation": ("super_glue/wic",),
}


@dataclasses.dataclass(frozen=True)
class _Local:
    """A dataset that another module reads in its publisher's own form.

    Attributes:
        to_row: a row with the columns that promptsource knows, from the publisher's.
    """

    task: InstructionTask
    to_row: Callable[[Row], Row | None]


def _copa_row(row: Row) -> Row:
    return {
        "premise": row["p"].strip(),
        "choice1": row["a1"].strip(),
        "choice2": row["a2"].strip(),
        "question": row["asks-for"],
        "label": int(row["most-plausible-alternative"]) - 1,
    }


def _commonsense_qa_row(row: Row) -> Row:
    question = row["question"]
    choices = question["choices"]
    return {
        "question": question["stem"].strip(),
        "question_concept": question["question_concept"],
        "choices": {key: [choice[key] for choice in choices] for key in ("label", "text")},
        "answerKey": row.get("answerKey", ""),
    }


def _sst2_row(row: Row) -> Row:
    return {"sentence": row["sentence"].strip(), "label": int(row["label"])}


_LOCAL = {
    "super_glue/copa": _Local(copa.TASKS[0], _copa_row),
    "commonsense_qa": _Local(commonsense_qa.TASKS[0], _commonsense_qa_row),
    "glue/sst2": _Local(sst2.TASKS[0], _sst2_row),
}


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The template file of each task whose rows are there."""
    folder = next((data_dir / name for name in _FOLDERS if (data_dir / name).is_dir()), None)
    found: dict[str, pathlib.Path] = {}
    for path in sorted(folder.rglob(_FILE)) if folder else ():
        dataset = path.parent.relative_to(folder or data_dir).as_posix()
        if not _has_rows(dataset, data_dir):
            continue
        name = dataset.replace("/", "_")
        if name in found:
            raise ValueError(f"{path} and {found[name]} are both called {name!r}.")
        found[name] = path
    return found


def _has_rows(dataset: str, data_dir: pathlib.Path) -> bool:
    if dataset not in _LOCAL:
        return (data_dir / "hf" / dataset).is_dir()
    source = _LOCAL[dataset].task.source
    return any(source.fingerprint(split, data_dir) is not None for split in source.splits)


def _source(dataset: str) -> Source:
    if dataset in _LOCAL:
        return _LOCAL[dataset].task.source
    return sources.HuggingFace(f"hf/{dataset}", train="train", validation="validation", test="test")


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a template file; JSON values only.

    Raises:
        ValueError: all of its templates are refused.
    """
    file = promptsource.read(path)
    if not file.templates:
        reasons = "; ".join(f"{refusal.template}: {refusal.reason}" for refusal in file.refused)
        raise ValueError(f"{path} has no template that can be used: {reasons}.")
    folder = next(name for name in _FOLDERS if f"/{name}/" in path.as_posix())
    dataset = path.parent.as_posix().rpartition(f"/{folder}/")[2]
    return {**file.as_json(), "dataset": dataset}


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    file = promptsource.TemplateFile.from_json(metadata)
    templates = file.templates
    local = _LOCAL.get(file.dataset)
    return InstructionTask(
        name=f"{FAMILY}:{name}",
        cluster=local.task.cluster if local else _cluster(file.dataset),
        source=_source(file.dataset),
        to_fields=functools.partial(
            promptsource.to_fields, templates=templates, to_row=local.to_row if local else None
        ),
        templates=templates,
        metrics=_metrics(templates),
        lineage=local.task.lineage if local else (_lineage(file.dataset),),
        licence=local.task.licence if local else LICENCE,
        publication=local.task.publication if local else _publication(file.dataset),
        extra_fields=promptsource.EXTRA_FIELDS,
        metadata=metadata,
    )


def _publication(dataset: str) -> Publication:
    """Where a dataset's rows are: the hub has them under promptsource's names."""
    name, _, config = dataset.partition("/")
    named = f"{name!r}, {config!r}" if config else f"{name!r}"
    return Publication(
        url=f"https://huggingface.co/datasets/{name}",
        get=f"datasets.load_dataset({named}).save_to_disk('DATA/hf/{dataset}')",
    )


def _cluster(dataset: str) -> str:
    """The dataset's cluster; a dataset that T0 does not group is one of its own."""
    known = {member: cluster for cluster, members in _CLUSTERS.items() for member in members}
    return known.get(dataset, dataset.replace("/", "_"))


def _lineage(dataset: str) -> str:
    collection, _, configuration = dataset.partition("/")
    return configuration if collection in _BENCHMARKS and configuration else collection


def _metrics(templates: tuple[promptsource.JinjaTemplate, ...]) -> tuple[metrics.Metric, ...]:
    """The metrics of the dataset's own task that are scored one example at a time; else exact match."""
    named = [one for template in templates if template.kind == "direct" for one in template.metrics]
    found = dict.fromkeys(_METRICS[name] for name in named if name in _METRICS)
    return tuple(found) or (metrics.exact_match,)


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=FOLDERS,
        licence=LICENCE,
        publication=PUBLICATION,
    ),
)
