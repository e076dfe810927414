"""The closed forms of `moment_forms.py`: ours, where they are asked, and what is true, in mpmath.

A truth maps means and variances, one after the other, to E and Var and their derivatives by each of
these, as rows of two.
"""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np

REACH = 17  # deviations that a truth spans: 1e3 times a tail at 13 is a normal float32
mp.mp.dps = 30
NODES = [(mp.mpf(x), mp.mpf(w)) for x, w in zip(*np.polynomial.legendre.leggauss(20), strict=True)]

Arrays = list[np.ndarray]


def anywhere(dice: np.random.Generator, count: int, spread: float = 40) -> Arrays:
    """mean/std uniform in [-40, 40], std log-uniform in [1e-6, 1e3]; and mean 1e3 with std 1e-2."""
    std = 10 ** dice.uniform(-6, 3, count)
    mean = dice.uniform(-spread, spread, count) * std
    mean[:1], std[:1] = 1e3, 1e-2
    return [x.astype(np.float32) for x in (mean, np.square(std))]


def where_exponentials_are(dice: np.random.Generator, count: int) -> Arrays:
    """The same where the variance of e^X is a normal float32, and above 1e-30."""
    mean, var = anywhere(dice, 8 * count)
    size = 2 * mean.astype(float) + var + np.log(np.expm1(np.minimum(var.astype(float), 100)))
    kept = (var < 80) & (size < 87) & (size > -69)
    return [x[kept][:count] for x in (mean, var)]


def several(number: int, dice: np.random.Generator, count: int) -> Arrays:
    """Means and variances of independent Gaussians of one order of magnitude, and their own."""
    scale = 10 ** dice.uniform(-5, 2, count)
    found = []
    for _ in range(number):
        std = scale * 10 ** dice.uniform(-1, 1, count)
        found += [dice.uniform(-8, 8, count) * std, np.square(std)]
    return [x.astype(np.float32) for x in found]


def integrals(f: Callable, bends: tuple, mean: float, var: float) -> list[list[float]]:
    """Of f and f^2 with the law's scores, over panels that are cut at the bends."""
    m, s = mp.mpf(float(mean)), mp.sqrt(mp.mpf(float(var)))
    fine = [sign * mp.mpf(2) ** k / 8 for k in range(14) for sign in (-1, 1)]
    low, high = m - REACH * s, m + REACH * s
    edges = sorted({*(m + k * s for k in range(-REACH, REACH + 1)), 0, *fine, *map(mp.mpf, bends)})
    edges = [x for x in edges if low <= x <= high]
    values = []
    for a, b in itertools.pairwise(edges):
        half = (b - a) / 2
        for x, w in NODES:
            t = (a + half + half * x - m) / s
            values.append((w * half / s * mp.npdf(t), t, f(m + s * t)))
    pivot = f(m)

    def of(score: Callable) -> list:
        return [mp.fsum(p * score(t) * (y - pivot) ** k for p, t, y in values) for k in (1, 2)]

    first, second = of(lambda t: 1)
    slopes = of(lambda t: t / s), of(lambda t: (t * t - 1) / (2 * s * s))
    rows = [(pivot + first, second - first**2), *((d, e - 2 * first * d) for d, e in slopes)]
    return [[float(x) for x in row] for row in rows]


def closed(moments: Callable, *inputs: float) -> list[list[float]]:
    """Of E and Var in closed form, their derivatives by mpmath, at 80 digits."""
    with mp.workdps(80):
        at = [mp.mpf(float(x)) for x in inputs]
        rows = [moments(*at)]
        for k in range(len(at)):
            order = [int(i == k) for i in range(len(at))]
            by = [mp.diff(lambda *x, n=n: moments(*x)[n], at, order) for n in (0, 1)]
            rows.append(by)
        return [[float(x) for x in row] for row in rows]


def exponential(m, v):
    return mp.exp(m + v / 2), mp.exp(2 * m + v) * mp.expm1(v)


def wave(own: Callable, other: Callable, m, v):
    gap = -mp.expm1(-v)
    return mp.exp(-v / 2) * own(m), gap * (gap / 2 + mp.exp(-v) * other(m) ** 2)


def product(m, v, n, w):
    return m * n, m * m * w + n * n * v + v * w


