"""The inverse Gaussian (Wald) distribution."""

import functools
import math

import jax.numpy as jnp
from jax import lax
from jax.scipy.special import ndtr

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._support import positive
from stochastic_net.random import wald
from stochastic_net.random._implicit import finite, moving
from stochastic_net.random._inverse import Coupling, quantile
from stochastic_net.random._mills import mills, mills_gap
from stochastic_net.random._stirling import LOG_2PI, deviance


class InverseGaussian(Family):
    """The first passage of a drifting Brownian motion: mean `loc`, variance loc^3 / concentration.

    The density is sqrt(c / (2 pi z^3)) exp(-c (z - loc)^2 / (2 loc^2 z)), c = concentration. Drawn
    by `sn.random.wald`, with a derivative in `loc` that `jax.random.wald` gets wrong.

    Args:
      loc: the mean; positive.
      concentration: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.InverseGaussian(2.0, 4.0).var)
      2.0
    """

    loc: Array = parameter(positive)
    concentration: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers above 0."""
        return positive

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        mean = self.loc / self.concentration
        unit = wald(key, mean, shape, self.dtype, coupling=coupling)
        z = jnp.clip(self.concentration * unit, jnp.finfo(unit.dtype).tiny, None)
        return _move_draw(z, self.loc, self.concentration)

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        return _log_density(x, self.loc, self.concentration)

    def _cdf(self, x: Array) -> Array:
        return self._masses(x)[0]

    def _icdf(self, q: Array) -> Array:
        return _move(_quantile(*lax.stop_gradient((self, q))), self.loc, self.concentration, q)

    def _masses(self, x: Array) -> tuple[Array, Array]:
        t = _distance(x, self.loc, self.concentration)
        density = jnp.exp(-0.5 * (t * t + LOG_2PI))
        # exp(2 c / loc) Q(mirrored), its exponentials combined: they overflow apart
        reflected = mills(_mirrored(x, self.loc, self.concentration))
        above = density * (mills(jnp.maximum(t, 0.0)) - reflected)
        below = ndtr(t) + density * reflected
        return below, jnp.where(t > 0, above, 1 - below)

    def _mean(self) -> Array:
        return self.loc

    def _var(self) -> Array:
        return self.loc / self.concentration * self.loc * self.loc


def _log_density(x: Array, loc: Array, concentration: Array) -> Array:
    t = _distance(x, loc, concentration)
    return 0.5 * (jnp.log(concentration) - 3 * jnp.log(x) - LOG_2PI - t * t)


def _distance(x: Array, loc: Array, concentration: Array) -> Array:
    """(x - loc) / loc in units of sqrt(x / c): standard normal, but for its sign's skew."""
    return jnp.sqrt(concentration / x) * ((x - loc) / loc)


def _mirrored(x: Array, loc: Array, concentration: Array) -> Array:
    return jnp.sqrt(concentration / x) * (x / loc + 1)


def _quantile(d: InverseGaussian, q: Array) -> Array:
    """In y = log(x / loc), which is near 0 for a large concentration.

    There y^2 < 2 depth loc / c; and a normal variate of the distance holds both ends.
    """
    depth = -math.log(float(jnp.finfo(q.dtype).tiny))
    reach = jnp.log(4 + 4 * depth * d.loc / d.concentration)
    y = quantile(
        lambda y: d._masses(d.loc * jnp.exp(y)),
        lambda y: d._log_prob(d.loc * jnp.exp(y)) + jnp.log(d.loc) + y,
        q,
        1 - q,
        -reach,
        reach,
    )
    return d.loc * jnp.exp(y)


def _slopes(x: Array, loc: Array, concentration: Array) -> tuple[Array, Array]:
    """By loc as `sn.random.wald` moves with its mean, and by concentration.

    x is homogeneous in the two, so that dx/dc = (x - loc dx/dloc) / c, of which the leading terms
    of a large concentration are cancelled by hand.
    """
    mirrored = _mirrored(x, loc, concentration)
    share = 2 * jnp.sqrt(concentration / x) * mills(mirrored)  # of the change of log x
    rest = ((loc - x) + 2 * x * mills_gap(mirrored)) / (loc + x)
    return (x / loc) * (x / loc) * share, x * (rest / concentration)


@moving
def _move_draw(x: Array, loc: Array, concentration: Array) -> tuple[Array, Array]:
    return _slopes(x, loc, concentration)


@moving
def _move(x: Array, loc: Array, concentration: Array, q: Array) -> tuple[Array, Array, Array]:
    slope = finite(jnp.exp(-_log_density(x, loc, concentration)))
    return (*_slopes(x, loc, concentration), slope)


@family_kl_rule(InverseGaussian, InverseGaussian)
def _(p: InverseGaussian, q: InverseGaussian) -> Array:
    distance = (p.loc - q.loc) / q.loc
    shape = deviance(jnp.ones_like(p.loc), q.concentration / p.concentration)
    return 0.5 * (shape + q.concentration / p.loc * distance * distance)
