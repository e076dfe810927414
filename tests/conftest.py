"""Every test runs strict, on eight host devices: reused keys, silent promotion and warnings fail.

The flags are set before JAX starts its backend. What the user's environment sets stays (the legs of
test_legs.py add to it).

Programs are compiled once a run: its processes share JAX's cache of compiled programs, in a folder
that goes when the run does. To keep it between runs set JAX_COMPILATION_CACHE_DIR yourself.
"""

import os
import shutil
import tempfile

_DEVICES = "--xla_force_host_platform_device_count"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}=8".strip()
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")  # a GPU rounds to TF32
os.environ.setdefault("MPLBACKEND", "Agg")
_CACHE = "JAX_COMPILATION_CACHE_DIR"
_OURS = None  # the folder of the cache, in the process that made it
if _CACHE not in os.environ:  # workers and the processes that tests start find it in there
    os.environ[_CACHE] = _OURS = tempfile.mkdtemp(prefix="stochastic-net-programs-")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax  # noqa: E402
import pytest  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "relaxed: runs with JAX's ordinary promotion, for a library that needs it"
    )


def pytest_unconfigure() -> None:
    if _OURS is not None:
        shutil.rmtree(_OURS, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def forget():
    """A process does not hold the programs of all files, which are gigabytes."""
    yield
    jax.clear_caches()


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


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest):
    """Each precision, with x64 on for float64."""
    with jax.enable_x64(request.param == "float64" or jax.config.jax_enable_x64):
        yield request.param
