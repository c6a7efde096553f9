"""Decays per step: in floats, and in registers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurosim.decays import check_decay, decay_registers, decays_of
from neurosim.errors import QuantizationError
from neurosim.groups import CubaLIF
from neurosim.quantized import QuantNote


def test_no_time_constant_is_no_leak_and_no_memory() -> None:
    found = decays_of(CubaLIF("a", 2), 1e-3)
    assert (found.syn.tolist(), found.mem.tolist()) == ([1, 1], [0, 0])


@pytest.mark.parametrize("decay", ["exact", "euler"])
def test_decays_follow_the_formula_neuron_by_neuron(decay: str) -> None:
    taus = [0.01, math.inf, 0.002, 0.01]
    found = decays_of(CubaLIF("a", 4, tau_mem=taus, tau_syn=taus), 1e-3, decay)  # type: ignore[arg-type]
    d = [1 - math.exp(-0.1), 0.1][decay == "euler"], [1 - math.exp(-0.5), 0.5][decay == "euler"]
    assert found.mem.tolist() == pytest.approx([d[0], 0, d[1], d[0]], rel=1e-14)
    assert found.syn.tolist() == pytest.approx([d[0], 1, d[1], d[0]], rel=1e-14)


def test_registers_hold_the_decay_to_half_a_unit() -> None:
    taus = 10 ** np.random.default_rng(0).uniform(-2.5, -0.5, 100)
    group, notes = CubaLIF("a", 100, tau_mem=taus, tau_syn=taus), list[QuantNote]()
    du, dv = decay_registers(group, 1e-3, "exact", notes)
    d = decays_of(group, 1e-3)
    assert np.abs((np.asarray(du) + 1) / 4096 - d.syn).max() <= 2**-13
    assert np.abs(np.asarray(dv) / 4096 - d.mem).max() <= 2**-13
    assert [n.quantity for n in notes] == ["tau_syn", "tau_syn_error", "tau_mem", "tau_mem_error"]


def test_equal_neurons_have_one_register_even_if_their_taus_differ_a_little() -> None:
    du, dv = decay_registers(CubaLIF("a", 2, tau_mem=[0.02, 0.02000001]), 1e-3, "exact", [])
    assert (du, dv) == (4095, 200)


def test_a_decay_that_there_is_not_is_refused() -> None:
    with pytest.raises(QuantizationError, match="unknown decay 'heun'"):
        check_decay("heun")
