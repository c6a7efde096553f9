"""Neurons over many steps with surrogate gradients; twin: `neurosim.reference.direct`.

Neurons are taken in blocks whose states stay in the nearest cache over all steps. The loops over a block have no branches that
depend on a neuron, start at 0, and touch few arrays, since compilers give up where more than a handful might overlap: so they run on
vectors. Voltages of the chip are whole numbers below 2**36 in 64-bit floats, which is exact; where no current is kept from step to step
and what arrives is below 2**24, they are whole numbers of at most 24 bits in 32-bit floats, twice as many in a vector.
"""

from __future__ import annotations

import math

import numpy as np

from neurosim.codes import DIRECT_INTEGRATE, DIRECT_SOFT, DIRECT_TERNARY
from neurosim.kernels.jit import jit

BLOCK = 512
N_SUMS = 3  # of a block: by threshold, by keep, by keep_current
BY_WIDTH, BY_STEP, N_LANES = N_SUMS, N_SUMS + 1, N_SUMS + 2  # rows of `lanes` behind those of the sums
INVERSE_DECAY, INVERSE_WRAP = 2.0**-12, 2.0**-32
F0, F1, HALF, INVERSE_PI = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1 / math.pi)
PART, INVERSE_PART = np.float32(4096), np.float32(2.0**-12)  # voltages are multiplied in two parts of 12 bits
F64, LIMIT = np.float32(64), np.float32(2**23)
SHORT_CURRENT = np.float32(2**24)


@jit
def run_forward(
    model, chip, most, signed, vth, dv, du, threshold, keep, keep_current, current, u, v, first, last, spikes, potential,
    short,
):  # fmt: skip
    """Advance neurons; arguments and result as in the twin, its `Neurons` one by one, and `short`, (2, BLOCK) float32, scratch."""
    n, sent = current.shape[1], 0.0
    theta = np.float64(vth * 64) if chip else np.float64(threshold)
    for start in range(0, n, BLOCK):
        a, b, c = np.uint64(start), np.uint64(min(start + BLOCK, n)), np.uint64(0)
        sizes = short[1, c : b - a]
        sizes[:] = 0
        if chip and du == 4095 and model != DIRECT_INTEGRATE and _all_short(current, first, last, a, b):
            state = short[0, c : b - a]
            _shorten(v[a:b], state)
            for t in range(first, last):
                args = (
                    np.float32(4096 - dv),
                    np.float32(theta),
                    current[t, a:b],
                    state,
                    spikes[t, a:b],
                    potential[t, a:b],
                )
                if model == DIRECT_SOFT:
                    _step_soft(np.float32(-most if signed else 0), np.float32(most), *args)
                else:
                    _step_hard(np.float32(-theta if model == DIRECT_TERNARY else -np.inf), *args)
                _add_sizes(spikes[t, a:b], sizes)
            _lengthen(state, v[a:b])
            if last > first:
                _lengthen_current(current[last - 1, a:b], u[a:b])
            sent += _total(sizes)
            continue
        for t in range(first, last):
            if chip:
                _advance_chip(np.float64(4096 - (du + 1)), np.float64(4096 - dv), current[t, a:b], u[a:b], v[a:b])
            else:
                _advance(keep_current, keep, current[t, a:b], u[a:b], v[a:b])
            if model == DIRECT_INTEGRATE:
                _show(1 / 64 if chip else 1.0, v[a:b], potential[t, a:b])
                continue
            if model == DIRECT_SOFT:
                least = -np.float64(most) if signed else 0.0
                _fire_soft(least, np.float64(most), theta, v[a:b], spikes[t, a:b], potential[t, a:b])
            else:
                lower = -theta if model == DIRECT_TERNARY else -np.inf
                _fire_hard(theta, lower, v[a:b], spikes[t, a:b], potential[t, a:b])
            _add_sizes(spikes[t, a:b], sizes)
        sent += _total(sizes)
    return sent


@jit
def _add_sizes(spikes, sizes):
    for j in range(len(spikes)):
        sizes[j] += abs(spikes[j])


@jit
def _all_short(current, first, last, a, b):
    """Whether all that arrives is below 2**24, so that 64 times it does not wrap and is exact in 32 bits."""
    long = np.int32(0)
    for t in range(first, last):
        here = current[t, a:b]
        for j in range(len(here)):
            long |= np.int32(0) if abs(here[j]) < SHORT_CURRENT else np.int32(1)
    return long == 0


