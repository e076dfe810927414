"""Every test runs strict, on eight host devices: reused keys, silent promotion and warnings fail.

The flags are set before JAX starts its backend. What the user's environment sets stays (the legs of
test_legs.py add to it).
"""

import os

_DEVICES = "--xla_force_host_platform_device_count"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}=8".strip()
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")  # a GPU rounds to TF32
os.environ.setdefault("MPLBACKEND", "Agg")

import jax  # noqa: E402
import pytest  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "relaxed: runs with JAX's ordinary promotion, for a library that needs it"
    )


@pytest.fixture(autouse=True)
def strict(request: pytest.FixtureRequest):
    """No key is used twice, no dtype and no rank is promoted unsaid."""
    relaxed = request.node.get_closest_marker("relaxed") is not None
    with (
        jax.debug_key_reuse(True),
        jax.numpy_dtype_promotion("standard" if relaxed else "strict"),
        jax.numpy_rank_promotion("allow" if relaxed else "raise"),
    ):
        yield


@pytest.fixture
def key() -> jax.Array:
    """One key. It is good for one draw: a second use is an error here."""
    return jax.random.key(0)
