"""The layer that draws."""

from flax import nnx

from stochastic_net._types import Array, Distribution, Key, is_distribution
from stochastic_net.distributions import own


class Sample(nnx.Module):
    """Draw from the distribution that comes in: a Gaussian goes in, an array comes out.

    It stores nothing. The draw is `x.sample(key)`: the gradient reaches the parameters of `x`.
    A distribution of NumPyro is drawn by the family of this library, as `sn.sample` does.

    Raises:
      TypeError: the input is not a distribution, or `key` is not one typed key.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> x = sn.Gaussian(jnp.zeros((2, 8, 8, 3)), jnp.ones((2, 8, 8, 3)))
      >>> sn.nn.Sample()(x, jax.random.key(0)).shape
      (2, 8, 8, 3)
    """

    def __call__(self, x: Distribution, key: Key) -> Array:
        return draw(x, key)


def draw(x: Distribution, key: Key) -> Array:
    """`own(x).sample(key)`, or an error that says what arrived instead of a distribution."""
    if not is_distribution(x):
        shape = f" of shape {x.shape}" if hasattr(x, "shape") else ""
        raise TypeError(
            f"expected a distribution to draw from, got {type(x).__name__}{shape}. Wrap the two "
            "arrays in sn.Gaussian(mean, var), or put an encoder before that returns one."
        )
    return own(x).sample(key)
