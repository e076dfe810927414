"""Laws whose draws a wrapper has coupled, in the places of the laws themselves."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from stochastic_net._types import PyTree, is_distribution
from stochastic_net.distributions import Independent, own


@dataclasses.dataclass(frozen=True, eq=False)
class Coupled:
    """A law that is drawn in a way of its own; `law` is what each draw is distributed as."""

    law: Any


def replace_laws(dist: PyTree, replace: Callable[[Any], Any]) -> PyTree:
    """`dist` with every distribution replaced."""

    def within(law: Any) -> Any:
        if isinstance(law, Independent):
            return Independent(within(own(law.base)), law.event_ndim)
        return replace(law)

    def each(leaf: Any) -> Any:
        return within(own(leaf)) if is_distribution(leaf) else leaf

    return jax.tree.map(each, dist, is_leaf=is_distribution)


def uncoupled(dist: PyTree) -> PyTree:
    """The laws themselves: what a user's function of `dist` is given."""
    return replace_laws(dist, lambda law: law.law if isinstance(law, Coupled) else law)


def couple(dist: PyTree, replace: Callable[[Any], Coupled]) -> PyTree:
    """`dist` with every distribution coupled.

    Raises:
      ValueError: it is coupled already.
    """

    def each(law: Any) -> Coupled:
        if isinstance(law, Coupled):
            raise ValueError(
                "antithetic and quasi_monte_carlo both say how samples are drawn: take one of them."
            )
        return replace(law)

    return replace_laws(dist, each)