@jit
def _shorten(v, state):
    for j in range(len(v)):
        state[j] = np.float32(v[j])


@jit
def _lengthen(state, v):
    for j in range(len(v)):
        v[j] = np.float64(state[j])


@jit
def _lengthen_current(current, u):
    for j in range(len(u)):
        u[j] = np.float64(_short_current(current[j]))


@jit
def _short_current(arrived):
    """Return a current without memory in units of the voltage, wrapped into 24 bits."""
    a = arrived * F64
    a -= LIMIT + LIMIT if a > LIMIT else F0
    a += LIMIT + LIMIT if a <= -LIMIT else F0
    return a


@jit
def _short_voltage(keep, arrived, v):
    """Advance a voltage as `_advance_chip` does: |v| = 4096 h + l decays to h keep + l keep / 4096, rounded toward zero."""
    h = np.trunc(v * INVERSE_PART)
    rest = v - h * PART
    x = (h * keep + np.trunc(rest * (keep * INVERSE_PART))) + _short_current(arrived)
    x = x if x > F1 - LIMIT else F1 - LIMIT
    return x if x < LIMIT - F1 else LIMIT - F1


@jit
def _step_hard(lower, keep, theta, current, v, spikes, potential):
    """Advance neurons of hard reset."""
    for j in range(len(v)):
        x = _short_voltage(keep, current[j], v[j])
        up, down = (F1 if x > theta else F0), (F1 if x < lower else F0)
        potential[j] = x / theta
        spikes[j] = up - down
        v[j] = x if up + down == F0 else F0


@jit
def _step_soft(least, most, keep, theta, current, v, spikes, potential):
    """Advance neurons of soft reset.

    No quotient rounds up to the next whole number k: (k theta - 1) / theta is 1 / theta away from it, and numbers around k lie k 2**-24 or
    more apart only where k theta is above 2**23, where no voltage is.
    """
    for j in range(len(v)):
        x = _short_voltage(keep, current[j], v[j])
        share = x / theta
        s = np.trunc(share)
        s = s if s > least else least
        s = s if s < most else most
        potential[j] = share
        spikes[j] = s
        v[j] = x - s * theta


@jit
def _advance(keep_u, keep_v, current, u, v):
    for j in range(len(v)):
        u[j] = u[j] * keep_u + np.float64(current[j])
        v[j] = v[j] * keep_v + u[j]


@jit
def _advance_chip(keep_u, keep_v, current, u, v):
    """Advance current and voltage as the chip does (docs/arithmetic.md, section 2), in whole numbers."""
    limit = 2.0**23
    for j in range(len(v)):
        a = _wrap(np.float64(current[j]) * 64)
        if keep_u != 0:
            a = _wrap(a + np.trunc(u[j] * keep_u * INVERSE_DECAY))
        a -= 2 * limit if a > limit else 0.0
        a += 2 * limit if a <= -limit else 0.0
        u[j] = a
        x = np.trunc(v[j] * keep_v * INVERSE_DECAY) + a
        x = x if x > 1 - limit else 1 - limit
        v[j] = x if x < limit - 1 else limit - 1


@jit
def _wrap(a):
    """Wrap a whole number into 32 bits."""
    return a - np.floor((a + 2.0**31) * INVERSE_WRAP) * 2.0**32


@jit
def _show(unit, v, potential):
    for j in range(len(v)):
        potential[j] = np.float32(v[j] * unit)


@jit
def _fire_soft(least, most, theta, v, spikes, potential):
    """Write potentials and messages, and subtract what was sent."""
    for j in range(len(v)):
        x = v[j] / theta
        s = np.trunc(x)
        s = s if s > least else least
        s = s if s < most else most
        potential[j] = np.float32(x)
        spikes[j] = np.float32(s)
        v[j] -= s * theta


@jit
def _fire_hard(theta, lower, v, spikes, potential):
    """Write potentials and messages of either sign, and set what fired to zero."""
    for j in range(len(v)):
        x = v[j]
        up, down = (1.0 if x > theta else 0.0), (1.0 if x < lower else 0.0)
        potential[j] = np.float32(x / theta)
        spikes[j] = np.float32(up - down)
        v[j] = x if up + down == 0 else 0.0


