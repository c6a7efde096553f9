"""Plans: which groups are perturbed and learn, where votes lie, and what is refused."""

import numpy as np
import pytest
from random_networks import learning_case, learning_network

from neurosim.codes import (
    FIRST_VOTE,
    KIND,
    KIND_KERNEL,
    KIND_ROWS,
    KIND_SYNAPSES,
    LEARNS,
    PERTURBED,
    SHARED,
    SIZE,
    VALUES,
)
from neurosim.compile_network import compile
from neurosim.errors import ConfigError
from neurosim.learnplan import LearnPlan, described_weights, initial_weights, make_plan, stored_weights
from neurosim.network import LIF, Conv, Dense, Input, Network, OneToOne, Sparse
from neurosim.neurons import Sigma, TernaryLIF

GOOD = {"form": "scalar", "factor": "trace", "rank": 1, "n_pairs": 2, "n_steps": 8, "error_bits": 7, "residual_bits": 8}


def plan_of(layout: str, readout: str = "out", **changed: object) -> LearnPlan:
    return make_plan(compile(learning_network(layout, 1), "unlimited"), readout, **(GOOD | changed))


def test_plastic_connections_are_laid_out_in_order() -> None:
    plan = plan_of("two inputs")
    assert plan.plastic[:, :4].tolist() == [
        [0, 0, 0, 8],
        [1, 36, 4, 8],
        [2, 81, 9, 8],
        [3, 108, 18, 8],
        [-1, 120, 22, 0],
    ]
    assert plan.connections.tolist() == [0, 1, 2, 3]
    assert plan.n_weights == 120
    assert [plan.votes_of(c) for c in range(4)] == [slice(0, 36), slice(36, 81), slice(81, 108), slice(108, 120)]


