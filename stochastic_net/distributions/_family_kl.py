"""A divergence between two families, as one formula for one shape and one precision."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stochastic_net._types import Array
from stochastic_net.distributions._family import Family
from stochastic_net.distributions._kl import Rule, kl_rule


def family_kl_rule(p_type: type, q_type: type) -> Callable[[Rule], Rule]:
    """`kl_rule`, for a formula on float32 or float64 parameters that are already broadcast."""

    def register(formula: Rule) -> Rule:
        @kl_rule(p_type, q_type)
        def rule(p: Family, q: Family) -> Array:
            with jax.numpy_dtype_promotion("standard"):
                dtype = jnp.result_type(p.dtype, q.dtype)
            p, q = (d._astype(dtype) for d in (p, q))
            if p.event_shape != q.event_shape:
                raise ValueError(
                    f"kl(p, q) needs one event shape, got {p.event_shape} and {q.event_shape}."
                )
            try:
                batch = jnp.broadcast_shapes(p.batch_shape, q.batch_shape)
            except ValueError:
                raise ValueError(
                    f"kl(p, q) needs shapes that broadcast, got {p.shape} and {q.shape}."
                ) from None
            divergence = formula(p._spread(batch), q._spread(batch))
            return jnp.broadcast_to(divergence, batch).astype(dtype)

        return formula

    return register
