"""A mesh of several devices, for the tests that need one."""

import jax
import pytest


def mesh_of(count: int, axis: str = "batch", kind="Auto") -> jax.sharding.Mesh:
    """The first `count` devices; where there are fewer (one GPU), the test is left out."""
    if jax.device_count() < count:
        pytest.skip(f"needs {count} devices: here are {jax.devices()}")
    devices = jax.devices()[:count]
    kinds = (jax.sharding.AxisType[kind],)
    return jax.make_mesh((count,), (axis,), devices=devices, axis_types=kinds)
