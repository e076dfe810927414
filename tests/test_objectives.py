"""The room `objectives`: bounds against closed forms, quadrature and integration over all noise."""

import math

import _exact
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stochastic_net as sn

E, D, O = sn.estimators, sn.distributions, sn.objectives  # noqa: E741
HIGH = 5.0
X, W = 0.8, 1.3  # an observation x ~ N(w z, 1), z ~ N(0, 1)


def likelihood(w=W):
    return lambda z: sn.Gaussian(w * z, jnp.ones_like(z)).log_prob(jnp.full_like(z, X)).sum()


def unit():
    return sn.Gaussian(0.0, 1.0)


def slopes_over_keys(value, arguments, count=20_000):
    grad = jax.jit(
        jax.vmap(
            jax.grad(value, argnums=tuple(range(len(arguments)))), (*[None] * len(arguments), 0)
        )
    )
    found = grad(*arguments, jax.random.split(jax.random.key(3), count))
    rows = np.stack([np.asarray(x, np.float64).reshape(count) for x in jax.tree.leaves(found)], -1)
    return rows.mean(0), rows.std(0) / math.sqrt(count)


def closed_elbo(mean, var, w):
    expected = -0.5 * ((X - w * mean) ** 2 + w * w * var) - 0.5 * math.log(2 * math.pi)
    return expected - 0.5 * (var + mean**2 - 1 - jnp.log(var))


ELBOS = {
    "pathwise": {},
    "sampled": {"kl": "sampled"},
    "score, sampled": {"kl": "sampled", "estimator": E.leave_one_out},
    "price": {"estimator": E.bonnet_price},
    "mirrored, sampled": {"kl": "sampled", "estimator": E.antithetic(E.pathwise)},
}


@pytest.mark.law
@pytest.mark.parametrize("options", ELBOS.values(), ids=ELBOS)
def test_elbo_is_unbiased_for_posterior_and_decoder(options):
    def value(mean, var, w, key):
        return O.elbo(likelihood(w), sn.Gaussian(mean, var), unit(), key, **options).value

    at = [jnp.float32(v) for v in (0.3, 0.5, W)]
    mean, error = slopes_over_keys(value, at)
    truth = jax.grad(closed_elbo, argnums=(0, 1, 2))(*at)
    assert (np.abs(mean - np.array(truth)) <= HIGH * error + 1e-4).all()


def test_the_landing_is_stuck():
    """At the exact posterior no noise is left in the gradient."""
    var = 1 / (1 + W * W)
    q = sn.Gaussian(jnp.float32(var * W * X), jnp.float32(var))
    for objective in (
        lambda q, key: O.elbo(likelihood(), q, unit(), key, kl="sampled").value,
        lambda q, key: O.iwae(likelihood(), q, unit(), key).value,
    ):
        grad = jax.grad(objective)(q, jax.random.key(0))
        np.testing.assert_allclose([grad.mean, grad.var], 0, atol=1e-5)
    assert (
        abs(jax.grad(lambda q: O.elbo(likelihood(), q, unit(), jax.random.key(0)).value)(q).mean)
        > 0.01
    )


def test_parts_add_up_and_free_bits_are_free():
    q = sn.Gaussian(jnp.array([0.0, 2.0]), jnp.array([1.0, 0.5]))
    each = sn.kl(q, unit())
    plain = O.elbo(likelihood(), q, unit(), jax.random.key(0), beta=2.0)
    np.testing.assert_allclose(plain.kl, each.sum(), rtol=1e-6)
    np.testing.assert_allclose(plain.value, plain.log_likelihood - 2 * plain.kl, rtol=1e-6)
    free = O.elbo(likelihood(), q, unit(), jax.random.key(0), free_bits=0.3)
    np.testing.assert_allclose(free.log_likelihood - free.value, 0.3 + each[1], rtol=1e-5)
    slope = jax.grad(
        lambda q: O.elbo(lambda z: 0.0 * z.sum(), q, unit(), jax.random.key(0), free_bits=0.3).value
    )(q)
    assert slope.mean[0] == 0
    assert slope.mean[1] != 0
    bottleneck = O.information_bottleneck(likelihood(), q, unit(), jax.random.key(0), beta=2.0)
    assert bottleneck.value == -plain.value


def quadrature(mean, var, w, draws):
    """E log 1/K sum w_k, on nodes of K standard normal numbers, in float64."""
    x, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    z = mean + math.sqrt(var) * x
    log_normal = lambda z, m, v: -0.5 * (z - m) ** 2 / v - 0.5 * math.log(2 * math.pi * v)  # noqa: E731
    log_w = log_normal(X, w * z, 1) + log_normal(z, 0, 1) - log_normal(z, mean, var)
    total = np.exp(log_w)
    sums = total if draws == 1 else total[:, None] + total[None, :]
    return (np.log(sums / draws) * (weight if draws == 1 else np.outer(weight, weight))).sum()


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("doubly", [True, False])
def test_iwae_is_unbiased(draws, doubly):
    def value(mean, var, w, key):
        q = sn.Gaussian(mean, var)
        return O.iwae(
            likelihood(w), q, unit(), key, num_samples=draws, doubly_reparameterized=doubly
        ).value

    at = (0.3, 0.5, W)
    mean, error = slopes_over_keys(value, [jnp.float32(v) for v in at])
    h = 1e-4
    truth = [
        (quadrature(*up, draws) - quadrature(*down, draws)) / (2 * h)
        for i in range(3)
        for up, down in [[[v + s * h * (i == j) for j, v in enumerate(at)] for s in (1, -1)]]
    ]
    assert (np.abs(mean - np.array(truth)) <= HIGH * error + 1e-4).all(), (mean, error, truth)


