"""Gains that are found from activity make every hidden layer fire about as often as wanted."""

import numpy as np
import pytest

from neurosim.backend import get_backend
from neurosim.config import TrainConfig, override
from neurosim.episoderun import prepare_controller
from neurosim.errors import ConfigError
from neurosim.experiment import prepare_program
from neurosim.learning.activity import LEAST, MOST, N_SAMPLES, PER_OCTAVE, find_gains
from neurosim.learning.build import run_steps
from neurosim.tasks import load_task

TASK = load_task("digits", n_steps=6, augment=False)


def config(*settings: str) -> TrainConfig:
    return override(TrainConfig(), ["network.n_steps=6", "network.hidden=[40,30,20]", *settings])


def rates(which: TrainConfig) -> list[float]:
    """Return the spikes per step and neuron of each hidden layer on the first training samples."""
    program, n_steps = prepare_program(which, TASK)[0], run_steps(which.network)
    with get_backend("simulator").open(program) as runner:
        counts = runner.run(TASK.train_events.take(np.arange(N_SAMPLES)), n_steps).counts
    assert counts is not None
    hidden = program.network.groups[1:-1]
    return [counts.of(group.name, "spikes") / (group.n * N_SAMPLES * n_steps) for group in hidden]


@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_every_layer_fires_at_least_as_often_as_wanted_and_little_more(rate: float) -> None:
    starved, found = rates(config()), rates(config(f"network.rate={rate}"))
    assert starved[2] < 0.01, "without it, deeper layers are silent"
    for layer in found:
        assert rate <= layer < 2.5 * rate


def test_convolutions_are_layers_too() -> None:
    found = rates(config("network.rate=0.05", 'network.convolutions=["4c3s1"]', "network.hidden=[20]"))
    assert len(found) == 2 and all(0.05 <= layer < 0.15 for layer in found)


def test_gains_are_the_same_for_the_same_seed_and_the_readout_keeps_its_own() -> None:
    wanted = config("network.rate=0.05")
    gains = find_gains(wanted, TASK)
    assert gains == find_gains(wanted, TASK)
    assert len(gains) == 4 and gains[-1] == wanted.network.gain
    assert prepare_program(wanted, TASK)[0].fingerprint == prepare_program(wanted, TASK)[0].fingerprint


def test_a_rate_out_of_reach_ends_at_the_largest_gain() -> None:
    wanted = config("network.rate=1.0", "network.hidden=[8]")
    assert find_gains(wanted, TASK)[0] == wanted.network.gain * 2 ** (MOST / PER_OCTAVE)
    assert find_gains(config("network.rate=1e-9", "network.hidden=[8]"), TASK)[0] >= 1.28 * 2 ** (LEAST / PER_OCTAVE)


def test_tasks_that_are_played_have_no_samples_to_fire_on() -> None:
    played = override(TrainConfig(), ["task=cartpole", "network.hidden=[8]", "network.rate=0.1"])
    with pytest.raises(ConfigError, match=r"network\.rate: 0\.1 .* set it to 0"):
        prepare_controller(played)
