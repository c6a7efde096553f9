"""Bounds of what quantised neurons may do at worst: overflow, and the voltage's distance from floats (`docs/arithmetic.md`, section 9)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.decays import Decay, decays_of
from neurosim.errors import QuantizationError
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, STATE_LIMIT, STATE_MAX
from neurosim.network import (
    LIF,
    Connection,
    Conv,
    ConvConnection,
    CubaLIF,
    Dense,
    Group,
    Input,
    IntegerConnection,
    Network,
    Sparse,
    SparseConnection,
)
from neurosim.neurons import ATRLIF, GradedVec, MultiSpikeLIF, TernaryLIF
from neurosim.quantized import Quantized, QuantNote

FloatArray = npt.NDArray[np.float64]
SUM_LIMIT = 1 << 31  # channels and sums of 32 bits
LOIHI1_LIMIT = 1 << 21  # Loihi 1's sum of a step, after the shift by 6: 21 bits and sign
CONV_LIMIT = 1 << 23  # the sum of a convolution wraps into 24 bits
UNIT = 1 << INPUT_SHIFT  # units of u and v in one of weight


class _Input(NamedTuple):
    """Largest input of one step to each neuron of a group, in weight units: (n,) each."""

    above: FloatArray  # largest sum
    below: FloatArray  # smallest sum, its sign changed
    either: FloatArray  # all magnitudes together, which no partial sum exceeds either


def note_bounds(network: Network, notes: list[QuantNote]) -> None:
    """Bound currents, voltages and sums of a network in integers if every source fires in every step with the worst signs."""
    for group in network.groups:
        if not isinstance(group, (LIF, ATRLIF, GradedVec)):
            continue
        incoming: list[IntegerConnection] = [
            c for c in network.connections if c.target == group.name and not isinstance(c, Connection)
        ]
        messages = [largest_message(network.group(c.source), c) for c in incoming]
        for connection, message in zip(incoming, messages, strict=True):
            if isinstance(connection, Conv) and message is not None:
                _note_convolution(connection, message, notes)
        if incoming and None not in messages:  # any value may come: a bound would say nothing
            signed = [sends_signs(network.group(c.source), c) for c in incoming]
            total = _largest_input(group.n, incoming, [m for m in messages if m is not None], signed)
            if isinstance(group, GradedVec):
                _note_sum(group, total, 1, notes)
            else:
                _note_states(group, total, notes)


def largest_message(source: Group, connection: IntegerConnection) -> int | None:
    """Return the largest magnitude by which a spike multiplies a weight; None where the source may send any number."""
    if not connection.num_message_bits or not source.graded:
        return 1
    if isinstance(source, TernaryLIF):
        return 1
    if isinstance(source, MultiSpikeLIF):
        return source.max_spikes
    return (1 << connection.num_message_bits) - 1 if isinstance(source, Input) else None


def sends_signs(source: Group, connection: IntegerConnection) -> bool:
    """Return whether a spike may multiply a weight by less than 0."""
    if not connection.num_message_bits or not source.graded:
        return False
    return source.signed if isinstance(source, MultiSpikeLIF) else True


def _largest_input(n: int, incoming: list[IntegerConnection], messages: list[int], signs: list[bool]) -> _Input:
    above, below, either = np.zeros(n), np.zeros(n), np.zeros(n)
    for connection, message, signed in zip(incoming, messages, signs, strict=True):
        size, net = _fan_in(connection)
        plus, minus = message * (size + net) / 2, message * (size - net) / 2
        if signed:
            plus = minus = message * size
        grow = 2.0**connection.weight_exp
        above += plus * grow
        below += minus * grow
        either += size * message * grow
        if connection.weight_exp < 0:  # the sum of each delay rounds down
            rounded = 1 if connection.delays is None else len(np.unique(np.asarray(connection.delays)))
            below += rounded
            either += rounded
    return _Input(above, below, either)


def _fan_in(connection: IntegerConnection) -> tuple[FloatArray, FloatArray]:
    """Sum of the magnitudes of a neuron's weights, and of the weights, (n_post,) each."""
    if isinstance(connection, Dense):
        weights = np.asarray(connection.weights)
        return np.abs(weights).sum(axis=1).astype(np.float64), weights.sum(axis=1).astype(np.float64)
    sparse = connection.as_sparse()
    row, data, n = np.asarray(sparse.row), np.asarray(sparse.data), sparse.shape[0]
    return np.bincount(row, np.abs(data), n).astype(np.float64), np.bincount(row, data, n).astype(np.float64)


