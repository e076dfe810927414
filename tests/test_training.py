"""The training room: sensor, data, scores, step, checkpoints, each against an outside truth."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats
from sklearn import metrics

from stochastic_net.training import Config, InputError, Sensor, score
from stochastic_net.training._checkpoints import Checkpoints
from stochastic_net.training._dataset import load_dataset
from stochastic_net.training._files import write_whole
from stochastic_net.training._objective import example_keys
from stochastic_net.training._run_folder import RunFolder
from stochastic_net.training._scores import reliability
from stochastic_net.training._task import Task

pytestmark = pytest.mark.relaxed  # optax and flax promote scalars


@pytest.fixture(scope="module")
def digits():
    return load_dataset(Config())


# --- the sensor ---------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("brightness", [0.0, 0.3, 1.0])
def test_the_sensor_is_unbiased_and_reports_its_own_variance(level, brightness):
    """z-tests of mean, variance and reported variance at a two-sided level of 6e-7 (z = 5)."""
    count = 200_000
    mean, var = Sensor(50.0, 2.0, 0.0).measure(np.full(count, brightness), level, (1,))
    photons = 50.0 / level
    true_var = (photons * brightness + 4.0) / photons**2
    error = stats.sem(mean)
    assert abs(mean.mean() - brightness) < 5 * error
    fourth = stats.sem((mean - brightness) ** 2)
    assert abs(((mean - brightness) ** 2).mean() - true_var) < 5 * fourth
    if brightness == 1.0:  # the count is never below zero here, so max(n, 0) has no bias
        assert abs(var.mean() - true_var) < 5 * stats.sem(var)


def test_dead_pixels_have_their_share_and_their_variance():
    _, var = Sensor(50.0, 2.0, 0.05).measure(np.zeros(100_000), 2.0, (0,))
    dead = var == np.float32(1 / 3)
    assert stats.binomtest(int(dead.sum()), dead.size, 0.1).pvalue > 1e-6


def test_level_zero_is_the_image_with_variance_zero():
    image = np.linspace(0, 1, 7, dtype=np.float32)
    mean, var = Sensor(50.0, 2.0, 0.05).measure(image, 0.0, (0,))
    np.testing.assert_array_equal(mean, image)
    np.testing.assert_array_equal(var, 0)


# --- the data -----------------------------------------------------------------------------------


def test_train_and_test_share_no_example_and_cover_all(digits):
    train, test = digits.train.id, digits.test_at(1.0).id
    assert sorted([*train, *test]) == list(range(1797))


def test_the_noise_is_drawn_once(digits):
    chex.assert_trees_all_equal(digits.test_at(2.0), digits.test_at(2.0))
    assert not np.array_equal(digits.test_at(1.0).pair.mean, digits.test_at(2.0).pair.mean)


def test_mnist5k_is_five_thousand_real_digits():
    data = load_dataset(Config(data="mnist5k"))
    assert data.image_shape == (28, 28, 1)
    assert np.bincount(data.train.label).tolist() == [400] * 10


def test_a_file_is_degraded_by_adding_noise(tmp_path):
    """Adding noise of variance (t - 1) v to measurements gives variance t v: a z-test at z = 5."""
    rng = np.random.default_rng(0)
    var = rng.uniform(0.5, 2.0, (200, 16, 16)).astype(np.float32)
    path = tmp_path / "mine.npz"
    np.savez(path, mean=np.zeros_like(var), var=var, label=np.arange(200) % 2 + 5)
    data = load_dataset(Config(data=str(path)))
    as_measured, noisier = data.test_at(1.0), data.test_at(4.0)
    assert data.classes == (5, 6)
    assert data.levels[0] == 1.0
    np.testing.assert_array_equal(as_measured.pair.mean, 0)
    np.testing.assert_array_equal(noisier.pair.var, 4 * as_measured.pair.var)
    t = noisier.pair.mean**2 / (3 * as_measured.pair.var)
    assert abs(t.mean() - 1) < 5 * stats.sem(t.ravel())


# --- the scores ---------------------------------------------------------------------------------


def predictions(classes, examples=500):
    rng = np.random.default_rng(classes)
    return rng.dirichlet(np.full(classes, 0.5), examples), rng.integers(0, classes, examples)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_scores_equal_those_of_scikit_learn(classes):
    p, label = predictions(classes)
    scores = score(p, label)
    every = list(range(classes))
    brier = metrics.brier_score_loss(label, p, labels=every, scale_by_half=False)
    np.testing.assert_allclose(scores.accuracy, metrics.accuracy_score(label, p.argmax(1)))
    np.testing.assert_allclose(scores.nll, metrics.log_loss(label, p, labels=every), rtol=1e-9)
    np.testing.assert_allclose(scores.brier, brier, rtol=1e-12)


def test_calibration_error_by_hand():
    """Two bins: confidence 0.8 right half the time, confidence 0.6 always right."""
    p = np.array([[0.8, 0.2]] * 4 + [[0.4, 0.6]] * 4)
    label = np.array([0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(score(p, label).ece, 0.5 * 0.3 + 0.5 * 0.4)
    assert reliability(p, label).share.sum() == 1


def test_a_probability_of_zero_costs_much_but_not_everything():
    assert 80 < score(np.array([[1.0, 0.0]]), np.array([1])).nll < 90


# --- the step -----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["plain", "sample", "moments"])
def task(request, digits):
    return Task(Config(batch_size=64, draws=4), digits, request.param)


def test_the_step_compiles_once_and_learns(task):
    state = task.initial_state()
    chex.clear_trace_counter()  # chex counts by name, and all modes have a `step`
    step = chex.assert_max_traces(task._step.__wrapped__, n=1)
    step, losses = jax.jit(step, donate_argnums=0), []
    for i in range(40):
        state, loss = step(state, task.batch(i), task._train_key)
        losses.append(float(loss))
    assert int(state.step) == 40
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    chex.assert_tree_all_finite((state.params, state.opt_state))


def test_all_modes_start_from_the_same_network(digits):
    states = [Task(Config(), digits, mode).initial_state() for mode in Config().modes()]
    chex.assert_trees_all_equal(*(jax.tree.leaves(state.params) for state in states))


def test_every_epoch_sees_every_example_once(task):
    steps = task.steps_per_epoch
    ids = [np.asarray(task.batch(step).id) for step in range(2 * steps)]
    first, second = np.concatenate(ids[:steps]), np.concatenate(ids[steps:])
    assert len(set(first)) == len(first) == steps * 64
    assert not np.array_equal(first, second)


def test_an_examples_prediction_does_not_depend_on_its_batch(task, digits):
    """Neither order nor padding: 70 examples fill one batch of 64 and one of 6 with 58 copies."""
    state, test = task.initial_state(), digits.test_at(1.0).take(np.arange(70))
    order = np.random.default_rng(0).permutation(70)
    p = task.predict(state, test)
    np.testing.assert_allclose(
        task.predict(state, test.take(order)), p[order], rtol=2e-5, atol=1e-7
    )
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)


def test_the_gradient_of_a_sampled_loss_reaches_mean_and_variance(digits):
    task = Task(Config(batch_size=8), digits, "sample")
    state, batch = task.initial_state(), task.batch(0)

    def total(pair):
        net = nnx.merge(task.graph, state.params, state.constants)
        return jax.vmap(net)(pair, example_keys(task._train_key, batch)).sum()

    gradient = jax.jit(jax.grad(total))(batch.pair)
    chex.assert_tree_all_finite(gradient)
    assert all(jnp.abs(leaf).sum() > 0 for leaf in jax.tree.leaves(gradient))


# --- checkpoints and files ----------------------------------------------------------------------


def state_of(seed):
    noise = np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32)
    return {"step": jnp.asarray(seed), "params": {"a b/c": jnp.asarray(noise)}}


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for step in (5, 7):
        checkpoints.save(step, state_of(step))
    chex.assert_trees_all_equal(checkpoints.restore(7, like=state_of(0)), state_of(7))
    chex.assert_trees_all_equal(checkpoints.restore(5, like=state_of(0)), state_of(5))
    assert checkpoints.latest() == 7
    checkpoints.close()


def test_a_flipped_bit_is_found(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": jnp.arange(4096.0)})
    checkpoints.close()
    largest = max((tmp_path / "1" / "state").rglob("*"), key=lambda f: f.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(InputError, match=r"damaged|cannot be read"):
        checkpoints.restore(1, like={"a": jnp.zeros(4096)})
    checkpoints.close()


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": jnp.zeros(3)})
    with pytest.raises(InputError, match="cannot be read"):
        checkpoints.restore(1, like={"b": jnp.zeros(4)})
    checkpoints.close()


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, "old")

    def fails(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fails)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_metrics_cut_short_by_a_kill_are_mended(tmp_path):
    folder = RunFolder.create(tmp_path / "run", Config())
    for step in (10, 20):
        folder.log("plain", step, 0.5)
    with folder.metrics.open("a") as file:
        file.write('{"mode": "plain", "st')
    folder.forget_after("plain", 10)
    folder.log("plain", 20, 0.25)
    assert [json.loads(line)["loss"] for line in folder.metrics.read_text().splitlines()] == [
        0.5,
        0.25,
    ]


def test_settings_survive_the_round_trip(tmp_path):
    config = Config(epochs=3, mode="sample", photons=12.5)
    config.save(tmp_path / "config.json")
    assert Config.load(tmp_path / "config.json") == config
    assert Config(epochs=4).differing(config) == ["epochs"]
    assert Config().differing(config) == []
