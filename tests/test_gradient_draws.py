"""Draws that do not move with their parameters: `check_gradients` says which."""

import jax
import jax.numpy as jnp
import pytest
from _broken import BATCH, MATRIX, POSITIVE, THREE, Broken, check
from jax import lax

import stochastic_net as sn

broken = Broken()


@broken("draw", POSITIVE / 2, THREE, argument="p")
def bernoulli_mask(p, x, key):
    mask = jax.random.bernoulli(key, p)  # <-
    return jnp.sum(jnp.where(mask, x, 0.0))


@broken("draw", POSITIVE / 2, THREE, argument="p")
def bernoulli_by_hand(p, x, key):
    u = jax.random.uniform(key, (3,))
    keep = (u < p).astype(jnp.float32)  # <-
    return jnp.sum(keep * x)


@broken("draw", THREE, MATRIX, argument="logits")
def categorical_choice(logits, values, key):
    return values[jax.random.categorical(key, logits)].sum()  # <-


@broken("draw", THREE, MATRIX, argument="logits")
def categorical_beside_a_kl(logits, decoder, key):
    z = jax.nn.one_hot(jax.random.categorical(key, logits), 3)  # <-
    kl = jnp.sum(jax.nn.softmax(logits) * (jax.nn.log_softmax(logits) + jnp.log(3.0)))
    return jnp.sum((z @ decoder - 1.0) ** 2) + kl


@broken("draw", THREE, MATRIX, argument="logits")
def elbo_without_the_score(logits, decoder, key):
    z = jax.random.categorical(key, logits)  # <-
    return jnp.sum((decoder[z] - 1.0) ** 2) + jax.nn.log_softmax(logits)[z]


@broken("draw", POSITIVE)
def poisson_counts(rate, key):
    return jnp.sum(jax.random.poisson(key, rate).astype(jnp.float32) ** 2)  # <-


@broken("draw", POSITIVE / 2)
def geometric_counts(p, key):
    return jnp.sum(jax.random.geometric(key, p).astype(jnp.float32) ** 2)  # <-


@broken("draw", POSITIVE / 2)
def binomial_counts(p, key):
    return jnp.sum(jax.random.binomial(key, 8.0, p) ** 2)  # <-


@broken("draw", THREE, MATRIX, argument="logits")
def categorical_in_scan(logits, w, key):
    def step(h, key):
        word = jax.random.categorical(key, h + logits)  # <-
        return jnp.tanh(w[word]), h.sum()

    return lax.scan(step, jnp.zeros(3), jax.random.split(key, 4))[1].sum()


@broken("draw", BATCH, MATRIX, argument="logits")
def categorical_in_vmap(logits, w, key):
    def one(logits, key):
        return w[jax.random.categorical(key, logits)].sum()  # <-

    return jax.vmap(one)(logits, jax.random.split(key, 5)).mean()


@broken("draw", THREE)
def probit_by_hand(mean, key):
    z = mean + jax.random.normal(key, (3,))
    return jnp.sum(jnp.where(z > 0, 1.0, -1.0) * jnp.arange(3.0))  # <-


@broken("draw", jnp.float32(0.2), THREE, THREE, argument="logit")
def mixture_by_hand(logit, a, b, key):
    which, noise = jax.random.split(key)
    first = jax.random.bernoulli(which, jax.nn.sigmoid(logit))  # <-
    z = jnp.where(first, a, b) + jax.random.normal(noise, (3,))
    return jnp.sum(z**2)


@broken("draw", POSITIVE / POSITIVE.sum(), MATRIX, argument="p")
def choice_with_probabilities(p, values, key):
    return values[jax.random.choice(key, 3, p=p)].sum()  # <-


@broken("draw", THREE, MATRIX, argument="logits")
def hard_gumbel_softmax(logits, values, key):
    soft = jax.nn.softmax(logits + jax.random.gumbel(key, (3,)))
    hard = jax.nn.one_hot(jnp.argmax(soft), 3)  # <-
    return (hard @ values).sum()


@broken("stop_gradient", MATRIX, BATCH, argument="w")
def nested_in_jit_scan_and_remat(w, x):
    @jax.jit
    def run(w, x):
        def step(h, row):
            @jax.checkpoint
            def cell(h):
                return jnp.tanh(h @ lax.stop_gradient(w) + row)  # <-

            return cell(h), None

        return lax.scan(step, jnp.zeros(3), x)[0]

    return run(w, x).sum()


@broken("biased_sampler", POSITIVE)
def inverse_gaussian(mean, key):
    return jnp.sum(jnp.sin(jax.random.wald(key, mean)))  # <-


@broken("refused", THREE)
def our_categorical(logits, key):
    z = sn.distributions.OneHotCategorical(logits).sample(key)  # <-
    return jnp.sum(z * jnp.arange(3.0))


# --- in other styles


@broken("draw", THREE)
def metropolis_step(mean, key):
    propose, accept = jax.random.split(key)
    log_p = lambda z: -0.5 * jnp.sum((z - mean) ** 2)  # noqa: E731
    old, new = jnp.zeros(3), jax.random.normal(propose, (3,))
    accepted = jnp.log(jax.random.uniform(accept)) < log_p(new) - log_p(old)  # <-
    return jnp.where(accepted, new, old).sum()


