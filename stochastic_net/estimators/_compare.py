"""Estimators measured on the user's own f: mean, variance, time, bias."""

import time
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from stochastic_net._types import Array, Estimator, Key, PyTree
from stochastic_net.estimators._catalogue import CATALOGUE
from stochastic_net.estimators._comparison import Comparison, Measured
from stochastic_net.estimators._estimator import Function
from stochastic_net.estimators._floats import floats
from stochastic_net.estimators._reference import reference
from stochastic_net.estimators._target import at_least
from stochastic_net.random import check_key

_TIMED = 20  # calls
_CHUNK = 256  # keys at a time


def compare(
    f: Function,
    dist: PyTree,
    key: Key,
    estimators: Sequence[Estimator] | Literal["auto"] = "auto",
    *,
    num_keys: int = 1024,
    num_samples: int | None = None,
) -> Comparison:
    r"""Measure estimators of the gradient of E f in the parameters of `dist`.

    For each one, over `num_keys` keys: the mean of the gradient and its standard error, its
    variance (summed over the parameters), the time of one jitted call of value and gradient, and
    the largest deviation of a parameter's mean from the truth, in standard errors. The truth is by
    enumeration where the support is finite and small, by quadrature for one or two Gaussian
    numbers, and otherwise unknown.

    Args:
      f: scalar, as for `pathwise`. It is called on draws as each estimator makes them.
      dist: a distribution or a pytree of them.
      key: one typed key, consumed.
      estimators: which ones. "auto": all of the catalogue that take this `dist` and f.
      num_keys: how many gradients of each.
      num_samples: of each estimator; None: its own default.

    Returns:
      A `Comparison`: `print` it for a table, `.plot()` for a figure; `.best` is the estimator
      without bias that has the least variance x time, `.rows` are the figures; `.skipped` says why
      "auto" left out what it left out.

    Raises:
      TypeError, ValueError: an estimator that was asked for by name does not take this `dist`.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins = sn.distributions.Bernoulli(jnp.zeros(2))
      >>> report = sn.estimators.compare(
      ...     lambda z: (z.sum() - 0.3) ** 2, coins, jax.random.key(0),
      ...     [sn.estimators.leave_one_out, sn.estimators.disarm], num_keys=256)
      >>> [row.name for row in report.rows], bool(max(row.bias_z for row in report.rows) < 5)
      (['leave_one_out', 'disarm'], True)
    """
    check_key(key)
    num_keys = at_least(2, "num_keys", num_keys)
    reference_key, key = jax.random.split(key)
    truth = reference(f, dist, reference_key)
    asked = estimators != "auto"
    options = {} if num_samples is None else {"num_samples": num_samples}
    rows, skipped = [], {}
    for estimator, k in zip(*_with_keys(_candidates(estimators), key), strict=True):
        try:
            rows.append(_measure(estimator, f, dist, k, num_keys, options, truth))
        except (TypeError, ValueError, NotImplementedError) as error:
            if asked:
                raise
            skipped[_name(estimator)] = str(error).partition("\n")[0]
    if not rows:
        raise ValueError(f"no estimator of the catalogue takes this f and dist: {skipped}")
    return Comparison(rows, num_keys, skipped)


def auto(
    f: Function,
    dist: PyTree,
    key: Key,
    estimators: Sequence[Estimator] | Literal["auto"] = "auto",
    *,
    num_keys: int = 1024,
    num_samples: int | None = None,
) -> Estimator:
    """The best unbiased estimator for this f and `dist`, by variance x time.

    `compare(f, dist, key, estimators).best`: measured, on this machine, of the whole catalogue
    unless you say of which.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros(3), jnp.ones(3))
      >>> both = sn.estimators.pathwise, sn.estimators.score_function
      >>> best = sn.estimators.auto(lambda z: (z**2).sum(), x, jax.random.key(0), both)
      >>> print(best.__name__)
      pathwise
    """
    return compare(f, dist, key, estimators, num_keys=num_keys, num_samples=num_samples).best


def _candidates(estimators: Sequence[Estimator] | str) -> Sequence[Estimator]:
    if isinstance(estimators, str):
        if estimators != "auto":
            raise ValueError(f'estimators must be a list of them or "auto", got {estimators!r}.')
        return CATALOGUE
    if not estimators:
        raise ValueError("estimators must be a list of one estimator or more, got none.")
    return estimators


def _with_keys(estimators: Sequence[Estimator], key: Key) -> tuple[Sequence[Estimator], Any]:
    return estimators, jax.random.split(key, len(estimators))


def _measure(
    estimator: Estimator,
    f: Function,
    dist: PyTree,
    key: Key,
    num_keys: int,
    options: dict[str, Any],
    truth: Array | None,
) -> Measured:
    leaves, rebuild = floats(dist)

    def value_and_gradient(leaves: list[Array], key: Key) -> tuple[Array, Array]:
        def value(leaves: list[Array]) -> Array:
            return estimator(f, rebuild(leaves), key, **options)

        found, gradient = jax.value_and_grad(value)(leaves)
        return found, jnp.concatenate([g.ravel() for g in gradient])

    many = jax.jit(
        lambda leaves, keys: jax.lax.map(
            lambda k: value_and_gradient(leaves, k), keys, batch_size=_CHUNK
        )
    )
    timed_key, key = jax.random.split(key)
    found = many(leaves, jax.random.split(key, num_keys))
    values, gradients = (np.asarray(x, np.float64) for x in found)
    seconds = _seconds(jax.jit(value_and_gradient), leaves, timed_key)
    error = gradients.std(0, ddof=1) / np.sqrt(num_keys)
    mean = gradients.mean(0)
    bias = getattr(estimator, "bias", None)
    return Measured(
        estimator=estimator,
        name=_name(estimator),
        bias=bias,
        value=float(values.mean()),
        mean=mean,
        standard_error=error,
        variance=gradients.var(0, ddof=1),
        seconds=seconds,
        bias_z=_bias_z(mean, error, truth),
    )


def _name(estimator: Estimator) -> str:
    return getattr(estimator, "__name__", type(estimator).__name__)


def _bias_z(mean: np.ndarray, error: np.ndarray, truth: Array | None) -> float:
    """The largest deviation from the truth in standard errors, rounding put aside."""
    if truth is None:
        return float("nan")
    rounding = 1e-5 * (np.abs(np.asarray(truth)) + np.abs(np.asarray(truth)).max())
    miss = np.maximum(np.abs(mean - np.asarray(truth, np.float64)) - rounding, 0)
    return float((miss / np.maximum(error, np.finfo(np.float32).tiny)).max(initial=0.0))


def _seconds(run: Any, leaves: list[Array], key: Key) -> float:
    """Of one call, the median of several."""
    keys = list(jax.random.split(key, _TIMED + 1))
    jax.block_until_ready(run(leaves, keys.pop()))
    times = []
    for k in keys:
        start = time.perf_counter()
        jax.block_until_ready(run(leaves, k))
        times.append(time.perf_counter() - start)
    return float(np.median(times))
