"""The neuron models besides plain LIF, one step each; twin of `neurosim.kernels.models`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.fixedpoint import (
    DECAY_ONE,
    INPUT_SHIFT,
    STATE_LIMIT,
    STATE_MAX,
    Profile,
    correct_current,
    saturate_voltage,
    shift_toward_zero,
    wrap_bits,
    wrap_int32,
)
from neurosim.groups import LIF
from neurosim.neurons import (
    ATRLIF,
    RF,
    Delta,
    GradedVec,
    LIFRefractory,
    LIFReset,
    MultiSpikeLIF,
    Neurons,
    ProdNeuron,
    RFIzhikevich,
    Sigma,
    SigmaDelta,
    TernaryLIF,
)

Int64Array = npt.NDArray[np.int64]
SUM_BITS = 22  # of the chip's synaptic accumulator, sign included, after the shift by 6
STATE_BITS = 24


class ModelStep(NamedTuple):
    """What one step of a group gives."""

    states: list[Int64Array]  # in the order of the model's `states`
    value: Int64Array  # message of each neuron, 0: none
    active: npt.NDArray[np.bool_]
    n_over_input: int = 0
    n_corrected: int = 0
    n_saturated: int = 0


def update_model(
    group: Neurons, sums: list[Int64Array], states: list[Int64Array], t: int, profile: Profile
) -> ModelStep:
    """Advance a group by one step.

    Parameters
    ----------
    group : a neuron model
    sums : list of (n,) int64
        What arrived at each port, in 32 bits.
    states : list of (n,) int64
    t : int
        Step of the sample, counted from 1.
    profile : Profile
        How LIF differs from Lava's.
    """
    if isinstance(group, LIF):
        return _lif(group, sums[0], states, t, profile)
    if isinstance(group, ATRLIF):
        return _atrlif(group, sums[0], states)
    if isinstance(group, RF):
        return _resonate(group, sums, states)
    if isinstance(group, Sigma):
        sigma = wrap_int32(states[0] + sums[0])
        return ModelStep([sigma], sigma, (states[0] != 0) | (sums[0] != 0))
    if isinstance(group, Delta):
        new = wrap_int32(sums[0] << (group.spike_exp + group.state_exp))
        return _delta(group, new, states, _any(sums[0], *states))
    if isinstance(group, SigmaDelta):
        bias = np.broadcast_to(np.asarray(group.bias) << (group.spike_exp + group.state_exp), (group.n,))
        sigma = wrap_int32(states[0] + sums[0])
        new = wrap_int32(sigma + bias)
        step = _delta(group, np.maximum(new, 0) if group.act_mode == "relu" else new, states[1:],
                      _any(sums[0], bias, *states))  # fmt: skip
        return step._replace(states=[sigma, *step.states])
    if isinstance(group, ProdNeuron):
        v = wrap_int32(sums[0] * sums[1]) >> group.exp
        return ModelStep([], np.where(wrap_int32(np.abs(v)) > group.vth, v, 0), _any(*sums))
    assert isinstance(group, GradedVec)
    v = sums[0]
    size = v if group.relu else wrap_int32(np.abs(v))
    return ModelStep([], np.where(size > group.vth, v, 0), _any(v))


def came_near(group: Neurons, out: ModelStep, profile: Profile) -> npt.NDArray[np.bool_]:
    """Return who came near its threshold: who sent a message, or whose state now exceeds half of what it is compared with.

    Always so for models without a threshold (sigma); only where a message was sent for those without a state.
    """
    sent = out.value != 0
    if isinstance(group, Sigma):
        return np.ones(group.n, np.bool_)
    if isinstance(group, (ProdNeuron, GradedVec)):
        return np.asarray(sent)
    if isinstance(group, TernaryLIF):
        high, low = (np.asarray(vth) << INPUT_SHIFT for vth in (group.vth_hi, group.vth_lo))
        close = (out.states[1] > high >> 1) | (out.states[1] < -(-low >> 1))
    elif isinstance(group, LIF):
        half = (np.asarray(group.vth) << INPUT_SHIFT) - int(profile.fires_at_threshold) >> 1
        close = out.states[1] > half
        if isinstance(group, MultiSpikeLIF) and group.signed:
            close |= out.states[1] < -half
    elif isinstance(group, (Delta, SigmaDelta)):
        measured = out.states[-1] if group.cum_error else out.states[-2]
        close = np.abs(measured) > group.vth << (group.spike_exp + group.state_exp) >> 1
    elif isinstance(group, RF):
        compared = out.states[1] if isinstance(group, RFIzhikevich) else out.states[0]
        close = compared > group.vth << group.state_exp >> 1
    else:
        assert isinstance(group, ATRLIF)
        close = wrap_int32(out.states[1] - out.states[3]) > out.states[2] >> 1
    return np.asarray(sent | close)


def _any(*parts: Int64Array) -> npt.NDArray[np.bool_]:
    return np.asarray(np.any(np.stack(np.broadcast_arrays(*parts)) != 0, axis=0))


def _lif(group: LIF, acc: Int64Array, states: list[Int64Array], t: int, profile: Profile) -> ModelStep:
    u, v = states[0], states[1]
    blocked = states[2] if isinstance(group, LIFRefractory) else np.zeros(group.n, np.int64)
    if isinstance(group, LIFReset) and t % group.reset_interval == group.reset_offset % group.reset_interval:
        u, v = np.zeros_like(u), np.zeros_like(v)
    keep_u, keep_v = DECAY_ONE - (np.asarray(group.du) + 1), DECAY_ONE - np.asarray(group.dv)
    wide = acc << INPUT_SHIFT
    active = _any(u, v, wrap_int32(wide), group.bias, blocked)
    if profile.chip:
        x = wrap_bits(wide, SUM_BITS)
        raw_u = shift_toward_zero(u * keep_u, 12) + x
        new_u = wrap_bits(raw_u, STATE_BITS)
        driven = wrap_bits(new_u + group.bias, STATE_BITS)
        n_corrected = int((new_u != raw_u).sum())
    else:
        x = wrap_int32(wide)
        raw_u = wrap_int32(shift_toward_zero(u * keep_u, 12) + x)
        new_u = correct_current(raw_u)
        driven = new_u + group.bias
        n_corrected = int(((raw_u > STATE_LIMIT) | (raw_u <= -STATE_LIMIT)).sum())
    free = blocked == 0
    raw_v = shift_toward_zero(v * keep_v, 12) + driven
    new_v = saturate_voltage(raw_v)
    n_saturated = int((free & (np.abs(raw_v) > STATE_MAX)).sum())
    value, after = _fire(group, new_v, profile)
    value = np.where(free, value, 0)
    states = [new_u, np.where(free, after, v)]
    if isinstance(group, LIFRefractory):
        states.append(np.where(value != 0, group.refractory_period, np.maximum(blocked - 1, 0)))
    return ModelStep(states, value, active, int((x != wide).sum()), n_corrected, n_saturated)


def _fire(group: LIF, v: Int64Array, profile: Profile) -> tuple[Int64Array, Int64Array]:
    """Return the messages and the voltages after the reset."""
    threshold = np.asarray(group.vth) << INPUT_SHIFT
    if isinstance(group, MultiSpikeLIF):
        s = np.sign(v) * (np.abs(v) // threshold)
        s = np.clip(s, -group.max_spikes if group.signed else 0, group.max_spikes)
        return s, v - s * threshold
    if isinstance(group, TernaryLIF):
        s = (v > np.asarray(group.vth_hi) << INPUT_SHIFT).astype(np.int64)
        s -= v < np.asarray(group.vth_lo) << INPUT_SHIFT
    else:
        s = (v > threshold - int(profile.fires_at_threshold)).astype(np.int64)
    return s, np.where(s != 0, 0, v)


def _delta(
    group: Delta | SigmaDelta, new: Int64Array, states: list[Int64Array], active: npt.NDArray[np.bool_]
) -> ModelStep:
    """Encode the change of an activation; states are act, residue, error."""
    act, residue, error = states
    change = wrap_int32(wrap_int32(new - act) + residue)
    measured = wrap_int32(error + change) if group.cum_error else change
    threshold = group.vth << (group.spike_exp + group.state_exp)
    s = np.where(wrap_int32(np.abs(measured)) >= threshold, change, 0)
    error = np.where(s != 0, 0, measured) if group.cum_error else error
    return ModelStep([new, change - s, error], s >> group.state_exp, active)


def _resonate(group: RF, sums: list[Int64Array], states: list[Int64Array]) -> ModelStep:
    re, im = states
    x, y = (wrap_int32(a << group.state_exp) for a in sums)

    def turned(factor: int, state: Int64Array) -> Int64Array:
        return shift_toward_zero(factor * state, group.decay_bits)

    raw_re = turned(group.cos_decay, re) - turned(group.sin_decay, im) + x
    raw_im = turned(group.sin_decay, re) + turned(group.cos_decay, im) + y
    new_re, new_im = saturate_voltage(raw_re), saturate_voltage(raw_im)
    n_saturated = int((np.abs(raw_re) > STATE_MAX).sum() + (np.abs(raw_im) > STATE_MAX).sum())
    threshold = group.vth << group.state_exp
    if isinstance(group, RFIzhikevich):
        s = new_im >= threshold
        new_re, new_im = np.where(s, 0, new_re), np.where(s, threshold - 1, new_im)
    else:
        s = (new_re >= threshold) & (new_im >= 0) & (im < 0)
    return ModelStep([new_re, new_im], s.astype(np.int64), _any(*sums, *states), n_saturated=n_saturated)


def _atrlif(group: ATRLIF, acc: Int64Array, states: list[Int64Array]) -> ModelStep:
    current, v, theta, r = states
    theta_0 = group.theta_0 << INPUT_SHIFT
    wide = acc << INPUT_SHIFT
    active = _any(acc, current, v, r, group.bias, theta - theta_0)
    raw_i = wrap_int32(shift_toward_zero(current * (DECAY_ONE - (group.delta_i + 1)), 12) + wrap_int32(wide))
    new_i = correct_current(raw_i)
    raw_v = wrap_int32(shift_toward_zero(v * (DECAY_ONE - group.delta_v), 12) + new_i + group.bias)
    new_v = saturate_voltage(raw_v)
    above = shift_toward_zero(wrap_int32(theta - theta_0) * (DECAY_ONE - group.delta_theta), 12)
    new_theta = wrap_int32(wrap_int32(above) + theta_0)
    new_r = wrap_int32(shift_toward_zero(r * (DECAY_ONE - group.delta_r), 12))
    s = wrap_int32(new_v - new_r) >= new_theta
    raised = wrap_int32(new_theta + (group.theta_step << INPUT_SHIFT))
    return ModelStep(
        [new_i, new_v, np.where(s, raised, new_theta),
         np.where(s, wrap_int32(new_r + wrap_int32(2 * new_theta)), new_r)],
        s.astype(np.int64),
        active,
        int((wrap_int32(wide) != wide).sum()),
        int(((raw_i > STATE_LIMIT) | (raw_i <= -STATE_LIMIT)).sum()),
        int((np.abs(raw_v) > STATE_MAX).sum()),
    )  # fmt: skip
