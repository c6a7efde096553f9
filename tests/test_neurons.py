"""The neuron models besides LIF: what they accept and refuse."""

import numpy as np
import pytest

from neurosim.errors import NetworkError
from neurosim.neurons import (
    ATRLIF,
    RF,
    Delta,
    GradedVec,
    LIFRefractory,
    LIFReset,
    MultiSpikeLIF,
    ProdNeuron,
    Sigma,
    SigmaDelta,
    TernaryLIF,
    rotation,
)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: LIFReset("a", 1, reset_interval=0), "reset_interval 0 is outside 1"),
        (lambda: LIFReset("a", 1, reset_offset=-1), "reset_offset -1 is outside 0"),
        (lambda: LIFRefractory("a", 1, refractory_period=65), "refractory_period 65 is outside 1..64"),
        (lambda: TernaryLIF("a", 1, vth_lo=-131073), "vth_lo -131073 is outside"),
        (lambda: TernaryLIF("a", 2, vth_hi=[1, 2, 3]), "vth_hi has shape"),
        (lambda: MultiSpikeLIF("a", 1, vth=0), "vth 0 cannot divide"),
        (lambda: MultiSpikeLIF("a", 1, max_spikes=128), "max_spikes 128 is outside 1..127"),
        (lambda: Sigma("a", 0), "size 0"),
        (lambda: Delta("a", 1, vth=1 << 22, spike_exp=1), "state registers hold up to 8388607"),
        (lambda: Delta("a", 1, state_exp=8), "state_exp 8 is outside 0..7"),
        (lambda: SigmaDelta("a", 1, bias=40000), "bias 40000 is outside -32768..32767"),
        (lambda: SigmaDelta("a", 1, act_mode="tanh"), "unknown act_mode 'tanh'"),  # type: ignore[arg-type]
        (lambda: ProdNeuron("a", 1, exp=32), "exp 32 is outside 0..31"),
        (lambda: GradedVec("a", 1, vth=-1), "vth -1 is outside"),
        (lambda: RF("a", 1, sin_decay=5000, cos_decay=0), "sin_decay 5000 is not an integer in -4096..4096"),
        (lambda: RF("a", 1, sin_decay=0.5, cos_decay=0), "sin_decay 0.5 is not an integer"),  # type: ignore[arg-type]
        (lambda: ATRLIF("a", 1, delta_i=4096), "delta_i 4096 is outside 0..4095"),
        (lambda: ATRLIF("a", 1, delta_i=0.4), "delta_i 0.4 is not an integer"),  # type: ignore[arg-type]
        (lambda: rotation(0, 0.1), "period 0 must be positive"),
    ],
)
def test_bad_parameters_are_refused_with_name_value_and_limit(build, words):
    with pytest.raises(NetworkError, match=words.replace("(", r"\(")):
        build()


def test_rotation_rounds_toward_zero():
    assert rotation(4, 0.5, 4) == (8, 0)
    assert rotation(3, 0.0, 12)[1] == -2047


def test_registers_may_be_given_per_neuron():
    group = TernaryLIF("a", 2, vth_hi=np.array([1, 2]), du=[0, 4095])
    assert not group.is_uniform
    assert LIFReset("a", 2, reset_interval=3).is_uniform
