r"""Where variance enters a program: what "adjoint" and "full" covariances are sums over.

At an operation that is not linear, Z = f(X) with the moments M and V, Stein's lemma splits Z into

  Z = M + g (X - m) + D,    g = dM/dm,    Cov(X, D) = 0,    Var D = V - g^2 v,

for a Gaussian X ~ N(m, v), and likewise for products and maxima. An output y then depends on the
deviations X - m and D of all nodes by a linear program, the derivative of the program of means
with variances held fixed; its variance is sum (dy/dD)^2 Var D over the nodes, correlations between
paths that part and meet again included. Left out is that two functions of one X have correlated D.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

from stochastic_net._types import Array, PyTree
from stochastic_net.moments._integrals.precision import Moments
from stochastic_net.moments._program.current import Current

# Cov(D, D) of a node, off its diagonal, from the covariance matrices of means
Shared: TypeAlias = Callable[[Callable[[Array, Array], Array]], Array]

# a step of a loop, its nodes on that tape: from the carry and an x to the carry and a y
Step: TypeAlias = Callable[["Tape", PyTree, PyTree], tuple[PyTree, PyTree]]


class Tape:
    """The nodes of a program in the order they are met: variances, those of D, and who asked."""

    def __init__(self) -> None:
        self.variances: list[Array] = []
        self.rests: list[Array] = []
        self.labels: list[str] = []

    def enter(
        self, mean: Array, var: Array, rest: Callable[[], Array], shared: Shared | None
    ) -> Moments:
        """A node's moments, as the program is to go on with them."""
        self.variances.append(var)
        self.labels.append(asking.get()())
        own = rest()  # its derivative at 0 is 1, where that of `maximum` is a half
        self.rests.append(jnp.where(own < 0, jnp.zeros_like(own), own))
        return mean, var

    def scan(
        self, step: Step, met: "Tape", carry: PyTree, xs: PyTree, **how: Any
    ) -> tuple[PyTree, PyTree]:
        """`lax.scan` over steps of which one meets such nodes: those of all steps are one here."""

        def recorded(carry: PyTree, x: PyTree) -> tuple[PyTree, tuple]:
            inner = self.rehearsal()
            carry, y = step(inner, carry, x)
            return carry, (y, inner.variances, inner.rests)

        carry, (ys, variances, rests) = lax.scan(recorded, carry, xs, **how)
        self.variances += variances
        self.rests += rests
        self.follow(met, how["length"])
        return carry, ys

    def rehearsal(self) -> "Tape":
        """A tape for a step of a loop to meet its nodes."""
        return Tape()

    def follow(self, met: "Tape", length: int) -> None:
        """What a step meets, for so many steps."""
        self.labels += met.labels

    keeps_covariance = False

    def covariance(self, x: Array, y: Array) -> Array | float:
        """Of two values with these means, element by element: 0 where it is not kept."""
        return 0.0

    def variance(self, mean: Array, var: Array) -> Array | Callable[[], Array]:
        """Of a value of that mean, of independent elements that of `var`."""
        return var


class Replay(Tape):
    """The same program with the deviations added, whose derivatives hold the variances fixed."""

    def __init__(self, nodes: Iterable[tuple[Array, Array]]) -> None:
        self._next = iter(nodes)  # the deviation and the variance of each

    def enter(
        self, mean: Array, var: Array, rest: Callable[[], Array], shared: Shared | None
    ) -> Moments:
        """The mean moved by its deviation, and the variance that was recorded."""
        deviation, var = next(self._next)
        return mean + deviation, var

    def scan(
        self, step: Step, met: Tape, carry: PyTree, xs: PyTree, **how: Any
    ) -> tuple[PyTree, PyTree]:
        """The same loop over the nodes of its steps."""
        nodes = [next(self._next) for _ in met.labels]

        def replayed(carry: PyTree, x: tuple) -> tuple[PyTree, PyTree]:
            x, nodes = x
            return step(Replay(nodes), carry, x)

        return lax.scan(replayed, carry, (xs, nodes), **how)


Run: TypeAlias = Callable[[Tape | None], list]  # a program, and the values that come out of it

asking: Current[Callable[[], str]] = Current("asking", lambda: "output")  # who asks, and where
tape: Current[Tape | None] = Current("tape", None)


def node(
    mean: Array, var: Array, rest: Callable[[], Array], shared: Shared | None = None
) -> Moments:
    """The moments of a node, of whose variance `rest()` is not in its operands."""
    running = tape.get()
    return (mean, var) if running is None else running.enter(mean, var, rest, shared)


def covariance(x: Array, y: Array) -> Array | float:
    """Of two values with these means, element by element, where it is kept; else 0."""
    running = tape.get()
    return 0.0 if running is None else running.covariance(x, y)


def variance(mean: Array, var: Array) -> Array | Callable[[], Array]:
    """Of a value of that mean, of which `var` is the variance if its parts are independent."""
    running = tape.get()
    return var if running is None else running.variance(mean, var)


def keeps_covariance() -> bool:
    """Whether `covariance` knows it."""
    running = tape.get()
    return running is not None and running.keeps_covariance
