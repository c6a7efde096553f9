"""Turn a network in floats into chip integers, with one scale per target group.

Conventions (`docs/arithmetic.md`, section 9). Everything that meets at the membrane of a group shares one
scale S in chip weight units per float unit: ``weight_q * 2**weight_exp = S f w``, ``vth = S v_threshold`` and
``bias_mant * 2**bias_exp = 64 S bias``. f is 1 without a current filter and ``(du + 1) / 4096`` with one, so a
spike of weight w moves v by w in total in both cases (leak aside): at once, or spread over tau_syn.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, RANGES, STATE_LIMIT, lost_weight_bits, truncate_weights
from neurosim.network import (
    LIF,
    AnyConnection,
    Connection,
    Conv,
    CubaLIF,
    Dense,
    Group,
    IntegerConnection,
    Network,
    Sparse,
)
from neurosim.neurons import ATRLIF, LIFRefractory, MultiSpikeLIF, TernaryLIF
from neurosim.scale import (
    BIAS_MAX,
    EXP_MIN,
    VTH_MAX,
    choose_scale,
    largest_exponent,
    largest_weight,
    needed_sign_mode,
    peak_weight,
)

Decay = Literal["exact", "euler"]
# What the models of `CubaLIF` have besides its own parameters.
REFRACTORY_STEPS = 2
MAX_SPIKES = 15
SLOWER, THETA_PART = 4, 8  # adaptive threshold: it decays so much slower than v, and a spike raises it by that part


@dataclass(frozen=True)
class QuantNote:
    """One fact about what quantising did.

    Parameters
    ----------
    owner : str
        "group/NAME" or "connection/SOURCE->TARGET".
    quantity : str
        "weight_sqnr_db", "weights_clipped", "weights_truncated", "threshold_error" (relative), "bias_error"
        (largest, in units of v_threshold), "tau_mem", "tau_syn" (seconds that the registers give) or
        "input_bound" (largest possible current over 2**23; above 1 the current can wrap).
    value : float or None
        None where the quantity has no number: an exact match has no noise.
    text : str
        The same in words.
    """

    owner: str
    quantity: str
    value: float | None
    text: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.text}"


@dataclass(frozen=True, eq=False)
class Quantized:
    """A network in chip integers, with the units of its numbers.

    Parameters
    ----------
    network : Network
        Holds chip integers only.
    scales : dict of str to float
        "group/NAME": chip weight units per float unit (S); "connection/NAME": stored weight per float weight
        (``S f / 2**weight_exp``). Only what was in floats is listed.
    notes : tuple of QuantNote
    """

    network: Network
    scales: dict[str, float]
    notes: tuple[QuantNote, ...]


def quantize(network: Network, headroom: float = 4.0, *, decay: Decay = "exact") -> Quantized:
    """Return the network in chip integers; parts that are integers already pass unchanged.

    Parameters
    ----------
    network : Network
    headroom : float
        How many times its largest initial weight a plastic connection can hold, at least 1; less where a format has
        fewer steps.
    decay : {"exact", "euler"}
        Decay per step from a time constant: ``1 - exp(-dt / tau)`` or ``dt / tau``.

    Raises
    ------
    QuantizationError
        If a register cannot hold a value; the text has the remedy.

    Examples
    --------
    >>> from neurosim.network import Input
    >>> net = Network([Input("in", 2), CubaLIF("out", 1)], [Connection("in", "out", [[0.5, -0.25]])])
    >>> quantized = quantize(net)
    >>> quantized.network.group("out").vth, quantized.network.connection("in->out").weights.tolist()
    (508, [[254, -128]])
    """
    if not (math.isfinite(headroom) and headroom >= 1):
        raise QuantizationError(f"quantize: headroom {headroom!r} is not a finite number of at least 1; 4 is usual")
    if decay not in ("exact", "euler"):
        raise QuantizationError(f"quantize: unknown decay {decay!r}; choose 'exact' or 'euler'")
    scales: dict[str, float] = {}
    notes: list[QuantNote] = []
    groups: dict[str, Group] = {group.name: group for group in network.groups}
    connections: dict[str, AnyConnection] = {connection.name: connection for connection in network.connections}
    for group in network.groups:
        incoming = [connection for connection in network.connections if connection.target == group.name]
        if isinstance(group, CubaLIF):
            floats = _float_connections(group, incoming)
            du, dv = _decays(group, network.dt, decay, notes)
            factor = (du + 1) / DECAY_ONE  # the register's own decay, so that a spike's total effect is exactly w
            scale = choose_scale(group, floats, factor, headroom)
            scales[f"group/{group.name}"] = scale
            groups[group.name] = _quantize_group(group, scale, du, dv, notes)
            for connection in floats:
                dense = _quantize_weights(connection, scale * factor, headroom, notes)
                scales[f"connection/{connection.name}"] = scale * factor / 2.0**dense.weight_exp
                connections[connection.name] = dense
        else:
            for part in incoming:
                if isinstance(part, Connection):
                    scales[f"connection/{part.name}"] = 1.0
                    part = _adopt_chip_units(part)
                connections[part.name] = _truncate(part, notes)
    for group in groups.values():
        _note_input_bound(group, [c for c in connections.values() if c.target == group.name], notes)
    changed = [*groups.values(), *connections.values()] != [*network.groups, *network.connections]
    if changed:  # descriptions compare by identity
        network = dataclasses.replace(network, groups=tuple(groups.values()), connections=tuple(connections.values()))
    assert network.is_quantized
    return Quantized(network, scales, tuple(notes))


def _float_connections(group: CubaLIF, incoming: list[AnyConnection]) -> list[Connection]:
    """Check that everything that meets at a float group is in floats: integers would have no unit there."""
    for connection in incoming:
        if not isinstance(connection, Connection):
            raise QuantizationError(
                f"connection {connection.name!r}: integer weights into the float group {group.name!r} have no scale; "
                "describe the group as LIF, or the weights as Connection"
            )
    return [connection for connection in incoming if isinstance(connection, Connection)]


def _decays(group: CubaLIF, dt: float, decay: Decay, notes: list[QuantNote]) -> tuple[int, int]:
    """Return (du, dv). The chip adds 1 to du, so du + 1 and dv are the decays in 1/4096."""
    du = DECAY_ONE - 1  # no memory
    if group.tau_syn is not None:
        du = _decay_register(group.name, "tau_syn", group.tau_syn, dt, decay, DECAY_ONE, notes) - 1
    dv = 0  # no leak
    if group.tau_mem is not None:
        dv = _decay_register(group.name, "tau_mem", group.tau_mem, dt, decay, DECAY_ONE - 1, notes)
    return du, dv


def _decay_register(
    name: str, which: str, tau: float, dt: float, decay: Decay, limit: int, notes: list[QuantNote]
) -> int:
    ratio = dt / tau
    d = -math.expm1(-ratio) if decay == "exact" else ratio
    register = round(DECAY_ONE * d) if d < 2 else 2 * DECAY_ONE
    owner = f"group {name!r}: {which} {tau:g} s at dt {dt:g} s"
    if register == 0:
        raise QuantizationError(
            f"{owner} decays by {DECAY_ONE * d:.3g}/4096 per step, which rounds to 0; "
            f"use a larger dt, a shorter {which}" + (", or None for no leak" if which == "tau_mem" else "")
        )
    if register > limit:
        remedy = (
            "use a longer tau_mem or a smaller dt" if which == "tau_mem" else "use None for a current without memory"
        )
        raise QuantizationError(
            f"{owner} needs a decay of {DECAY_ONE * d:.6g}/4096, the register holds up to {limit}; {remedy}"
        )
    held = register / DECAY_ONE
    if held == 1:
        real = 0.0
    else:
        real = dt / held if decay == "euler" else -dt / math.log1p(-held)
    text = f"{which} {tau:g} s becomes {real:g} s ({decay} decay, {register}/4096 per step)"
    notes.append(QuantNote(f"group/{name}", which, real, text))
    return register


def _quantize_group(group: CubaLIF, scale: float, du: int, dv: int, notes: list[QuantNote]) -> LIF | ATRLIF:
    owner = f"group/{group.name}"
    if math.isfinite(group.v_threshold):
        vth = round(scale * group.v_threshold)
        error = abs(vth / (scale * group.v_threshold) - 1)
        notes.append(
            QuantNote(
                owner, "threshold_error", error, f"v_threshold {group.v_threshold:g} becomes vth {vth}, {error:.2%} off"
            )
        )
    else:
        vth = VTH_MAX  # fires only within 63 of the saturated voltage
        notes.append(QuantNote(owner, "threshold_error", None, f"readout: vth {vth}, fires only where v saturates"))
    exact = np.asarray(group.bias) * scale * 2.0**INPUT_SHIFT
    exponent = np.zeros(exact.shape, dtype=np.int64)
    for _ in range(RANGES["bias_exp"].high):
        exponent += np.rint(np.abs(exact) / 2.0**exponent) > BIAS_MAX
    mantissa = np.rint(exact / 2.0**exponent).astype(np.int64)
    if np.any(exact):
        unit = scale * 2.0**INPUT_SHIFT * (group.v_threshold if math.isfinite(group.v_threshold) else 1.0)
        error = float(np.abs((mantissa << exponent) - exact).max() / unit)
        notes.append(
            QuantNote(owner, "bias_error", error, f"bias is off by at most {error:.2g} of a threshold per step")
        )
    common: dict[str, Any] = {"bias_mant": mantissa, "bias_exp": exponent}
    if group.model == "atrlif":
        return ATRLIF(
            group.name, group.n, delta_i=du, delta_v=dv, delta_theta=dv // SLOWER, delta_r=dv, theta_0=vth,
            theta_step=vth // THETA_PART, **common,
        )  # fmt: skip
    common |= {"du": du, "dv": dv, "vth": vth}
    if group.model == "refractory":
        return LIFRefractory(group.name, group.n, refractory_period=REFRACTORY_STEPS, **common)
    if group.model == "ternary":
        return TernaryLIF(group.name, group.n, vth_hi=vth, vth_lo=-vth, **common)
    if group.model == "multispike":
        return MultiSpikeLIF(group.name, group.n, max_spikes=MAX_SPIKES, **common)
    return LIF(group.name, group.n, **common)


def _quantize_weights(connection: Connection, scale: float, headroom: float, notes: list[QuantNote]) -> Dense | Conv:
    """Round the weights in units of ``2**weight_exp / scale``, ties to even multiples of the format's step."""
    weights = np.asarray(connection.weights)
    bits, mode, limit = connection.num_weight_bits, needed_sign_mode(connection), largest_weight(connection)
    step = 1 << lost_weight_bits(bits, mode)
    peak = peak_weight(connection, headroom)
    # A plastic connection keeps weight_exp >= 0: a negative one would drop low bits of what it learns.
    largest = largest_exponent(connection)
    exponent = 0 if connection.plastic or peak == 0 or largest == 0 else EXP_MIN
    while np.rint(scale * peak / 2.0**exponent / step) * step > limit:
        exponent += 1
    assert exponent <= largest  # choose_scale sees to it
    exact = weights * scale / 2.0**exponent
    stored = (np.rint(exact / step) * step).astype(np.int64)
    owner = f"connection/{connection.name}"
    if weights.any() and not stored.any():
        raise QuantizationError(
            f"connection {connection.name!r}: largest weight {np.abs(weights).max():g} becomes 0 beside the threshold, "
            f"bias and other connections of group {connection.target!r}; raise the weights or lower the others"
        )
    clipped = int(np.count_nonzero(truncate_weights(stored, bits, mode) != stored))
    assert clipped == 0
    noise = float(np.square(stored - exact).sum())
    if noise > 0:
        sqnr = 10 * math.log10(float(np.square(exact).sum()) / noise)
        notes.append(
            QuantNote(
                owner,
                "weight_sqnr_db",
                sqnr,
                f"weights at {sqnr:.1f} dB signal to quantisation noise, weight_exp {exponent}",
            )
        )
    else:
        notes.append(QuantNote(owner, "weight_sqnr_db", None, f"weights are exact, weight_exp {exponent}"))
    notes.append(QuantNote(owner, "weights_clipped", float(clipped), f"{clipped} weights clipped"))
    integers: Dense | Conv = connection.with_integers(stored, exponent, mode)
    return integers


