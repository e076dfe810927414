"""The score-function estimator, with the control variates that need nothing but the samples."""

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, ArrayLike, Key, PyTree
from stochastic_net.estimators._coupled import uncoupled
from stochastic_net.estimators._estimator import Bias, Function, Options, estimator
from stochastic_net.estimators._surrogate import box
from stochastic_net.estimators._target import over_samples, target

ControlVariate = (
    None | Literal["batch_mean", "leave_one_out"] | ArrayLike | Callable[[Any], ArrayLike]
)


def _bias(options: Options) -> Bias | None:
    return Bias("1/num_samples", 1) if _named(options, "batch_mean") else None


def _independent(options: Options) -> bool:
    return _named(options, "batch_mean") or _named(options, "leave_one_out")


def _named(options: Options, name: str) -> bool:
    chosen = options.get("control_variate")
    return isinstance(chosen, str) and chosen == name


@estimator(bias=_bias, independent=_independent)
def score_function(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 1,
    control_variate: ControlVariate = None,
) -> Array:
    r"""Weight the score by f (REINFORCE): unbiased; O(1/num_samples) with "batch_mean".

    The gradient is the mean over the samples z_k of

      (f(z_k) - b_k) dlog p(z_k; theta)/dtheta.

    f need not be continuous and p need not be either, but has a finite log-density where it is
    drawn. Derivatives of any order (Mao et al. 2019, arXiv:1909.13214, for those of b).

    Args:
      f, dist, key, num_samples: as for `pathwise`.
      control_variate: b. None: 0. "leave_one_out": the mean of f at the other samples, of which
        there must be one. "batch_mean": the mean of f at all samples; the gradient is then
        (1 - 1/num_samples) of what it should be. An array of the shape of f's value, or a function
        of `dist` that returns one: a baseline of your own, which is not differentiated. (For a
        function of z with a known expectation: `sn.estimators.control_variate`.)

    Raises:
      ValueError: a control variate of another name; "leave_one_out" of one sample; a log-density
        that is not finite at a draw (a zero variance), where values are concrete, else NaN.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> coins, f = sn.distributions.Bernoulli(jnp.zeros(3)), lambda z: (z.sum() - 2.0) ** 2
      >>> with_baseline = sn.estimators.score_function(control_variate=lambda d: f(d.probs))
      >>> grad = jax.grad(lambda d: with_baseline(f, d, jax.random.key(0), num_samples=8))(coins)
      >>> print(grad.logits.shape)
      (3,)

    Source: Glynn (1990, "Likelihood ratio gradient estimation for stochastic systems"); Williams
    (1992, "Simple statistical gradient-following algorithms"); Foerster et al. (2018,
    arXiv:1802.05098).
    """
    least = 2 if _named({"control_variate": control_variate}, "leave_one_out") else 1
    goal = target(f, dist, key, num_samples, least=least)
    draws = goal.fixed_draw(key)
    values = goal.values(draws)
    ratio = over_samples(box(goal.log_prob(draws)), values)
    if control_variate is None:
        return (values * ratio).mean(0)
    b = lax.stop_gradient(_baseline(control_variate, lax.stop_gradient(uncoupled(dist)), values))
    return (values * ratio + b * (1 - ratio)).mean(0)


def _baseline(control_variate: Any, dist: PyTree, values: Array) -> Array:
    """For each sample, from none of it but by "batch_mean"."""
    if isinstance(control_variate, str):
        if control_variate == "batch_mean":
            return jnp.broadcast_to(values.mean(0), values.shape)
        if control_variate == "leave_one_out":
            return others(values)
        raise ValueError(
            "control_variate must be None, 'batch_mean', 'leave_one_out', an array or a function "
            f"of dist, got {control_variate!r}."
        )
    given = control_variate(dist) if callable(control_variate) else control_variate
    return jnp.broadcast_to(jnp.asarray(given, values.dtype), values.shape)


def others(values: Array) -> Array:
    """For each of the samples the mean over the other ones."""
    return (values.sum(0, keepdims=True) - values) / (values.shape[0] - 1)