@jit
def run_backward(
    model, most, signed, threshold, keep, keep_current, scale, shape, through, learns, widths, spikes, potential, by_spike, by_potential,
    has_potential, first, last, by_u, by_v, by_current, by_widths, sums, lanes
):  # fmt: skip
    """Go back in time; arguments as in the twin.

    Gradients by widths are left in `by_widths`, (n_blocks, T) float64, and those by threshold, keep and keep_current in `sums`, (n_blocks,
    N_SUMS) float64, a row for each block, where `learns`: rows are added by the caller in their order. `lanes` is (N_LANES, BLOCK)
    float64, scratch.
    """
    n = spikes.shape[1]
    theta, inverse, by_scale = np.float32(threshold), F1 / np.float32(threshold), F1 / np.float32(scale)
    keep, keep_current, most = np.float32(keep), np.float32(keep_current), np.float32(most)
    two_sided, soft = model == DIRECT_TERNARY or (model == DIRECT_SOFT and signed), model == DIRECT_SOFT
    for start in range(0, n, BLOCK):
        a, b, block = np.uint64(start), np.uint64(min(start + BLOCK, n)), start // BLOCK
        size, c = b - a, np.uint64(0)
        after, u = by_v[a:b], by_u[a:b]
        if learns:
            lanes[:, :] = 0
        for back in range(last - first):
            t = last - 1 - back
            x, s, out, step = potential[t, a:b], spikes[t, a:b], by_current[t, a:b], lanes[BY_STEP, c:size]
            if model == DIRECT_INTEGRATE:
                if has_potential:
                    _add_scaled(by_potential[t, a:b], np.float32(scale), after)
                _through_current(after, u, out)
                _decay(keep, keep_current, by_scale, after, u, out)
                continue
            narrow = F1 / widths[t]
            if not (learns or through):
                _distances(two_sided, soft, most, narrow, x, out)
                _slopes(shape, narrow, out)
                _multiply(by_spike[t, a:b], out)
                if has_potential:
                    _add_scaled(by_potential[t, a:b], F1, out)
                _to_step_before(soft, theta, inverse, keep, keep_current, by_scale, s, out, after, u)
                continue
            _distances(two_sided, soft, most, narrow, x, out)
            if learns:
                _signed(two_sided, x, out, lanes[BY_WIDTH, c:size])
            _slopes(shape, narrow, out)
            _copy(by_spike[t, a:b], step)
            if through:
                _without_reset(two_sided, soft, theta, x, after, step)
            if learns:
                _by_width(step, out, lanes[BY_WIDTH, c:size])
                by_widths[block, t] += _total(lanes[BY_WIDTH, c:size])
            _multiply(step, out)
            if has_potential:
                _add_scaled(by_potential[t, a:b], F1, out)
            if learns:
                _by_threshold(soft, inverse, x, s, out, after, lanes[0, c:size])
            if soft:
                _through_soft(theta, inverse, out, after)
            else:
                _through_hard(theta, inverse, s, out, after)
            _through_current(after, u, out)
            if learns and t > 0:
                x1, s1 = potential[t - 1, a:b], spikes[t - 1, a:b]
                _by_keep(soft, theta, x1, s1, after, lanes[1, c:size])
                if t > 1:
                    _by_current(soft, theta, keep, x1, potential[t - 2, a:b], spikes[t - 2, a:b], out, lanes[2, c:size])
                else:
                    _by_first_current(theta, x1, out, lanes[2, c:size])
            _decay(keep, keep_current, by_scale, after, u, out)
        if learns:
            for row in range(N_SUMS):
                sums[block, row] += _total(lanes[row, c:size])


@jit
def _to_step_before(soft, theta, inverse, keep, keep_current, by_scale, s, out, after, u):
    """Go through the firing of a step and what was kept; `out` becomes the gradient by the current."""
    for i in range(len(out)):
        kept = F1 if soft or s[i] == F0 else F0
        pre = (out[i] + after[i] * theta * kept) * inverse
        by_current = pre + u[i]
        u[i] = keep_current * by_current
        after[i] = keep * pre
        out[i] = by_current * by_scale


