"""What several files of tests share for a whole session: a user's package of plain SeqIO tasks, prepared once."""

import sys
import types

import pytest

from flantune import testing
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading
from flantune.data.plain_seqio import modules as seqio_modules, tasks as seqio_tasks

from . import seqio_place


@pytest.fixture(scope="session")
def span_folder(tmp_path_factory):
    """A folder with the package and its data; the first file of tests that prepares it prepares it for all."""
    folder = tmp_path_factory.mktemp("span_folder")
    seqio_place.write_package(folder)
    return folder


@pytest.fixture(scope="module")
def span_place(span_folder):
    """The folder with the user's package and its data, on the path."""
    with pytest.MonkeyPatch.context() as patch, testing.temporary_registries():
        patch.syspath_prepend(str(span_folder))
        patch.setenv("SPAN_DATA", str(span_folder / "lines.txt"))
        yield span_folder
        for name in [name for name in sys.modules if name.startswith("span_package")]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def span_ready(span_place):
    """The store with all that the tests ask for, prepared by processes of its own."""
    config = seqio_place.make_config(span_place)
    tasks = [seqio_place.SPANS, seqio_place.WHOLE, seqio_place.CUT]
    names = [*tasks, *seqio_place.OTHERS]
    empty = catalog_lib.Catalog(modules=(), tasks={}, mixtures={})
    seqio_tasks.extend(empty, names, config, loading.open_store(config))
    catalog, store, report = seqio_place.prepared(config, tasks, num_processes=1)
    report.raise_if_failed()
    seqio_modules.import_all(config.seqio_modules)
    return types.SimpleNamespace(catalog=catalog, store=store)
