"""The command: what it makes, what it says of bad input, how it stops and goes on."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from _cli import assert_refused, images

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


@pytest.mark.law
def test_evaluate_on_other_data(finished, tmp_path):
    run, _ = finished
    np.savez(tmp_path / "new.npz", **images(30, 8))
    np.savez(tmp_path / "large.npz", **images(30, 12))
    done = command("evaluate", run, "--data", "new.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "new.npz: 30 test examples" in done.stdout
    refused = command("evaluate", run, "--data", "large.npz", cwd=tmp_path)
    assert refused.returncode == 2
    assert "(12, 12, 1)" in refused.stderr


@pytest.mark.law
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


@pytest.mark.law
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


@pytest.mark.law
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


def test_check_a_run(finished, capsys):
    assert main(["check", "--run", str(finished[0])]) == 0
    out = capsys.readouterr().out
    assert "mode sample" in out
    assert "mode moments" in out
    assert "params['decoder']['conv1']['kernel']" in out
