"""Bad input to the command: one clear line, status 2, nothing left behind."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from _cli import assert_refused, images

from stochastic_net.cli import main

pytestmark = pytest.mark.relaxed  # optax and flax promote scalars


def changed(**arrays):
    """A writer of a good file, but for these arrays (None leaves one out)."""

    def write(path):
        merged = {**images(40, 8), **arrays}
        np.savez(path, **{name: array for name, array in merged.items() if array is not None})

    return write


def entry(name, value):
    array = images(40, 8)[name].copy()
    array.flat[77 if name != "label" else 7] = value
    return changed(**{name: array})


def truncated(path):
    np.savez(path, **images(40, 8))
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


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train", "--epochs", "x"], ["train", "--mode", "z"]]
)
def test_words_that_are_no_command_get_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
