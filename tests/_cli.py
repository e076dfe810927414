"""What goes into a command, and what one says that refuses it."""

import re

import numpy as np

from stochastic_net.cli import main


def images(examples, size, classes=10):
    """The arrays of a file of examples."""
    rng = np.random.default_rng(0)
    shape = (examples, size, size)
    return {
        "mean": rng.random(shape, np.float32),
        "var": rng.random(shape, np.float32),
        "label": np.arange(examples) % classes,
    }


def assert_refused(arguments, message, capsys):
    """One clear line, status 2, nothing printed."""
    status = main(arguments)
    out, error = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert re.search(message, error)
