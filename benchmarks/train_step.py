"""What drawing and propagating cost: a training step of `stochastic-net train` in each mode.

The step is the command's own: 64 examples of digits (8x8) or of mnist5k (28x28), forward, backward
and Adam, jitted, its state donated. Mode sample draws every example with a key of its own, mode
moments carries mean and variance through the network.
"""

import dataclasses
from functools import partial

import jax
from _harness import Contender, Job, main

from stochastic_net.training import Config
from stochastic_net.training._dataset import load_dataset
from stochastic_net.training._task import Task

BATCH = 64
SIDES = {"digits": 8, "mnist5k": 28}


def step_job(data, mode, options):
    """A step of `mode`; each call goes on from the state that the last one left."""
    config = dataclasses.replace(Config(), data=data, batch_size=BATCH, key_impl=options.key_impl)
    task = Task(config, load_dataset(config), mode)
    batch, state = task.batch(0), [task.initial_state()]

    def run():
        after, loss = task.step(state.pop(), batch)
        state.append(after)
        return jax.block_until_ready(loss)

    return Job(run)


def steps(mode, options):
    return {data: step_job(data, mode, options) for data in SIDES}


def limit_ms(data, machine):
    """No program is faster: the products of the layers, three times for forward and backward."""
    side = SIDES[data]
    flop = 2 * 9 * 16 * side**2 + 2 * 9 * 16 * 32 * (side // 2) ** 2
    flop += 2 * 32 * (side // 4) ** 2 * 64 + 2 * 64 * 10
    return 3 * BATCH * flop / machine["gflop_per_s"] * 1e-6


CONTENDERS = {
    mode: Contender("stochastic_net", partial(steps, mode))
    for mode in ("plain", "sample", "moments")
}

if __name__ == "__main__":
    main(__doc__, CONTENDERS, limit_ms, key_impl="threefry4x32")
