"""What `check_gradients` costs, and how often it sees a bias.

- time: a ResNet-18 (--width channels in its first stage) with dropout and a sampled layer, on two
  images of 32 x 32: the structure alone, and with the numbers, compilation included;
- power: a gradient at signal-to-noise 1 that is 5 % off, and one that is right, over 10,000 keys:
  in how many of --runs sets of keys each is called biased; the same of right ones of functions that
  may jump, over 1,000 keys.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import optax
from _networks import ResNet18
from flax import nnx
from rich.console import Console
from rich.progress import track
from rich.table import Table

import stochastic_net as sn


class Sampled(nnx.Module):
    """A ResNet-18 with dropout, whose logits are drawn from a Gaussian head."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.body = ResNet18(rngs, width)
        self.dropout = nnx.Dropout(0.1)
        self.head = sn.nn.GaussianHead(10, 10, rngs=rngs)

    def __call__(self, x, key):
        """Logits, drawn."""
        of_dropout, of_head = jax.random.split(key)
        features = self.dropout(nnx.relu(self.body(x)), rngs=nnx.Rngs(dropout=of_dropout))
        return self.head(features).sample(of_head)


def loss(net, x, label, key):
    """Of one draw."""
    return optax.softmax_cross_entropy_with_integer_labels(net(x, key), label).mean()


def seconds(width: int, numbers: bool) -> tuple[float, bool]:
    """How long a check takes, and its verdict."""
    net = Sampled(width, nnx.Rngs(0))
    x, label = jax.random.normal(jax.random.key(1), (2, 32, 32, 1)), jnp.array([3, 7])
    start = time.perf_counter()
    report = sn.check_gradients(
        loss, net, x, label, key=jax.random.key(0), argnums=0, numbers=numbers
    )
    return time.perf_counter() - start, report.ok


def scaled(error: float):
    """E of a square with a noisy gradient, of which a derivative rule makes (1 + error) times."""

    @jax.custom_jvp
    def square(x):
        return x * x

    square.defjvp(lambda p, t: (square(*p), (1 + error) * 2 * p[0] * t[0]))
    return lambda x, key: square(x + 1.5 * jax.random.normal(key))


def choice(size: int):
    """A hard choice that is made where both sides meet, so that its gradient is right."""

    def f(m, key):
        z = m + jax.random.normal(key, (size,))
        return jnp.where(z > 0, z, 0.2 * z).mean()

    return f


def found(f, at: float, num_samples: int, runs: int, name: str) -> tuple[int, float, str]:
    """In how many runs a bias is found, the signal-to-noise ratio, and what it is compared with."""
    count, signal, by = 0, 0.0, set()
    for seed in track(range(runs), name):
        report = sn.check_gradients(
            f, jnp.float32(at), key=jax.random.key(seed), num_samples=num_samples
        )
        count += any(one.kind == "bias" for one in report.findings)
        signal = report.arguments[0].signal
        by.add(report.arguments[0].reference or report.arguments[0].untested)
    return count, signal, ", ".join(sorted(by))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=64, help="default: 64")
    parser.add_argument("--runs", type=int, default=40, help="sets of keys (default: 40)")
    options = parser.parse_args()
    table = Table("", "")
    for numbers in (False, True):
        spent, ok = seconds(options.width, numbers)
        name = "ResNet-18, with the numbers" if numbers else "ResNet-18, the structure"
        table.add_row(name, f"{spent:.2f} s, {'ok' if ok else 'broken'}")
    cases = {
        "5 % off": (scaled(0.05), 1.5, 10_000),
        "right": (scaled(0.0), 1.5, 10_000),
        "right, nine hard choices": (choice(9), 0.5, 1_000),
        "right, two hard choices": (choice(2), 0.5, 1_000),
    }
    for name, case in cases.items():
        count, signal, by = found(*case, options.runs, name)
        of = f"{name} (signal-to-noise {signal:.2f}; {by})"
        table.add_row(of, f"called biased in {count} of {options.runs} runs")
    Console().print(table)


if __name__ == "__main__":
    main()
