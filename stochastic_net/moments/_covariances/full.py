"""All covariances kept on the way: the variances of the outputs, and how these go together."""

from itertools import accumulate, pairwise

import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.moments._covariances.joint import correlated
from stochastic_net.moments._integrals.precision import not_negative
from stochastic_net.moments._program.tape import Run
from stochastic_net.moments._program.values import Value, gaussian, is_random


def full(run: Run) -> list[Value]:
    """The outputs of a program, with all covariances kept on the way."""
    found = correlated(run)
    variances = not_negative(jnp.diagonal(found.covariance))
    new = iter(
        gaussian(mean, variances[place].reshape(mean.shape).astype(mean.dtype))
        for mean, place in zip(found.means, _places(found.means), strict=True)
    )
    return [next(new) if is_random(x) else x for x in found.outputs]


def blocks(run: Run) -> list[list[Array | None]]:
    """Cov(x_i, y_j) for each pair of outputs x, y; None where one is not random."""
    found = correlated(run)
    places = iter(_places(found.means))
    rows = [(next(places) if is_random(x) else None) for x in found.outputs]
    shapes = [x.shape for x in found.outputs]

    def block(i: int, j: int) -> Array | None:
        if rows[i] is None or rows[j] is None:
            return None
        part = found.covariance[rows[i], rows[j]]
        return part.reshape(*shapes[i], *shapes[j]).astype(found.outputs[i].dtype)

    return [[block(i, j) for j in range(len(rows))] for i in range(len(rows))]


def _places(arrays: list[Array]) -> list[slice]:
    ends = accumulate((x.size for x in arrays), initial=0)
    return [slice(*two) for two in pairwise(ends)]
