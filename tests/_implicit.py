"""The samplers whose derivative is implicit."""

import functools
import math

import stochastic_net as sn

INF = math.inf
PI = math.pi


SAMPLERS = {
    "truncated_normal": sn.random.truncated_normal,
    "von_mises": sn.random.von_mises,
    "wald": sn.random.wald,
    "wald smooth": functools.partial(sn.random.wald, coupling="smooth"),
}
