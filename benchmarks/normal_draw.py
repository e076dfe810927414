"""Standard normal float32 noise: our key, JAX's keys and PyTorch, on one device and on eight.

Every JAX contender is `jax.random.normal(key, (n,))` under `jit`, with another implementation of
the key (so --key-impl has nothing to say here); the first is `sn.random.normal`, which makes the
same random bits normal by a formula of its own. On eight devices (of the host, whose cores they
share) each makes its part. PyTorch's `randn` stands in both tasks; it has no such devices. The
limit is the time to write the numbers. A key that XLA cannot shard is left out there, and said so.
"""

import os
import sys

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

from functools import partial

import jax
from _harness import Contender, jax_job, main, torch_device, torch_job
from jax.sharding import NamedSharding, PartitionSpec

import stochastic_net as sn

SIZES = {"1.44e6": 1_440_000, "16e6": 16_000_000}
DEVICES = (1, 8) if jax.device_count() == 8 else (1,)


def task(size, devices):
    return f"{size}, {devices} device{'s' * (devices > 1)}"


def with_key(impl, _options, normal=jax.random.normal):
    jobs = {}
    for size, n in SIZES.items():
        for devices in DEVICES:
            mesh = jax.make_mesh((devices,), ("x",), devices=jax.devices()[:devices])
            draw = jax.jit(
                lambda key, n=n: normal(key, (n,)),
                out_shardings=NamedSharding(mesh, PartitionSpec("x")),
            )
            try:
                jobs[task(size, devices)] = jax_job(draw, jax.random.key(0, impl=impl))
            except jax.errors.JaxRuntimeError as error:
                print(impl, task(size, devices), str(error).splitlines()[0], file=sys.stderr)
    return jobs


def pytorch(_options):
    import torch

    jobs = {
        size: torch_job(partial(torch.randn, n, device=torch_device())) for size, n in SIZES.items()
    }
    return {task(size, devices): job for size, job in jobs.items() for devices in DEVICES}


def limit_ms(task, machine):
    """No program is faster than writing its result."""
    return 4 * SIZES[task.split(",")[0]] / machine["gbyte_per_s"] * 1e-6


CONTENDERS = {
    "THREEFRY13, sn.random": Contender(
        "stochastic_net", partial(with_key, sn.random.THREEFRY13, normal=sn.random.normal)
    ),
    "THREEFRY13": Contender("stochastic_net", partial(with_key, sn.random.THREEFRY13)),
    "threefry2x32": Contender("jax", partial(with_key, "threefry2x32")),
    "threefry4x32": Contender("jax", partial(with_key, "threefry4x32")),
    "philox4x32": Contender("jax", partial(with_key, "philox4x32")),
    "PyTorch": Contender("torch", pytorch),
}

if __name__ == "__main__":
    main(__doc__, CONTENDERS, limit_ms)
