"""Advance the neuron models besides plain LIF by one step (`docs/arithmetic.md`, section 6).

Each function writes the messages of the step to ``value`` (0: none) and returns how many updates were active and how many
registers left their range: sums at the port, u, v. Models without such registers return 0. All arithmetic is in 64 bits with the
wraps written out; twin: `neurosim.reference.models`.
"""

import numpy as np

from neurosim.codes import (
    CAP,
    CHIP,
    COSINE,
    CUMULATIVE,
    DECAY_I,
    DECAY_R,
    DECAY_THETA,
    DECAY_V,
    FLOOR,
    INTERVAL,
    MODEL_MULTISPIKE,
    MODEL_RESONATE_RESET,
    MODEL_TERNARY,
    PARAM_HIGH,
    PARAM_KEEP_U,
    PARAM_KEEP_V,
    PARAM_LOW,
    PERIOD,
    PHASE,
    RELU,
    ROTATION_BITS,
    SINE,
    SPIKE_SHIFT,
    STATE_SHIFT,
    THETA_0,
    THETA_STEP,
    VTH,
)
from neurosim.kernels.arith import scale_toward_zero, shift_signed
from neurosim.kernels.jit import jit
from neurosim.kernels.neuron import INPUT_LIMIT, STATE_LIMIT, STATE_MAX, STATE_WRAP

DECAY_ONE = 4096
SUM_BITS = 22  # of the chip's synaptic accumulator, sign included, after the shift by 6
STATE_BITS = 24


@jit
def i32(x):
    """Wrap into 32 bits."""
    return np.int64(np.int32(x))


@jit
def wrap(x, bits):
    """Wrap into so many bits, sign included."""
    half = np.int64(1) << (bits - 1)
    return ((np.int64(x) + half) & ((np.int64(1) << bits) - 1)) - half


@jit
def update_lif_family(model, setting, param, t, acc, u, v, blocked, bias, value):
    """Advance LIF neurons with parameters of their own, refractory, with periodic reset, ternary or multi-spike.

    t : int
        Step of the sample, counted from 1.
    """
    n_active, n_over, n_corrected, n_saturated = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    lif = model != MODEL_TERNARY and model != MODEL_MULTISPIKE
    chip = lif and setting[CHIP] != 0
    clears = lif and setting[INTERVAL] > 0 and t % max(setting[INTERVAL], 1) == setting[PHASE]
    for k in range(len(u)):
        if clears:
            u[k] = 0
            v[k] = 0
        a, b = np.int64(acc[k]), np.int64(bias[k])
        acc[k] = 0
        x = i32(a << 6)
        n_active += np.int64((u[k] | v[k]) != 0 or x != 0 or b != 0 or blocked[k] != 0)
        raw = i32(np.int64(scale_toward_zero(u[k], param[PARAM_KEEP_U, k])) + x)
        if chip:
            wide = a << 6
            x = wrap(wide, SUM_BITS)
            n_over += np.int64(wide != x)
            raw = np.int64(scale_toward_zero(u[k], param[PARAM_KEEP_U, k])) + x
            un = wrap(raw, STATE_BITS)
            n_corrected += np.int64(un != raw)
            driven = wrap(un + b, STATE_BITS)
        else:
            n_over += np.int64(a >= INPUT_LIMIT or a < -INPUT_LIMIT)
            un = raw
            if raw > STATE_LIMIT:
                un = raw - STATE_WRAP
            elif raw <= -STATE_LIMIT:
                un = raw + STATE_WRAP
            n_corrected += np.int64(un != raw)
            driven = un + b
        u[k] = np.int32(un)
        value[k] = 0
        if blocked[k] > 0:
            blocked[k] -= 1
            continue
        vn = np.int64(scale_toward_zero(v[k], param[PARAM_KEEP_V, k])) + driven
        n_saturated += np.int64(vn > STATE_MAX or vn < -STATE_MAX)
        vn = min(max(vn, -STATE_MAX), STATE_MAX)
        high = np.int64(param[PARAM_HIGH, k])
        if model == MODEL_TERNARY:
            s = np.int64(vn > high) - np.int64(vn < param[PARAM_LOW, k])
            vn = np.int64(0) if s != 0 else vn
        elif model == MODEL_MULTISPIKE:
            s = abs(vn) // high
            s = -s if vn < 0 else s
            s = min(max(s, setting[FLOOR]), setting[CAP])
            vn -= s * high
        else:
            s = np.int64(vn > high)
            if s != 0:
                vn = np.int64(0)
                blocked[k] = np.int32(setting[PERIOD])
        v[k] = np.int32(vn)
        value[k] = np.int32(s)
    return n_active, n_over, n_corrected, n_saturated


