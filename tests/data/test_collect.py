"""Blocks of spikes become one list."""

from __future__ import annotations

import numpy as np
import pytest

from neurosim.data.collect import EventCollector
from neurosim.events import check_events, events_from_dense


@pytest.mark.parametrize("n_inputs", [1, 7, 70_000])
def test_blocks_give_the_same_events_as_the_whole(n_inputs: int) -> None:
    dense = np.random.default_rng(n_inputs).random((5, 3, n_inputs)) < 0.3
    dense[2] = False
    collected = EventCollector(3, n_inputs)
    for block in (dense[:2], dense[2:2], dense[2:]):
        collected.add(block)
    events, whole = check_events(collected.events(), n_inputs), events_from_dense(dense)
    np.testing.assert_array_equal(events.start, whole.start)
    np.testing.assert_array_equal(events.neuron, whole.neuron)
    assert (events.n_samples, events.n_steps, events.n_inputs) == (5, 3, n_inputs)
    assert (events.start.dtype, events.neuron.dtype) == (np.int64, np.int32)


def test_nothing_collected_is_no_events() -> None:
    events = EventCollector(3, 2).events()
    assert events.start.tolist() == [0] and events.n_samples == 0