def test_doubly_reparameterised_has_less_noise_the_more_draws():
    q = sn.Gaussian(jnp.float32(0.3), jnp.float32(0.5))

    def noise(doubly):
        def slope(key):
            options = {"num_samples": 64, "doubly_reparameterized": doubly}

            def bound(q):
                return O.iwae(likelihood(), q, unit(), key, **options).value

            return jax.grad(bound)(q).mean

        found = np.asarray(jax.jit(jax.vmap(slope))(jax.random.split(jax.random.key(0), 2000)))
        return found.std() / abs(found.mean())

    assert noise(True) < 0.5 * noise(False)


@pytest.mark.law
@pytest.mark.parametrize(("coins", "draws"), [(1, 2), (1, 4), (2, 2)])
def test_vimco_is_unbiased_exactly(coins, draws):
    with jax.enable_x64(True):
        theta, w = jnp.asarray([0.4, -0.9][:coins]), jnp.asarray([0.7, -1.2][:coins])

        def log_likelihood(w):
            return lambda z: -((jnp.asarray(z, w.dtype) @ w - 0.5) ** 2)

        prior = D.Bernoulli(jnp.asarray(0.2))

        def run():
            def value(theta, w):
                q = D.Bernoulli(theta)
                key = jax.random.key(0)
                return O.vimco(log_likelihood(w), q, prior, key, num_samples=draws).value

            found, slopes = jax.value_and_grad(value, argnums=(0, 1))(theta, w)
            return found, *slopes

        def exact(theta, w):
            def bound(z):
                z = z.reshape(draws, coins)
                q = D.Bernoulli(theta)
                log_w = jax.vmap(
                    lambda z: log_likelihood(w)(z) + prior.log_prob(z).sum() - q.log_prob(z).sum()
                )(z)
                return jax.nn.logsumexp(log_w) - math.log(draws)

            law = D.Bernoulli(jnp.tile(theta, draws))
            return E.enumerate_support(bound, law, jax.random.key(0))

        p = np.asarray(jax.nn.sigmoid(theta))
        rules = [_exact.interval([q], 1) for q in p] * draws
        found, _ = _exact.expectation(run, rules)
        value, slopes = jax.jit(jax.value_and_grad(exact, argnums=(0, 1)))(theta, w)
        for a, b in zip(found, (value, *slopes), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_random_weights_and_a_prior():
    weights = {"w": sn.Gaussian(jnp.ones(2), jnp.full(2, 0.3)), "b": jnp.float32(0.5)}
    loss = lambda p: (p["w"].sum() + p["b"]) ** 2  # noqa: E731

    def value(weights, key):
        return O.expected_loss(loss, weights, key, prior=unit(), beta=0.1).value

    found = jax.jit(jax.vmap(jax.grad(value), (None, 0)))(
        weights, jax.random.split(jax.random.key(0), 20_000)
    )

    def closed(p):
        return (
            (p["w"].mean.sum() + p["b"]) ** 2 + p["w"].var.sum() + 0.1 * sn.kl(p["w"], unit()).sum()
        )

    for a, b in zip(
        jax.tree.leaves(found), jax.tree.leaves(jax.grad(closed)(weights)), strict=True
    ):
        a = np.asarray(a, np.float64)
        assert (np.abs(a.mean(0) - b) <= HIGH * a.std(0) / math.sqrt(len(a)) + 1e-5).all()
    parts = O.expected_loss(loss, weights, jax.random.key(0))
    assert parts.kl == 0
    assert parts.value == -parts.log_likelihood


def mapped(objective):
    """Over three examples, each with its own key, under jit and eagerly."""
    q = sn.Gaussian(jnp.zeros((3, 2)), jnp.ones((3, 2)))

    def one(q, key):
        return objective(q, key).value

    keys = lambda: jax.random.split(jax.random.key(0), 3)  # noqa: E731
    together = jax.jit(jax.vmap(one))(q, keys())
    apart = [one(jax.tree.map(lambda x, i=i: x[i], q), k) for i, k in enumerate(keys())]
    return together, jnp.stack(apart)


OBJECTIVES = {
    "elbo": lambda q, key: O.elbo(likelihood(), q, unit(), key),
    "elbo, sampled": lambda q, key: O.elbo(likelihood(), q, unit(), key, kl="sampled"),
    "iwae": lambda q, key: O.iwae(likelihood(), q, unit(), key),
    "vimco": lambda q, key: O.vimco(likelihood(), q, unit(), key),
    "bottleneck": lambda q, key: O.information_bottleneck(likelihood(), q, unit(), key, beta=1.0),
    "expected_loss": lambda q, key: O.expected_loss(likelihood(), q, key, prior=unit()),
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_one_example_at_a_time(objective):
    together, apart = mapped(objective)
    np.testing.assert_allclose(together, apart, rtol=1e-5)


def test_errors_teach():
    q, key = sn.Gaussian(jnp.zeros(2), jnp.ones(2)), jax.random.key
    with pytest.raises(ValueError, match="analytic"):
        O.elbo(likelihood(), q, unit(), key(0), kl="exact")
    with pytest.raises(ValueError, match="free bits"):
        O.elbo(likelihood(), q, unit(), key(0), kl="sampled", free_bits=1.0)
    with pytest.raises(ValueError, match="one for each of the posterior's 1"):
        O.elbo(likelihood(), q, [unit(), unit()], key(0))
    with pytest.raises(ValueError, match="at least 2"):
        O.vimco(likelihood(), q, unit(), key(0), num_samples=1)
    with pytest.raises(TypeError, match="key"):
        O.iwae(likelihood(), q, unit(), 0)
