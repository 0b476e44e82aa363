"""The smallest model with the interface that training expects, batches for it, and a short run of both."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flantune.configs import CheckpointConfig, MeshConfig, OptimizerConfig
from flantune.training import learner, optimizers, sharding, task_log, train_log, trainer

TASKS = [task_log.TaskLabel(f"linear:{i}", cluster) for i, cluster in enumerate("aab")]


@dataclasses.dataclass(frozen=True)
class LinearModel:
    """Logits of a target from the previous target and the mean input, through stacked matrices."""

    vocab_size: int = 16
    emb_dim: int = 8
    num_layers: int = 2
    dropout_rate: float = 0.1

    def init(self, rng):
        embedding, layers, logits = jax.random.split(rng, 3)
        stack = (self.num_layers, self.emb_dim, self.emb_dim)
        return {
            "token_embedder": {
                "embedding": jax.random.normal(embedding, (self.vocab_size, self.emb_dim))
            },
            "decoder": {
                "layers": {
                    "kernel": 0.3 * jax.random.normal(layers, stack),
                    "scale": jnp.ones(stack[:2]),
                },
                "logits_dense": {
                    "kernel": 0.3 * jax.random.normal(logits, (self.emb_dim, self.vocab_size))
                },
            },
        }

    def logical_axes(self):
        return {
            "token_embedder": {"embedding": ("vocab", "embed")},
            "decoder": {
                "layers": {"kernel": ("layers", "embed", "mlp"), "scale": ("layers", "embed")},
                "logits_dense": {"kernel": ("embed", "vocab")},
            },
        }

    def apply(self, params, batch, *, dropout_rng=None):
        return self.hidden(params, batch, dropout_rng=dropout_rng) @ self.output_kernel(params)

    def output_kernel(self, params):
        return params["decoder"]["logits_dense"]["kernel"]

    def hidden(self, params, batch, *, dropout_rng=None):
        embedding = params["token_embedder"]["embedding"]
        inputs = embedding[batch["encoder_input_tokens"]].mean(axis=1, keepdims=True)
        hidden = embedding[batch["decoder_input_tokens"]] + inputs
        layers = params["decoder"]["layers"]
        for index in range(self.num_layers):
            hidden = nn.with_logical_constraint(hidden, ("batch", "length", "embed"))
            scaled = hidden * layers["scale"][index]
            hidden = hidden + jnp.tanh(scaled @ layers["kernel"][index])
        if dropout_rng is not None and self.dropout_rate:
            kept = jax.random.bernoulli(dropout_rng, 1 - self.dropout_rate, hidden.shape)
            hidden = hidden * kept / (1 - self.dropout_rate)
        return hidden


def numpy_params(dtype=np.float32, **model):
    """Parameters drawn without JAX, which would compile for it."""
    rng = np.random.default_rng(9)
    shapes = jax.eval_shape(LinearModel(**model).init, jax.random.key(0))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(dtype), shapes)


class CountingBatches:
    """Batch k is a pure function of k; the state is k, under "lanes" as the data pipeline has it."""

    def __init__(self, *, num_rows=8, length=5, vocab_size=16, end=None):
        self._shape, self._vocab_size, self._end = (num_rows, length), vocab_size, end
        self.index = 0

    def __next__(self):
        if self.index == self._end:
            raise StopIteration
        rng = np.random.default_rng(self.index)
        self.index += 1
        inputs = rng.integers(1, self._vocab_size, self._shape, dtype=np.int32)
        inputs[:, -1] = 0  # padding
        targets = (inputs + 1) % self._vocab_size * (inputs != 0)
        return {
            "encoder_input_tokens": inputs,
            "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
            "decoder_target_tokens": targets,
            "decoder_loss_weights": (targets != 0).astype(np.float32),
            "decoder_task_ids": np.where(targets != 0, targets % 3, -1).astype(np.int32),
        }

    def get_state(self):
        return {"lanes": {"0": self.index}}

    def set_state(self, state):
        self.index = state["lanes"]["0"]


def parts(*, num_steps=20, mesh_config=None, devices=None, optimizer="adafactor", **model):
    """Model, optimizer, its config, mesh and rules: what most functions of training take."""
    model = LinearModel(**model)
    config = OptimizerConfig(name=optimizer, learning_rate=0.03)
    mesh_config = mesh_config or MeshConfig()
    return {
        "model": model,
        "optimizer": optimizers.make_optimizer(config, num_steps, model.logical_axes()),
        "optimizer_config": config,
        "mesh": sharding.make_mesh(mesh_config, devices),
        "rules": sharding.axis_rules(mesh_config),
    }


def train(
    run_dir, *, num_steps=20, save_every_steps=7, batches=None, log_every_steps=5, **overrides
):
    """Trains the linear model in a run folder and returns the last state; `overrides` of the learner or of the trainer."""
    made = parts(num_steps=num_steps) | {"num_steps": num_steps, "seed": 3}
    fields = {field.name for field in dataclasses.fields(learner.Learner)}
    arguments = {
        "batches": batches or CountingBatches(),
        "run_dir": run_dir,
        "checkpoint_config": CheckpointConfig(save_every_steps=save_every_steps),
        "log": train_log.LogSettings(
            every_steps=log_every_steps, tasks=TASKS, tasks_every_steps=2 * log_every_steps
        ),
    }
    made |= {name: value for name, value in overrides.items() if name in fields}
    arguments |= {name: value for name, value in overrides.items() if name not in fields}
    return trainer.train(learner.Learner(**made), **arguments)