def _adopt_chip_units(connection: Connection) -> Dense | Conv:
    """Take float weights into an integer group as they are (S = 1): they must be integers that fit."""
    weights = np.asarray(connection.weights)
    owner = f"connection {connection.name!r}"
    if np.any(weights != np.rint(weights)):
        worst = float(weights.ravel()[np.argmax(weights.ravel() != np.rint(weights.ravel()))])
        raise QuantizationError(
            f"{owner}: weight {worst:g} is not an integer, but group {connection.target!r} is in chip units; "
            "give integer weights, or describe the group as CubaLIF"
        )
    low, high = {"mixed": (-256, 255), "inhibitory": (-255, 0)}.get(needed_sign_mode(connection), (0, 255))
    if weights.size and (weights.min() < low or weights.max() > high):
        worst = float(weights.ravel()[np.argmax(np.abs(weights))])
        raise QuantizationError(
            f"{owner}: largest weight {worst:g} needs {int(abs(worst)).bit_length()} bits, "
            f"weights have {connection.num_weight_bits}; scale the weights or give a Dense with a higher weight_exp"
        )
    integers: Dense | Conv = connection.with_integers(weights.astype(np.int64), 0, needed_sign_mode(connection))
    return integers


def _truncate(connection: AnyConnection, notes: list[QuantNote]) -> AnyConnection:
    """Cut integer weights to their format, and say so where it changes any."""
    assert not isinstance(connection, Connection) and connection.sign_mode is not None
    if isinstance(connection, Conv):
        return connection  # Lava's convolution uses the weights as they are
    weights = np.asarray(connection.data if isinstance(connection, Sparse) else connection.weights)
    kept = truncate_weights(weights, connection.num_weight_bits, connection.sign_mode)
    lost = np.abs(weights - kept)
    if not lost.any():
        return connection
    n_lost = int(np.count_nonzero(lost))
    text = (
        f"{n_lost} of {lost.size} weights lost their low bits, at most {int(lost.max())}, {int(lost.sum())} in all: "
        f"{connection.num_weight_bits}-bit {connection.sign_mode} weights have a step of "
        f"{1 << lost_weight_bits(connection.num_weight_bits, connection.sign_mode)}"
    )
    notes.append(QuantNote(f"connection/{connection.name}", "weights_truncated", float(n_lost), text))
    if isinstance(connection, Sparse):
        return dataclasses.replace(connection, data=kept)
    return dataclasses.replace(connection, weights=kept)


