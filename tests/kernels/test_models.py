"""Networks of every model and connection: kernels and numpy twins agree, step by step and in any number of threads."""


import pytest
from model_networks import MODELS, conv_network, model_network, random_values
from test_simulator import assert_same

from neurosim.compile_network import compile
from neurosim.simulator import ReferenceBackend, SimulatorBackend


def run_both(network, events, arithmetic="lava-0.10", threads=1):
    program = compile(network, "unlimited", arithmetic)
    with SimulatorBackend().open(program, threads=threads) as runner:
        one = runner.run(events)
    with ReferenceBackend().open(program) as runner:
        other = runner.run(events)
    return one, other


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(4))
def test_every_model_equals_its_twin(model, seed):
    network = model_network(seed, (model,), n_groups=2)
    assert_same(*run_both(network, random_values(seed, 2, 20, network.n_inputs)))


@pytest.mark.parametrize("seed", range(100, 140))
def test_mixed_networks_equal_their_twins(seed):
    network = model_network(seed)
    assert_same(*run_both(network, random_values(seed, 3, 15, network.n_inputs), threads=2))


@pytest.mark.parametrize("seed", range(20))
def test_convolutions_equal_the_written_out_matrix(seed):
    network = conv_network(seed)
    assert_same(*run_both(network, random_values(seed, 2, 6, network.n_inputs, 1 << 20)))