def _note_convolution(connection: Conv, message: int, notes: list[QuantNote]) -> None:
    bound = float(_fan_in(connection)[0].max()) * message / CONV_LIMIT
    text = f"largest possible sum of a step is {bound:.3g} of 2**23"
    if bound > 1:
        text += "; it can wrap into 24 bits, use fewer channels or smaller weights"
    notes.append(QuantNote(f"connection/{connection.name}", "conv_bound", bound, text))


def _note_sum(group: Group, total: _Input, unit: int, notes: list[QuantNote]) -> None:
    once = float(total.either.max())
    bound = once * unit / SUM_LIMIT
    text = f"largest possible input of a step is {bound:.3g} of 2**31"
    if bound >= 1:
        text += "; it can wrap, watch overflow_accumulator"
    notes.append(QuantNote(f"group/{group.name}", "sum_bound", bound, text))


def _note_states(group: LIF | ATRLIF, total: _Input, notes: list[QuantNote]) -> None:
    owner = f"group/{group.name}"
    du = np.asarray(group.delta_i if isinstance(group, ATRLIF) else group.du)
    dv = np.broadcast_to(np.asarray(group.delta_v if isinstance(group, ATRLIF) else group.dv), (group.n,))
    memory = DECAY_ONE / (du + 1)  # how often the current of one step adds to itself
    bound = float((UNIT * total.either * memory).max()) / STATE_LIMIT
    once = float(total.either.max()) * UNIT / STATE_LIMIT
    text = f"largest possible current is {bound:.3g} of 2**23 ({once:.3g} from one step)"
    if bound > 1:
        text += "; the current can wrap if nearly all sources fire, watch overflow_u"
    notes.append(QuantNote(owner, "input_bound", bound, text))
    up = UNIT * total.above * memory + np.maximum(group.bias, 0)
    down = UNIT * total.below * memory + np.maximum(-group.bias, 0)
    lowest, highest = _leaky(down, dv), _leaky(up, dv)
    if isinstance(group, TernaryLIF):
        highest = np.minimum(highest, UNIT * np.maximum(np.asarray(group.vth_hi), 0) + up)
        lowest = np.minimum(lowest, UNIT * np.maximum(-np.asarray(group.vth_lo), 0) + down)
    elif isinstance(group, MultiSpikeLIF):
        lowest, highest = _with_rest(group, lowest, highest, down, up)
    elif not isinstance(group, ATRLIF):  # v goes back to 0 once it exceeds the threshold
        highest = np.minimum(highest, UNIT * np.asarray(group.vth) + up)
    reach = float(np.maximum(lowest, highest).max()) / STATE_MAX
    if math.isinf(reach):
        side = "below" if np.isinf(lowest).any() else "above"
        text = f"without leak v has no bound {side}: it saturates where input of that sign goes on, watch saturation_v"
        notes.append(QuantNote(owner, "v_bound", None, text))
    else:
        text = f"largest possible voltage is {reach:.3g} of 2**23"
        notes.append(QuantNote(owner, "v_bound", reach, text + ("; it can saturate" if reach > 1 else "")))
    _note_sum(group, total, UNIT, notes)
    chip = float(total.either.max()) * UNIT / LOIHI1_LIMIT
    text = f"largest possible input of a step is {chip:.3g} of Loihi 1's 21 bits and sign"
    notes.append(QuantNote(owner, "loihi1_sum_bound", chip, text + ("; it can wrap there" if chip >= 1 else "")))


