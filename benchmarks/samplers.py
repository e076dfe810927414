"""Draws with their gradients: our samplers, JAX's, TFP's, PyTorch's and NumPy's.

One task is one distribution at SAMPLERS_SIZE elements (an environment variable; 1e6 unless it is
set) in float32, its parameters log-normal with deviation 2 (Dirichlet: rows of ten). "draw" makes
the draw; "draw + gradient" also sums it and differentiates by every shape parameter. NumPy has no
gradients, PyTorch none for von Mises and no truncated normal; a sampler that JAX lacks (von Mises)
has no row there. The limit is the time to read the parameters and write the results once.

With SAMPLERS_DEVICES=8 JAX has so many devices of the host, and each a part of every parameter.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from _harness import Contender, Job, jax_job, main, torch_device, torch_job, wanted
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as Partition

import stochastic_net as sn

DEVICES = int(os.environ.get("SAMPLERS_DEVICES", "1"))
jax.config.update("jax_num_cpu_devices", DEVICES)

# name: how many parameters
DISTRIBUTIONS = {
    "gamma": 1,
    "beta": 2,
    "dirichlet": 1,
    "t": 1,
    "von_mises": 1,
    "truncated_normal": 2,
}


def size() -> int:
    """Before the harness parses, for the limit needs it too."""
    return int(float(os.environ.get("SAMPLERS_SIZE", "1e6")))


def parameters(name: str) -> list[np.ndarray]:
    dice, n = np.random.default_rng(0), size()
    if name == "truncated_normal":
        lower = dice.normal(size=n) * 3
        return [
            lower.astype(np.float32),
            (lower + dice.exponential(size=n) + 0.1).astype(np.float32),
        ]
    arrays = [
        np.exp(2 * dice.normal(size=n)).astype(np.float32) for _ in range(DISTRIBUTIONS[name])
    ]
    return [a.reshape(-1, 10) for a in arrays] if name == "dirichlet" else arrays


def spread(array: np.ndarray) -> jax.Array:
    """The array on the devices, a part of its rows on each."""
    if DEVICES == 1:
        return jnp.asarray(array)
    mesh = jax.make_mesh((DEVICES,), ("x",), axis_types=(AxisType.Auto,))
    return jax.device_put(array, NamedSharding(mesh, Partition("x")))


def tasks(name: str) -> tuple[str, str]:
    return f"{name}: draw", f"{name}: draw + gradient"


def jax_jobs(samplers: dict[str, Callable], options: argparse.Namespace) -> dict[str, Job]:
    """The two tasks of each sampler (key, *parameters) -> draw, or those that are wanted."""
    jobs, key = {}, jax.random.key(0, impl=options.key_impl)
    for name, sampler in samplers.items():
        arguments = list(map(spread, parameters(name)))
        total = lambda key, *p, sampler=sampler: sampler(key, *p).sum()  # noqa: E731
        by = tuple(range(1, len(arguments) + 1))
        runs = (sampler, jax.value_and_grad(total, by))
        for task, run in zip(tasks(name), runs, strict=True):
            if wanted(task, options):
                jobs[task] = jax_job(run, key, *arguments)
    return jobs


def ours(options: argparse.Namespace) -> dict[str, Job]:
    return jax_jobs({name: getattr(sn.random, name) for name in DISTRIBUTIONS}, options)


def jax_random(options: argparse.Namespace) -> dict[str, Job]:
    names = [name for name in DISTRIBUTIONS if hasattr(jax.random, name)]
    return jax_jobs({name: getattr(jax.random, name) for name in names}, options)


def tfp(options: argparse.Namespace) -> dict[str, Job]:
    from tensorflow_probability.substrates.jax import distributions as tfd

    def sampler(family):
        return lambda key, *p: family(*p).sample(seed=key)

    families = {
        "gamma": lambda a: tfd.Gamma(a, 1.0),
        "beta": tfd.Beta,
        "dirichlet": tfd.Dirichlet,
        "t": lambda df: tfd.StudentT(df, 0.0, 1.0),
        "von_mises": lambda kappa: tfd.VonMises(0.0, kappa),
        "truncated_normal": lambda low, high: tfd.TruncatedNormal(0.0, 1.0, low, high),
    }
    return jax_jobs({name: sampler(family) for name, family in families.items()}, options)


def pytorch(_options: argparse.Namespace) -> dict[str, Job]:
    import torch
    from torch import distributions as td

    families = {
        "gamma": lambda a: td.Gamma(a, 1.0),
        "beta": td.Beta,
        "dirichlet": td.Dirichlet,
        "t": lambda df: td.StudentT(df),
    }

    def draw(family, leaves):
        with torch.no_grad():
            family(*leaves).sample()

    def gradient(family, leaves):
        family(*leaves).rsample().sum().backward()

    jobs = {}
    for name, family in families.items():
        leaves = [
            torch.tensor(p, requires_grad=True, device=torch_device()) for p in parameters(name)
        ]
        for task, run in zip(tasks(name), (draw, gradient), strict=True):
            jobs[task] = torch_job(partial(run, family, leaves))
    return jobs


def numpy_random(_options: argparse.Namespace) -> dict[str, Job]:
    dice = np.random.default_rng(0)
    samplers = {
        "gamma": lambda a: dice.standard_gamma(a, dtype=np.float32),
        "beta": dice.beta,
        "t": dice.standard_t,
        "von_mises": lambda kappa: dice.vonmises(0.0, kappa),
    }
    return {
        tasks(name)[0]: Job(partial(sampler, *parameters(name)))
        for name, sampler in samplers.items()
    }


def limit_ms(task: str, machine: dict) -> float:
    name, _, kind = task.partition(": ")
    arrays = DISTRIBUTIONS[name] * (2 if "gradient" in kind else 1) + 1
    return 4 * arrays * size() / machine["gbyte_per_s"] * 1e-6


CONTENDERS = {
    "stochastic_net": Contender("stochastic_net", ours),
    "jax.random": Contender("jax", jax_random),
    "TFP on JAX": Contender("tensorflow_probability", tfp),
    "PyTorch": Contender("torch", pytorch),
    "NumPy": Contender("numpy", numpy_random),
}

if __name__ == "__main__":
    main(__doc__, CONTENDERS, limit_ms)
