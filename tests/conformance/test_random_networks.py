"""Random networks, drawn by hypothesis, give the same integers on every backend as in plain Python."""

import numpy as np
from conformance_cases import FULL, Case, make_case, random_spikes, spike_list
from conformance_plain import plain_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurosim.backend import Backend
from neurosim.compile_network import compile
from neurosim.events import events_from_dense
from neurosim.network import LIF, AnyConnection, Dense, Group, Input, Sparse

FEW_EXAMPLES, MANY_EXAMPLES = 12, 60
SLOW_TO_START = {"lava"}  # about a second each

DECAYS = st.one_of(st.sampled_from([0, 1, 4094, 4095]), st.integers(0, 4095))


@st.composite
def networks(draw: st.DrawFn) -> Case:
    """Draw a network, its input and its length."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed of weights and spikes"))
    inputs = [Input(f"in{i}", draw(st.integers(1, 9))) for i in range(draw(st.integers(0, 2)))]
    lifs = []
    for i in range(draw(st.integers(1, 3))):
        n = draw(st.integers(1, 9))
        vth = draw(st.one_of(st.integers(0, 300), st.sampled_from([0, FULL])))
        bias_mant = rng.integers(-4096, 4096, n) * draw(st.sampled_from([0, 1]))
        lifs.append(LIF(f"lif{i}", n, draw(DECAYS), draw(DECAYS), vth, bias_mant, rng.integers(0, 8, n)))
    groups: list[Group] = [*inputs, *lifs]
    connections: list[AnyConnection] = []
    for target in lifs:
        for source in groups:
            kind = draw(st.sampled_from(["none", "dense", "sparse"]))
            if kind == "none":
                continue
            mode = draw(st.sampled_from(["mixed", "excitatory", "inhibitory", "null", None]))
            low, high = {"excitatory": (0, 255), "null": (0, 255), "inhibitory": (-255, 0)}.get(str(mode), (-255, 255))
            bits, exponent = draw(st.integers(1, 8)), draw(st.integers(-8, 7))
            weights = rng.integers(low, high + 1, (target.n, source.n))
            if kind == "dense":
                connections.append(Dense(source.name, target.name, weights, exponent, bits, mode))
            else:
                row, col = np.nonzero(rng.random(weights.shape) < 0.4)
                data = weights[row, col]
                connections.append(
                    Sparse(source.name, target.name, weights.shape, row, col, data, exponent, bits, mode)
                )
    n_steps = draw(st.integers(1, 15))
    rate = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    n_inputs = sum(group.n for group in inputs)
    return make_case(
        "random", groups, connections, random_spikes(rng, draw(st.integers(1, 3)), n_steps, n_inputs, rate)
    )


def test_random_networks_equal_plain_python(backend: Backend) -> None:
    @settings(
        max_examples=FEW_EXAMPLES if backend.name in SLOW_TO_START else MANY_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(networks())
    def check(case: Case) -> None:
        with backend.open(compile(case.network)) as runner:
            found = runner.run(events_from_dense(case.spikes), case.n_steps)
        expected = plain_run(case.network, case.spikes.tolist(), case.n_steps)
        for group, what in expected:
            if what == "spikes":
                assert spike_list(found, group) == expected[group, what]
            else:
                np.testing.assert_array_equal(found.states[group, what], expected[group, what])

    check()
