"""Which of JAX's primitives `propagate` knows, as a page: docs/coverage.md.

Every primitive of `jax.extend.core.primitives` and `jax.lax` in the installed JAX: with a rule of
its own, composed with its neighbours and integrated, or an error that names the ways on.
"""

import argparse
from pathlib import Path

import jax
from jax import lax
from jax.extend.core import primitives

from stochastic_net.moments import kind_of_rule

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"
HEAD = """# What `propagate` knows

Every primitive of `jax.extend.core.primitives` and `jax.lax` in JAX {version}, as
`python benchmarks/coverage.py` writes it. *exact*: on mean and variance of independent elements;
*fused*: composed with the elementwise operations around it, a closed form or quadrature of the
whole; *approximated*: a rule that takes its operands, or their maximum, for Gaussian; *control*:
what is inside is run by its own rules. The rest is an error that names the operation and your
line; `otherwise="linearize"` takes its tangent, `otherwise="sample"` draws, `@sn.moments.rule`
teaches it.

| | primitives |
| --- | --- |
"""


def page() -> str:
    """The whole page."""
    rows: dict[str, list[str]] = {}
    listed = {getattr(room, x) for room in (primitives, lax) for x in dir(room) if x[-2:] == "_p"}
    for primitive in sorted(listed, key=lambda p: p.name):
        rows.setdefault(kind_of_rule(primitive), []).append(f"`{primitive.name}`")
    order = ("exact", "fused", "approximated", "control", "no rule")
    lines = (f"| {kind} ({len(rows[kind])}) | {', '.join(rows[kind])} |\n" for kind in order)
    return HEAD.format(version=jax.__version__) + "".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE, help="where to write (docs/coverage.md)")
    parser.parse_args().out.write_text(page())
