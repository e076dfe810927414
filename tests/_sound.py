"""Rows of networks whose gradients are right: a function that returns (f, arguments)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn


class Sound(list):
    """A table of sound networks; calling it gives the decorator that adds one.

    `relaxed` ones need JAX's ordinary promotion.
    """

    def __call__(self, *, relaxed=False, **options):
        def add(build):
            options.setdefault("num_samples", 64)
            marks = [pytest.mark.relaxed] * relaxed
            self.append(pytest.param(build, options, id=build.__name__, marks=marks))
            return build

        return add

    def rows(self):
        """Parametrize a test with the names of `check`."""
        return pytest.mark.parametrize(("build", "options"), self)


def check(build, options):
    """No error, and a path for every argument."""
    f, args = build()
    report = sn.check_gradients(f, *args, key=jax.random.key(7), **options)
    assert report.ok, report
    assert all(x.arrives for x in report.arguments)


def normal(*shape, seed=0, scale=1.0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * scale, jnp.float32)
