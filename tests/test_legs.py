"""The same tests again in a process of other settings, which JAX takes only when it starts."""

import os
import pathlib
import subprocess
import sys

import pytest

INSIDE = "STOCHASTIC_NET_TESTS_LEG"  # set in the process of a leg, which starts no legs itself
TESTS = pathlib.Path(__file__).parent

GAUSSIAN = ("draws", "functions", "values")
LEGS = {  # the environment of the process, and the tests it runs: files, and a choice among them
    "float64": (
        {"JAX_ENABLE_X64": "1"},
        [
            "test_random.py",
            "test_gaussian_draws.py",
            "test_gaussian_functions.py",
            "test_gaussian_values.py",
            "test_trees_of_distributions.py",
        ],
        "normal_is or half or draw_and_gradient or exact or arithmetic or pytree or tree_is",
    ),
    "no fused multiply-add": (
        {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_cpu_max_isa=AVX"},
        ["test_same_draw.py"],
        "not bits",
    ),
    "no leaked tracers": (
        {"JAX_CHECK_TRACER_LEAKS": "1"},
        ["test_nn.py"],
        "anywhere or (every_jit and draws)",
    ),
}


@pytest.mark.skipif(INSIDE in os.environ, reason="this is a leg")
@pytest.mark.parametrize(("environment", "files", "choice"), LEGS.values(), ids=LEGS)
def test_the_tests_pass_under_other_settings(environment, files, choice):
    options = ["-n", "0", "-p", "no:cacheprovider", "-k", choice]
    ours = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *(str(TESTS / file) for file in files), *options],
        env={**ours, **environment, INSIDE: "1"},
        cwd=TESTS.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout
