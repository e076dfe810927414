"""Discrete choices, densities and tricks with sound gradients: none of them is called broken."""

import jax
import jax.numpy as jnp
import optax
import pytest
from _sound import Sound, check, normal
from flax import nnx
from jax import lax

import stochastic_net as sn

sound = Sound()

# --- reinforcement learning and discrete choices


@sound()
def soft_actor():
    def loss(actor, critic, observation, key):
        h = jax.nn.relu(observation @ actor["h"])
        mean, log_std = h @ actor["mean"], jnp.clip(h @ actor["log_std"], -20, 2)
        u = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        action = jnp.tanh(u)
        log_prob = -0.5 * ((u - mean) / jnp.exp(log_std)) ** 2 - log_std
        log_prob = jnp.sum(log_prob - jnp.log(1 - action**2 + 1e-6), -1)
        inputs = jnp.concatenate([observation, action], -1)
        q1, q2 = (jax.nn.relu(inputs @ c["h"]) @ c["out"] for c in critic)
        return jnp.mean(0.2 * log_prob - jnp.minimum(q1, q2)[:, 0])

    actor = {
        "h": normal(4, 32),
        "mean": normal(32, 2, scale=0.1),
        "log_std": normal(32, 2, scale=0.1),
    }
    critic = [{"h": normal(6, 32, seed=s), "out": normal(32, 1, seed=s + 5)} for s in (1, 2)]
    return loss, (actor, critic, normal(8, 4, seed=9))


@sound()
def reinforce_by_hand():
    def loss(w, reward, x, key):
        logits = x @ w
        action = jax.random.categorical(key, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        gain = lax.stop_gradient(reward[action] - reward.mean())
        return -jnp.mean(gain * log_prob)

    return lambda w, x, key: loss(w, jnp.array([0.0, 1.0, 3.0]), x, key), (
        normal(4, 3),
        normal(9, 4),
    )


@sound()
def bernoulli_score_function():
    def loss(logits, w, key):
        p = jax.nn.sigmoid(logits)
        b = jax.random.bernoulli(key, p).astype(jnp.float32)
        value = jnp.sum((b @ w - 1.0) ** 2)
        log_prob = jnp.sum(b * jnp.log(p) + (1 - b) * jnp.log1p(-p))
        return value + lax.stop_gradient(value) * log_prob

    return loss, (normal(5), normal(5, 2, seed=1))


@sound()
def policy_gradient_with_clipped_ratio():
    def loss(w, old_log_prob, x, action, advantage):
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(x @ w), action[:, None], -1)[:, 0]
        ratio = jnp.exp(log_prob - old_log_prob)
        clipped = jnp.clip(ratio, 0.8, 1.2)
        return -jnp.mean(jnp.minimum(ratio * advantage, clipped * advantage))

    action = jnp.array([0, 1, 2, 0, 1, 2, 0, 1])
    return loss, (normal(4, 3), normal(8) - 1, normal(8, 4, seed=2), action, normal(8, seed=3))


@sound()
def sparse_experts():
    def loss(params, x):
        gates = jax.nn.softmax(x @ params["router"])
        best, index = lax.top_k(gates, 2)
        experts = params["experts"][index]
        y = jnp.einsum("bk,bkio,bi->bo", best / best.sum(-1, keepdims=True), experts, x)
        return jnp.mean((y - x) ** 2)

    return loss, (
        {"router": normal(4, 6), "experts": normal(6, 4, 4, seed=1)},
        normal(10, 4, seed=2),
    )


# --- densities and other tools


@sound()
def coupling_flow():
    def loss(params, x):
        log_det = 0.0
        for i, layer in enumerate(params):
            a, b = jnp.split(x, 2, -1) if i % 2 else jnp.split(x, 2, -1)[::-1]
            h = jnp.tanh(a @ layer["h"])
            scale, shift = jnp.tanh(h @ layer["s"]), h @ layer["t"]
            x = jnp.concatenate([a, b * jnp.exp(scale) + shift], -1)
            log_det = log_det + scale.sum(-1)
        return jnp.mean(0.5 * jnp.sum(x**2, -1) - log_det)

    layers = [
        {
            "h": normal(2, 8, seed=s),
            "s": normal(8, 2, seed=s + 1, scale=0.1),
            "t": normal(8, 2, seed=s + 2),
        }
        for s in (0, 3, 6)
    ]
    return loss, (layers, normal(12, 4, seed=20))


@sound()
def mixture_density_network():
    def loss(params, x, y):
        h = jnp.tanh(x @ params["h"])
        weights, mean = jax.nn.log_softmax(h @ params["w"]), h @ params["m"]
        std = jax.nn.softplus(h @ params["s"]) + 1e-3
        log_p = -0.5 * ((y[:, None] - mean) / std) ** 2 - jnp.log(std)
        return -jnp.mean(jax.nn.logsumexp(weights + log_p, axis=-1))

    params = {
        k: normal(*s, seed=i)
        for i, (k, s) in enumerate({"h": (3, 8), "w": (8, 4), "m": (8, 4), "s": (8, 4)}.items())
    }
    return loss, (params, normal(10, 3, seed=8), normal(10, seed=9))


@sound()
def gaussian_process():
    def loss(params, x, y):
        gap = (x[:, None] - x[None]) / jnp.exp(params["length"])
        kernel = jnp.exp(params["size"] - 0.5 * gap**2)
        kernel = kernel + jnp.exp(params["noise"]) * jnp.eye(len(x))
        root = jnp.linalg.cholesky(kernel)
        white = jax.scipy.linalg.solve_triangular(root, y, lower=True)
        return 0.5 * jnp.sum(white**2) + jnp.sum(jnp.log(jnp.diagonal(root)))

    params = {k: jnp.float32(v) for k, v in {"length": 0.0, "size": 0.1, "noise": -2.0}.items()}
    return loss, (params, jnp.linspace(0, 4, 9), normal(9))


@jax.custom_jvp
def rounded(x):
    return jnp.round(x)


@rounded.defjvp
def _(primals, tangents):
    return rounded(primals[0]), tangents[0]


@sound()
def quantisation_with_a_rule_of_its_own():
    def loss(w, x):
        return jnp.mean((x @ (rounded(w * 8) / 8) - 1.0) ** 2)

    return loss, (normal(5, 3), normal(7, 5, seed=1))


@sound()
def spline_flow():
    def loss(widths, heights, key):
        u = jax.random.uniform(key, (7,), minval=0.01, maxval=0.99)
        knots = jnp.cumsum(jax.nn.softmax(widths))
        values = jnp.cumsum(jax.nn.softplus(heights))
        knots, values = (jnp.concatenate([jnp.zeros(1), x]) for x in (knots, values))
        i = jnp.clip(jnp.searchsorted(knots, u) - 1, 0, 3)
        slope = (values[i + 1] - values[i]) / (knots[i + 1] - knots[i])
        return jnp.sum(values[i] + (u - knots[i]) * slope)

    return loss, (normal(4), normal(4, seed=1))


@sound()
def gradient_penalty():
    def loss(w, x, key):
        mixed = x + jax.random.uniform(key, (6, 1))
        critic = lambda row: jax.nn.leaky_relu(row @ w).sum()  # noqa: E731
        slopes = jax.vmap(jax.grad(critic))(mixed)
        return jnp.mean((jnp.sqrt(jnp.sum(slopes**2, -1) + 1e-8) - 1) ** 2)

    return (lambda w, key: loss(w, normal(6, 3, seed=1), key)), (normal(3, 4),)


@sound()
def noisy_codebook():
    def loss(params, x, key):
        z = x @ params["encode"] + 0.1 * jax.random.normal(key, (9, 4))
        distance = jnp.sum((z[:, None] - params["codes"][None]) ** 2, -1)
        codes = params["codes"][jnp.argmin(distance, -1)]
        straight = z + lax.stop_gradient(codes - z)
        return jnp.mean((straight - 1.0) ** 2) + jnp.mean((codes - lax.stop_gradient(z)) ** 2)

    return loss, ({"encode": normal(5, 4), "codes": normal(6, 4, seed=1)}, normal(9, 5, seed=2))


