"""Samples of tasks on the input lines of imported models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurosim.data.task import Task
from neurosim.errors import DataError
from neurosim.events import events_from_dense
from neurosim.exchange.binding import bind_task, inputs_of
from neurosim.exchange.imported import Imported, Port, chip_order, reorder_events
from neurosim.network import LIF, Dense, Input, Network


def task(shape: tuple[int, int, int] | None, n: int) -> Task:
    dense = np.zeros((n, 1, n), bool)
    dense[np.arange(n), 0, np.arange(n)] = True  # sample i is input i
    events = events_from_dense(dense)
    labels = np.zeros(n, np.int64)
    return Task(
        "t", events, labels, events, labels, 2, n, 1, "", "", "", "", input_shape=shape, copies=lambda epoch: events
    )


def lines(bound: Task) -> list[int]:
    return bound.test_events.neuron.tolist()


def test_a_model_made_here_takes_the_task_as_it_is():
    given = task((2, 3, 2), 12)
    assert inputs_of({}) is None
    assert bind_task(given, None) is given


def test_pictures_go_where_the_framework_has_them():
    given = task((2, 3, 2), 12)  # rows, columns, channels
    flat = bind_task(given, Port("in", (2, 2, 3), np.arange(12)))
    row, column, channel = np.unravel_index(np.arange(12), (2, 3, 2))
    assert lines(flat) == ((channel * 2 + row) * 3 + column).tolist()
    chip = bind_task(given, Port("in", (2, 2, 3), chip_order((2, 2, 3))))
    assert lines(chip) == ((column * 2 + row) * 2 + channel).tolist()  # (x, y, channel)
    assert chip.copies(0).neuron.tolist() == chip.train_events.neuron.tolist() == lines(chip)


def test_a_task_without_pictures_keeps_its_order():
    given = task(None, 12)
    assert bind_task(given, Port("in", (12,), np.arange(12))) is given


def test_another_number_of_inputs_is_refused():
    with pytest.raises(DataError, match=r"task 't': has 12 inputs, the imported model has 6 \(2, 3\)"):
        bind_task(task(None, 12), Port("in", (2, 3), np.arange(6)))


def test_ports_are_kept_in_metadata():
    for port in (
        Port("a", (2, 3, 4), chip_order((2, 3, 4))),
        Port("b", (5,), np.arange(5)),
        Port("c", (3,), np.array([2, 0, 1])),
    ):
        again = Port.from_dict(port.to_dict())
        assert (again.group, again.shape, again.order.tolist()) == (port.group, port.shape, port.order.tolist())
        assert port.order[port.line_of].tolist() == list(range(len(port.order)))


def test_values_go_with_their_events():
    events = events_from_dense([[[0, 5, 7], [2, 0, 0]]], graded=True)
    moved = reorder_events(events, Port("in", (3,), np.array([2, 0, 1])))
    assert moved.to_values().tolist() == [[[7, 0, 5], [0, 2, 0]]]


def test_a_task_can_be_bound_after_it_was_changed():
    given = replace(task((2, 3, 2), 12), n_classes=3)
    assert bind_task(given, Port("in", (2, 2, 3), np.arange(12))).n_classes == 3


def test_latency_is_the_way_to_the_output():
    groups = [Input("in", 1), LIF("a", 1), LIF("b", 1)]
    chain = Network(groups, [Dense("in", "a", [[2]]), Dense("a", "a", [[2]]), Dense("a", "b", [[2]])])
    ports = Port("in", (1,), np.arange(1)), Port("b", (1,), np.arange(1))
    assert Imported(chain, *ports, "arrays", {}).latency == 2
    assert Imported(chain, *ports, "arrays", {}, lag={"b": 4}).latency == 4  # branches of different lengths, made equal
    alone = Network(groups, [Dense("in", "a", [[2]])])
    assert Imported(alone, *ports, "arrays", {}).latency == 1
