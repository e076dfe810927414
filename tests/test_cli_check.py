"""The command `check` on a function in a file."""

import pytest

from stochastic_net.cli import main

pytestmark = pytest.mark.relaxed  # optax and flax promote scalars


CHECKED = """
import jax, jax.numpy as jnp

def broken(logits, rewards, key):
    return rewards[jax.random.categorical(key, logits)]

def sound(x, key):
    return jnp.sum((x + jax.random.normal(key, x.shape)) ** 2)

example_inputs = (jnp.zeros(3), jnp.arange(3.0))

def one():
    return jnp.ones(3)
"""


def test_check_a_function_in_a_file(tmp_path, capsys):
    file = tmp_path / "net.py"
    file.write_text(CHECKED)
    with pytest.raises(SystemExit) as stop:
        main(["check", f"{file}:broken"])
    assert stop.value.code == 1
    out, error = capsys.readouterr()
    assert "error: draw of logits, net.py:5" in out
    assert "running the code of" in error
    assert main(["check", f"{file}:sound", "--args", "one"]) == 0
    assert "the gradient flows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "FILE.py:FUNCTION or --run RUN"),
        (["check", "net.py"], "expected FILE.py:FUNCTION"),
        (["check", "missing.py:f"], "no such file"),
        (["check", "net.py:nothing"], "no function nothing"),
        (["check", "net.py:sound", "--args", "nothing"], "has no nothing"),
        (["check", "net.py:sound", "--args", "example_inputs"], "net.py:sound: "),
        (["check", "bad.py:f"], "ZeroDivisionError"),
        (["check", "--run", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(CHECKED)
    (tmp_path / "bad.py").write_text("1 / 0")
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    last = error.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in error