@sound()
def some_of_our_samplers():
    def loss(p, key):
        first, second, third = jax.random.split(key, 3)
        r = sn.random
        return jnp.sum(r.gamma(first, p) + r.truncated_normal(second, -p, p) + r.wald(third, p))

    return loss, (jnp.array([0.4, 0.9, 1.6]),)


@sound()
def the_networks_of_this_library():
    rngs = nnx.Rngs(0)
    tower = lambda: nnx.Sequential(nnx.Conv(2, 4, (3, 3), rngs=rngs), nnx.gelu)  # noqa: E731
    net = sn.nn.StochasticNet(sn.nn.Towers(tower(), tower()), nnx.Conv(4, 3, (3, 3), rngs=rngs))

    def loss(net, x, key):
        return jnp.mean(net(x, key) ** 2)

    return loss, (net, sn.Gaussian(normal(2, 6, 6, 2), jnp.full((2, 6, 6, 2), 0.5)))


@sound()
def zero_variances_in_the_pair():
    def loss(x, key):
        return jnp.sum(jnp.sin(x.sample(key)))

    return loss, (sn.Gaussian(normal(3), jnp.array([0.0, 1.0, 2.0])),)


@sound()
def a_key_an_example_under_vmap():
    def loss(w, x, key):
        def one(x, key):
            first, second = jax.random.split(key)
            h = jax.nn.relu(x @ w + 0.1 * jax.random.normal(first, (6,)))
            return jnp.sum(jnp.where(jax.random.bernoulli(second, 0.5, (6,)), 2 * h, 0.0) ** 2)

        return jax.vmap(one)(x, jax.random.split(key, len(x))).mean()

    return loss, (normal(4, 6), normal(9, 4, seed=1))


@sound()
def sampled_features_then_kinks():
    def loss(mean, rho, w, key):
        z = mean + jax.nn.softplus(rho) * jax.random.normal(key, mean.shape)
        h = jnp.where(z > 0, z, 0.1 * z) + jnp.abs(z) + jax.nn.elu(z) + jax.nn.relu6(z)
        return jnp.sum(jnp.sort(h, axis=-1)[:, -2:] @ w) + jnp.max(h)

    return loss, (normal(4, 5), normal(4, 5, seed=1), normal(2, seed=2))


@sound(relaxed=True)
def numpyro_elbo():
    nd = pytest.importorskip("numpyro.distributions")

    def loss(loc, rho, a, key):
        first, second = jax.random.split(key)
        q, r = nd.Normal(loc, jax.nn.softplus(rho)), nd.Gamma(jnp.exp(a), 2.0)
        z, s = q.sample(first), r.sample(second)
        prior = nd.Normal(0.0, 1.0).log_prob(z) + nd.Gamma(2.0, 2.0).log_prob(s)
        return jnp.sum((z * s - 1.0) ** 2 - prior + q.log_prob(z) + r.log_prob(s))

    return loss, (normal(3), normal(3, seed=1), normal(3, seed=2))


@sound(relaxed=True)
def distrax_policy():
    dx = pytest.importorskip("distrax")

    def loss(w, x, key):
        h = x @ w
        mean, rho = jnp.split(h, 2, axis=-1)
        policy = dx.Transformed(
            dx.MultivariateNormalDiag(mean, jax.nn.softplus(rho) + 1e-3),
            dx.Block(dx.Tanh(), 1),
        )
        action, log_prob = policy.sample_and_log_prob(seed=key)
        return jnp.mean(0.1 * log_prob + jnp.sum((action - 0.3) ** 2, -1))

    return loss, (normal(4, 4, scale=0.3), normal(8, 4, seed=1))


# --- what looks broken and is not


@sound()
def a_choice_with_the_gradient_put_in():
    def loss(logits, w, key):
        hard = jax.nn.one_hot(jax.random.categorical(key, logits), 3)
        p = jax.nn.softmax(logits)
        return jnp.sum((hard + p - lax.stop_gradient(p)) @ w)

    return loss, (normal(3), normal(3, 2, seed=1))


