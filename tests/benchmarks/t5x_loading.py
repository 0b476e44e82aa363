"""Peak memory of writing a T5X checkpoint and of loading one process's share of it, against the bytes of the share.

    python -m tests.benchmarks.t5x_loading --layout native --size xl            one of 8 processes, the others left out
    python -m tests.benchmarks.t5x_loading --layout native --size large --processes 4    all of them, with jax.distributed

The checkpoint is made array by array in a temporary folder, float32, and deleted. Each measurement is a process of its
own. Memory is what Linux counts: VmHWM, and RssAnon, which leaves out pages of files that the kernel may drop.
"""

import argparse
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

MODELS = {  # T5 1.1
    "small": {"emb_dim": 512, "num_heads": 6, "mlp_dim": 1024, "layers": 8},
    "large": {"emb_dim": 1024, "num_heads": 16, "mlp_dim": 2816, "layers": 24},
    "xl": {"emb_dim": 2048, "num_heads": 32, "mlp_dim": 5120, "layers": 24},
}
SHARES = 8  # processes that a checkpoint is thought to be loaded by


def model(size):
    from flantune.configs import ModelConfig
    from flantune.models import t5

    sizes = dict(MODELS[size])
    layers = sizes.pop("layers")
    return t5.EncoderDecoder(
        ModelConfig(
            vocab_size=32128,
            head_dim=64,
            num_encoder_layers=layers,
            num_decoder_layers=layers,
            scan_layers=True,
            **sizes,
        )
    )


class Synthetic:
    """Parameters of a size that are made when they are read; a short pattern, so that gzip takes no time."""

    description = "The synthetic model"

    def __init__(self, size):
        import jax
        import numpy as np

        from flantune.interop import mismatch, param_source
        from flantune.training import sharding

        shapes = jax.eval_shape(model(size).init, jax.random.key(0))
        self.arrays = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
            name, shape = sharding.path_name(path), leaf.shape
            names = [name]
            if mismatch.is_stack(name):
                names, shape = mismatch.separate_names(name, shape[0]), shape[1:]
            info = param_source.ArrayInfo(shape, np.dtype(np.float32))
            self.arrays |= dict.fromkeys(names, info)

    def read(self, name, index=None):
        import numpy as np

        assert index is None
        return np.resize(np.arange(64, dtype=np.float32), self.arrays[name].shape)


def status(field):
    """Megabytes of one line of the process's status."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


class Peak:
    """The largest VmRSS and RssAnon while it runs, in MB above what there was at its start."""

    def __enter__(self):
        self.base = {field: status(field) for field in ("VmRSS", "RssAnon")}
        self.most = dict(self.base)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._start = time.perf_counter()
        self._thread.start()
        return self

    def _watch(self):
        while not self._stop.wait(0.01):
            for field in self.most:
                self.most[field] = max(self.most[field], status(field))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.seconds = time.perf_counter() - self._start

    def line(self, what):
        rss, anonymous = (self.most[field] - self.base[field] for field in ("VmRSS", "RssAnon"))
        return (
            f"{what}: {self.seconds:.0f} s, {self.base['VmRSS']:,.0f} MB before, peak {rss:,.0f} MB above that "
            f"({anonymous:,.0f} MB anonymous)"
        )


def write(arguments):
    from flantune.interop import t5x_native, t5x_orbax

    source = Synthetic(arguments.size)
    writer = {"native": t5x_native, "orbax": t5x_orbax}[arguments.layout]
    with Peak() as peak:
        writer.write(arguments.folder, source, step=1)
    sizes = [int(info.dtype.itemsize * math.prod(info.shape)) for info in source.arrays.values()]
    print(
        peak.line(f"writing {sum(sizes) / 1e6:,.0f} MB, largest array {max(sizes) / 1e6:,.0f} MB")
    )


def abstract_params(size):
    import jax

    from flantune.configs import MeshConfig
    from flantune.training import sharding

    network = model(size)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    mesh = sharding.make_mesh(MeshConfig(data=1, fsdp=jax.device_count(), tensor=1))
    placed = sharding.param_shardings(network.logical_axes(), shapes, mesh, sharding.DEFAULT_RULES)
    return jax.tree.map(
        lambda leaf, to: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=to), shapes, placed
    )


def load_one(arguments):
    """What one process of eight reads and holds: its shard of every array."""
    import jax

    from flantune.interop import load_params, t5x_checkpoint
    from flantune.training import sharding

    device = jax.devices()[0]
    abstract = abstract_params(arguments.size)
    leaves = jax.tree_util.tree_leaves_with_path(abstract)
    held = []
    with Peak() as peak:
        source = t5x_checkpoint.open(arguments.folder)
        for path, leaf in leaves:
            index = leaf.sharding.devices_indices_map(leaf.shape)[device]
            read = load_params.part_reader(source, sharding.path_name(path), leaf)
            held.append(jax.block_until_ready(jax.device_put(read(index), device)))
    share = sum(array.nbytes for array in held) / 1e6
    print(peak.line(f"loading one share of {SHARES}, {share:,.0f} MB"))


def load_all(arguments):
    """A process of several that load together."""
    import jax

    jax.distributed.initialize(
        f"localhost:{arguments.port}", arguments.processes, arguments.process
    )
    from flantune.interop import load_params, t5x_checkpoint

    abstract = abstract_params(arguments.size)
    with Peak() as peak:
        source = t5x_checkpoint.open(arguments.folder)
        params = jax.block_until_ready(load_params.load_params(source, abstract))
    share = sum(
        shard.data.nbytes for leaf in jax.tree.leaves(params) for shard in leaf.addressable_shards
    )
    print(peak.line(f"process {arguments.process} of {arguments.processes}, {share / 1e6:,.0f} MB"))
    jax.distributed.shutdown()


def child(task, arguments, devices=1, **more):
    options = {**vars(arguments), **more, "task": task}
    flags = [f"--{name}={value}" for name, value in options.items() if value is not None]
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, "-m", "tests.benchmarks.t5x_loading", *flags]
    return subprocess.Popen(command, env=environment)


def finished(*children):
    if any([process.wait() for process in children]):
        raise SystemExit("A measurement failed.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layout", choices=("native", "orbax"), default="native")
    parser.add_argument("--size", choices=MODELS, default="xl")
    parser.add_argument("--processes", type=int, default=1)
    for internal in ("--task", "--folder", "--process", "--port"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in ("process", "port"):
        value = getattr(arguments, name)
        setattr(arguments, name, value if value is None else int(value))
    if arguments.task:
        {"write": write, "load_one": load_one, "load_all": load_all}[arguments.task](arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = folder
        finished(child("write", arguments))
        if arguments.processes == 1:
            finished(child("load_one", arguments, devices=SHARES))
        else:
            group = range(arguments.processes)
            finished(*(child("load_all", arguments, process=i, port=12421) for i in group))


if __name__ == "__main__":
    main()
