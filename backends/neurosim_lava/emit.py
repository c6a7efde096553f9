"""One piece of Lava source text for each neuron model that Lava has; `emit_links` holds those of connections.

`NEURONS` is the table; a model that is not in it has no counterpart in Lava. Nothing here needs Lava.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import FeatureError
from neurosim.groups import LIF
from neurosim.neurons import (
    ATRLIF,
    RF,
    Delta,
    GradedVec,
    LIFReset,
    ProdNeuron,
    RFIzhikevich,
    Sigma,
    SigmaDelta,
    TernaryLIF,
)

LINE = 100  # columns up to which a call stays on one line
DECAY_ONE = 4096  # 1.0 in units of the decay registers


class Code(NamedTuple):
    """How a script makes one Process.

    Parameters
    ----------
    imports : tuple of str
        Lines of the script that import what `call` names.
    call : str
        The expression that makes the Process, written as for an indent of four.
    after : tuple of str
        Statements that follow, "{}" standing for the name of the Process.
    shaped : bool
        The ports of a connection have more than one dimension.
    """

    imports: tuple[str, ...]
    call: str
    after: tuple[str, ...] = ()
    shaped: bool = False


class Store:
    """The arrays that go into the file beside the script; what fits into a number is written as one instead."""

    def __init__(self) -> None:
        self.arrays: dict[str, npt.NDArray[Any]] = {}

    def put(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int32) -> str:
        """Keep an array and return the text that reads it."""
        assert name not in self.arrays, name
        self.arrays[name] = np.asarray(values).astype(dtype)
        return f'ARRAYS["{name}"]'

    def number(self, name: str, values: npt.ArrayLike) -> str:
        """Return one number as text if all values are equal, otherwise keep them as an array."""
        array = np.asarray(values)
        if array.size and (array == array.flat[0]).all():
            return str(int(array.flat[0]))
        return self.put(name, array)


def call(name: str, **arguments: object) -> str:
    """Return a call as source text, on one line or with one line for each argument."""
    parts = [f"{key}={value}" for key, value in arguments.items()]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= LINE:
        return line
    return f"{name}(\n" + "".join(f"        {part},\n" for part in parts) + "    )"


def _one_number(group: Any, *registers: str) -> dict[str, object]:
    """Return registers of which Lava's models hold one for the whole group."""
    for register in registers:
        if np.ndim(getattr(group, register)):
            raise FeatureError(
                f"group {group.name!r}: {register} is given for each neuron, Lava's models take one for a group; "
                "make a group of each value"
            )
    return {register: int(getattr(group, register)) for register in registers}


def _bias(group: Any, name: str, store: Store) -> dict[str, object]:
    return {key: store.number(f"{name}_{key}", getattr(group, key)) for key in ("bias_mant", "bias_exp")}


def _shape(group: Any) -> str:
    return f"({group.n},)"


def _lif(group: LIF, name: str, store: Store) -> Code:
    numbers = _one_number(group, "du", "dv", "vth")
    text = call("LIF", shape=_shape(group), **numbers, **_bias(group, name, store))
    return Code(("from lava.proc.lif.process import LIF",), text)


def _lif_reset(group: LIFReset, name: str, store: Store) -> Code:
    numbers = _one_number(group, "du", "dv", "vth", "reset_interval", "reset_offset")
    text = call("LIFReset", shape=_shape(group), **numbers, **_bias(group, name, store))
    return Code(("from lava.proc.lif.process import LIFReset",), text)


def _lif_ternary(group: TernaryLIF, name: str, store: Store) -> Code:
    numbers = _one_number(group, "du", "dv", "vth_hi", "vth_lo")
    if int(group.vth_lo) > int(group.vth_hi):  # Lava refuses that, but only as plain numbers
        numbers |= {key: f"np.array([{numbers[key]}])" for key in ("vth_hi", "vth_lo")}
    text = call("TernaryLIF", shape=_shape(group), **numbers, **_bias(group, name, store))
    return Code(("from lava.proc.lif.process import TernaryLIF",), text)


def _sigma(group: Sigma, name: str, store: Store) -> Code:
    return Code(("from lava.proc.sdn.process import Sigma",), call("Sigma", shape=_shape(group)))


def _delta(group: Delta, name: str, store: Store) -> Code:
    text = call("Delta", shape=_shape(group), vth=group.vth, **_encoding(group))
    return Code(("from lava.proc.sdn.process import Delta",), text)


def _sigma_delta(group: SigmaDelta, name: str, store: Store) -> Code:
    text = call(
        "SigmaDelta", shape=_shape(group), vth=group.vth, bias=store.number(f"{name}_bias", group.bias),
        act_mode=f"ActivationMode.{group.act_mode.upper()}", **_encoding(group),
    )  # fmt: skip
    return Code(("from lava.proc.sdn.process import ActivationMode, SigmaDelta",), text)


def _encoding(group: Delta | SigmaDelta) -> Mapping[str, object]:
    return {"cum_error": bool(group.cum_error), "spike_exp": group.spike_exp, "state_exp": group.state_exp}


def _product(group: ProdNeuron, name: str, store: Store) -> Code:
    text = call("ProdNeuron", shape=_shape(group), vth=group.vth, exp=group.exp)
    return Code(("from lava.proc.prodneuron.process import ProdNeuron",), text)


def _graded(group: GradedVec, name: str, store: Store) -> Code:
    kind = "GradedReluVec" if group.relu else "GradedVec"
    return Code((f"from lava.proc.graded.process import {kind}",), call(kind, shape=_shape(group), vth=group.vth))


def _resonate(group: RF, name: str, store: Store) -> Code:
    """Lava computes the rotation from a period and a damping; the integers are set behind that, to be exact."""
    kind, module = ("RF_IZ", "rf_iz") if type(group) is RFIzhikevich else ("RF", "rf")
    one = 1 << group.decay_bits
    angle = math.atan2(group.sin_decay, group.cos_decay) or 2 * math.pi
    text = call(
        kind, shape=_shape(group), period=f"{2 * math.pi / angle:.6g}",
        alpha=f"{1 - math.hypot(group.sin_decay, group.cos_decay) / one:.6g}", state_exp=group.state_exp,
        decay_bits=group.decay_bits, vth=group.vth,
    )  # fmt: skip
    after = (f"{{}}.sin_decay.init, {{}}.cos_decay.init = {group.sin_decay}, {group.cos_decay}  # in 1/{one}",)
    return Code((f"from lava.proc.{module}.process import {kind}",), text, after)


def _atrlif(group: ATRLIF, name: str, store: Store) -> Code:
    decays = {key: f"{getattr(group, key)} / {DECAY_ONE}" for key in ("delta_i", "delta_v", "delta_theta", "delta_r")}
    text = call(
        "ATRLIF", shape=_shape(group), **decays, theta=group.theta_0, theta_0=group.theta_0,
        theta_step=group.theta_step, **_bias(group, name, store),
    )  # fmt: skip
    return Code(("from lava.proc.atrlif.process import ATRLIF",), text)


Emitter = Callable[[Any, str, Store], Code]

#: Neuron models that Lava has in fixed point.
NEURONS: dict[type, Emitter] = {
    LIF: _lif,
    LIFReset: _lif_reset,
    TernaryLIF: _lif_ternary,
    Sigma: _sigma,
    Delta: _delta,
    SigmaDelta: _sigma_delta,
    ProdNeuron: _product,
    GradedVec: _graded,
    RF: _resonate,
    RFIzhikevich: _resonate,
    ATRLIF: _atrlif,
}


def emit_neurons(group: Any, name: str, store: Store) -> Code:
    """Return the code of a neuron group.

    Parameters
    ----------
    group : a neuron model in chip integers
    name : str
        Its name in the script; arrays are named after it.
    store : Store
        Takes the arrays.

    Raises
    ------
    FeatureError
        If Lava has nothing that computes the same.
    """
    emitter = NEURONS.get(type(group))
    if emitter is None:
        raise FeatureError(
            f"group {group.name!r}: Lava has no fixed-point {type(group).__name__}; what can be exported is "
            f"{', '.join(model.__name__ for model in NEURONS)}"
        )
    return emitter(group, name, store)
