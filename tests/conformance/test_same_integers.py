"""Every backend gives the same spikes, currents and voltages as the reference and as plain Python."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from conformance_cases import CASES, Case, spike_list
from conformance_plain import plain_run

from neurosim.backend import Backend, RunResult, get_backend
from neurosim.compile_network import compile
from neurosim.events import events_from_dense
from neurosim.program import Program


@cache
def case_of(name: str) -> Case:
    return CASES[name]()


@cache
def program_of(name: str) -> Program:
    return compile(case_of(name).network)


@cache
def plain_result(name: str) -> dict[tuple[str, str], Any]:
    case = case_of(name)
    return plain_run(case.network, case.spikes.tolist(), case.n_steps)


def run(backend: Backend, case: Case, program: Program) -> RunResult:
    with backend.open(program) as runner:
        return runner.run(events_from_dense(case.spikes), case.n_steps)


@cache
def result_of(backend_name: str, name: str) -> RunResult:
    return run(get_backend(backend_name), case_of(name), program_of(name))


@pytest.mark.parametrize("name", CASES)
def test_integers_equal_plain_python(backend: Backend, name: str) -> None:
    found, expected = result_of(backend.name, name), plain_result(name)
    for group, what in expected:
        if what == "spikes":
            assert spike_list(found, group) == expected[group, what], f"spikes of {group!r}"
        else:
            states = found.states[group, what]
            np.testing.assert_array_equal(states, expected[group, what], err_msg=f"{what} of {group!r}")


@pytest.mark.parametrize("name", CASES)
def test_integers_equal_the_reference(backend: Backend, name: str) -> None:
    found, expected = result_of(backend.name, name), result_of("reference", name)
    assert found.spikes.keys() == expected.spikes.keys()
    assert found.states.keys() == expected.states.keys()
    for group in expected.spikes:
        assert spike_list(found, group) == spike_list(expected, group), f"spikes of {group!r}"
    for key, states in expected.states.items():
        np.testing.assert_array_equal(found.states[key], states, err_msg=f"{key}", strict=True)


def test_cases_reach_what_they_are_for() -> None:
    """Spikes, silence, saturation and wrapped currents do occur, so that agreement means something."""
    u = np.array(plain_result("wrap_and_saturation")["wrap", "u"])
    v = np.array(plain_result("wrap_and_saturation")["wrap", "v"])
    assert (np.abs(u) == 1 << 23).any(), "u exactly at 2**23"
    assert (np.abs(v) == (1 << 23) - 1).any(), "v saturated"
    assert (np.abs(plain_result("wrap_and_saturation")["long", "u"]) > 1 << 23).any(), "u beyond one correction"
    for name in ("decays", "thresholds_and_biases", "sparse", "recurrence", "longer_than_input"):
        fired = [group for (group, what), value in plain_result(name).items() if what == "spikes" and value]
        assert len(fired) >= 2, name
    recurrent = plain_result("recurrence")
    last = [sample for sample, step, _ in recurrent["a", "spikes"] if step == 29]
    assert last, "spikes are on the way when a sample ends"