@sound()
def a_choice_with_the_gradient_put_in_by_a_difference():
    def loss(logits, w, key):
        hard = jax.nn.one_hot(jax.random.categorical(key, logits), 3)
        p = jax.nn.softmax(logits)
        return jnp.sum((hard + (p - lax.stop_gradient(p))) @ w)

    return loss, (normal(3), normal(3, 2, seed=1))


@sound(relaxed=True)
def distrax_straight_through():
    dx = pytest.importorskip("distrax")

    def loss(logits, key):
        law = dx.straight_through_wrapper(dx.OneHotCategorical)(logits=logits)
        return jnp.sum(law.sample(seed=key) * jnp.arange(3.0))

    return loss, (normal(3),)


@sound()
def a_key_of_its_own_for_every_shard():
    mesh = jax.make_mesh((5,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec

    def shard(w, x, key):
        noise = jax.random.normal(jax.random.fold_in(key, lax.axis_index("data")), x.shape)
        return lax.pmean(jnp.mean((jnp.tanh(x @ w) + noise) ** 2), "data")

    specs = (spec(), spec("data"), spec())
    return jax.shard_map(shard, mesh=mesh, in_specs=specs, out_specs=spec()), (
        normal(3, 3),
        normal(5, 3, seed=1),
    )


@sound()
def steps_of_an_optimiser_inside():
    def loss(params, x):
        inner = lambda p: jnp.mean((x @ p["w"]) ** 2)  # noqa: E731
        optimiser = optax.sgd(0.1)
        state = optimiser.init(params)
        for _ in range(2):
            updates, state = optimiser.update(jax.grad(inner)(params), state, params)
            params = optax.apply_updates(params, updates)
        return jnp.mean((x @ params["w"] - 1.0) ** 2)

    return loss, ({"w": normal(3, 2)}, normal(5, 3, seed=1))


@sound()
def ratio_of_probabilities():
    def loss(logits, key):
        action = jax.random.categorical(key, lax.stop_gradient(logits), shape=(9,))
        log_prob = jax.nn.log_softmax(logits)[action]
        ratio = jnp.exp(log_prob - lax.stop_gradient(log_prob))
        gain = jnp.array([-1.0, 1.0, 2.0])[action]
        return -jnp.mean(jnp.minimum(ratio * gain, jnp.clip(ratio, 0.8, 1.2) * gain))

    return loss, (normal(3),)


@sound()
def a_masked_attention():
    def loss(x, q, k, v):
        last = jnp.argmax(jnp.arange(5) == 3)
        scores = jnp.where(jnp.arange(5)[None] <= last, (x @ q) @ (x @ k).T, -1e9)
        return jnp.sum((jax.nn.softmax(scores, -1) @ (x @ v)) ** 2)

    return loss, (normal(5, 3), *(normal(3, 3, seed=s) for s in (1, 2, 3)))


@sound()
def sorted_and_summed_values():
    def loss(x):
        ranked = jnp.sort(x, 0) * jnp.arange(5.0)[:, None]
        return jnp.sum(ranked) + jnp.sum(lax.top_k(x, 2)[0] ** 2) + jnp.median(x, 0).sum()

    return loss, (normal(5, 3),)


@sound()
def guarded_twice():
    def loss(x):
        ok = x > 0
        return jnp.sum(jnp.where(ok, jnp.log(jnp.where(ok, x, 1.0)), 0.0))

    return loss, (normal(4),)


@sound()
def mixed_precision():
    def loss(w, x, key):
        h = jax.nn.relu(x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)).astype(jnp.float32)
        return jnp.mean((h + 0.1 * jax.random.normal(key, h.shape)) ** 2)

    return loss, (normal(3, 3), normal(5, 3, seed=1))


@sound()
def rounding_straight_through():
    def loss(x):
        return jnp.sum((x + lax.stop_gradient(jnp.round(x) - x)) ** 2)

    return loss, (normal(4),)


@sound()
def a_huber_loss_by_hand_of_a_draw():
    def loss(mean, key):
        size = jnp.abs(mean + jax.random.normal(key, mean.shape))
        return jnp.sum(jnp.where(size < 1, 0.5 * size**2, size - 0.5))

    return loss, (normal(3),)


@pytest.mark.law
@sound.rows()
def test_a_sound_network_is_not_called_broken(build, options):
    check(build, options)
