"""Packing keeps every weight, in the narrowest format that holds it, and orders the operations of a step."""

import dataclasses

import numpy as np
import pytest
from mapping_examples import random_network

from neurosim.codes import (
    ALIKE,
    EVERYONE,
    EXPONENT,
    FAN_OUT,
    FORMAT,
    FORMAT_CSR,
    FORMAT_DENSE8,
    FORMAT_DENSE16,
    MODEL_INPUT,
    MODEL_LIF,
    OFFSET,
    OP_DELIVER,
    OP_UPDATE,
    SHIFT,
    SOURCE,
    TARGET,
    TARGET_BITS,
    TARGET_MASK,
)
from neurosim.compile_network import compile
from neurosim.fixedpoint import ARITHMETICS
from neurosim.network import LIF, Dense, Input, Network, Sparse
from neurosim.program import Program
from neurosim.reference.deliver import connection_matrices


def unpack(program: Program, index: int) -> np.ndarray:
    """Return the weights (n_post, n_pre) of a connection from the packed arrays alone."""
    p = program.arrays
    row = p.conn[index]
    n_pre, n_post = (int(p.group[g, 1] - p.group[g, 0]) for g in (row[SOURCE], row[TARGET]))
    if row[FORMAT] == FORMAT_CSR:
        weights = np.zeros((n_pre, n_post), np.int64)
        for j in range(n_pre):
            words = p.csr_word[slice(*p.csr_start[row[OFFSET] + j : row[OFFSET] + j + 2])]
            weights[j, words & TARGET_MASK] = words >> TARGET_BITS
        return weights.T << row[SHIFT]
    flat = p.dense8 if row[FORMAT] == FORMAT_DENSE8 else p.dense16
    rows = flat[row[OFFSET] : row[OFFSET] + n_pre * n_post].reshape(n_pre, n_post)
    return rows.T.astype(np.int64) << row[SHIFT]


@pytest.mark.parametrize("seed", range(10))
def test_every_weight_is_found_again(seed: int) -> None:
    program = compile(random_network(seed), "unlimited")
    for i, connection in enumerate(program.network.connections):
        np.testing.assert_array_equal(
            unpack(program, i), connection_matrices(connection).weights, err_msg=connection.name
        )
        assert program.arrays.conn[i, EXPONENT] == connection.weight_exp


@pytest.mark.parametrize("seed", range(3))
def test_arrays_hold_nothing_but_the_connections(seed: int) -> None:
    program = compile(random_network(seed), "unlimited")
    p = program.arrays
    rows = words = 0
    for connection, row in zip(program.network.connections, p.conn, strict=True):
        n_possible = connection.shape[0] * connection.shape[1]
        if row[FORMAT] == FORMAT_CSR:
            words += len(connection.word) if isinstance(connection, Sparse) else np.count_nonzero(connection.weights)
        else:
            rows += n_possible
    assert p.dense8.size + p.dense16.size == rows
    assert p.csr_word.size == words


def program_of(weights: object, **how: object) -> Program:
    n_post, n_pre = np.shape(weights)
    groups = (Input("in", n_pre), LIF("out", n_post))
    return compile(Network(groups, (Dense("in", "out", weights, **how),)), "unlimited")


@pytest.mark.parametrize(
    ("weights", "how", "format_and_shift"),
    [
        ([[1, 127, 3]], {}, (FORMAT_DENSE8, 0)),
        ([[1, 128, 3]], {}, (FORMAT_DENSE16, 0)),
        ([[2, 254, 6]], {}, (FORMAT_DENSE8, 1)),
        ([[-255, -1, 0]], {}, (FORMAT_DENSE16, 0)),
        ([[-128, -127, 0]], {}, (FORMAT_DENSE8, 0)),
        ([[-256, 254, 2]], {}, (FORMAT_DENSE8, 1)),
        ([[-256, 128, 0]], {}, (FORMAT_DENSE8, 7)),
        ([[-256, 255, 3]], {}, (FORMAT_DENSE8, 1)),
        ([[0, 0, 0]], {}, (FORMAT_DENSE8, 0)),
        ([[-256, 128, 0]], {"plastic": True}, (FORMAT_DENSE8, 1)),
        ([[-256, 0, 0]], {"plastic": True, "num_weight_bits": 3}, (FORMAT_DENSE8, 6)),
        ([[0, 0, 0]], {"plastic": True}, (FORMAT_DENSE8, 1)),
    ],
)
def test_narrowest_format_is_chosen(weights: object, how: dict[str, object], format_and_shift: tuple[int, int]) -> None:
    program = program_of(weights, **how)
    assert tuple(program.arrays.conn[0, [FORMAT, SHIFT]]) == format_and_shift
    np.testing.assert_array_equal(unpack(program, 0), connection_matrices(program.network.connections[0])[0])


def test_every_weight_of_every_format_is_found_again() -> None:
    for mode, low, high in (("mixed", -256, 256), ("excitatory", 0, 256), ("inhibitory", -255, 1)):
        for bits in range(1, 9):
            program = program_of(np.arange(low, high)[None, :], sign_mode=mode, num_weight_bits=bits)
            expected = connection_matrices(program.network.connections[0])[0]
            np.testing.assert_array_equal(unpack(program, 0), expected)


