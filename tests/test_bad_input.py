"""What is wrong is refused, by an error that names what was passed and says what to do."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import checkify

import stochastic_net as sn
from stochastic_net.random import _require

ONES = np.ones((2, 3), "float32")
NAN = np.where(np.arange(6).reshape(2, 3) == 4, np.float32("nan"), ONES)
INF = np.where(np.arange(6).reshape(2, 3) == 2, np.float32("inf"), ONES)
NEGATIVE = np.where(np.arange(6).reshape(2, 3) == 5, np.float32(-2), ONES)


def pair():
    return sn.Gaussian(ONES, ONES)


def key():
    return jax.random.key(0)


def rngs():
    return nnx.Rngs(0)


def unchecked(mean, var):
    """A pair put together by JAX, which checks nothing."""
    return jax.tree.unflatten(jax.tree.structure(pair()), (jnp.asarray(mean), jnp.asarray(var)))


def linear(outputs):
    return nnx.Linear(3, outputs, rngs=rngs())


G = sn.Gaussian
BAD = {  # what is done; the error, and what it must say
    # the pair
    "no var": (lambda: G(ONES), TypeError, "var"),
    "None": (lambda: G(None, ONES), TypeError, "mean must be an array, got NoneType"),
    "a list": (lambda: G([1.0, 2.0], ONES), TypeError, "mean must be an array, got list.*asarray"),
    "a string": (lambda: G(ONES, "1"), TypeError, "var must be an array, got str"),
    "an array of strings": (lambda: G(np.array(["a"]), ONES), TypeError, "mean .* dtype <U1"),
    "an array of objects": (lambda: G(np.array([None]), ONES), TypeError, "mean .* dtype object"),
    "a Gaussian": (lambda: G(pair(), ONES), TypeError, "mean must be an array, got Gaussian"),
    "a key": (lambda: G(ONES, key()), TypeError, "var must be an array of real numbers.*key<fry>"),
    "integers": (lambda: G(np.ones(2, int), ONES), TypeError, r"mean must be a floating.*\(2,\)"),
    "a Python integer": (lambda: G(0, 1.0), TypeError, "mean must be a floating .* Cast it first"),
    "booleans": (lambda: G(ONES > 0, ONES), TypeError, "mean must be .* got .*bool"),
    "complex": (lambda: G(ONES * 1j, ONES), TypeError, "mean .* real numbers, got dtype complex"),
    "float8": (
        lambda: G(jnp.ones(2, "float8_e4m3fn"), ONES),
        TypeError,
        "float16, .*float8_e4m3fn",
    ),
    "two shapes": (
        lambda: G(ONES, ONES[0]),
        ValueError,
        r"one shape, got mean \(2, 3\), var \(3,\)",
    ),
    "shapes that broadcast": (lambda: G(ONES, ONES[:, :1]), ValueError, r"var \(2, 1\).*broadcast"),
    "a scalar variance": (lambda: G(ONES, 1.0), ValueError, r"mean \(2, 3\), var \(\)"),
    "NaN mean": (lambda: G(NAN, ONES), ValueError, r"mean must be finite.* 1 of 6 .*nan.*\(1, 1\)"),
    "infinite mean": (
        lambda: G(INF, ONES),
        ValueError,
        r"mean must be finite.*inf at index \(0, 2\)",
    ),
    "NaN variance": (
        lambda: G(ONES, NAN),
        ValueError,
        r"var must be finite.* nan at index \(1, 1\)",
    ),
    "infinite variance": (lambda: G(ONES, INF), ValueError, "var must be finite and not negative"),
    "negative variance": (lambda: G(ONES, NEGATIVE), ValueError, r"have a deviation\? .*from_std"),
    "a negative number": (lambda: G(0.0, -1.0), ValueError, "var must be .*not negative.*-1.0"),
    "a little negative": (lambda: G(0.0, -1e-30), ValueError, "var must be .*not negative"),
    "negative deviation": (lambda: G.from_std(ONES, NEGATIVE), ValueError, "std must be finite"),
    "NaN deviation": (lambda: G.from_std(ONES, NAN), ValueError, "std must be finite .*nan"),
    "deviation's shape": (lambda: G.from_std(ONES, 1.0), ValueError, r"std \(\)"),
    "deviation too large": (lambda: G.from_std(0.0, 1e30), ValueError, "var must be finite.*inf"),
    "log-variance's dtype": (
        lambda: G.from_log_var(ONES, 1),
        TypeError,
        "log_var must be a floating",
    ),
    "log-variance too large": (
        lambda: G.from_log_var(0.0, 100.0),
        ValueError,
        "var must be finite",
    ),
    # keys
    "no key": (lambda: pair().sample(), TypeError, "key"),
    "None as key": (lambda: pair().sample(None), TypeError, r"typed JAX key, got None\. Make it"),
    "a seed": (lambda: pair().sample(7), TypeError, r"got 7 \(int\).* jax.random.key\(7\)"),
    "a float": (lambda: pair().sample(0.5), TypeError, r"got 0.5 \(float\)"),
    "raw words": (lambda: pair().sample(np.zeros(2, "uint32")), TypeError, "key .* got ndarray"),
    "raw words of jax": (
        lambda: pair().sample(jax.random.key_data(key())),
        TypeError,
        r"array of uint32 and shape \(2,\).*wrap_key_data",
    ),
    "two keys": (lambda: pair().sample(jax.random.split(key())), ValueError, r"\(2,\).*jax.vmap"),
    "nnx.Rngs": (lambda: pair().sample(rngs()), TypeError, r"Rngs.*Draw one key from it: rngs\(\)"),
    "seed for noise": (lambda: sn.random.normal(0, (2,)), TypeError, r"jax.random.key\(0\)"),
    "seed for a name": (lambda: sn.random.named_key(0, "a"), TypeError, r"jax.random.key\(0\)"),
    "seed for a tree": (lambda: sn.sample({}, 0), TypeError, r"jax.random.key\(0\)"),
    "keys for a tree": (lambda: sn.sample({}, jax.random.split(key())), ValueError, "one key"),
    "noise of integers": (lambda: sn.random.normal(key(), (2,), int), TypeError, "Cast first"),
    # the sample shape
    "a number as shape": (lambda: pair().sample(key(), 3), ValueError, r"such as \(10,\), got 3"),
    "a negative size": (lambda: pair().sample(key(), (-1,)), ValueError, r"shape .*got \(-1,\)"),
    "a broken size": (lambda: pair().sample(key(), (1.5,)), ValueError, r"shape .*got \(1.5,\)"),
    # what a pair is asked
    "draw of NaN": (lambda: unchecked(ONES, NAN).sample(key()), ValueError, "var must be finite"),
    "value's shape": (
        lambda: pair().log_prob(ONES[0]),
        ValueError,
        r"ends with .*\(2, 3\), got .*\(3,\)",
    ),
    "value's dtype": (lambda: pair().log_prob(ONES * 1j), TypeError, "value must be .* real"),
    "value is None": (lambda: pair().cdf(None), TypeError, "value must be an array, got NoneType"),
    "cdf's shape": (lambda: pair().cdf(np.ones((3, 2), "float32")), ValueError, "ends with"),
    "q above 1": (
        lambda: pair().icdf(1.5),
        ValueError,
        "q must be a probability, from 0 to 1.*1.5",
    ),
    "q below 0": (lambda: pair().icdf(-ONES), ValueError, "q must be a probability.* 6 of 6"),
    "q is NaN": (lambda: pair().icdf(NAN), ValueError, "q must be a probability.*nan"),
    "q's shape": (lambda: pair().icdf(ONES[0]), ValueError, "ends with"),
    # arithmetic
    "a product": (lambda: pair() * pair(), TypeError, "is not Gaussian.*draw first"),
    "a quotient": (lambda: pair() / pair(), TypeError, "is not Gaussian"),
    "over a Gaussian": (lambda: 1.0 / pair(), TypeError, "unsupported operand"),
    "division by 0": (lambda: pair() / 0.0, ValueError, "must be finite"),
    "plus a string": (lambda: pair() + "1", TypeError, "a constant must be an array, got str"),
    "minus a string": (lambda: pair() - "1", TypeError, "a constant must be an array, got str"),
    "string minus": (lambda: "1" - pair(), TypeError, "a constant must be an array, got str"),
    "times None": (lambda: pair() * None, TypeError, "a constant must be an array, got NoneType"),
    "times complex": (lambda: pair() * 1j, TypeError, "a constant .* real"),
    "plus NaN": (lambda: pair() + np.float32("nan"), ValueError, "mean must be finite"),
    "a larger constant": (
        lambda: sn.Gaussian(ONES[0], ONES[0]) + ONES,
        ValueError,
        r"\(2, 3\) would repeat a Gaussian of shape \(3,\)",
    ),
    "constant's shape": (lambda: pair() + np.ones(4, "float32"), ValueError, r"\(4,\).*\(2, 3\)"),
    "a sum of two shapes": (
        lambda: pair() + sn.Gaussian(ONES[0], ONES[0]),
        ValueError,
        r"shapes \(2, 3\) and \(3,\) cannot be added",
    ),
    # kl
    "kl of arrays": (lambda: sn.kl(ONES, ONES), TypeError, "from ndarray to ndarray.*kl_rule"),
    "kl to a number": (lambda: sn.kl(pair(), 0.0), TypeError, "from Gaussian to float"),
    "kl of two shapes": (
        lambda: sn.kl(pair(), sn.Gaussian(ONES[0], ONES[0])),
        ValueError,
        r"one shape, or a scalar p or q, got \(2, 3\) and \(3,\)",
    ),
    # modules
    "sample of an array": (
        lambda: sn.nn.Sample()(ONES, key()),
        TypeError,
        r"a distribution to draw from, got ndarray of shape \(2, 3\).*sn.Gaussian\(mean, var\)",
    ),
    "sample of a tuple": (lambda: sn.nn.Sample()((ONES, ONES), key()), TypeError, "got tuple"),
    "sample of a class": (lambda: sn.nn.Sample()(sn.Gaussian, key()), TypeError, "distribution"),
    "sample without key": (lambda: sn.nn.Sample()(pair()), TypeError, "key"),
    "sample by a seed": (lambda: sn.nn.Sample()(pair(), 1), TypeError, r"jax.random.key\(1\)"),
    "layer is no function": (lambda: sn.nn.Sequential(abs, 3), TypeError, "layer 1 .*got int"),
    "sequential by a seed": (lambda: sn.nn.Sequential(abs)(ONES, 1), TypeError, "typed JAX key"),
    "head's floor": (
        lambda: sn.nn.GaussianHead(3, 2, min_var=-1.0, rngs=rngs()),
        ValueError,
        "min_var must be finite and not negative, got -1.0",
    ),
    "head without rngs": (lambda: sn.nn.GaussianHead(3, 2), TypeError, "rngs"),
    "towers' floor": (
        lambda: sn.nn.Towers(abs, abs, min_var=float("nan")),
        ValueError,
        "min_var .* got nan",
    ),
    "towers of an array": (
        lambda: sn.nn.Towers(abs, abs)(ONES),
        TypeError,
        "maps a Gaussian.*ndarray",
    ),
    "towers that differ": (
        lambda: sn.nn.Towers(linear(4), linear(5))(pair()),
        ValueError,
        r"one shape, got mean \(2, 4\), var \(2, 5\)",
    ),
    "NaN out of a tower": (
        lambda: sn.nn.Towers(lambda m: m + jnp.nan, abs)(pair()),
        ValueError,
        "mean must be finite",
    ),
    "encoder is no function": (
        lambda: sn.nn.StochasticNet(3, abs),
        TypeError,
        "encoder .* got int",
    ),
    "no decoder": (
        lambda: sn.nn.StochasticNet(None, None),
        TypeError,
        "decoder must be .*NoneType",
    ),
    "no distribution": (
        lambda: sn.nn.StochasticNet(linear(2), abs)(ONES, key()),
        TypeError,
        r"a distribution to draw from, got .* of shape \(2, 2\)",
    ),
    "net by a seed": (
        lambda: sn.nn.StochasticNet(None, abs)(pair(), 1),
        TypeError,
        "typed JAX key",
    ),
    "net by keys": (
        lambda: sn.nn.StochasticNet(None, abs)(pair(), jax.random.split(key())),
        ValueError,
        r"jax.vmap\(net\)\(x, keys\)",
    ),
    "decoder that draws, by a seed": (
        lambda: sn.nn.StochasticNet(None, sn.nn.Sequential(abs))(pair(), 1),
        TypeError,
        "typed JAX key",
    ),
}


def test_the_table_is_long_enough():
    assert len(BAD) >= 30


@pytest.mark.parametrize(("attempt", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_and_the_error_says_why(attempt, error, message):
    with pytest.raises(error) as caught:
        attempt()
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


TRACED = {  # a function, good arguments, bad arguments, and what checkify must say
    "mean": (lambda m, v: G(m, v), (ONES, ONES), (NAN, ONES), "mean must be finite"),
    "var": (lambda m, v: G(m, v), (ONES, ONES), (ONES, NEGATIVE), "var must be finite"),
    "infinite var": (lambda m, v: G(m, v), (ONES, ONES), (ONES, INF), "var must be finite"),
    "std": (lambda m, s: G.from_std(m, s), (ONES, ONES), (ONES, NEGATIVE), "std must be finite"),
    "log_var": (
        lambda m, s: G.from_log_var(m, s),
        (ONES, ONES),
        (ONES, 100 * ONES),
        "var must be finite",
    ),
    "draw": (
        lambda m, v: G(m, v).sample(key()),
        (ONES, ONES),
        (ONES, NEGATIVE),
        "var must be finite and not negative",
    ),
    "icdf": (lambda q: pair().icdf(q), (ONES,), (2 * ONES,), "q must be a probability"),
    "network": (
        jax.grad(lambda m, v: sn.nn.StochasticNet(None, jnp.tanh)(G(m, v), key()).sum()),
        (ONES, ONES),
        (ONES, NAN),
        "var must be finite",
    ),
}
traced = pytest.mark.parametrize(("f", "good", "bad", "message"), TRACED.values(), ids=TRACED)


@traced
def test_a_traced_value_is_refused_by_checkify(f, good, bad, message):
    checked = jax.jit(checkify.checkify(f))
    checked(*good)[0].throw()
    with pytest.raises(checkify.JaxRuntimeError, match=message):
        checked(*bad)[0].throw()


@traced
def test_without_checkify_the_check_compiles_to_nothing(f, good, bad, message, monkeypatch):
    def leave_a_callback(valid, value, message):  # what the comparison would see, were it a cost
        jax.debug.callback(lambda valid: None, valid(value))
        return value

    programs = []
    for check in (_require.with_check, lambda valid, value, message: value, leave_a_callback):
        monkeypatch.setattr(_require, "with_check", check)
        programs += [jax.jit(lambda *args: f(*args)).lower(*good).as_text()]
    assert programs[0] == programs[1] != programs[2]


@traced
def test_a_check_keeps_jit_on_its_fast_path(f, good, bad, message):
    """What leaves an effect on a traced program is called by way of Python."""
    assert not jax.make_jaxpr(f)(*good).effects


def test_what_is_done_with_a_pair_keeps_jit_on_its_fast_path():

    def network(x, k):
        return sn.nn.StochasticNet(None, jnp.tanh)(2 * (x - 1) / ONES + x, k)

    assert not jax.make_jaxpr(jax.grad(lambda x, k: network(x, k).sum()))(pair(), key()).effects
    assert not jax.make_jaxpr(lambda m, k: network(G(m, ONES), k))(ONES, key()).effects