def _note_input_bound(group: Group, incoming: list[AnyConnection], notes: list[QuantNote]) -> None:
    """Bound the current of a group if every source fired in every step, against 2**23."""
    if not isinstance(group, LIF) or not incoming:
        return
    if any(not isinstance(c, Connection) and c.num_message_bits for c in incoming):
        return  # messages have values: the bound would say nothing
    total = np.zeros(group.n, dtype=np.float64)
    for connection in incoming:
        assert not isinstance(connection, Connection)
        total += _fan_in(connection) * 2.0 ** (INPUT_SHIFT + connection.weight_exp)
    once = float(total.max()) / STATE_LIMIT
    bound = once * DECAY_ONE / (int(np.min(group.du)) + 1)
    text = f"largest possible current is {bound:.3g} of 2**23 ({once:.3g} from one step)"
    if bound > 1:
        text += "; the current can wrap if nearly all sources fire, watch overflow_u"
    notes.append(QuantNote(f"group/{group.name}", "input_bound", bound, text))


def _fan_in(connection: IntegerConnection) -> npt.NDArray[np.float64]:
    """Sum of the magnitudes of a neuron's weights, (n_post,)."""
    if isinstance(connection, Dense):
        return np.asarray(np.abs(np.asarray(connection.weights)).sum(axis=1), dtype=np.float64)
    sparse = connection.as_sparse()
    total = np.zeros(sparse.shape[0], dtype=np.float64)
    np.add.at(total, np.asarray(sparse.row), np.abs(np.asarray(sparse.data)))
    return total
