"""A function that is one line below 0 and another above: leaky relu, a step, asymptotes."""

import dataclasses

from stochastic_net._types import Array
from stochastic_net.moments._integrals.kink import positive_part, relu
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._integrals.tail import standard

Coefficients = tuple[Array, Array] | tuple[float, float]  # slope and intercept


@dataclasses.dataclass(frozen=True)
class TwoLines:
    """a u + b with the coefficients `below` for u < 0, and with `above` for u > 0."""

    below: Coefficients
    above: Coefficients

    def moments(self, mean: Array, var: Array) -> Moments:
        """E and Var for u ~ N(mean, var), as a_- u + b_- + (d u + j) 1(u > 0)."""
        (slope, intercept), (more, jump) = self.below, self.above
        if all(isinstance(x, float) and x == 0.0 for x in (intercept, more, jump)):
            return _scaled(-slope, *relu(-mean, var))
        more, jump = more - slope, jump - intercept
        if isinstance(jump, float) and jump == 0.0 and slope == intercept == 0.0:
            return _scaled(more, *relu(mean, var))
        up, up_var = relu(mean, var)
        above, below = positive_part(mean, var), positive_part(-mean, var)
        x = standard(mean, var)
        line_var = slope * slope * var + more * more * up_var + jump * jump * above * below
        cross = slope * more * var * above + slope * jump * x.scale * x.density
        return slope * mean + intercept + more * up + jump * above, (
            line_var + 2 * (cross + more * jump * up * below)
        )


def _scaled(scale: Array | float, mean: Array, var: Array) -> Moments:
    return scale * mean, scale * scale * var
