"""One mode of one run: its initial state, its step, its predictions."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from stochastic_net._types import Array, Key, PyTree
from stochastic_net.nn import StochasticNet
from stochastic_net.random import named_key
from stochastic_net.training._classifier import make_classifier
from stochastic_net.training._config import Config, Mode
from stochastic_net.training._dataset import Dataset, Examples
from stochastic_net.training._objective import loss, probabilities
from stochastic_net.training._placement import Placement


class TrainState(NamedTuple):
    """All that changes in training; no key, for the key of step i is `fold_in(key, i)`."""

    step: Array
    params: PyTree
    constants: PyTree
    opt_state: PyTree


class Task:
    """The training and the prediction of a network in one mode."""

    def __init__(self, config: Config, dataset: Dataset, mode: Mode) -> None:
        self.config, self.dataset, self.mode = config, dataset, mode
        self.placement = Placement(config.batch_size, config.key_impl)
        root = jax.random.key(config.seed, impl=config.key_impl)
        self._init_key, self._train_key, self._evaluate_key = (
            named_key(root, name) for name in ("init", "train", "evaluate")
        )
        self.steps_per_epoch = max(1, len(dataset.train.label) // config.batch_size)
        self.steps = config.epochs * self.steps_per_epoch
        self._optimizer = optax.adam(
            optax.cosine_decay_schedule(config.learning_rate, max(1, self.steps))
        )
        self.graph = nnx.graphdef(self._network())

    def _network(self) -> StochasticNet:
        mean = self.dataset.train.pair.mean
        return make_classifier(
            self.dataset.image_shape,
            len(self.dataset.classes),
            shift=float(mean.mean()),
            scale=float(mean.std()) or 1.0,
            rngs=nnx.Rngs(self._init_key),
        )

    def initial_state(self) -> TrainState:
        """The state before the first step: the same in each mode."""
        _, params, constants = nnx.split(self._network(), nnx.Param, ...)
        state = TrainState(
            jnp.zeros((), jnp.int32), params, constants, self._optimizer.init(params)
        )
        return self.placement.everywhere(state)

    def batch(self, step: int) -> Examples:
        """The batch of a step, a function of the seed and the step alone."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(
            len(self.dataset.train.label)
        )
        size = self.config.batch_size
        rows = np.resize(order, max(size, len(order)))[position * size : (position + 1) * size]
        return self.placement.split(self.dataset.train.take(rows))

    def step(self, state: TrainState, batch: Examples) -> tuple[TrainState, Array]:
        """One step of Adam; `state` is donated."""
        return self._step(state, batch, self._train_key)

    @functools.cached_property
    def _step(self):
        graph, optimizer, mode = self.graph, self._optimizer, self.mode

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state: TrainState, batch: Examples, key: Key) -> tuple[TrainState, Array]:
            def objective(params: PyTree) -> Array:
                net = nnx.merge(graph, params, state.constants)
                return loss(net, batch, jax.random.fold_in(key, state.step), mode)

            value, gradients = jax.value_and_grad(objective)(state.params)
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            params = optax.apply_updates(state.params, updates)
            return TrainState(state.step + 1, params, state.constants, opt_state), value

        return step

    def predict(self, state: TrainState, examples: Examples) -> np.ndarray:
        """Class probabilities of shape (examples, classes), in batches padded to one size."""
        size, count = self.config.batch_size, len(examples.label)
        parts = []
        for start in range(0, count, size):
            rows = np.minimum(np.arange(start, start + size), count - 1)
            batch = self.placement.split(examples.take(rows))
            parts.append(np.asarray(self._predict(state, batch, self._evaluate_key)))
        return np.concatenate(parts)[:count]

    @functools.cached_property
    def _predict(self):
        graph, mode, draws = self.graph, self.mode, self.config.draws

        @jax.jit
        def predict(state: TrainState, batch: Examples, key: Key) -> Array:
            net = nnx.merge(graph, state.params, state.constants)
            return probabilities(net, batch, key, mode, draws)

        return predict
