"""Who fired and which updates were active, neuron by neuron, against the backends' own counts."""

import numpy as np
import pytest
from percore_cases import KINDS, case

from neurosim.backend import get_backend
from neurosim.compile_network import compile
from neurosim.costs import listening
from neurosim.costs.listening import listen, with_ears
from neurosim.events import events_from_dense
from neurosim.network import LIF, Dense, Input, Network

N_STEPS = 7


def hear(program, events, n_steps=N_STEPS, backend="simulator"):
    """Return all pieces of a run."""
    heard_program, ears = with_ears(program)
    with get_backend(backend).open(heard_program) as runner:
        return list(listen(program, ears, runner, events, n_steps, 1))


def whole(pieces, n_samples, n_steps, n_neurons):
    """Return activity and number of spikes of all pieces: (n_samples, n_steps, n_neurons) each."""
    active = np.zeros((n_samples, n_steps, n_neurons), np.int64)
    fired = np.zeros_like(active)
    for piece in pieces:
        shape = (piece.samples.stop - piece.samples.start, piece.steps.stop - piece.steps.start, n_neurons)
        active[piece.samples, piece.steps] += piece.active.reshape(shape)
        mine = np.zeros((shape[0] * shape[1], n_neurons), np.int64)
        np.add.at(mine, (piece.place, piece.neuron), 1)
        fired[piece.samples, piece.steps] += mine.reshape(shape)
    return active, fired


@pytest.mark.parametrize("backend", ["simulator", "reference"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", KINDS)
def test_active_updates_and_spikes_of_each_group_are_those_that_the_backend_counts(kind, seed, backend):
    program, events = case(kind, seed)
    with get_backend(backend).open(program) as runner:
        expected = runner.run(events, N_STEPS).counts
    active, fired = whole(hear(program, events, backend=backend), 3, N_STEPS, program.network.n_neurons)
    for group in program.network.groups:
        where = slice(program.network.offsets[group.name], program.network.offsets[group.name] + group.n)
        assert active[..., where].sum() == expected.of(group.name, "neuron_updates_active")
        assert fired[..., where].sum() == expected.of(group.name, "spikes")


@pytest.mark.parametrize("kind", KINDS)
def test_ears_change_nothing_that_a_program_counts(kind):
    program, events = case(kind, 5)
    with get_backend().open(program) as runner:
        expected = runner.run(events).counts
    (piece,) = hear(program, events, events.n_steps)
    rows = [piece.counts.rows.index(row) for row in program.rows]
    np.testing.assert_array_equal(piece.counts.matrix[rows], expected.matrix)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_join_to_one_run(kind, monkeypatch):
    program, events = case(kind, 6)
    n = program.network.n_neurons
    expected = whole(hear(program, events), 3, N_STEPS, n)
    monkeypatch.setattr(listening, "PIECE_VALUES", 1)  # one step of one sample at a time
    pieces = hear(program, events)
    assert len(pieces) == 3 * N_STEPS
    for found, wanted in zip(whole(pieces, 3, N_STEPS, n), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_neuron_is_idle_until_something_arrives_and_where_arrivals_cancel():
    network = Network(
        [Input("in", 2), LIF("out", 3, du=4095, dv=4095, vth=100)], [Dense("in", "out", [[8, -8], [8, 0], [0, 0]])]
    )
    events = events_from_dense([[[1, 0], [1, 1], [0, 0], [0, 0]]])
    active, _ = whole(hear(compile(network), events, 4), 1, 4, 5)
    # du and dv of 4095 forget nearly all: a sum of 8 * 64 leaves v = 0 in the step after it, u at once
    assert active[0, :, :2].sum() == 0
    assert active[0, :, 2].tolist() == [0, 1, 1, 0]
    assert active[0, :, 3].tolist() == [0, 1, 1, 1]
    assert active[0, :, 4].tolist() == [0, 0, 0, 0]


def test_names_of_ears_avoid_those_of_groups():
    network = Network(
        [Input("in", 1), LIF("out", 1), LIF("input of out", 1)],
        [Dense("in", "out", [[2]]), Dense("in", "out", [[4]], port="a_in"), Dense("in", "input of out", [[2]])],
    )
    program, ears = with_ears(compile(network))
    assert [(ear.name, ear.group, ear.port) for ear in ears] == [
        ("input of out'", "out", 0), ("a_in of out", "out", 0), ("input of input of out", "input of out", 0),
    ]  # fmt: skip
    assert program.group_names[:3] == ("in", "out", "input of out")
    pieces = hear(compile(network), events_from_dense([[[1], [0]]]), 3)
    assert whole(pieces, 1, 3, 3)[0][0, 1].tolist() == [0, 1, 1]
