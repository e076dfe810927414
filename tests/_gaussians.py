"""Gaussians of every dtype and shape and size, and how exact what they give has to be."""

import contextlib
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn


class Row(NamedTuple):
    """A Gaussian: elements in float64, and the dtype they are rounded to."""

    dtype: str
    mean: np.ndarray
    var: np.ndarray


def grid(dtype, shape):
    """Ordinary means and variances, all different."""
    size = math.prod(shape)
    return Row(
        dtype,
        np.linspace(-2.0, 3.0, size).reshape(shape),
        np.geomspace(0.1, 9.0, size).reshape(shape),
    )


def ladder(dtype, *var):
    """Variances from zero to the largest number, each with a mean of 0 and with a mean of 1."""
    return Row(dtype, np.repeat([0.0, 1.0], len(var)), np.tile(var, 2))


F32, F64 = np.finfo(np.float32), np.finfo(np.float64)
BF16_MAX = float(jnp.finfo("bfloat16").max)
GAUSSIANS = {
    "scalar": grid("float32", ()),
    "vector": grid("float32", (3,)),
    "4d": grid("float32", (2, 1, 3, 2)),
    "empty": grid("float32", (0,)),
    "empty4d": grid("float32", (2, 0, 3, 1)),
    "float32": ladder("float32", 0, 1e-45, 1e-40, F32.tiny, 1e-30, 1e-6, 1, 1e30, F32.max),
    "bfloat16": ladder("bfloat16", 0, 1e-40, F32.tiny, 1e-30, 1e-6, 1, 1e30, BF16_MAX),
    "float16": ladder("float16", 0, 6e-8, 1e-6, 6.2e-5, 1, 65504),
    "float64": ladder("float64", 0, 5e-324, 1e-310, F64.tiny, 1e-40, 1, 1e30, F64.max),
}
ROWS = list(GAUSSIANS.items())
table = pytest.mark.parametrize("row", GAUSSIANS.values(), ids=GAUSSIANS)
transforms = pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])


def precision(dtype):
    """x64 for float64; else as it is."""
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def build(row):
    return sn.Gaussian(jnp.asarray(row.mean, row.dtype), jnp.asarray(row.var, row.dtype))


def wide(dtype):
    return "float64" if dtype == "float64" else "float32"


def exact(array):
    return np.asarray(array, np.float64)


def true_std(x):
    """In float64, from the rounded variance; below the smallest normal number it is zero."""
    var = exact(x.var)
    return np.sqrt(np.where(var < np.finfo(wide(x.dtype.name)).tiny, 0.0, var))


def ulp(dtype):
    return float(jnp.finfo(dtype).eps)


X = (np.float32([-1.0, 0.5, 2.0]), np.float32([0.25, 1.0, 4.0]))
Y = (np.float32([3.0, 0.0, 1.0]), np.float32([1.0, 0.0, 0.5]))
C = np.float32([-2.0, 0.5, 4.0])