@pytest.mark.parametrize(
    ("layout", "form", "perturbed", "learns"),
    [
        ("one hidden", "scalar", [0, 1, 1], [0, 1, 1]),
        ("one hidden", "response", [0, 1, 0], [0, 1, 1]),
        ("frozen readout", "scalar", [0, 1, 0], [0, 1, 0]),
        ("frozen readout", "response", [0, 1, 0], [0, 1, 0]),
        ("two hidden", "response", [0, 1, 1, 0], [0, 1, 1, 1]),
        ("no hidden", "response", [0, 0], [0, 1]),
    ],
)
def test_groups_with_plastic_inputs_learn_and_all_but_a_known_readout_are_perturbed(
    layout: str, form: str, perturbed: list[int], learns: list[int]
) -> None:
    plan = plan_of(layout, form=form)
    assert plan.group[:, PERTURBED].tolist() == perturbed
    assert plan.group[:, LEARNS].tolist() == learns


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("residual_bits", [0, 1, 8, 16])
def test_weights_start_in_the_middle_of_their_step(bits: int, residual_bits: int) -> None:
    case = learning_case("one hidden", bits=bits)
    plan = case.plan._replace(residual_bits=residual_bits)
    full = initial_weights(case.program, plan)
    assert full.dtype == np.int32
    mantissa = np.concatenate([(c.weights >> (9 - bits)).T.ravel() for c in case.program.network.connections])
    np.testing.assert_array_equal(full >> residual_bits, mantissa)
    assert np.unique(full & ((1 << residual_bits) - 1)).tolist() == [(1 << residual_bits) // 2]


def test_variants_are_written_into_the_plan() -> None:
    plain, varied = plan_of("one hidden"), plan_of("one hidden", one_group=True, gate=True)
    assert (plain.pair_every, plain.one_group, plain.gate) == (1, 0, 0)
    assert (varied.one_group, varied.gate) == (1, 1)
    assert plan_of("one hidden", form="response", pair_every=7).pair_every == 7
    assert (plain.skip, plan_of("one hidden", skip=-300).skip) == (0, -300)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"form": "adam"}, "unknown form 'adam'; choose one of response, scalar"),
        ({"factor": "none"}, "unknown factor 'none'; choose one of trace, random, gaussian, full, full-gaussian"),
        ({"form": "response", "factor": "random"}, "form 'response' needs factor 'trace', found 'random'"),
        ({"form": "response", "factor": "full"}, "form 'response' needs factor 'trace', found 'full'"),
        ({"factor": "full", "rank": 2}, "rank 2 with factor 'full', whose draws have full rank already; set rank 1"),
        ({"factor": "full-gaussian", "rank": 3}, "rank 3 with factor 'full-gaussian', whose draws have full rank"),
        ({"pair_every": 2}, "pair_every 2 needs form 'response'; without a pair form 'scalar' learns nothing"),
        ({"form": "response", "pair_every": 0}, "pair_every 0 is outside 1..65536"),
        ({"form": "response", "pair_every": 65537}, "pair_every 65537 is outside 1..65536"),
        ({"skip": 1}, "skip 1 is outside -4096..0"),
        ({"skip": -4097}, "skip -4097 is outside -4096..0"),
        ({"rank": 0}, "rank 0 is outside 1..64"),
        ({"rank": 65}, "rank 65 is outside 1..64"),
        ({"n_pairs": 0}, "pairs 0 is outside 1..4096"),
        ({"n_steps": 40_000}, "n_steps 40000 is outside 1..32768"),
        ({"error_bits": 13}, "error_bits 13 is outside 2..12"),
        ({"residual_bits": -1}, "residual_bits -1 is outside 0..16"),
        ({"readout": "nowhere"}, "unknown readout group 'nowhere'; groups are in, hidden, out"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_of("one hidden", **changed)


def test_a_network_that_cannot_learn_is_refused() -> None:
    network = Network((Input("in", 1), LIF("out", 1)), (Dense("in", "out", [[1]]),), name="fixed")
    with pytest.raises(ConfigError, match="network 'fixed': no plastic connection; set plastic=True"):
        make_plan(compile(network, "unlimited"), "out", **GOOD)


def test_kinds_of_connections_and_sizes_of_groups_are_noted() -> None:
    groups = [Input("in", 4), TernaryLIF("a", 4, vth_hi=30, vth_lo=-10), Sigma("b", 4), LIF("out", 2, vth=7)]
    connections = [
        Sparse("in", "a", (4, 4), [0, 2, 3], [1, 1, 0], [2, 4, 6], plastic=True),
        Conv("a", "b", [[[[2]]]], (2, 2, 1), num_message_bits=1, plastic=True),
        Dense("b", "out", [[2] * 4] * 2, num_message_bits=9, num_weight_bits=5, plastic=True),
    ]
    plan = make_plan(compile(Network(groups, connections), "unlimited"), "out", **GOOD)
    assert plan.plastic[:, KIND].tolist() == [KIND_SYNAPSES, KIND_KERNEL, KIND_ROWS, 0]
    assert plan.plastic[:, VALUES].tolist() == [0, 8 * 1, 8 * 511, 0]
    assert plan.plastic[:-1, SHARED].tolist() == [1, 4, 1]
    assert plan.plastic[:, FIRST_VOTE].tolist() == [0, 3, 4, 12]
    assert plan.group[:, SIZE].tolist() == [0, 20 << 6, 64 << 6, 7 << 6]


def test_weights_in_the_order_of_votes_go_back_into_their_shape() -> None:
    for connection in (
        Sparse("in", "a", (4, 4), [0, 2, 3], [1, 1, 0], [2, 4, 6]),
        OneToOne("in", "a", 3, [5, 6, 7]),
        Conv("in", "a", np.arange(24).reshape(2, 3, 2, 2), (4, 4, 2)),
        Dense("in", "a", np.arange(6).reshape(2, 3)),
    ):
        given = connection.data if isinstance(connection, Sparse) else connection.weights
        np.testing.assert_array_equal(described_weights(connection, stored_weights(connection)), given)
