"""Turn a network in floats into chip integers, with one scale per target group.

Conventions (`docs/arithmetic.md`, section 9). Everything that meets at the membrane of a group shares one
scale S in chip weight units per float unit: ``weight_q * 2**weight_exp = S f w``, ``vth = S v_threshold`` and
``bias_mant * 2**bias_exp = 64 S bias``. f is 1 without a current filter and ``(du + 1) / 4096`` with one, so a
spike of weight w moves v by w in total in both cases (leak aside): at once, or spread over tau_syn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosim.bounds import note_bounds, note_voltage_error
from neurosim.decays import Decay as Decay
from neurosim.decays import check_decay, decay_registers
from neurosim.errors import QuantizationError
from neurosim.fixedpoint import DECAY_ONE, INPUT_SHIFT, RANGES
from neurosim.groups import STATELESS, Register
from neurosim.network import LIF, AnyConnection, Connection, CubaLIF, Group, Network
from neurosim.neurons import ATRLIF, GradedVec, LIFRefractory, MultiSpikeLIF, TernaryLIF
from neurosim.quantized import Quantized as Quantized
from neurosim.quantized import QuantNote as QuantNote
from neurosim.quantweights import adopt_chip_units, quantize_weights, truncate
from neurosim.scale import BIAS_MAX, VTH_MAX, Factor, ScaleForm, check_scale, choose_scale

# What the models of `CubaLIF` have besides its own parameters.
REFRACTORY_STEPS = 2
SLOWER, THETA_PART = 4, 8  # adaptive threshold: it decays so much slower than v, and a spike raises it by that part


def quantize(
    network: Network, headroom: float = 4.0, *, decay: Decay = "exact", scale: ScaleForm = "free",
    scales: Mapping[str, float] | None = None,
) -> Quantized:  # fmt: skip
    """Return the network in chip integers; parts that are integers already pass unchanged.

    Parameters
    ----------
    network : Network
    headroom : float
        How many times its largest initial weight a plastic connection can hold, at least 1; less where a format has
        fewer steps.
    decay : {"exact", "euler"}
        Decay per step from a time constant: ``1 - exp(-dt / tau)`` or ``dt / tau``.
    scale : {"free", "power-of-two"}
        Which S a group may have (chip weight units per float unit): any, or powers of two.
    scales : mapping of str to float, optional
        S of some float groups by name, as the caller wants it. Weights beyond what the largest exponent holds are then clipped
        and counted; a threshold or a bias that leaves its register is an error.

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
    >>> quantize(net, scale="power-of-two").scales["group/out"]
    256.0
    """
    if not (math.isfinite(headroom) and headroom >= 1):
        raise QuantizationError(f"quantize: headroom {headroom!r} is not a finite number of at least 1; 4 is usual")
    check_decay(decay)
    if scale not in ("free", "power-of-two"):
        raise QuantizationError(f"quantize: unknown scale {scale!r}; choose 'free' or 'power-of-two'")
    fixed = _fixed_scales(network, scales or {})
    _check_spikes(network)
    found: dict[str, float] = {}
    notes: list[QuantNote] = []
    groups: dict[str, Group] = {group.name: group for group in network.groups}
    connections: dict[str, AnyConnection] = {connection.name: connection for connection in network.connections}
    for group in network.groups:
        incoming = [connection for connection in network.connections if connection.target == group.name]
        if isinstance(group, CubaLIF):
            floats = _float_connections(group, incoming)
            du, dv = decay_registers(group, network.dt, decay, notes)
            # The register's own decay, so that a spike's total effect is exactly w.
            factor: Factor = (du + 1) / DECAY_ONE
            s = fixed[group.name] if group.name in fixed else choose_scale(group, floats, factor, headroom, scale)
            found[f"group/{group.name}"] = s
            groups[group.name] = _quantize_group(group, s, du, dv, notes)
            for connection in floats:
                integers = quantize_weights(connection, group, s * factor, headroom, group.name in fixed, notes)
                if isinstance(factor, float):
                    found[f"connection/{connection.name}"] = s * factor / 2.0**integers.weight_exp
                connections[connection.name] = integers
        else:
            for part in incoming:
                if isinstance(part, Connection):
                    found[f"connection/{part.name}"] = 1.0
                    part = adopt_chip_units(part)
                connections[part.name] = truncate(part, notes)
    changed = [*groups.values(), *connections.values()] != [*network.groups, *network.connections]
    quantized = network
    if changed:  # descriptions compare by identity
        quantized = dataclasses.replace(network, groups=tuple(groups.values()), connections=tuple(connections.values()))
    assert quantized.is_quantized
    note_bounds(quantized, notes)
    note_voltage_error(network, Quantized(quantized, found, ()), decay, notes)
    return Quantized(quantized, found, tuple(notes))


def _fixed_scales(network: Network, scales: Mapping[str, float]) -> dict[str, float]:
    """Check the scales that the caller wants."""
    floats = {group.name: group for group in network.groups if isinstance(group, CubaLIF)}
    for name, value in scales.items():
        if name not in floats:
            raise QuantizationError(
                f"quantize: scales name {name!r}, which is no group in floats; those are {', '.join(floats) or 'none'}"
            )
        check_scale(floats[name], value)
    return {name: float(value) for name, value in scales.items()}


def _check_spikes(network: Network) -> None:
    """Refuse connections that would multiply their weights by what neurons without memory send: their input."""
    for connection in network.connections:
        source = network.group(connection.source)
        if isinstance(source, CubaLIF) and source.model == STATELESS and connection.num_message_bits:
            raise QuantizationError(
                f"connection {connection.name!r}: num_message_bits {connection.num_message_bits} would multiply weights by "
                f"the input of group {source.name!r}, whose model is {STATELESS!r}; use num_message_bits 0"
            )


def _float_connections(group: CubaLIF, incoming: list[AnyConnection]) -> list[Connection]:
    """Check that everything that meets at a float group is in floats: integers would have no unit there."""
    for connection in incoming:
        if not isinstance(connection, Connection):
            raise QuantizationError(
                f"connection {connection.name!r}: integer weights into the float group {group.name!r} have no scale; "
                "describe the group as LIF, or the weights as Connection"
            )
    return [connection for connection in incoming if isinstance(connection, Connection)]


def _quantize_group(
    group: CubaLIF, scale: float, du: Register, dv: Register, notes: list[QuantNote]
) -> LIF | ATRLIF | GradedVec:
    if group.model == STATELESS:
        return _quantize_stateless(group, scale, notes)
    vth, bias = _thresholds(group, scale, notes), _biases(group, scale, notes)
    if group.model == "atrlif":
        return _adaptive(group, du, dv, vth, bias)
    registers: dict[str, Any] = bias | {"du": du, "dv": dv, "vth": vth}
    if group.model == "refractory":
        return LIFRefractory(group.name, group.n, refractory_period=REFRACTORY_STEPS, **registers)
    if group.model == "ternary":
        return TernaryLIF(group.name, group.n, vth_hi=vth, vth_lo=-vth, **registers)
    if group.model == "multispike":
        return MultiSpikeLIF(group.name, group.n, max_spikes=group.max_spikes, signed=group.signed, **registers)
    return LIF(group.name, group.n, **registers)


def _thresholds(group: CubaLIF, scale: float, notes: list[QuantNote]) -> Register:
    """Return vth, one number where it is the same for all."""
    thresholds, owner = group.each("v_threshold"), f"group/{group.name}"
    fires = np.isfinite(thresholds)
    exact = scale * thresholds[fires]
    vth = np.full(group.n, VTH_MAX, np.int64)  # fires only within 63 of the saturated voltage
    vth[fires] = np.rint(exact).astype(np.int64)
    if fires.any():
        error = np.abs(vth[fires] / exact - 1)
        worst = int(np.argmax(error))
        shown, held, off = float(thresholds[fires][worst]), int(vth[fires][worst]), float(error[worst])
        text = f"v_threshold {shown:g} becomes vth {held}, {off:.2%} off"
        if len(np.unique(vth[fires])) > 1:
            text += f"; the worst of {int(fires.sum())} neurons, vth {vth[fires].min()}..{vth[fires].max()}"
        notes.append(QuantNote(owner, "threshold_error", off, text))
    else:
        text = f"readout: vth {VTH_MAX}, fires only where v saturates"
        notes.append(QuantNote(owner, "threshold_error", None, text))
    return int(vth[0]) if np.all(vth == vth[0]) else vth


def _biases(group: CubaLIF, scale: float, notes: list[QuantNote]) -> dict[str, Any]:
    """Return mantissas and exponents, each neuron with the smallest exponent at which its bias fits."""
    exact = np.asarray(group.bias) * scale * 2.0**INPUT_SHIFT
    exponent = np.zeros(exact.shape, dtype=np.int64)
    for _ in range(RANGES["bias_exp"].high):
        exponent += np.rint(np.abs(exact) / 2.0**exponent) > BIAS_MAX
    mantissa = np.rint(exact / 2.0**exponent).astype(np.int64)
    if np.any(exact):
        thresholds = group.each("v_threshold")
        unit = scale * 2.0**INPUT_SHIFT * np.where(np.isfinite(thresholds), thresholds, 1.0)
        error = float((np.abs((mantissa << exponent) - exact) / unit).max())
        text = f"bias is off by at most {error:.2g} of a threshold per step"
        notes.append(QuantNote(f"group/{group.name}", "bias_error", error, text))
    return {"bias_mant": mantissa, "bias_exp": exponent}


def _adaptive(group: CubaLIF, du: Register, dv: Register, vth: Register, bias: dict[str, Any]) -> ATRLIF:
    differ = [
        quantity
        for quantity, register in (("tau_syn", du), ("tau_mem", dv), ("v_threshold", vth))
        if not isinstance(register, int)
    ]
    if isinstance(du, int) and isinstance(dv, int) and isinstance(vth, int):
        return ATRLIF(
            group.name, group.n, delta_i=du, delta_v=dv, delta_theta=dv // SLOWER, delta_r=dv, theta_0=vth,
            theta_step=vth // THETA_PART, **bias,
        )  # fmt: skip
    raise QuantizationError(
        f"group {group.name!r}: {' and '.join(differ)} differ between neurons, model 'atrlif' has one for the group; "
        "give one number, or a group for each"
    )


def _quantize_stateless(group: CubaLIF, scale: float, notes: list[QuantNote]) -> GradedVec:
    """Return neurons that fire where an integer sum exceeds S v_threshold, which is where it exceeds its floor."""
    thresholds = group.each("v_threshold")
    if not math.isfinite(thresholds[0]) or np.any(thresholds != thresholds[0]):
        raise QuantizationError(
            f"group {group.name!r}: model {STATELESS!r} holds one finite v_threshold for the group; found "
            f"{float(thresholds.min()):g} to {float(thresholds.max()):g}; make a group for each threshold"
        )
    exact = scale * float(thresholds[0])
    # A product that rounding moved off an integer is that integer: w = v_threshold must not fire.
    vth = round(exact) if math.isclose(exact, round(exact), rel_tol=1e-12) else math.floor(exact)
    text = f"v_threshold {thresholds[0]:g} becomes vth {vth}: exact, the sums are integers"
    notes.append(QuantNote(f"group/{group.name}", "threshold_error", 0.0, text))
    return GradedVec(group.name, group.n, vth=vth, relu=True)
