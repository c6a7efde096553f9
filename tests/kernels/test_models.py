"""Networks of every model and connection: kernels and numpy twins agree, step by step and in any number of threads."""

import numpy as np
import pytest
from model_networks import MODELS, conv_network, model_network, probe_states, random_values, wide_network
from test_simulator import assert_same

from neurosim.compile_network import compile
from neurosim.events import events_from_dense
from neurosim.network import Dense, Input, Network, Sparse
from neurosim.neurons import Sigma
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


@pytest.mark.parametrize("exponent", [-8, -1, 0, 5])
@pytest.mark.parametrize("seed", range(3))
def test_delayed_sums_beyond_32_bits_equal_their_twins(seed, exponent):
    network = wide_network(seed, exponent)
    assert_same(*run_both(network, random_values(seed, 2, 12, network.n_inputs, (1 << 24) - 1)))


def test_delayed_sums_wrap_before_the_exponent_where_sparse_and_after_it_where_dense():
    """Lava adds up delayed dense connections in 64 bits, all others in 32."""
    largest, n_steps = (1 << 24) - 1, 5
    groups = [Input("in", 2), Sigma("dense", 1), Sigma("sparse", 1)]
    connections = [
        Dense("in", "dense", [[100, 100]], -1, sign_mode="mixed", delays=[[1, 1]], num_message_bits=24),
        Sparse(
            "in", "sparse", (1, 2), [0, 0], [0, 1], [100, 100], -1, sign_mode="mixed", delays=1, num_message_bits=24
        ),
    ]
    values = np.zeros((1, n_steps, 2), np.int32)
    values[0, 0] = largest
    result, _ = run_both(Network(groups, connections, probe_states(groups)), events_from_dense(values, graded=True))
    product = (100 * largest + 2**31) % 2**32 - 2**31
    assert result.states["dense", "sigma"][0, -1, 0] == 2 * product >> 1
    assert result.states["sparse", "sigma"][0, -1, 0] == ((2 * product + 2**31) % 2**32 - 2**31) >> 1
    assert result.states["dense", "sigma"][0, -1, 0] != result.states["sparse", "sigma"][0, -1, 0]