@jit
def _distances(two_sided, soft, most, narrow, x, out):
    """Write the distance to the nearest threshold, in widths."""
    for i in range(len(x)):
        d = abs(x[i]) if two_sided else x[i]
        level = F1
        if soft:
            level = np.floor(d + HALF)
            level = level if level > F1 else F1
            level = level if level < most else most
        out[i] = (d - level) * narrow


@jit
def _signed(two_sided, x, z, out):
    """Write distances with the sign of the potential."""
    for i in range(len(x)):
        out[i] = -z[i] if two_sided and x[i] < F0 else z[i]


@jit
def _slopes(shape, narrow, z):
    """Replace distances by the derivative of the smooth step of area 1, divided by the width.

    A loop for each shape: one loop that chooses among them is not put on vectors and takes six times as long.
    """
    if shape == 0:
        for i in range(len(z)):
            z[i] = (HALF if abs(z[i]) < F1 else F0) * narrow
    elif shape == 1:
        for i in range(len(z)):
            h = F1 - abs(z[i])
            z[i] = (h if h > F0 else F0) * narrow
    elif shape == 2:
        for i in range(len(z)):
            e = np.exp(-abs(z[i]))
            z[i] = e / ((F1 + e) * (F1 + e)) * narrow
    elif shape == 3:
        for i in range(len(z)):
            h = F1 + abs(z[i])
            z[i] = HALF / (h * h) * narrow
    else:
        for i in range(len(z)):
            z[i] = INVERSE_PI / (F1 + z[i] * z[i]) * narrow


@jit
def _copy(source, out):
    for i in range(len(source)):
        out[i] = source[i]


@jit
def _without_reset(two_sided, soft, theta, x, after, step):
    """Take from the gradient by a smooth step what its reset takes from the voltage."""
    for i in range(len(x)):
        lost = theta if soft else theta * (abs(x[i]) if two_sided else x[i])
        step[i] = np.float32(step[i]) - after[i] * lost


@jit
def _by_width(step, h, lane):
    for i in range(len(h)):
        lane[i] = -np.float32(step[i]) * np.float32(lane[i]) * h[i]


@jit
def _multiply(step, out):
    for i in range(len(out)):
        out[i] = np.float32(step[i]) * out[i]


@jit
def _add_scaled(source, factor, out):
    for i in range(len(out)):
        out[i] += source[i] * factor


@jit
def _by_threshold(soft, inverse, x, s, own, after, lane):
    for i in range(len(x)):
        direct = -after[i] * s[i] if soft else F0
        lane[i] += direct - own[i] * x[i] * inverse


@jit
def _through_soft(theta, inverse, own, after):
    """Replace the gradient by the voltage after firing by that before."""
    for i in range(len(own)):
        after[i] = (own[i] + after[i] * theta) * inverse


@jit
def _through_hard(theta, inverse, s, own, after):
    """Replace the gradient by the voltage after firing by that before."""
    for i in range(len(own)):
        kept = F1 if s[i] == F0 else F0
        after[i] = (own[i] + after[i] * theta * kept) * inverse


@jit
def _through_current(pre, u, out):
    """Write the gradient by the current."""
    for i in range(len(out)):
        out[i] = pre[i] + u[i]


@jit
def _by_keep(soft, theta, x, s, pre, lane):
    for i in range(len(x)):
        lane[i] += pre[i] * _after(soft, theta, x[i], s[i])


@jit
def _by_current(soft, theta, keep, x, earlier_x, earlier_s, by_current, lane):
    for i in range(len(x)):
        lane[i] += by_current[i] * (theta * x[i] - keep * _after(soft, theta, earlier_x[i], earlier_s[i]))


@jit
def _by_first_current(theta, x, by_current, lane):
    for i in range(len(x)):
        lane[i] += by_current[i] * (theta * x[i])


@jit
def _after(soft, theta, x, s):
    """Return the voltage after the reset."""
    if soft:
        return theta * (x - s)
    return theta * x if s == F0 else F0


@jit
def _decay(keep, keep_current, by_scale, pre, u, out):
    """Go from the gradients by states of a step to those of the step before, and to the units of the current."""
    for i in range(len(out)):
        u[i] = keep_current * out[i]
        pre[i] = keep * pre[i]
        out[i] = out[i] * by_scale


@jit
def _total(lane):
    total = 0.0
    for i in range(len(lane)):
        total += lane[i]
    return total
