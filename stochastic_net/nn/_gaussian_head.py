"""From features to a Gaussian."""

from flax import nnx

from stochastic_net._types import Array
from stochastic_net.distributions import Gaussian
from stochastic_net.nn._positive import check_floor, positive


class GaussianHead(nnx.Module):
    """The last layer of an encoder: features to a Gaussian with a positive variance.

    mean = h A + a and var = softplus(h B + b) + min_var along the last axis, in one product.

    Args:
      in_features: size of the last axis of the features.
      out_features: size of the last axis of the Gaussian.
      min_var: floor of the variance; 0 allows a variance that underflows to 0.
      rngs: for the initial kernel.
      **linear_options: passed to `flax.nnx.Linear` (dtype, kernel_init, ...).

    Shapes: features (..., in_features) to a Gaussian of shape (..., out_features).

    Raises:
      ValueError: a negative `min_var`.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> from flax import nnx
      >>> head = sn.nn.GaussianHead(5, 2, rngs=nnx.Rngs(0))
      >>> head(jnp.ones((7, 5))).shape
      (7, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        min_var: float = 1e-6,
        rngs: nnx.Rngs,
        **linear_options,
    ) -> None:
        self.min_var = check_floor(min_var)
        self.out_features = out_features
        self.linear = nnx.Linear(in_features, 2 * out_features, rngs=rngs, **linear_options)

    def __call__(self, features: Array) -> Gaussian:
        both = self.linear(features)
        mean, raw = both[..., : self.out_features], both[..., self.out_features :]
        return Gaussian(mean, positive(raw, self.min_var))
