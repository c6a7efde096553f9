"""Training by gradients: the same bits for any number of threads and after any interruption, and it learns."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install neurosim-hal[torch])")

from neurosim.config import TrainConfig, override  # noqa: E402
from neurosim.direct.trainer import DirectTrainer, learning_rate  # noqa: E402
from neurosim.directconfig import DirectConfig  # noqa: E402
from neurosim.errors import ConfigError, ModelFileError  # noqa: E402
from neurosim.learning.build import build_network  # noqa: E402
from neurosim.tasks import load_task  # noqa: E402

SETTINGS = ["augment=false", "batch=50", "network.n_steps=4", "network.hidden=[24]", "direct.rate=0.01", "direct.dropout=0.1",
            "direct.learn_width=step", "direct.learn_threshold=true", "direct.balance=0.05", "direct.clip=2.0", "direct.smoothing=0.1",
            "direct.weight_decay=0.01"]  # fmt: skip


def trainer(settings=(), threads=1, augment=False):
    config = override(TrainConfig(method="direct", epochs=2), [*SETTINGS, *settings])
    task = load_task("digits", n_steps=4, augment=augment)
    network = build_network(config.network, task.n_inputs, task.n_classes, config.seed, "net", task.input_shape)
    return DirectTrainer(config, network, task, threads)


def arrays_after(opened: DirectTrainer, most: int) -> dict[str, np.ndarray]:
    with opened:
        opened.advance(most)
        return opened.state()[1]


def test_any_number_of_threads_gives_the_same_bits():
    one, *others = (arrays_after(trainer(threads=threads), 8) for threads in (1, 2, 3, 8))
    assert len(one) == 3 * 4  # weights of two connections, a threshold, widths; each with its two moments
    for found in others:
        for name, array in one.items():
            np.testing.assert_array_equal(array, found[name])


@pytest.mark.parametrize("augment", [False, True])
def test_a_resumed_training_is_the_same(augment):
    whole = arrays_after(trainer(augment=augment), 40)
    with trainer(augment=augment) as first:
        first.advance(33)
        header, arrays = first.state()
    with trainer(augment=augment) as second:
        second.restore(header, arrays, "checkpoint")
        assert second.generation == 33
        second.advance(7)
        for name, array in second.state()[1].items():
            np.testing.assert_array_equal(array, whole[name])


def test_another_seed_gives_other_weights():
    one, two = (arrays_after(trainer([f"seed={seed}"]), 2) for seed in (1, 2))
    assert any((one[name] != two[name]).any() for name in one)


def test_it_learns_and_ends():
    with trainer(["epochs=4", "direct.smoothing=0", "direct.dropout=0"], threads=2) as opened:
        task, updates = opened.task, []
        while opened.generation < opened.n_generations:
            updates += opened.advance(10)
        assert opened.n_generations == len(updates) == 4 * len(task.train_labels) // 50
        assert opened.advance(1) == []
        first, last = updates[0], np.mean([u.correct / u.n_samples for u in updates[-10:]])
        assert first.loss > 2 and last > 0.95
        assert np.mean(opened.predict(task.test_events) == task.test_labels) > 0.93
        assert 0.01 < updates[-1].rates["hidden"] < 0.6
        widths = opened.widths()["hidden"]
        assert len(widths) == 4 and len(set(widths)) == 4
        edges, counts = opened.potentials(task.test_events, 100)["hidden"]
        assert sum(counts) == 100 * 4 * 24 and len(edges) == len(counts) + 1


def test_the_balance_loss_balances():
    found = []
    for weight in (0.0, 1.0):
        with trainer([f"direct.balance={weight}", "direct.smoothing=0", "direct.dropout=0"]) as opened:
            opened.advance(60)
            edges, counts = (np.asarray(x) for x in opened.potentials(opened.task.test_events, 200)["hidden"])
            middle = (edges[1:] + edges[:-1]) / 2
            found.append(abs((middle * counts).sum()) / (np.abs(middle) * counts).sum())
    assert found[1] < 0.6 * found[0]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_rises_and_falls(schedule):
    config = DirectConfig(rate=0.5, schedule=schedule, warmup=0.2)
    rates = [learning_rate(config, x) for x in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates[:3] == pytest.approx([0, 0.25, 0.5])
    assert rates[3:] == pytest.approx([0.5, 0.5] if schedule == "constant" else [0.25, 0.0])


def test_a_rate_at_which_it_diverges_is_an_error():
    with trainer(["direct.weight_decay=0", "direct.clip=0"]) as opened:
        opened.advance(1)
        next(iter(opened.net.parameters.values())).fill(float("nan"))
        with pytest.raises(ConfigError, match="direct.rate: 0.01 made weight of .* infinite in batch 2; lower it"):
            opened.advance(1)


def test_the_readout_may_be_balanced():
    """In floats and in chip integers alike: its potentials are taken in units of the float weights."""
    found = []
    for arithmetic in ("chip", "float"):
        with trainer(
            ["direct.balance_layers=readout", "direct.balance_norm=neurons", f"direct.arithmetic={arithmetic}"]
        ) as opened:
            found.append(opened.advance(1)[0].balance)
    assert found[0] == pytest.approx(found[1], rel=0.2)
    assert found[0] > 0


def test_states_of_others_are_refused():
    with trainer() as opened:
        header, arrays = opened.state()
        with pytest.raises(ModelFileError, match="no checkpoint of method 'direct'"):
            opened.restore(header | {"method": "on-chip"}, arrays, "file")
        name = next(iter(arrays))
        with pytest.raises(ModelFileError, match="is missing or of another shape"):
            opened.restore(header, {key: value for key, value in arrays.items() if key != name}, "file")