@jit
def update_sigma(acc, sigma, value):
    """Add the input to sigma (wraps) and send sigma."""
    n_active = np.int64(0)
    for k in range(len(acc)):
        n_active += np.int64((acc[k] | sigma[k]) != 0)
        sigma[k] = np.int32(np.int64(sigma[k]) + acc[k])
        value[k] = sigma[k]
        acc[k] = 0
    return n_active


@jit
def encode_change(setting, new, act, residue, error, k):
    """Return what a delta neuron sends for its new activation, in scaled units; residue and error are written."""
    change = i32(i32(new - act[k]) + residue[k])
    measured = change
    if setting[CUMULATIVE] != 0:
        measured = i32(np.int64(error[k]) + change)
        error[k] = np.int32(measured)
    s = change if i32(abs(measured)) >= setting[VTH] else np.int64(0)
    if s != 0 and setting[CUMULATIVE] != 0:
        error[k] = 0
    residue[k] = np.int32(change - s)
    act[k] = np.int32(new)
    return s


@jit
def update_delta(setting, acc, act, residue, error, value):
    """Send the change of the input where it, or its sum, reaches the threshold."""
    n_active = np.int64(0)
    for k in range(len(acc)):
        n_active += np.int64((acc[k] | act[k] | residue[k] | error[k]) != 0)
        new = i32(np.int64(acc[k]) << setting[SPIKE_SHIFT])
        acc[k] = 0
        s = encode_change(setting, new, act, residue, error, k)
        value[k] = np.int32(s >> setting[STATE_SHIFT])
    return n_active


@jit
def update_sigma_delta(setting, acc, sigma, act, residue, error, bias, value):
    """Add up the input, apply bias and activation, and send the change."""
    n_active = np.int64(0)
    for k in range(len(acc)):
        n_active += np.int64((acc[k] | sigma[k] | act[k] | residue[k] | error[k] | bias[k]) != 0)
        sigma[k] = np.int32(np.int64(sigma[k]) + acc[k])
        acc[k] = 0
        new = i32(np.int64(sigma[k]) + bias[k])
        if setting[RELU] != 0:
            new = max(new, np.int64(0))
        s = encode_change(setting, new, act, residue, error, k)
        value[k] = np.int32(s >> setting[STATE_SHIFT])
    return n_active


@jit
def update_product(setting, acc, second, value):
    """Send the scaled product of both inputs where it exceeds the threshold."""
    n_active = np.int64(0)
    for k in range(len(acc)):
        n_active += np.int64((acc[k] | second[k]) != 0)
        v = i32(np.int64(acc[k]) * np.int64(second[k])) >> setting[SPIKE_SHIFT]
        value[k] = np.int32(v if i32(abs(v)) > setting[VTH] else 0)
        acc[k] = 0
        second[k] = 0
    return n_active


@jit
def update_graded(setting, acc, value):
    """Send the input where it exceeds the threshold."""
    n_active = np.int64(0)
    for k in range(len(acc)):
        v = np.int64(acc[k])
        n_active += np.int64(v != 0)
        size = v if setting[RELU] != 0 else i32(abs(v))
        value[k] = np.int32(v if size > setting[VTH] else 0)
        acc[k] = 0
    return n_active


