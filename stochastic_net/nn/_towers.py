"""An encoder of two networks: one for the mean, one for the variance."""

from collections.abc import Callable

from flax import nnx

from stochastic_net._types import Array
from stochastic_net.distributions import Gaussian
from stochastic_net.nn._positive import check_floor, positive

Net = Callable[[Array], Array]


class Towers(nnx.Module):
    """Gaussian in, Gaussian out: `mean_net` maps the mean, `var_net` the variance.

    mean = mean_net(x.mean) and var = softplus(var_net(x.var)) + min_var, positive whatever
    `var_net` puts out. The towers are ordinary networks (convolutions, pooling, batch norm) of
    matching output shape; they *learn* a variance, they do not propagate it.

    Args:
      mean_net, var_net: modules or functions from array to array.
      min_var: floor of the variance; 0 allows a variance that underflows to 0.

    Raises:
      ValueError: the towers put out different shapes, or `min_var` is negative.
      TypeError: the input is not a Gaussian.

    Example:
      >>> import jax.numpy as jnp, stochastic_net as sn
      >>> from flax import nnx
      >>> conv = lambda seed: nnx.Conv(3, 8, (3, 3), rngs=nnx.Rngs(seed))
      >>> encoder = sn.nn.Towers(conv(0), conv(1))
      >>> encoder(sn.Gaussian(jnp.ones((1, 9, 9, 3)), jnp.ones((1, 9, 9, 3)))).shape
      (1, 9, 9, 8)
    """

    def __init__(self, mean_net: Net, var_net: Net, *, min_var: float = 1e-6) -> None:
        self.mean_net = mean_net
        self.var_net = var_net
        self.min_var = check_floor(min_var)

    def __call__(self, x: Gaussian) -> Gaussian:
        if not isinstance(x, Gaussian):
            raise TypeError(f"Towers maps a Gaussian(mean, var), got {type(x).__name__}.")
        return Gaussian(self.mean_net(x.mean), positive(self.var_net(x.var), self.min_var))