def test_group_table_holds_registers_in_units_of_the_state() -> None:
    network = Network((LIF("a", 3, du=7, dv=9, vth=11, bias_mant=[1, -2, 3], bias_exp=[0, 1, 7]), Input("in", 2)))
    p = compile(network, "unlimited").arrays
    assert p.group.tolist() == [[0, 2, MODEL_INPUT, 0, 0, 0, 0, 1], [2, 5, MODEL_LIF, 4088, 4087, 704, 352, 1]]
    assert p.bias.tolist() == [0, 0, 1, -4, 384]


def test_groups_whose_neurons_send_differently_are_marked() -> None:
    groups = (Input("in", 3), LIF("a", 2), LIF("b", 2))
    to_all, from_one = Dense("in", "a", [[1, 1, 1]] * 2), Sparse("a", "b", (2, 2), [0], [1], [5])
    assert compile(Network(groups, (to_all, from_one)), "loihi1").arrays.group[:, ALIKE].tolist() == [1, 0, 1]


def test_inputs_deliver_first_and_updates_come_last() -> None:
    groups = (LIF("a", 1), Input("in", 1), LIF("b", 1), Input("in2", 1))
    one = [[1]]
    connections = [Dense(*pair, one) for pair in (("a", "b"), ("in", "b"), ("b", "a"), ("in2", "a"), ("a", "a"))]
    p = compile(Network(groups, connections), "unlimited").arrays
    assert p.ops.tolist() == [
        *([OP_DELIVER, c] for c in (1, 3, 0, 2, 4)),
        *([OP_UPDATE, g] for g in (2, 3)),
    ]


def test_arrays_are_contiguous_and_integer_also_when_empty() -> None:
    for network in (Network((LIF("a", 2),)), random_network(1)):
        p = compile(network, "unlimited").arrays
        assert all(array.flags.c_contiguous and array.dtype.kind == "i" for array in p)
        assert [array.dtype.name for array in p] == [
            "int64", "int64", "int64", "int32", "int32", "int8", "int16", "int64", "int32",
        ]  # fmt: skip
        assert (p.group.shape[1], p.conn.shape[1], p.ops.shape[1], p.route.shape[1]) == (8, 7, 2, 7)


def sparse_of(n_post: int, n_pre: int, n_synapses: int, **how: object) -> Sparse:
    rng = np.random.default_rng(n_synapses)
    pairs = rng.permutation(n_post * n_pre)[:n_synapses]
    data = rng.integers(-60, 60, n_synapses) * 2
    return Sparse("in", "out", (n_post, n_pre), pairs % n_post, pairs // n_post, data, **how)


def compiled(connection: Dense | Sparse) -> Program:
    n_post, n_pre = connection.shape
    return compile(Network((Input("in", n_pre), LIF("out", n_post)), (connection,)), "unlimited")


def test_a_full_sparse_connection_becomes_rows_that_count_its_own_synapses() -> None:
    thin, full = compiled(sparse_of(100, 90, 90)), compiled(sparse_of(100, 90, 4_000))
    assert thin.arrays.conn[0, [FORMAT, FAN_OUT]].tolist() == [FORMAT_CSR, 0]
    assert full.arrays.conn[0, [FORMAT, FAN_OUT]].tolist() == [FORMAT_DENSE8, 0]
    for program in (thin, full):
        connection = program.network.connections[0]
        np.testing.assert_array_equal(unpack(program, 0), connection_matrices(connection).weights)
        np.testing.assert_array_equal(program.arrays.csr_start, connection.start)


def test_a_dense_connection_of_zeros_becomes_synapses_and_counts_all_pairs() -> None:
    weights = np.zeros((100, 90), np.int64)
    weights[::10, ::9] = 40
    program = compiled(Dense("in", "out", weights))
    assert program.arrays.conn[0, [FORMAT, FAN_OUT]].tolist() == [FORMAT_CSR, EVERYONE]
    assert program.arrays.csr_word.size == 100
    np.testing.assert_array_equal(unpack(program, 0), weights)
    plastic = compiled(Dense("in", "out", weights, plastic=True))
    assert plastic.arrays.conn[0, [FORMAT, FAN_OUT]].tolist() == [FORMAT_DENSE8, EVERYONE]


def test_a_program_shares_the_words_of_its_only_sparse_connection() -> None:
    program = compiled(sparse_of(100, 90, 90))
    assert np.shares_memory(program.arrays.csr_word, program.network.connections[0].word)
    cut = compiled(sparse_of(100, 90, 90, num_weight_bits=3))  # its weights lose bits before they are packed
    np.testing.assert_array_equal(unpack(cut, 0), connection_matrices(cut.network.connections[0]).weights)


def test_synapses_of_several_connections_follow_each_other() -> None:
    groups = (Input("in", 90), Input("other", 90), LIF("out", 100))
    first, second = sparse_of(100, 90, 90), sparse_of(100, 90, 80)
    second = dataclasses.replace(second, source="other")
    program = compile(Network(groups, (first, second)), "unlimited")
    assert program.arrays.conn[:, OFFSET].tolist() == [0, 91]
    for i, connection in enumerate((first, second)):
        np.testing.assert_array_equal(unpack(program, i), connection_matrices(connection).weights)


@pytest.mark.parametrize("exponent", [-8, -1, 0, 7])
def test_weights_with_the_chips_exponent_fit_words_and_rows(exponent: int) -> None:
    for n_synapses in (90, 4_000):
        connection = sparse_of(100, 90, n_synapses, weight_exp=exponent)
        network = Network((Input("in", 90), LIF("out", 100)), (connection,))
        program = compile(network, "unlimited", "loihi1")
        np.testing.assert_array_equal(
            unpack(program, 0), connection_matrices(connection, ARITHMETICS["loihi1"]).weights
        )