def larger(m, v, n, w):
    """Clark (1961)."""
    theta = mp.sqrt(v + w)
    a = (m - n) / theta
    p, q, density = mp.ncdf(a), mp.ncdf(-a), mp.npdf(a)
    first = m * p + n * q + theta * density
    return first, (m * m + v) * p + (n * n + w) * q + (m + n) * theta * density - first**2


def largest_of_four(*x):
    """As a balanced tree of them: each in the place of a Gaussian."""
    return larger(*larger(*x[:2], *x[4:6]), *larger(*x[2:4], *x[6:]))


def logistic(x):
    return 1 / (1 + mp.exp(-x))


def softplus(x):
    return mp.log1p(mp.exp(-abs(x))) + max(x, 0)


def gelu_by_tanh(x):
    """With the constants that float32 has of it."""
    a, b = (mp.mpf(float(np.float32(c))) for c in (np.sqrt(2 / np.pi), 0.044715))
    return x * logistic(2 * a * (x + b * x**3))


def selu(x):
    """With the constants that float32 has of it."""
    alpha, scale = (mp.mpf(float(np.float32(c))) for c in (1.6732632423543772, 1.0507009873554805))
    return scale * (x if x > 0 else alpha * mp.expm1(x))


@dataclasses.dataclass
class Form:
    """`ours` takes as many arguments as there are Gaussians."""

    ours: Callable
    truth: Callable
    inputs: Callable = anywhere
    number: int = 1  # of Gaussians


def of_one(ours: Callable, f: Callable, bends: tuple = ()) -> Form:
    """A function of one Gaussian, f in mpmath."""
    return Form(ours, partial(integrals, f, bends))


def pool(*x: jax.Array) -> jax.Array:
    """The largest of four in a window."""
    image, window = jnp.stack(x, -1).reshape(-1, 2, 2), (1, 2, 2)
    return jax.lax.reduce_window(image, -jnp.inf, jax.lax.max, window, window, "VALID").ravel()


FORMS = {
    "relu": of_one(jax.nn.relu, lambda x: max(x, 0)),
    "leaky relu": of_one(jax.nn.leaky_relu, lambda x: x if x >= 0 else x * 0.01),
    "abs": of_one(jnp.abs, abs),
    "relu6": of_one(jax.nn.relu6, lambda x: min(max(x, 0), 6), (6,)),
    "hard tanh": of_one(jax.nn.hard_tanh, lambda x: min(max(x, -1), 1), (-1, 1)),
    "square": of_one(jnp.square, lambda x: x * x),
    "cube": of_one(lambda x: x**3, lambda x: x**3),
    "erf": of_one(jax.lax.erf, mp.erf),
    "tanh": of_one(jnp.tanh, mp.tanh),
    "logistic": of_one(jax.nn.sigmoid, logistic),
    "softplus": of_one(jax.nn.softplus, softplus),
    "silu": of_one(jax.nn.silu, lambda x: x * logistic(x)),
    "gelu": of_one(partial(jax.nn.gelu, approximate=False), lambda x: x * mp.ncdf(x)),
    "gelu by tanh": of_one(jax.nn.gelu, gelu_by_tanh),
    "mish": of_one(jax.nn.mish, lambda x: x * mp.tanh(softplus(x))),
    "log-sigmoid": of_one(jax.nn.log_sigmoid, lambda x: -softplus(-x)),
    "elu": of_one(jax.nn.elu, lambda x: x if x > 0 else mp.expm1(x)),
    "selu": of_one(jax.nn.selu, selu),
    "celu": of_one(jax.nn.celu, lambda x: x if x > 0 else mp.expm1(x)),
    "exp": Form(jnp.exp, partial(closed, exponential), where_exponentials_are),
    "sin": Form(jnp.sin, partial(closed, partial(wave, mp.sin, mp.cos))),
    "cos": Form(jnp.cos, partial(closed, partial(wave, mp.cos, mp.sin))),
    "product": Form(jnp.multiply, partial(closed, product), partial(several, 2), 2),
    "larger of two": Form(jnp.maximum, partial(closed, larger), partial(several, 2), 2),
    "max-pool of four": Form(pool, partial(closed, largest_of_four), partial(several, 4), 4),
}
