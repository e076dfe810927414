"""Where float32 ends: what is beyond is drawn as its last number, and nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import stochastic_net as sn

pytestmark = pytest.mark.law

N = 2_000_000
SMALL, LARGE = (1.2e-38, 1e-37, 1e-30, 1e-10), (3e38, 1e38, 1e30, 1e10)


def first_entry(key, a, b, shape):
    return sn.random.dirichlet(key, jnp.stack([a, b, b]), shape)[..., 0]


ENDS = {  # the sampler, its parameters, its law, and where it is asked how much is further out
    "gamma": (sn.random.gamma, (0.02,), stats.gamma, SMALL),
    "inverse gamma": (sn.random.inverse_gamma, (0.02,), stats.invgamma, LARGE),
    "beta": (sn.random.beta, (0.02, 0.03), stats.beta, SMALL),
    "small f": (sn.random.f, (0.05, 3.0), stats.f, SMALL),
    "large f": (sn.random.f, (3.0, 0.05), stats.f, LARGE),
    "t": (sn.random.t, (0.03,), stats.t, LARGE),
    "dirichlet": (first_entry, (0.02, 0.04), lambda a, b: stats.beta(a, 2 * b), SMALL),
}


@pytest.mark.parametrize("name", ENDS)
def test_no_mass_is_drawn_to_the_ends_of_float32(name, key):
    sampler, parameters, law, places = ENDS[name]
    parameters = jnp.asarray(parameters, "float32")
    z = np.asarray(jax.jit(lambda key, p: sampler(key, *p, (N,)))(key, parameters))
    law = law(*np.asarray(parameters, float))
    assert np.isfinite(z).all()
    for place in places:
        further, share = (law.cdf, z <= place) if place < 1 else (law.sf, z >= place)
        p = further(place)
        assert abs(share.mean() - p) < 5.5 * np.sqrt(p * (1 - p) / N), place  # 4e-8 by chance
