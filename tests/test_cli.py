"""The command: what it makes, what it says of bad input, how it stops and goes on."""

import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import stochastic_net
from stochastic_net.cli import main
from stochastic_net.training import Config
from stochastic_net.training._run_folder import RunFolder

pytestmark = pytest.mark.relaxed  # optax and flax promote scalars

COMMAND = [
    sys.executable,
    "-W",
    "error",
    "-W",
    "ignore:Error reading persistent compilation cache",  # as in pyproject.toml
    "-c",
    "import sys, stochastic_net.cli as c; sys.exit(c.main())",
]
QUICK = ["--epochs", "4", "--save-every", "15", "--draws", "4"]
STEPS = 3 * 4 * 22  # three modes, four epochs of 1437 // 64 batches


def environment(**extra):
    """The user's, not the tests': one device, JAX's own settings."""
    return {**os.environ, "XLA_FLAGS": "", "MPLBACKEND": "", "COLUMNS": "120", **extra}


def command(*arguments, cwd, **extra):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def start(*arguments, cwd):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def steps_logged(run):
    return (
        len((run / "metrics.jsonl").read_text().splitlines())
        if (run / "metrics.jsonl").exists()
        else 0
    )


def wait_for(condition, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def parameters(run):
    """The fingerprint of every array of the last checkpoint of each mode."""
    return {
        str(manifest.relative_to(run)): manifest.read_text()
        for manifest in sorted(run.glob("checkpoints/*/88/manifest/metadata"))
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was never interrupted, and compiled its programs itself."""
    folder = tmp_path_factory.mktemp("finished")
    done = command("train", *QUICK, "--out", "run", cwd=folder, JAX_COMPILATION_CACHE_DIR="")
    assert done.returncode == 0, done.stderr
    return folder / "run", done


def test_a_run_leaves_table_plots_metrics_and_checkpoints(finished):
    run, done = finished
    files = {path.name for path in run.iterdir()}
    assert files == {
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "report.json",
        "report.md",
        "loss.png",
        "noise.png",
        "pairs.png",
        "reliability.png",
    }
    assert all((run / name).read_bytes().startswith(b"\x89PNG") for name in files if "png" in name)
    assert len(parameters(run)) == 3
    rows = json.loads((run / "report.json").read_text())
    assert {(row["mode"], row["test_set"]) for row in rows if row["test_set"]} == {
        (mode, name)
        for mode in ("plain", "sample", "moments")
        for name in ("clean", "normal", "degraded")
    }
    for word in ("loss", "steps/s", "left", "accuracy", "NLL", "Brier", "ECE", "plain", "sample"):
        assert word in done.stdout


def test_evaluate_prints_the_table_again(finished):
    run, done = finished
    again = command("evaluate", run, cwd=run.parent)
    assert again.returncode == 0, again.stderr
    table = [line for line in done.stdout.splitlines() if "%" in line]
    assert len(table) == 9
    assert table == [line for line in again.stdout.splitlines() if "%" in line]


def test_evaluate_on_other_data(finished, tmp_path):
    run, _ = finished
    save(tmp_path / "new.npz", images(30, 8))
    save(tmp_path / "large.npz", images(30, 12))
    done = command("evaluate", run, "--data", "new.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "new.npz: 30 test examples" in done.stdout
    refused = command("evaluate", run, "--data", "large.npz", cwd=tmp_path)
    assert refused.returncode == 2
    assert "(12, 12, 1)" in refused.stderr


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_at_a_random_step_and_resumed_it_ends_with_the_same_bits(finished, tmp_path, seed):
    run = tmp_path / "run"
    process = start("train", *QUICK, "--out", "run", cwd=tmp_path)
    lines = random.Random(seed).randrange(1, STEPS // 10 - 2)
    wait_for(lambda: steps_logged(run) >= lines, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert parameters(run) != parameters(finished[0])
    done = command("train", "--out", "run", "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert parameters(run) == parameters(finished[0])
    for name in ("metrics.jsonl", "report.json"):
        assert (run / name).read_bytes() == (finished[0] / name).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(finished, tmp_path, number):
    run = tmp_path / "run"
    process = start("train", *QUICK, "--out", "run", cwd=tmp_path)
    wait_for(lambda: steps_logged(run) >= 2, process)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert "everything is saved" in error
    assert "stochastic-net train --out run --resume" in error
    assert command("train", *QUICK, "--out", "run", "--resume", cwd=tmp_path).returncode == 0
    assert parameters(run) == parameters(finished[0])


def test_eight_devices_draw_what_one_draws(finished, tmp_path):
    """The same table; not the same bits, for the gradients are summed in another order."""
    flags = "--xla_force_host_platform_device_count=8"
    done = command("train", *QUICK, "--out", "run", cwd=tmp_path, XLA_FLAGS=flags)
    assert done.returncode == 0, done.stderr
    assert "8 cpu device(s)" in done.stdout
    one, eight = (
        json.loads((r / "report.json").read_text()) for r in (finished[0], tmp_path / "run")
    )
    for a, b in zip(one, eight, strict=True):
        np.testing.assert_allclose(a["nll"], b["nll"], rtol=2e-2)


def test_philox_on_several_devices_is_a_clear_error(tmp_path):
    flags = "--xla_force_host_platform_device_count=8"
    done = command("train", "--key-impl", "philox4x32", cwd=tmp_path, XLA_FLAGS=flags)
    assert done.returncode == 2
    assert "philox4x32 does not compile on 8 devices" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["train"], ["evaluate"]])
def test_help_is_complete(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    expected = {
        (): ("train", "evaluate"),
        ("train",): (
            "--data",
            "--mode",
            "--epochs",
            "--batch-size",
            "--learning-rate",
            "--draws",
            "--photons",
            "--read-noise",
            "--dead",
            "--seed",
            "--key-impl",
            "--save-every",
            "--out",
            "--resume",
        ),
        ("evaluate",): ("PATH", "--data"),
    }[tuple(arguments)]
    assert all(word in shown for word in expected)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"stochastic-net {stochastic_net.__version__}\n"


# --- bad input: one clear line, status 2, nothing left behind -------------------------------------


def images(examples, size, classes=10):
    rng = np.random.default_rng(0)
    shape = (examples, size, size)
    return {
        "mean": rng.random(shape, np.float32),
        "var": rng.random(shape, np.float32),
        "label": np.arange(examples) % classes,
    }


def save(path, arrays):
    np.savez(path, **arrays)


def changed(**arrays):
    """A writer of a good file, but for these arrays (None leaves one out)."""

    def write(path):
        merged = {**images(40, 8), **arrays}
        save(path, {name: array for name, array in merged.items() if array is not None})

    return write


def entry(name, value):
    array = images(40, 8)[name].copy()
    array.flat[77 if name != "label" else 7] = value
    return changed(**{name: array})


def truncated(path):
    save(path, images(40, 8))
    path.write_bytes(path.read_bytes()[:2000])


def corrupted(path):
    np.savez_compressed(path, **images(40, 8))
    data = bytearray(path.read_bytes())
    data[600:700] = bytes(100)
    path.write_bytes(data)


def single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


BAD_FILES = {
    "missing file": (lambda path: None, r"no such file"),
    "a folder": (Path.mkdir, r"no such file"),
    "empty": (lambda path: path.write_bytes(b""), r"damaged or is not an \.npz"),
    "text": (lambda path: path.write_text("mean,var,label\n"), r"pickled|damaged|not an \.npz"),
    "truncated": (truncated, r"damaged or is not an \.npz"),
    "corrupted": (corrupted, r"damaged or is not an \.npz"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"mean": 1})), r"pickled.*never loaded"),
    "pickled objects": (changed(label=np.array([{}] * 40)), r"pickled Python objects.*never"),
    "a single array": (single_array, r"single array"),
    "no mean": (changed(mean=None), r"lacks mean; it holds"),
    "no var": (changed(var=None), r"lacks var"),
    "no label": (changed(label=None), r"lacks label"),
    "shapes differ": (
        changed(var=np.ones((40, 8, 9))),
        r"one shape, got \(40, 8, 8\) and \(40, 8, 9\)",
    ),
    "no images": (changed(mean=np.ones(40), var=np.ones(40)), r"must have the shape .*got \(40,\)"),
    "too small": (changed(mean=np.ones((40, 3, 8)), var=np.ones((40, 3, 8))), r"at least 4"),
    "no examples": (
        changed(mean=np.ones((0, 8, 8)), var=np.ones((0, 8, 8)), label=np.ones(0, int)),
        r"got \(0, 8, 8\)",
    ),
    "complex": (
        changed(mean=np.ones((40, 8, 8), complex)),
        r"mean must hold real numbers.*complex",
    ),
    "text pixels": (changed(var=np.full((40, 8, 8), "1")), r"var must hold real numbers"),
    "negative variance": (
        entry("var", -0.5),
        r"must not be negative, 1 of 2560.*-0\.5 at index \(1, 1, 5\)",
    ),
    "NaN in mean": (entry("mean", np.nan), r"mean must be finite.*index \(1, 1, 5\)"),
    "NaN in var": (entry("var", np.nan), r"var must be finite"),
    "infinite": (entry("var", np.inf), r"var must be finite"),
    "variance too large": (entry("var", 1e37), r"var must be .* smaller than 1e\+30; 1 of 2560"),
    "mean too large": (entry("mean", -1e20), r"mean must be .* smaller than 1e\+15; 1 of 2560"),
    "too large": (changed(mean=np.full((40, 8, 8), 1e300)), r"mean must be finite in float32"),
    "labels too few": (changed(label=np.zeros(39, int)), r"label must have one entry per example"),
    "labels 2-d": (changed(label=np.zeros((40, 1), int)), r"shape \(40,\), got \(40, 1\)"),
    "float labels": (changed(label=np.zeros(40)), r"label must hold whole numbers.*float64"),
    "negative label": (entry("label", -1), r"label must hold whole numbers.*minimum -1"),
    "a class of one": (changed(label=np.arange(40) // 39), r"cannot be split"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gets_one_clear_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write, message = BAD_FILES[name]
    write(tmp_path / "bad.npz")
    assert_refused(["train", "--data", "bad.npz"], message, capsys)
    assert [path.name for path in tmp_path.iterdir()] in (["bad.npz"], [])


BAD_ARGUMENTS = {
    "unknown data": (["train", "--data", "cifar"], r"data must be digits, mnist5k or a FILE\.npz"),
    "no epochs": (["train", "--epochs", "0"], r"epochs must be at least 1, got 0"),
    "no batch": (["train", "--batch-size", "-3"], r"batch_size must be at least 1"),
    "no draws": (["train", "--draws", "0"], r"draws must be at least 1"),
    "learning rate": (
        ["train", "--learning-rate", "nan"],
        r"learning_rate must be above 0, got nan",
    ),
    "photons": (["train", "--photons", "0"], r"photons must be above 0"),
    "read noise": (["train", "--read-noise", "-1"], r"read_noise must be from 0"),
    "dead": (["train", "--dead", "1.5"], r"dead must be a share from 0 to 0\.5"),
    "seed": (["train", "--seed", "-1"], r"seed must be from 0"),
    "rbg": (
        ["train", "--key-impl", "rbg"],
        r"rbg cannot be used: training gives every example a key",
    ),
    "generator": (["train", "--key-impl", "mt19937"], r"key_impl must be threefry2x32 or"),
    "batch on 8 devices": (["train", "--batch-size", "60"], r"cannot be split over 8 devices"),
    "out exists": (["train", "--out", "exists"], r"exists exists already and is not overwritten"),
    "resume nothing": (["train", "--resume"], r"--resume needs the run folder"),
    "resume nowhere": (["train", "--out", "nowhere", "--resume"], r"no such run folder"),
    "resume no run": (["train", "--out", "exists", "--resume"], r"is not a run folder"),
    "resume broken": (
        ["train", "--out", "broken", "--resume"],
        r"does not hold the settings of a run",
    ),
    "evaluate nowhere": (["evaluate", "nowhere"], r"no such run folder"),
    "evaluate no run": (["evaluate", "exists"], r"is not a run folder"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_a_bad_argument_gets_one_clear_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exists").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"epochs": "many"')
    arguments, message = BAD_ARGUMENTS[name]
    assert_refused(arguments, message, capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "exists"]


def assert_refused(arguments, message, capsys):
    status = main(arguments)
    out, error = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert re.search(message, error)


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train", "--epochs", "x"], ["train", "--mode", "z"]]
)
def test_words_that_are_no_command_get_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_resume_with_other_settings_is_refused(finished, capsys):
    assert_refused(
        ["train", "--out", str(finished[0]), "--resume", "--epochs", "9"],
        r"epochs=4, not 9",
        capsys,
    )


def test_runs_without_a_name_never_meet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [RunFolder.create(None, Config()).path.name for _ in range(3)]
    assert made == ["digits", "digits-2", "digits-3"]


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


def test_check_a_run(finished, capsys):
    assert main(["check", "--run", str(finished[0])]) == 0
    out = capsys.readouterr().out
    assert "mode sample" in out
    assert "mode moments" in out
    assert "params['decoder']['conv1']['kernel']" in out