@broken("draw", jnp.float32(0.7))
def first_accepted(power, key):
    propose, accept = jax.random.split(key)
    z, u = jax.random.uniform(propose, (8,)), jax.random.uniform(accept, (8,))
    accepted = u < z**power  # <-
    return z[jnp.argmax(accepted)]


@broken("draw", POSITIVE)
def inverse_of_a_discrete_cdf(weights, key):
    cdf = jnp.cumsum(weights / weights.sum())
    index = jnp.searchsorted(cdf, jax.random.uniform(key))  # <-
    return jnp.array([1.0, 5.0, 2.0])[index]


@broken("draw", THREE, BATCH, argument="logits")
def learned_dropout(logits, x, key):
    keep = jax.random.bernoulli(key, jax.nn.sigmoid(logits)[None], x.shape)  # <-
    return jnp.sum(x * keep.astype(x.dtype) / jax.nn.sigmoid(logits)[None])


@broken("draw", BATCH, MATRIX)
def hidden_markov_chain(x, w, key):
    def step(state, inputs):
        row, key = inputs
        state = jax.random.categorical(key, w[state] + row)  # <-
        return state, w[state, 0]

    return lax.scan(step, 0, (x, jax.random.split(key, 5)))[1].sum()


@broken("draw", THREE)
def permutation_by_scores(scores, key):
    order = jnp.argsort(-(scores + jax.random.gumbel(key, (3,))))  # <-
    return jnp.sum(jnp.arange(3.0) * jnp.array([1.0, 2.0, 5.0])[order])


@broken("draw", MATRIX, BATCH)
def branch_in_scan_in_vmap(w, x, key):
    def one(row, key):
        def step(h, key):
            coin, noise = jax.random.split(key)
            up = jax.random.uniform(coin) < jax.nn.sigmoid(h @ w)[0]  # <-
            h = lax.cond(up, jnp.tanh, lambda h: 0.5 * h, h)
            return h + 0.1 * jax.random.normal(noise, (3,)), None

        return lax.scan(step, row, jax.random.split(key, 3))[0].sum()

    return jax.vmap(one)(x, jax.random.split(key, 5)).sum()


@broken("draw", THREE)
def a_floor_of_a_draw(mean, key):
    return jnp.sum(jnp.floor(mean + jax.random.normal(key, (3,))))  # <-


@broken("draw", THREE)
def probability_in_place_of_its_logarithm(logits, key):
    action = jax.random.categorical(key, logits)  # <-
    return lax.stop_gradient(jnp.arange(3.0)[action]) * jax.nn.softmax(logits)[action]


@broken("draw", THREE.astype(jnp.bfloat16), BATCH)
def categorical_in_bfloat16(logits, w, key):
    return w[jax.random.categorical(key, logits.astype(jnp.float32))].sum()  # <-


# --- of other libraries


def numpyro():
    return pytest.importorskip("numpyro.distributions")


def distrax():
    return pytest.importorskip("distrax")


relaxed = pytest.mark.relaxed


@broken("draw", THREE, argument="logits", marks=relaxed)
def numpyro_categorical(logits, key):
    z = numpyro().Categorical(logits=logits).sample(key)  # <-
    return jnp.arange(3.0)[z]


@broken("draw", THREE, THREE, POSITIVE, argument="logits", marks=relaxed)
def numpyro_mixture(logits, loc, scale, key):
    nd = numpyro()
    mixture = nd.MixtureSameFamily(nd.Categorical(logits=logits), nd.Normal(loc, scale))
    return jnp.sin(mixture.sample(key))  # <-


@broken("while_loop", POSITIVE, argument="kappa", marks=relaxed)
def numpyro_von_mises(kappa, key):
    return jnp.sum(jnp.sin(numpyro().VonMises(0.0, kappa).sample(key)))  # <-


@broken("draw", POSITIVE, marks=relaxed)
def numpyro_poisson(rate, key):
    return jnp.sum(1.0 * numpyro().Poisson(rate).sample(key))  # <-


@broken("draw", THREE, THREE, POSITIVE, argument="logits", marks=relaxed)
def distrax_mixture(logits, loc, scale, key):
    dx = distrax()
    mixture = dx.MixtureSameFamily(dx.Categorical(logits=logits), dx.Normal(loc, scale))
    return jnp.sin(mixture.sample(seed=key))  # <-


@broken("draw", POSITIVE / 2, argument="p", marks=relaxed)
def distrax_bernoulli(p, key):
    return jnp.sum(1.0 * distrax().Bernoulli(probs=p).sample(seed=key))  # <-


@broken("draw", POSITIVE / 2, marks=relaxed)
def numpyro_geometric(p, key):
    return jnp.sum(1.0 * numpyro().Geometric(probs=p).sample(key))  # <-


@broken("draw", POSITIVE, marks=relaxed)
def numpyro_negative_binomial(mean, key):
    return jnp.sum(1.0 * numpyro().NegativeBinomial2(mean, 2.0).sample(key))  # <-


@broken("draw", THREE, marks=relaxed)
def distrax_one_hot(logits, key):
    z = distrax().OneHotCategorical(logits=logits).sample(seed=key)  # <-
    return jnp.sum(z * jnp.arange(3.0))


@broken.rows()
def test_every_fault_is_found_at_its_line(f, args, kind, severity, argument, source, options):
    check(f, args, kind, severity, argument, source, options)
