"""Derivatives that are infinite, flat or wrong: `check_gradients` says where."""

import jax
import jax.numpy as jnp
from _broken import BATCH, MATRIX, POSITIVE, THREE, Broken, check

broken = Broken()


@broken("singular", THREE, jnp.array([0.0, 1.0, 2.0]), argument="var")
def square_root_at_zero(mean, var, key):
    return jnp.sum((mean + jnp.sqrt(var) * jax.random.normal(key, (3,))) ** 2)  # <-


@broken("singular", THREE, POSITIVE, argument="var")
def square_root_near_zero(mean, var, key):
    std = var**0.5  # <-
    return jnp.sum((mean + std * jax.random.normal(key, (3,))) ** 2)


@broken("negative", MATRIX, BATCH)
def negative_variance(w, x, key):
    h = x @ w
    return jnp.sum((h + jnp.sqrt(h) * jax.random.normal(key, h.shape)) ** 2)  # <-


@broken("where_nan", THREE)
def guarded_once(x):
    return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))  # <-


@broken("where_nan", POSITIVE)
def guarded_logarithm(x):
    return jnp.sum(jnp.where(x > 0, jnp.log(x), 0.0))  # <-


@broken("singular", jnp.zeros((2, 3)))
def norm_of_padding(x):
    return jnp.linalg.norm(x, axis=-1).sum()  # <-


@broken("singular", jnp.array([0.0, 1.0, 2.0]))
def logarithm_at_zero(x):
    return jnp.sum(x * jnp.log(x))  # <-


@broken("singular", THREE, jnp.array([0.0, 1.0, 2.0]))
def division_by_zero(x, scale):
    return jnp.sum(x / scale)  # <-


@broken("singular", -POSITIVE)
def relu_then_root(x):
    return jnp.sum(jnp.sqrt(jax.nn.relu(x)))  # <-


@broken("saturated", 10 + POSITIVE)
def clipped_away(x):
    return jnp.sum(jnp.clip(x, -1.0, 1.0) ** 2)  # <-


@broken("saturated", 1e3 * POSITIVE)
def saturated_sigmoid(x):
    return jnp.sum(jax.nn.sigmoid(x))  # <-


@broken("negative", -POSITIVE)
def logarithm_of_negatives(x):
    return jnp.sum(jnp.log(x))  # <-


@broken("singular", jnp.array([1.0, 0.2]))
def arccosine_at_one(x):
    return jnp.sum(jnp.arccos(x))  # <-


@broken("nan", 1e3 * POSITIVE)
def overflowing_exponential(x):
    return jnp.sum(jnp.exp(x))  # <-


@broken("comparison", THREE, argument="x", numbers=True)
def step_with_a_case_for_nan(x):
    return jnp.sum(jnp.heaviside(x, jnp.full(3, 0.5)))  # <-


# --- derivatives that are wrong


@jax.custom_vjp
def sine(x):
    return jnp.sin(x)


sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (1.05 * g * jnp.cos(x),))


@broken("bias", THREE, num_samples=200)
def rule_five_percent_off(x, key):
    return jnp.sum(sine(x + jax.random.normal(key, (3,))))  # <-


# --- in other styles


@broken("where_nan", THREE)
def guarded_by_a_maximum(x):
    return jnp.sum(jnp.where(x > 0, 1 / jnp.maximum(x, 0.0), 0.0))  # <-


@broken("where_nan", jnp.array([0.0, 0.5, 1.0]))
def entropy_of_a_zero(p):
    return -jnp.sum(jnp.where(p > 0, p * jnp.log(p), 0.0))  # <-


@broken("singular", jnp.ones((4, 3)))
def scaled_by_a_constant_batch(x):
    return jnp.sum(x / jnp.sqrt(jnp.var(x, 0, keepdims=True)))  # <-


@broken("singular", THREE.astype(jnp.bfloat16), jnp.zeros(3, jnp.bfloat16), argument="var")
def square_root_at_zero_in_bfloat16(mean, var, key):
    noise = jax.random.normal(key, (3,)).astype(jnp.bfloat16)
    return jnp.sum((mean + jnp.sqrt(var) * noise) ** 2)  # <-


@broken("saturated", (100 * POSITIVE).astype(jnp.float16))
def saturated_in_float16(x):
    return jnp.sum(jax.nn.sigmoid(x))  # <-


@broken("bias", THREE, num_samples=1000)
def outliers_set_to_zero(mean, key):
    z = mean + jax.random.normal(key, (3,))
    return jnp.sum(jnp.where(jnp.abs(z) > 2, 0.0, z**2))  # <-


@broken.rows()
def test_every_fault_is_found_at_its_line(f, args, kind, severity, argument, source, options):
    check(f, args, kind, severity, argument, source, options)
