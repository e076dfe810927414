"""Rows of broken networks, and what a report has to say of each.

A row names the kind of finding that is expected; where, its own source says: the line with the
comment `# <-`.
"""

import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn

KEY = 7
THREE = jnp.array([0.3, -0.8, 1.1])
POSITIVE = jnp.array([0.4, 0.9, 1.6])
MATRIX = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)) / 2, jnp.float32)
BATCH = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)), jnp.float32)


class Broken(list):
    """A table of broken functions; calling it gives the decorator that adds one."""

    def __call__(
        self, kind, *args, severity="error", argument="", marks=(), source=None, **options
    ):
        def add(f):
            options.setdefault("num_samples", 50)
            row = (f, args, kind, severity, argument, source or f, options)
            name = getattr(f, "__name__", type(f).__name__)
            self.append(pytest.param(*row, id=name, marks=marks))
            return f

        return add

    def rows(self):
        """Parametrize a test with the names of `check`."""
        names = ("f", "args", "kind", "severity", "argument", "source", "options")
        return pytest.mark.parametrize(names, self)


def check(f, args, kind, severity, argument, source, options):
    """One finding of the kind at the marked line, and no other error."""
    report = sn.check_gradients(f, *args, key=jax.random.key(KEY), **options)
    found = [x for x in report.findings if x.kind == kind]
    assert found, report
    assert found[0].severity == severity, report
    assert report.ok is (severity != "error")
    if kind != "unused":
        file, line = inspect.getsourcefile(source), marked_line(source)
        assert any(x.line == line and x.file == file for x in found), report
    assert argument in found[0].argument, report
    errors = {x.kind for x in report.findings if x.severity == "error"}
    assert errors <= {kind}, report
    assert all(x.message and x.cure for x in report.findings)
    assert max(map(len, str(report).splitlines())) <= 100
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def marked_line(thing):
    lines, start = inspect.getsourcelines(thing)
    return start + next(i for i, line in enumerate(lines) if "# <-" in line)
