"""The hard relaxation, its noise averaged given the draw."""

import jax
import jax.numpy as jnp

from stochastic_net._types import Array, ArrayLike, Key, PyTree
from stochastic_net.estimators._estimator import Bias, Function, estimator
from stochastic_net.estimators._relaxed import Relaxation, fixed, hard_draws, positive, relaxations
from stochastic_net.estimators._surrogate import moved
from stochastic_net.estimators._target import at_least, target


@estimator(bias=Bias("scale of f", 1))
def gumbel_rao(
    f: Function,
    dist: PyTree,
    key: Key,
    *,
    num_samples: int = 1,
    temperature: ArrayLike = 0.5,
    num_noise: int = 10,
) -> Array:
    r"""Average the hard Gumbel-softmax over its noise given the draw: biased, O(h) for g(h z).

    The expectation is that of `gumbel_softmax(hard=True)` and the variance never larger: the
    derivative of the relaxed draw is averaged over `num_noise` draws of the noise that all lead to
    the same discrete draw. f is evaluated once a sample.

    Args:
      f: differentiable, as for `pathwise`; it gets floats.
      dist: Bernoulli and OneHotCategorical variables.
      key, num_samples: as for `pathwise`.
      temperature: positive.
      num_noise: how many draws of the noise.

    Raises:
      TypeError: other distributions.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> d, key = sn.distributions.OneHotCategorical(jnp.zeros(3)), jax.random.key(0)
      >>> rao = sn.estimators.gumbel_rao(num_noise=100)
      >>> print(jax.grad(lambda d: rao(lambda z: z[0], d, key))(d).logits.shape)
      (3,)

    Source: Paulus, Maddison & Krause (2021, "Rao-Blackwellizing the straight-through Gumbel-softmax
    gradient estimator", arXiv:2010.04838).
    """
    goal = target(f, dist, key, num_samples)
    laws = relaxations(goal, "gumbel_rao")
    temperature = positive("temperature", temperature)
    num_noise = at_least(1, "num_noise", num_noise)
    draw_key, noise_key = jax.random.split(key)
    draws = hard_draws(goal, laws, draw_key)
    keys = goal.keys(noise_key)
    along = [
        moved(z, _average(law, k, z, temperature, num_noise))
        for law, k, z in zip(laws, keys, draws, strict=True)
    ]
    return goal.values(along).mean(0)


def _average(law: Relaxation, key: Key, z: Array, temperature: ArrayLike, num_noise: int) -> Array:
    """The mean of relaxed draws that all stand for z; their noise does not move."""
    many = jnp.broadcast_to(z, (num_noise, *z.shape))
    x = fixed([law])[0].given(key, many)
    theta = jnp.broadcast_to(law.logits, x.shape)
    along = jnp.where(jnp.isinf(x), x, moved(x, theta))  # what is sure does not move
    return law.soft(along, jnp.asarray(temperature, x.dtype)).mean(0)
