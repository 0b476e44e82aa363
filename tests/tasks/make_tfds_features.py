"""Writes `tfds_features.json`: what the TFDS datasets of the tasks hold, by the installed TFDS; nothing is downloaded.

    python -m tests.tasks.make_tfds_features

An entry has the version, other versions that TFDS can still build, and the features of a row: "text", a number type,
{"labels": names}, {"sequence": feature} or a dictionary of features.
"""

import importlib
import json
import pathlib
import pkgutil

import numpy as np

import tasks

PATH = pathlib.Path(__file__).with_name("tfds_features.json")


def tfds_tasks() -> dict:
    """The tasks of all modules of `tasks` that read a TFDS dataset, by name."""
    from flantune.data import InstructionTask, sources

    found = {}
    for module in pkgutil.iter_modules(tasks.__path__):
        for task in getattr(importlib.import_module(f"tasks.{module.name}"), "TASKS", ()):
            if isinstance(task, InstructionTask) and isinstance(task.source, sources.Tfds):
                found[task.name] = task
    return found


def _described(feature) -> object:
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Sequence):
        return {"sequence": _described(feature.feature)}
    if isinstance(feature, tfds.features.ClassLabel):
        return {"labels": feature.names}
    if isinstance(feature, tfds.features.FeaturesDict):
        return {name: _described(part) for name, part in feature.items()}
    if isinstance(feature, tfds.features.Text):
        return "text"
    dtype = np.dtype(feature.np_dtype).name
    kind = "text" if dtype == "object" else dtype
    return {"sequence": kind} if feature.shape else kind


def main() -> None:
    import tensorflow_datasets as tfds

    found = {}
    for name in sorted({task.source.name.partition(":")[0] for task in tfds_tasks().values()}):
        builder = tfds.builder(name)
        found[name] = {
            "version": str(builder.version),
            "also": sorted(
                {str(version) for version in builder.supported_versions} - {str(builder.version)}
            ),
            "features": _described(builder.info.features),
        }
    PATH.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