@jit
def update_resonate(model, setting, acc, second, real, imag, value):
    """Turn and shrink the complex state, add the inputs, and test for a spike in one of two ways."""
    n_active, n_saturated = np.int64(0), np.int64(0)
    bits = setting[ROTATION_BITS]
    for k in range(len(acc)):
        n_active += np.int64((acc[k] | second[k] | real[k] | imag[k]) != 0)
        re, im = np.int64(real[k]), np.int64(imag[k])
        x = i32(np.int64(acc[k]) << setting[STATE_SHIFT])
        y = i32(np.int64(second[k]) << setting[STATE_SHIFT])
        acc[k] = 0
        second[k] = 0
        new_re = shift_signed(setting[COSINE] * re, -bits) - shift_signed(setting[SINE] * im, -bits) + x
        new_im = shift_signed(setting[SINE] * re, -bits) + shift_signed(setting[COSINE] * im, -bits) + y
        n_saturated += np.int64(abs(new_re) > STATE_MAX) + np.int64(abs(new_im) > STATE_MAX)
        new_re = min(max(new_re, -STATE_MAX), STATE_MAX)
        new_im = min(max(new_im, -STATE_MAX), STATE_MAX)
        if model == MODEL_RESONATE_RESET:
            s = np.int64(new_im >= setting[VTH])
            new_re = np.int64(0) if s != 0 else new_re
            new_im = setting[VTH] - 1 if s != 0 else new_im
        else:
            s = np.int64(new_re >= setting[VTH] and new_im >= 0 and im < 0)
        real[k], imag[k], value[k] = np.int32(new_re), np.int32(new_im), np.int32(s)
    return n_active, n_saturated


@jit
def update_atrlif(setting, acc, current, v, theta, r, bias, value):
    """Advance current, voltage, threshold and refractory state; a spike raises the last two."""
    n_active, n_over, n_corrected, n_saturated = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    theta_0 = setting[THETA_0]
    for k in range(len(acc)):
        a, b = np.int64(acc[k]), np.int64(bias[k])
        acc[k] = 0
        n_active += np.int64((current[k] | v[k] | r[k]) != 0 or a != 0 or b != 0 or theta[k] != theta_0)
        n_over += np.int64(a >= INPUT_LIMIT or a < -INPUT_LIMIT)
        keep_i = np.int64(DECAY_ONE - (setting[DECAY_I] + 1))
        raw = i32(shift_signed(np.int64(current[k]) * keep_i, -12) + i32(a << 6))
        un = raw
        if raw > STATE_LIMIT:
            un = raw - STATE_WRAP
        elif raw <= -STATE_LIMIT:
            un = raw + STATE_WRAP
        n_corrected += np.int64(un != raw)
        current[k] = np.int32(un)
        vn = i32(shift_signed(np.int64(v[k]) * (DECAY_ONE - setting[DECAY_V]), -12) + un + b)
        n_saturated += np.int64(vn > STATE_MAX or vn < -STATE_MAX)
        vn = min(max(vn, -STATE_MAX), STATE_MAX)
        v[k] = np.int32(vn)
        above = i32(np.int64(theta[k]) - theta_0)
        th = i32(i32(shift_signed(above * (DECAY_ONE - setting[DECAY_THETA]), -12)) + theta_0)
        rn = i32(shift_signed(np.int64(r[k]) * (DECAY_ONE - setting[DECAY_R]), -12))
        s = np.int64(i32(vn - rn) >= th)
        if s != 0:
            rn = i32(rn + i32(2 * th))
            th = i32(th + setting[THETA_STEP])
        theta[k], r[k], value[k] = np.int32(th), np.int32(rn), np.int32(s)
    return n_active, n_over, n_corrected, n_saturated
