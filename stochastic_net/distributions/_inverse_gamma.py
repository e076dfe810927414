"""The inverse gamma distribution."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, Key, Shape
from stochastic_net.distributions._family import Family, parameter
from stochastic_net.distributions._family_kl import family_kl_rule
from stochastic_net.distributions._gamma import gamma_divergence
from stochastic_net.distributions._masses import gamma_masses
from stochastic_net.distributions._quantiles import log_gamma_quantile
from stochastic_net.distributions._stable import scaled_exp
from stochastic_net.distributions._support import positive
from stochastic_net.random._arguments import arguments
from stochastic_net.random._gamma import gamma_parts, scaled
from stochastic_net.random._gamma_gradient import log_gamma_derivative
from stochastic_net.random._implicit import exponential, moving
from stochastic_net.random._inverse import Coupling, check_coupling
from stochastic_net.random._stirling import (
    LOG_2PI,
    digamma_less_log,
    log_gamma_kernel,
    stirling_error,
)


class InverseGamma(Family):
    """One over gamma elements: the density is proportional to z^(-concentration - 1) exp(-rate /
    z).

    Drawn as `sn.random.inverse_gamma` does, which has no rate; the derivative in the concentration
    is implicit, in the rate exact. Draws and derivatives beyond the largest number of the dtype are
    (nearly) that number.

    Args:
      concentration: positive.
      rate: positive.

    Raises:
      TypeError, ValueError: no floating arrays; shapes that do not broadcast; a bad value.

    Example:
      >>> import stochastic_net as sn
      >>> print(sn.distributions.InverseGamma(3.0, 4.0).mean)
      2.0
    """

    concentration: Array = parameter(positive)
    rate: Array = parameter(positive, 1.0)

    @property
    def support(self):
        """The numbers above 0."""
        return positive

    def _sample(self, key: Key, shape: Shape, coupling: Coupling = "fast") -> Array:
        given = arguments(shape, self.dtype, concentration=self.concentration, rate=self.rate)
        draw, concentration, rate = given
        return draw.finish(_draw(key, concentration, rate, check_coupling(coupling)), low=0)

    _smooth_sample = functools.partialmethod(_sample, coupling="smooth")

    def _log_prob(self, x: Array) -> Array:
        return log_gamma_kernel(self.concentration, self.rate / x) - jnp.log(x)

    def _cdf(self, x: Array) -> Array:
        log_z = jnp.log(self.rate) - jnp.log(x)  # where the quotient underflows
        return gamma_masses(self.concentration, self.rate / x, log_z)[1]

    def _icdf(self, q: Array) -> Array:
        return scaled_exp(self.rate, -log_gamma_quantile(self.concentration, 1 - q, q))

    def _mean(self) -> Array:
        return self.rate / self._above(1)

    def _var(self) -> Array:
        return jnp.square(self.rate / self._above(1)) / self._above(2)

    def _entropy(self) -> Array:
        a = self.concentration
        error = stirling_error(a) - (1 + a) * digamma_less_log(a)
        return jnp.log(self.rate) - 1.5 * jnp.log(a) + 0.5 * LOG_2PI + error

    def _above(self, order: int) -> Array:
        """concentration - order, and 0 where the moment of that order diverges."""
        return jnp.maximum(self.concentration - order, 0.0)


@functools.partial(jax.jit, static_argnums=3)
def _draw(key: Key, a: Array, rate: Array, smooth: bool) -> Array:
    """rate / z for z ~ Gamma(a, 1), also where 1 / z is no normal number and the product is one."""
    body, log_boost = gamma_parts(key, lax.stop_gradient(a), smooth)
    log_unit, unit = -(jnp.log(body) + log_boost), scaled(1 / body, -log_boost)
    draw = scaled_exp(lax.stop_gradient(rate), log_unit, unit)
    return scaled_exp(rate, _move(log_unit, a, fixed=(unit, draw)), unit)


@moving
def _move(log_unit: Array, a: Array, fixed: tuple[Array, Array]) -> tuple[Array]:
    """By the unit itself, of which the logarithm has lost digits where it is a normal number."""
    unit, draw = fixed
    info = jnp.finfo(a.dtype)
    fits = (unit > float(info.tiny)) & (unit < float(info.max))
    z = jnp.where(fits, 1 / jnp.where(fits, unit, 1.0), jnp.exp(-lax.stop_gradient(log_unit)))
    slope = -log_gamma_derivative(a, exponential(z, -log_unit), -log_unit)
    most = float(info.max * (1 - 4 * info.eps)) / draw  # the derivative of the draw is finite
    return (jnp.clip(slope, -most, most),)


@family_kl_rule(InverseGamma, InverseGamma)
def _(p: InverseGamma, q: InverseGamma) -> Array:
    return gamma_divergence(p.concentration, q.concentration, q.rate / p.rate)
