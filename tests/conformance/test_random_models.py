"""Random networks of every model and connection, drawn by hypothesis, give the same integers on every backend."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from conformance_grid import first_difference
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from model_networks import RUN_BY_LAVA, model_network, random_values, side_by_side

from neurosim.backend import Backend, get_backend
from neurosim.compile_network import compile
from neurosim.events import Events, events_from_dense
from neurosim.network import Network

SIDE_BY_SIDE, STARTS, AT_LEAST = 20, 11, 200  # networks in one start of a backend, starts, different networks in all


class Drawn(NamedTuple):
    """What a random network is made of; see `model_network`."""

    seed: int
    models: tuple[str, ...]
    n_groups: int
    delays: bool
    recurrent: bool
    n_inputs: int
    largest: int  # value of an input

    @property
    def network(self) -> Network:
        return model_network(*self[:-1])


DRAWN = st.builds(
    Drawn,
    seed=st.integers(0, 2**32 - 1),
    models=st.one_of(st.just(RUN_BY_LAVA), st.sampled_from([(model,) for model in RUN_BY_LAVA])),
    n_groups=st.integers(1, 3),
    delays=st.booleans(),
    recurrent=st.booleans(),
    n_inputs=st.integers(1, 2),
    largest=st.sampled_from([1, 20, 255]),
)


def values_of(drawn: list[Drawn], networks: list[Network], n_samples: int, n_steps: int) -> Events:
    """Return the values of all inputs, network by network."""
    parts = [
        random_values(one.seed, n_samples, n_steps, network.n_inputs, one.largest).to_values()
        for one, network in zip(drawn, networks, strict=True)
    ]
    return events_from_dense(np.concatenate(parts, axis=2), graded=True)


def test_random_networks_equal_the_reference(backend: Backend) -> None:
    other = get_backend("simulator" if backend.name == "reference" else "reference")
    seen: set[Drawn] = set()

    @settings(
        max_examples=STARTS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),  # a network that fails is named; shrinking would take a start for each attempt
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(DRAWN, min_size=SIDE_BY_SIDE, max_size=SIDE_BY_SIDE, unique=True),
        st.integers(1, 2),
        st.integers(1, 12),
    )
    def check(drawn: list[Drawn], n_samples: int, n_steps: int) -> None:
        networks = [one.network for one in drawn]
        program = compile(side_by_side(networks), "unlimited")
        events = values_of(drawn, networks, n_samples, n_steps)
        with backend.open(program) as runner:
            found = runner.run(events)
        with other.open(program) as runner:
            expected = runner.run(events)
        for k, one in enumerate(drawn):
            groups = [name for name in expected.spikes if name.startswith(f"{k}:")]
            wrong = first_difference(found, expected, groups)
            assert wrong is None, f"network {k}, {one}: {wrong}"
        seen.update(drawn)

    check()
    assert len(seen) >= AT_LEAST
