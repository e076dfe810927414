"""The arrows of the house: a room imports the rooms below it and nothing else."""

import ast
import functools
import os
import pathlib
import subprocess
import sys

import pytest

import stochastic_net

PACKAGE = pathlib.Path(stochastic_net.__file__).parent
HOUSE = "the house"  # `import stochastic_net`: all the rooms of its table of contents

ON_TOP_OF = {  # room: the rooms right below it
    "_types": [],
    "_tables": [],
    "random": ["_types"],
    "distributions": ["random"],
    "estimators": ["distributions", "_tables"],
    "objectives": ["estimators"],
    "moments": ["distributions"],
    "nn": ["moments"],
    "diagnostics": ["estimators", "moments"],
    HOUSE: ["objectives", "nn", "diagnostics"],
    "training": ["objectives", "nn", HOUSE],
    "cli": ["training", "diagnostics"],
}
WITH_FLAX = {"nn", "training"}
WITHIN = {  # the parts of a room, each on top of the last
    "diagnostics": ["_program", "_static", "_measure", "_report"],
    "moments": ["_integrals", "_program", "_rules", "_covariances"],
}
ONLY_ABOVE = {"diagnostics": {"cli", HOUSE}}  # who may import it, of all that stand above it


@functools.cache
def below(room):
    """All rooms under `room`."""
    return {room}.union(*(below(other) for other in ON_TOP_OF[room]))


def imports(source, package):
    """The modules that a file of `package` imports, names included: `a.b` for `from a import b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: -node.level + 1 or None] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def faults(room, source):
    """What a file of `room` imports and may not."""
    package = "stochastic_net" if room in (HOUSE, "_types", "_tables") else f"stochastic_net.{room}"
    for name in imports(source, package):
        parts = name.split(".")
        if parts[:2] == ["jax", "_src"]:
            yield f"{room}: {name} is private to jax"
        if parts[0] == "flax" and room not in WITH_FLAX:
            yield f"{room}: {name}, but only {sorted(WITH_FLAX)} know flax"
        if parts[0] != "stochastic_net":
            continue
        other = parts[1] if len(parts) > 1 and parts[1] in ON_TOP_OF else HOUSE
        if other not in below(room):
            yield f"{room}: {name} is not below it"
        elif room not in {other} | ONLY_ABOVE.get(other, {room}):
            yield f"{room}: {name} is read by {sorted(ONLY_ABOVE[other])} only"


def files():
    """Every file of the package and its room."""
    for path in sorted(PACKAGE.rglob("*.py")):
        top, *rest = path.relative_to(PACKAGE).with_suffix("").parts
        yield (HOUSE if top == "__init__" and not rest else top), path


def test_every_file_belongs_to_a_room():
    rooms = {room for room, _ in files()}
    assert {"_types", "random", "distributions", "nn", HOUSE} <= rooms <= ON_TOP_OF.keys()


@pytest.mark.parametrize("room", ON_TOP_OF)
def test_a_room_imports_only_what_is_below_it(room):
    found = [fault for at, path in files() if at == room for fault in faults(at, path.read_text())]
    assert not found


@pytest.mark.parametrize("room", WITHIN)
def test_a_part_of_a_room_imports_only_the_parts_below_it(room):
    parts = WITHIN[room]
    folders = {path.name for path in (PACKAGE / room).iterdir() if (path / "__init__.py").exists()}
    assert folders == set(parts)
    for height, part in enumerate(parts):
        lower = tuple(f"stochastic_net.{room}.{p}." for p in parts[: height + 1])
        for path in (PACKAGE / room / part).glob("*.py"):
            names = imports(path.read_text(), f"stochastic_net.{room}.{part}")
            own = {n for n in names if n.startswith(f"stochastic_net.{room}")}
            assert all(f"{n}.".startswith(lower) for n in own), (path, own)


FAULTY = {  # a room and a line in it that must be found
    "an arrow upwards": ("random", "from stochastic_net.distributions import Gaussian"),
    "a room upwards": ("distributions", "import stochastic_net.nn as nn"),
    "a room by name": ("moments", "from stochastic_net import nn"),
    "two answers to one question": ("estimators", "from stochastic_net.moments import propagate"),
    "and back": ("moments", "from stochastic_net.estimators import pathwise"),
    "a room beside it": ("objectives", "import stochastic_net.moments"),
    "the whole house": ("nn", "import stochastic_net as sn"),
    "a name of the house": ("nn", "from stochastic_net import Gaussian"),
    "a relative import": ("random", "from ..nn import Sample"),
    "a relative import of words": ("_types", "from .random import normal"),
    "a relative room": ("random", "from .. import nn"),
    "inside a function": ("random", "def f():\n    from stochastic_net.nn import Sample"),
    "the command": ("training", "from stochastic_net.cli import main"),
    "diagnostics": ("training", "from stochastic_net.diagnostics import check_gradients"),
    "training in the house": (HOUSE, "from stochastic_net import training"),
    "flax": ("distributions", "from flax import nnx"),
    "flax in the command": ("cli", "import flax.nnx"),
    "private jax": ("nn", "from jax._src import core"),
    "private jax by name": ("nn", "from jax import _src"),
}
FAULTLESS = {
    "downwards": ("cli", "from stochastic_net.diagnostics import check_gradients"),
    "far downwards": ("training", "from stochastic_net.random import named_key"),
    "itself": ("random", "from stochastic_net.random._keys import check_key"),
    "a relative import of its own": ("random", "from ._keys import check_key"),
    "the house from above": ("training", "import stochastic_net as sn"),
    "flax where it is known": ("nn", "from flax import nnx"),
    "a namesake": ("random", "import jax_src, flaxen, stochastic_networks"),
}


@pytest.mark.parametrize(("room", "source"), FAULTY.values(), ids=FAULTY)
def test_the_test_finds_a_fault(room, source):
    assert list(faults(room, source))


@pytest.mark.parametrize(("room", "source"), FAULTLESS.values(), ids=FAULTLESS)
def test_the_test_finds_no_fault_where_there_is_none(room, source):
    assert not list(faults(room, source))


def test_importing_the_house_loads_jax_and_flax_and_no_more():
    script = """
import sys
import jax, jax.experimental.checkify, flax.nnx
before = set(sys.modules)
import stochastic_net
loaded = set(sys.modules) - before
print(*sorted(loaded))
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    loaded = set(run.stdout.split())
    ours = {name for name in loaded if name.startswith("stochastic_net")}
    assert {"stochastic_net", "stochastic_net.nn", "stochastic_net.random"} <= ours
    assert not {"stochastic_net.training", "stochastic_net.cli"} & ours
    others = {name.partition(".")[0] for name in loaded - ours}
    assert others <= {"jax", "jaxlib", "flax", "numpy"} | sys.stdlib_module_names
