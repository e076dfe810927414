"""A battery of statistical tests, after TestU01's SmallCrush, of the bits that a JAX key gives.

Each test makes a p-value from 32-bit words that come through `jax.random`, for several ways to lay
a stream over keys and places, from the high bits of the words down and from the low bits up. The
verdict is FAIL if the smallest two-sided p-value, times the number of tests, is below 1e-4: a
perfect generator fails one run in 10,000 (Bonferroni). --impl takes a name of JAX's ("threefry2x32"
is the control that should pass), "THREEFRY13", or a number of rounds: Threefry-2x32 cut down to so
many, for everything, is the control that has to fail (try 4, 8; the exit status tells).
"""

import argparse
import math
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl
from rich.console import Console
from rich.table import Table
from scipy import stats

import stochastic_net as sn
from stochastic_net.random._threefry import threefry

FALSE_ALARM = 1e-4


# Streams: n words, each from jax.random.


def word(key):
    return jax.random.bits(key, (), "uint32")


def places(key, n):
    return jax.random.bits(key, (n,), "uint32")


def every_16th_place(key, n):
    return jax.random.bits(key, (n, 16), "uint32")[:, 0]


def both_halves_of_64_bits(key, n):
    wide = jax.random.bits(key, (n // 2,), "uint64")
    return jnp.stack([wide >> np.uint64(32), wide], -1).astype(np.uint32).ravel()


def split_children(key, n):
    return jax.vmap(word)(jax.random.split(key, n))


def folded_children(key, n):
    return jax.vmap(lambda i: word(jax.random.fold_in(key, i)))(jnp.arange(n))


def neighbouring_seeds(key, n):
    impl = jax.random.key_impl(key)
    return jax.vmap(lambda i: word(jax.random.key(i, impl=impl)))(jnp.arange(n))


def sixteen_children_in_turn(key, n):
    return jax.vmap(lambda k: jax.random.bits(k, (n // 16,), "uint32"))(
        jax.random.split(key, 16)
    ).T.ravel()


STREAMS = (
    places,
    every_16th_place,
    both_halves_of_64_bits,
    split_children,
    folded_children,
    neighbouring_seeds,
    sixteen_children_in_turn,
)


# Tests: a p-value of the words, uniform on [0, 1] if they are random.


def chi_square(counts, probabilities):
    """P(as far off as this or farther), where cells that expect less than 10 are joined."""
    counts, expected = np.asarray(counts), np.asarray(probabilities) * np.sum(counts)
    assert math.isclose(expected.sum(), counts.sum(), rel_tol=1e-9)
    small = expected < 10
    if small.any():
        counts = np.append(counts[~small], counts[small].sum())
        expected = np.append(expected[~small], expected[small].sum())
        if expected[-1] < 10:  # into the next larger one
            nearest = expected[:-1].argmin()
            counts[nearest], expected[nearest] = (
                counts[nearest] + counts[-1],
                (expected[nearest] + expected[-1]),
            )
            counts, expected = counts[:-1], expected[:-1]
    return stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1)


def birthday_spacings(words, people=4096):
    """Equal spacings between 4096 birthdays in a year of 2^32 days: Poisson."""
    days = np.sort(words.reshape(-1, people), axis=1)
    spacings = np.sort(np.diff(days, axis=1), axis=1)
    equal = (np.diff(spacings, axis=1) == 0).sum()
    rate = len(days) * people**3 / 2.0**34
    return stats.poisson.sf(equal, rate) + 0.5 * stats.poisson.pmf(equal, rate)


def collisions(words, balls=2**20, bits=24):
    """Cells left empty when 2^20 balls fall into 2^24 cells."""
    throws, cells = (words >> np.uint32(32 - bits)).reshape(-1, balls), 2.0**bits
    occupied = sum(np.unique(throw).size for throw in throws)
    one, two = (math.exp(balls * math.log1p(-k / cells)) for k in (1, 2))
    variance = cells * (one - two) + cells**2 * (two - one**2)
    z = (occupied - len(throws) * cells * (1 - one)) / math.sqrt(len(throws) * variance)
    return stats.norm.sf(z)


def serial_pairs(words):
    """The first 7 bits of two words that follow each other."""
    pairs = (words[0::2] >> np.uint32(25)) << np.uint32(7) | words[1::2] >> np.uint32(25)
    return chi_square(np.bincount(pairs, minlength=2**14), np.full(2**14, 2.0**-14))


def gaps(words):
    """How many words lie between two whose first 4 bits are 0."""
    lengths = np.diff(np.flatnonzero(words < 2**28)) - 1
    p, longest = 1 / 16, 150
    law = p * (1 - p) ** np.arange(longest)
    counts = np.bincount(np.minimum(lengths, longest), minlength=longest + 1)
    return chi_square(counts, np.append(law, 1 - law.sum()))


def surjections(n, onto):
    """The share of the maps from n things to `onto` things that reach every one."""
    terms = [(-1) ** k * math.comb(onto, k) * (onto - k) ** n for k in range(onto + 1)]
    return sum(terms) / onto**n


def poker(words, hand=8):
    """How many different digits of 3 bits a hand of 8 holds."""
    digits = np.sort((words >> np.uint32(29)).reshape(-1, hand), axis=1)
    kinds = 1 + (np.diff(digits, axis=1) != 0).sum(1)
    law = [math.comb(8, r) * (r / 8) ** hand * surjections(hand, r) for r in range(1, hand + 1)]
    return chi_square(np.bincount(kinds, minlength=hand + 1)[1:], law)


def coupons(words, block=64):
    """How many words it takes until their first 3 bits have had all 8 values."""
    digits = (words >> np.uint32(29)).astype(np.uint8).reshape(-1, block)
    needed = np.zeros(len(digits), int)
    for coupon in range(8):
        found = digits == coupon
        needed = np.maximum(needed, np.where(found.any(1), found.argmax(1) + 1, block + 1))
    within = np.array([surjections(n, 8) for n in range(block + 1)])
    law = np.append(np.diff(within), 1 - within[-1])
    return chi_square(np.bincount(needed - 1, minlength=block + 1), law)


def largest_of_8(words):
    """The largest of 8 words, to the 8th power, is uniform."""
    power = ((words.reshape(-1, 8).max(1) + 0.5) / 2.0**32) ** 8
    cells = 1024
    return chi_square(
        np.bincount((power * cells).astype(int), minlength=cells), [1 / cells] * cells
    )


def weights(words):
    """How many of 64 words are below a quarter: binomial."""
    below = (words < 2**30).reshape(-1, 64).sum(1)
    return chi_square(np.bincount(below, minlength=65), stats.binom.pmf(np.arange(65), 64, 0.25))


def matrix_rank(words):
    """The rank over GF(2) of 32 x 32 bits."""
    rows = words[: 2**20].reshape(-1, 32).T.copy()  # row, matrix
    every, rank = np.arange(rows.shape[1]), np.zeros(rows.shape[1], int)
    for bit in range(32):
        has = (rows >> np.uint32(bit)) & np.uint32(1)
        has[np.arange(32)[:, None] < rank] = 0  # those rows are done
        pivot, found = has.argmax(0), has.any(0)
        at = np.where(found, rank, pivot)  # swap rows `rank` and `pivot`, where there is a pivot
        rows[pivot, every], rows[at, every] = rows[at, every], rows[pivot, every]
        lead = np.where(found, rows[at, every], np.uint32(0))
        clear = (rows >> np.uint32(bit) & np.uint32(1)).astype(bool)
        clear &= np.arange(32)[:, None] > at
        rows ^= np.where(clear, lead, np.uint32(0))
        rank += found

    def law(r):
        shares = ((1 - 2.0 ** (i - 32)) ** 2 / (1 - 2.0 ** (i - r)) for i in range(r))
        return 2.0 ** (r * (64 - r) - 1024) * math.prod(shares)

    counts = [(rank <= 30).sum(), (rank == 31).sum(), (rank == 32).sum()]
    return chi_square(counts, [1 - law(31) - law(32), law(31), law(32)])


def hamming(words):
    """How many bits are set in two words that follow each other."""
    classes = np.clip(np.bitwise_count(words).astype(int), 11, 21) - 11
    law = stats.binom.pmf(np.arange(33), 32, 0.5)
    law = np.concatenate([[law[:12].sum()], law[12:21], [law[21:].sum()]])
    pairs = np.bincount(11 * classes[0::2] + classes[1::2], minlength=121)
    return chi_square(pairs, np.outer(law, law).ravel())


def random_walk(words, length=256):
    """The farthest to the right that a walk of 256 steps, one a bit, comes."""
    steps = np.unpackbits(words[: 2**20].astype(">u4").view(np.uint8)).reshape(-1, length)
    path = np.cumsum(2 * steps.astype(np.int8) - 1, axis=1, dtype=np.int16)
    farthest = np.maximum(path.max(1), 0)
    m = np.arange(length + 1)  # P(farthest = m) = P(end = m) + P(end = m + 1), one of which is 0
    law = stats.binom.pmf((m + m % 2 + length) // 2, length, 0.5)
    return chi_square(np.bincount(farthest, minlength=length + 1), law)


TESTS = (
    birthday_spacings,
    collisions,
    serial_pairs,
    gaps,
    poker,
    coupons,
    largest_of_8,
    weights,
    matrix_rank,
    hamming,
    random_walk,
)
BLIND = (matrix_rank, hamming)  # to the order of the bits of a word: once is enough


def upside_down(words):
    """The bits of each word in reverse, so that the tests see the low ones first."""
    reverse = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1])
    return reverse[words.view(np.uint8)].view(np.uint32).byteswap()


def implementation(name):
    """What --impl names."""
    if not name.isdigit():
        return sn.random.THREEFRY13 if name == "THREEFRY13" else name

    def hashed(key, shape):
        counter = jnp.arange(math.prod(shape), dtype=np.uint32).reshape(shape)
        return threefry((key[0], key[1]), jnp.zeros_like(counter), counter, int(name))

    def random_bits(key, width, shape):
        x, y = hashed(key, shape)
        return x.astype(np.uint64) << np.uint64(32) | y if width == 64 else x ^ y

    return define_prng_impl(
        key_shape=(2,),
        seed=lambda seed: jnp.stack([seed >> 32, seed]).astype(np.uint32),
        split=lambda key, shape: jnp.stack(hashed(key, shape), -1),
        random_bits=random_bits,
        fold_in=lambda key, i: jnp.stack(threefry((key[0], key[1]), np.uint32(0), i, int(name))),
        name=f"threefry-{name}-rounds",
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--impl", default="THREEFRY13", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the key (default: 0)")
    parser.add_argument("--log2-words", type=int, default=22, help="a stream (default: 22)")
    options = parser.parse_args()
    start, n = time.perf_counter(), 2**options.log2_words
    jax.config.update("jax_enable_x64", True)  # so that 64-bit words can be drawn
    p = {}
    for number, stream in enumerate(STREAMS):
        # A key of its own, not derived from another: a broken generator breaks its keys too.
        key = jax.random.key(1000 * options.seed + number, impl=implementation(options.impl))
        words = np.asarray(stream(key, n))
        for order, ordered in (("high", words), ("low", upside_down(words))):
            for test in TESTS:
                if order == "high" or test not in BLIND:
                    p[stream, order, test] = float(test(ordered))
    assert all(math.isfinite(value) for value in p.values())
    extreme = {place: min(1, 2 * min(value, 1 - value) * len(p)) for place, value in p.items()}
    table = Table(title=f"{options.impl}, 2^{options.log2_words} words a stream: p-values")
    table.add_column("stream", no_wrap=True)
    table.add_column("bits")
    for test in TESTS:
        table.add_column(test.__name__.replace("_", " "), justify="right")
    for stream, order in dict.fromkeys(place[:2] for place in p):
        cells = []
        for test in TESTS:
            value = p.get((stream, order, test))
            fails = value is not None and extreme[stream, order, test] < FALSE_ALARM
            cells.append(
                "" if value is None else f"[red]{value:.0e}[/]" if fails else f"{value:.3f}"
            )
        table.add_row(stream.__name__.replace("_", " "), order, *cells)
    Console(width=160).print(table)
    failed = sum(value < FALSE_ALARM for value in extreme.values())
    print(
        f"{'FAIL' if failed else 'PASS'}: {failed} of {len(p)} tests. The most extreme p-value "
        f"times their number is {min(extreme.values()):.2g}; a perfect generator is below "
        f"{FALSE_ALARM:g} in one run of {1 / FALSE_ALARM:,.0f}. It took "
        f"{time.perf_counter() - start:.0f} s."
    )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
