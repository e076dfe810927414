"""What a key is here: one typed key, consumed once; and the child of a key that a name picks."""

import hashlib

import jax

from stochastic_net._types import Key


def check_key(key: Key) -> Key:
    """Return `key` if it is one typed key, else raise an error that says how to make one.

    Raises:
      TypeError: not a typed key (None, a seed, raw uint32 words, an `nnx.Rngs`).
      ValueError: an array of keys; `jax.vmap` maps over one key per example.

    Example:
      >>> import jax, stochastic_net as sn
      >>> sn.random.check_key(jax.random.key(0)).shape
      ()
    """
    if not isinstance(key, jax.Array):
        raise TypeError(f"key must be a typed JAX key, got {_describe(key)}. {_remedy(key)}")
    if not jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"key must be a typed JAX key, got an array of {key.dtype} and shape {key.shape}. "
            "Make it with jax.random.key(seed), or wrap the words of a jax.random.PRNGKey "
            "with jax.random.wrap_key_data(words)."
        )
    if key.shape:
        raise ValueError(
            f"key must be one key of shape (), got keys of shape {key.shape}. For one key per "
            "example map over both: jax.vmap(net)(x, keys), jax.vmap(sn.Gaussian.sample)(x, keys)."
        )
    return key


def named_key(key: Key, name: str) -> Key:
    """The child of `key` that belongs to `name`, whatever other children there are.

    Two `fold_in`s by the 64-bit BLAKE2b hash of the name, which small integers (a user's own
    `fold_in(key, i)` or `split(key)[i]`) do not meet. The key is consumed: derive from it by name
    or split it, never both.

    Example:
      >>> import jax, stochastic_net as sn
      >>> key = jax.random.key(0)
      >>> bool(sn.random.named_key(key, "a") == sn.random.named_key(key, "b"))
      False
    """
    digest = hashlib.blake2b(f"stochastic_net/v1/{name}".encode(), digest_size=8).digest()
    high, low = int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:], "big")
    return jax.random.fold_in(jax.random.fold_in(check_key(key), high), low)


def _describe(key: object) -> str:
    """The value for a scalar or None, else its type."""
    shown = repr(key) if isinstance(key, int | float | str | None) else type(key).__name__
    return f"{shown} ({type(key).__name__})" if key is not None else shown


def _remedy(key: object) -> str:
    """How to get a key from what was passed instead."""
    if isinstance(key, int):
        return f"Make it once with jax.random.key({int(key)})."
    if type(key).__name__ in ("Rngs", "RngStream"):
        return "Draw one key from it: rngs()."
    return "Make it with jax.random.key(seed) and pass it as the argument `key`."
