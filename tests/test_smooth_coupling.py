"""With coupling="smooth" a draw of a fixed key is a smooth function of the parameters.

Derivatives are compared with central differences in float64, to second order and in both modes:
for every continuous family, vectors, matrices and mixtures too.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as stats
from _compile import QUICKLY
from jax.flatten_util import ravel_pytree

import stochastic_net as sn

pytestmark = pytest.mark.law

D = sn.distributions
LOW = [[1.0, 0.0], [0.4, 0.5]]
WEIGHTS = [0.3, -0.5]
STEP = 1e-4
ERRORS = {"rtol": 1e-5, "atol": 1e-5}


def leaves(*values):
    return [jnp.asarray(value, "float64") for value in values]


def of(family, *values):
    return lambda: family(*leaves(*values))


def mixture(family, *values):
    return lambda: D.Mixture(leaves(WEIGHTS)[0], family(*leaves(*values)))


# XLA takes from 20 s to minutes to compile these to second order in reverse: there to the first.
LARGE = {
    "VonMises", "VonMisesFisher", "Mixture of Gamma", "Mixture of Beta", "Mixture of StudentT",
}  # fmt: skip
FAMILIES = {
    "Gaussian": of(sn.Gaussian, 0.4, 2.0),
    "LogNormal": of(D.LogNormal, 0.4, 0.7),
    "TruncatedGaussian": of(D.TruncatedGaussian, 0.4, 0.7, -1.0, 2.0),
    "HalfNormal": of(D.HalfNormal, 0.7),
    "StudentT": of(D.StudentT, 3.0, 0.4, 0.7),
    "Laplace": of(D.Laplace, 0.4, 0.7),
    "Logistic": of(D.Logistic, 0.4, 0.7),
    "Cauchy": of(D.Cauchy, 0.4, 0.7),
    "Gumbel": of(D.Gumbel, 0.4, 0.7),
    "Exponential": of(D.Exponential, 0.7),
    "Uniform": of(D.Uniform, -0.4, 0.7),
    "Weibull": of(D.Weibull, 0.4, 0.7),
    "Pareto": of(D.Pareto, 0.4, 2.0),
    "Kumaraswamy": of(D.Kumaraswamy, 0.8, 2.0),
    "Gamma": of(D.Gamma, 0.8, 2.0),
    "InverseGamma": of(D.InverseGamma, 3.0, 2.0),
    "Beta": of(D.Beta, 0.8, 2.0),
    "InverseGaussian": of(D.InverseGaussian, 0.8, 2.0),
    "GeneralizedNormal": of(D.GeneralizedNormal, 0.4, 0.7, 1.7),
    "VonMises": of(D.VonMises, 0.4, 2.0),
    "BinaryConcrete": of(D.BinaryConcrete, 0.7, 0.4),
    "Dirichlet": of(D.Dirichlet, [0.8, 2.0, 3.0]),
    "GumbelSoftmax": of(D.GumbelSoftmax, 0.7, [0.4, -0.3, 0.1]),
    "MultivariateGaussian": of(D.MultivariateGaussian, [0.4, -1.0], LOW),
    "LowRankGaussian": of(D.LowRankGaussian, [0.4, -1.0], [[0.5], [0.3]], [0.7, 0.2]),
    "Wishart": of(D.Wishart, 3.5, LOW),
    "LKJCholesky": lambda: D.LKJCholesky(3, *leaves(2.5)),
    "VonMisesFisher": of(D.VonMisesFisher, [0.6, 0.0, -0.8], 2.0),
    "Independent": lambda: D.Independent(D.Gumbel(*leaves([0.4, 1.0], 0.7)), 1),
    "Mixture of Gaussian": mixture(sn.Gaussian, [0.4, 2.0], [1.0, 0.5]),
    "Mixture of pairs": mixture(sn.Gaussian, [[0.4, 1.0], [2.0, -1.0]], [[1.0, 2.0], [0.5, 1.5]]),
    "Mixture of Gamma": mixture(D.Gamma, [0.8, 3.0], [0.7, 2.0]),
    "Mixture of Beta": mixture(D.Beta, [0.8, 3.0], [0.7, 2.0]),
    "Mixture of StudentT": mixture(D.StudentT, [3.0, 9.0], [-1.0, 1.0], [1.0, 0.5]),
}


def derivatives(draw, along, across, weights, second_in_reverse):
    """A function of a point: the draw, its first derivatives, and the derivatives of those.

    Forward ones are by `along`, those in reverse are pulled back from `weights`; the second
    derivatives are by `across`, or pulled back.
    """

    def forward(p):
        return jax.jvp(draw, (p,), (along,))[1]

    def reverse(p):
        return jax.vjp(draw, p)[1](weights)[0]

    def everything(p):
        first, of_forward = jax.jvp(forward, (p,), (across,))
        found = {"draw": draw(p), "forward": first, "forward of forward": of_forward}
        if not second_in_reverse:
            return found | {"reverse": reverse(p)}
        first, of_reverse = jax.jvp(reverse, (p,), (across,))
        return found | {
            "reverse": first,
            "forward of reverse": of_reverse,
            "reverse of forward": jax.vjp(forward, p)[1](weights)[0],
            "reverse of reverse": jax.vjp(reverse, p)[1](along)[0],
        }

    return everything


@pytest.mark.parametrize("name", FAMILIES)
def test_derivatives_to_second_order_are_those_of_the_draw(name):
    with jax.enable_x64(True):
        point, build = ravel_pytree(FAMILIES[name]())

        def draw(p):
            return build(p).sample(jax.random.key(3), (2,), coupling="smooth").ravel()

        shapes = point.shape, point.shape, jax.eval_shape(draw, point).shape
        rng = np.random.default_rng(0)
        along, across, weights = directions = [rng.normal(size=shape) for shape in shapes]
        points = [point + side * STEP * d for d in (0, along, across) for side in (-1, 1)]
        everything = jax.vmap(derivatives(draw, *directions, name not in LARGE))
        everything = jax.jit(everything, compiler_options=QUICKLY)  # one program for all points
        at = {k: np.asarray(v) for k, v in everything(jnp.stack(points)).items()}

    def difference(what, ends):
        return (at[what][ends + 1] - at[what][ends]) / (2 * STEP)

    by_along, by_across = 2, 4  # where the two ends of each difference stand
    expected = {
        "forward": (lambda x: x, difference("draw", by_along)),
        "reverse": (lambda x: x @ along, weights @ difference("draw", by_along)),
        "forward of forward": (lambda x: x, difference("forward", by_across)),
        "forward of reverse": (lambda x: x, difference("reverse", by_across)),
        "reverse of forward": (lambda x: x @ across, weights @ difference("forward", by_across)),
        "reverse of reverse": (lambda x: x @ across, difference("reverse", by_across) @ along),
    }
    for what, (seen, truth) in expected.items():
        if what in at:
            np.testing.assert_allclose(seen(at[what][0]), truth, err_msg=what, **ERRORS)


def test_every_continuous_family_is_here():
    missing = {"Family", *FAMILIES, "Mixture"}
    assert not {n for n in D.__all__ if n[0].isupper() and n not in missing} - DISCRETE


DISCRETE = {
    "Bernoulli", "Binomial", "Categorical", "Geometric", "NegativeBinomial", "OneHotCategorical",
    "Poisson",
}  # fmt: skip


def test_a_smooth_draw_has_the_law_of_a_fast_one(key):
    laws = {
        "height": (
            D.VonMisesFisher(jnp.array([0.0, 0.0, 1.0]), 2.0),
            lambda x: x[..., 2],
            lambda w: (np.exp(2 * w) - np.exp(-2)) / (np.exp(2) - np.exp(-2)),
        ),
        "mixture": (
            D.Mixture(jnp.zeros(2), D.StudentT(jnp.array([0.5, 9.0]), jnp.array([-1.0, 4.0]))),
            lambda x: x,
            lambda x: 0.5 * stats.t(0.5, -1).cdf(x) + 0.5 * stats.t(9, 4).cdf(x),
        ),
        "second of a pair": (
            D.Mixture(
                jnp.zeros(2),
                D.Gamma(jnp.array([[0.01, 3.0], [2.0, 0.3]]), jnp.array([[1.0, 2.0], [0.5, 1.0]])),
            ),
            lambda x: x[..., 1],
            lambda x: 0.5 * stats.gamma(3, scale=0.5).cdf(x) + 0.5 * stats.gamma(0.3).cdf(x),
        ),
    }
    for dist, statistic, cdf in laws.values():
        draw = jax.jit(lambda d, k: d.sample(k, (4000,), coupling="smooth"))(
            dist, jax.random.clone(key)
        )
        # False alarm: 1e-9 each.
        assert stats.kstest(np.asarray(statistic(draw), float), cdf).pvalue > 1e-9


@pytest.mark.parametrize(
    "build",
    [
        lambda: D.Poisson(3.0),
        lambda: D.OneHotCategorical(jnp.zeros(3)),
        lambda: D.Mixture(jnp.zeros(2), D.Poisson(jnp.ones(2))),
    ],
)
def test_a_discrete_draw_cannot_be_smooth(build, key):
    with pytest.raises(TypeError, match="discrete"):
        build().sample(key, coupling="smooth")


def test_another_coupling_is_refused(key):
    for dist in (sn.Gaussian(0.0, 1.0), D.Laplace(0.0, 1.0)):
        with pytest.raises(ValueError, match="coupling must be"):
            dist.sample(key, coupling="slow")
