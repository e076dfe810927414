"""An encoder that carries the pair through a network: no variance is learned, all is passed on."""

from collections.abc import Callable
from typing import Any, Literal

from flax import nnx

from stochastic_net.distributions import Gaussian
from stochastic_net.moments import propagate


class Propagate(nnx.Module):
    """Gaussian in, Gaussian out: the mean and variance of what `module` makes of the input.

    `module` is any network from array to array, unchanged; see `sn.propagate` for what is exact and
    what is approximated.

    Args:
      module: a module or a function of one array.
      covariance: "diagonal", "full" or "adjoint", as for `sn.propagate`.

    Raises:
      TypeError: `module` is not callable, or the input is not a Gaussian.

    Example:
      >>> import jax, jax.numpy as jnp, stochastic_net as sn
      >>> from flax import nnx
      >>> conv = nnx.Conv(3, 8, (3, 3), rngs=nnx.Rngs(0))
      >>> encoder = sn.nn.Propagate(nnx.Sequential(conv, nnx.relu))
      >>> net = sn.nn.StochasticNet(encoder, nnx.Conv(8, 2, (3, 3), rngs=nnx.Rngs(1)))
      >>> x = sn.Gaussian(jnp.zeros((1, 9, 9, 3)), jnp.ones((1, 9, 9, 3)))
      >>> encoder(x).shape, net(x, jax.random.key(0)).shape
      ((1, 9, 9, 8), (1, 9, 9, 2))
    """

    def __init__(
        self,
        module: Callable[[Any], Any],
        *,
        covariance: Literal["diagonal", "full", "adjoint"] = "diagonal",
    ) -> None:
        if not callable(module):
            raise TypeError(f"module must be a module or a function, got {type(module).__name__}.")
        self.module = module
        self.covariance = covariance

    def __call__(self, x: Gaussian) -> Gaussian:
        if not isinstance(x, Gaussian):
            raise TypeError(f"Propagate maps a Gaussian(mean, var), got {type(x).__name__}.")
        return propagate(self.module, self.covariance)(x)
