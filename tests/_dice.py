"""Random numbers of the tests of `moments`: import all three names."""

import numpy as np
import pytest

RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def the_same_numbers():
    """For a test, whichever run before it on its worker."""
    RNG.bit_generator.state = START


def single(x):
    return np.asarray(x, np.float32)