def _with_rest(
    group: MultiSpikeLIF, lowest: FloatArray, highest: FloatArray, down: FloatArray, up: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Bound v of neurons that keep less than a threshold, where no step brings more thresholds than a message holds."""
    threshold = UNIT * np.broadcast_to(np.asarray(group.vth), (group.n,)).astype(np.float64)
    sent = group.max_spikes * threshold
    highest = np.where(up <= sent, np.minimum(highest, threshold - 1 + up), highest)
    if group.signed:
        lowest = np.where(down <= sent, np.minimum(lowest, threshold - 1 + down), lowest)
    return lowest, highest


def _leaky(push: FloatArray, dv: npt.NDArray[np.int64]) -> FloatArray:
    """Where v ends that is pushed by so much in each step: push / d, without leak inf."""
    leak = np.where(dv > 0, DECAY_ONE / np.maximum(dv, 1), np.inf)
    return np.where(push > 0, np.maximum(push, 1e-300) * leak, 0.0)


def grows(d: FloatArray, n_steps: float | None) -> FloatArray:
    """Return what an error of 1 in each of so many steps adds up to beside a decay d: ``(1 - (1 - d)**n) / d``."""
    safe = np.where(d > 0, d, 1.0)
    if n_steps is None:
        return np.where(d > 0, 1 / safe, np.inf)
    return np.where(d > 0, (1 - (1 - np.minimum(safe, 1.0)) ** n_steps) / safe, float(n_steps))


def voltage_error_bound(
    network: Network, quantized: Quantized, group: str, *, u_max: npt.ArrayLike, v_max: npt.ArrayLike,
    spikes_per_step: npt.ArrayLike = 1.0, n_spikes: npt.ArrayLike | None = None, n_steps: int | None = None,
    decay: Decay = "exact",
) -> FloatArray:  # fmt: skip
    """Bound how far v on the chip, over 64 S, is from v in floats, while both get and send the same spikes.

    Parameters
    ----------
    network : Network
        In floats, as it was quantised.
    quantized : Quantized
        What `neurosim.quantize` made of it.
    group : str
        Name of a group of model "lif", "refractory" or "ternary".
    u_max, v_max : float or (n,) float
        Largest magnitudes of current and voltage in the float run.
    spikes_per_step : float or (n,) float
        Largest number of spikes that reach a neuron in one step.
    n_spikes : float or (n,) float, optional
        Largest number of spikes that reach a neuron in `n_steps`, if it is known: without leak the bound is then that of so many
        spikes, not of `spikes_per_step` in every step.
    n_steps : int, optional
        Since both began at 0; None: any number, which has no bound without leak.
    decay : {"exact", "euler"}
        As in `neurosim.quantize`.

    Returns
    -------
    (n,) float64
        In units of v; inf where there is no bound.

    Raises
    ------
    QuantizationError
        If the group is of another model, or was in integers.

    Notes
    -----
    With d, e the float decays of current and voltage, D, E those of the registers, q = 1 / (64 S) and
    g(d) = (1 - (1 - d)**n_steps) / d::

        x = spikes_per_step * max |w_q 2**weight_exp / S - d w| + (roundings of negative exponents) / S
        |u error| <= (x + |d - D| u_max + q [D < 1]) g(D)
        |v error| <= (|u error| + |e - E| v_max + q [E > 0] + |bias error|) g(E)

    A spike moves v by at most its error times g(D), however it is spread, so n_spikes bounds the first term of v as well.
    """
    description, found = network.group(group), quantized.network.group(group)
    if not isinstance(description, CubaLIF) or not isinstance(found, LIF) or isinstance(found, MultiSpikeLIF):
        raise QuantizationError(
            f"group {group!r}: no bound for {type(description).__name__} that becomes {type(found).__name__}; "
            "there is one for CubaLIF of model 'lif', 'refractory' and 'ternary'"
        )
    floats = decays_of(description, network.dt, decay)
    d_u, d_v = (np.asarray(found.du) + 1) / DECAY_ONE, np.asarray(found.dv) / DECAY_ONE
    d_u, d_v = np.broadcast_to(d_u, (found.n,)), np.broadcast_to(d_v, (found.n,))
    scale = quantized.scales[f"group/{group}"]
    unit = 1 / (UNIT * scale)
    worst, rounding = _weight_errors(network, quantized, group, floats.syn, scale)
    each_u, each_v = grows(d_u, n_steps), grows(d_v, n_steps)
    of_current = (np.abs(floats.syn - d_u) * np.asarray(u_max) + unit * (d_u < 1) + rounding) * each_u
    of_weights = np.asarray(spikes_per_step) * worst * each_u
    bias = np.abs(found.bias * unit - description.each("bias"))
    of_voltage = np.abs(floats.mem - d_v) * np.asarray(v_max) + unit * (d_v > 0) + bias + of_current
    spread = np.where(of_weights > 0, of_weights, 0.0) * np.where(of_weights > 0, each_v, 0.0)
    if n_spikes is not None:
        spread = np.minimum(spread, np.asarray(n_spikes) * worst * each_u)
    return np.asarray(np.where(of_voltage > 0, of_voltage, 0.0) * np.where(of_voltage > 0, each_v, 0.0) + spread)


def _weight_errors(
    network: Network, quantized: Quantized, group: str, d_syn: FloatArray, scale: float
) -> tuple[FloatArray, float]:
    """Return the largest error of a weight of each neuron, (n,), and what rounding sums down costs in a step, both in units of v."""
    worst, rounding = np.zeros(len(d_syn)), 0.0
    for before in network.connections:
        if before.target != group:
            continue
        after = quantized.network.connection(before.name)
        assert isinstance(before, Connection) and not isinstance(after, Connection)  # all into a float group
        stored = np.asarray(after.data if isinstance(after, Sparse) else after.weights)
        held = stored * (2.0**after.weight_exp / scale)
        for d in _ends(before, d_syn):
            exact = np.asarray(before.weights) * before.over_weights(d)
            worst = np.maximum(worst, _of_neurons(before, np.abs(held - exact)))
        if after.weight_exp < 0:
            rounding += (1 if after.delays is None else len(np.unique(np.asarray(after.delays)))) / scale
    return worst, rounding


def _ends(connection: Connection, each: FloatArray) -> list[FloatArray]:
    """Return a number of each target neuron, or the smallest and the largest of those that share a weight."""
    if not isinstance(connection, ConvConnection):
        return [each]
    channels = each.reshape(-1, connection.output_shape[2])
    return [np.resize(ends, each.shape) for ends in (channels.min(axis=0), channels.max(axis=0))]


def _of_neurons(connection: Connection, values: FloatArray) -> FloatArray:
    """Return the largest of a value of each weight for each target neuron, (n_post,)."""
    found = np.zeros(connection.shape[0])
    if isinstance(connection, SparseConnection):
        np.maximum.at(found, np.asarray(connection.row), values)
        return found
    rows = values.reshape(len(values), -1).max(axis=1, initial=0.0)
    return np.asarray(np.resize(rows, connection.shape[0]))  # a convolution repeats its channels from place to place


def note_voltage_error(network: Network, quantized: Quantized, decay: Decay, notes: list[QuantNote]) -> None:
    """Note by how much voltages may leave those in floats if one source of each neuron fires in every step, the largest."""
    for group in network.groups:
        if not isinstance(group, CubaLIF) or group.model not in ("lif", "refractory", "ternary"):
            continue
        largest, sinks = np.zeros(group.n), bool(np.any(group.each("bias") < 0))
        for connection in network.connections:
            if connection.target == group.name:
                assert isinstance(connection, Connection)
                weights = np.asarray(connection.weights)
                largest = np.maximum(largest, _of_neurons(connection, np.abs(weights)))
                sinks = sinks or bool(weights.size and weights.min() < 0)
        threshold, leak = group.each("v_threshold"), decays_of(group, network.dt, decay).mem
        settled = (largest + np.abs(group.each("bias"))) / np.where(leak > 0, leak, 1.0)  # unused without leak
        v_max = settled if sinks else np.where(np.isfinite(threshold), threshold, settled)
        error = voltage_error_bound(network, quantized, group.name, u_max=largest, v_max=v_max, decay=decay)
        unit = np.where(np.isfinite(threshold), threshold, 1.0)
        bound = float((error / unit).max())
        of = " of v_threshold" if np.isfinite(threshold).any() else ""
        text = f"v is within {bound:.2g}{of} of the one in floats at one input spike a step"
        if math.isinf(bound):
            text = "without leak the voltage's errors add up from spike to spike: they have no bound"
        notes.append(QuantNote(f"group/{group.name}", "predicted_v_error", None if math.isinf(bound) else bound, text))
