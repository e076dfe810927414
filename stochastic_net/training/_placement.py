"""Where arrays live: batches split over the devices, parameters on each of them."""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stochastic_net._types import PyTree
from stochastic_net.training._errors import InputError


class Placement:
    """Data parallelism over all devices; on one device, that device."""

    def __init__(self, batch_size: int, key_impl: str) -> None:
        devices = jax.devices()
        if len(devices) > 1 and key_impl.startswith("philox"):
            raise InputError(
                f"key_impl {key_impl} does not compile on {len(devices)} devices (XLA cannot shard "
                "it); use threefry4x32 or threefry2x32, or make one device visible."
            )
        if batch_size % len(devices):
            raise InputError(
                f"batch_size {batch_size} cannot be split over {len(devices)} devices; use a "
                f"multiple of {len(devices)}."
            )
        mesh = Mesh(np.array(devices), ("batch",))
        self._split = NamedSharding(mesh, PartitionSpec("batch"))
        self._everywhere = NamedSharding(mesh, PartitionSpec())

    def split(self, batch: PyTree) -> PyTree:
        """The batch with its leading axis over the devices."""
        return jax.device_put(batch, self._split)

    def everywhere(self, tree: PyTree) -> PyTree:
        """A copy on each device."""
        return jax.device_put(tree, self._everywhere)
