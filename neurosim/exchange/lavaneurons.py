"""Neurons of lava-dl and SLAYER files as groups in chip integers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import ModelFileError
from neurosim.exchange.imported import chip_order
from neurosim.network import LIF, Group
from neurosim.neurons import RF, Delta, LIFRefractory, LIFReset, RFIzhikevich, Sigma, SigmaDelta

Ints = npt.NDArray[np.int64]
STATE_EXP = 6  # netx: inputs, thresholds and messages of its graded neurons are in 1/64
BIAS_EXP = 6  # netx: a bias is in units of weights, which enter v times 64
MESSAGE_BITS = 24
ONE = 4096


class Reset(NamedTuple):
    """When neurons are set back, as in `LIFReset`."""

    interval: int
    offset: int


class Neurons(NamedTuple):
    """A group and what it sends.

    Attributes
    ----------
    group : Group
    message_bits : int
        Of its spikes; 0 for spikes without a value.
    """

    group: Group
    message_bits: int


def integers(owner: str, key: str, value: Any) -> Ints:
    """Return a stored number or array as int64; files hold integers also as floats."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or not np.all(np.isfinite(array)) or np.any(array != np.rint(array)):
        raise ModelFileError(f"{owner}: {key} does not hold integers; export the network with quantised weights")
    if array.size and np.abs(array).max() >= 2.0**31:
        raise ModelFileError(
            f"{owner}: {key} reaches {float(np.abs(array).max()):g}, a chip's numbers have at most 32 bits"
        )
    return array.astype(np.int64)


def integer(owner: str, key: str, value: Any) -> int:
    """Return one stored integer."""
    array = integers(owner, key, value)
    if array.size != 1:
        raise ModelFileError(f"{owner}: {key} has {array.size} elements, one is needed")
    return int(array.ravel()[0])


def kind_of(owner: str, stored: Mapping[str, Any]) -> str:
    """Return the type of a layer or neuron; lava-dl stores a string, or an array of one."""
    kind = stored.get("type")
    if isinstance(kind, list) and len(kind) == 1:
        kind = kind[0]
    if not isinstance(kind, str):
        raise ModelFileError(f"{owner}: has no type, but {kind!r}; the file is not lava-dl's")
    return kind


def per_neuron(owner: str, key: str, value: Any, shape: tuple[int, ...]) -> int | Ints:
    """Return a parameter as one number, or one for each neuron in the order of the chip.

    Files hold one number, one for each channel, or one for each neuron in the order (channel, height, width).
    """
    array = integers(owner, key, value).ravel()
    n = math.prod(shape)
    if array.size == 1:
        return int(array[0])
    if array.size == n:
        return np.ascontiguousarray(array[chip_order(shape)])
    if len(shape) == 3 and array.size == shape[0]:
        return np.tile(array, n // shape[0])  # the channel is the last index of the chip's order
    raise ModelFileError(
        f"{owner}: {key} has {array.size} elements for {n} neurons of shape {shape}; the file is damaged"
    )


def make_neurons(
    owner: str,
    name: str,
    stored: Mapping[str, Any],
    shape: tuple[int, ...],
    bias: Any = None,
    *,
    is_input: bool = False,
    reset: Reset | None = None,
) -> Neurons:
    """Return the group that a layer's ``neuron`` describes.

    Parameters
    ----------
    owner : str
        File and layer, for errors.
    name : str
        Of the group.
    stored : mapping
        ``type`` and the constants of the neurons.
    shape : tuple of int
        (n,) or (channels, height, width).
    bias : array, optional
        In units of weights; one, one for each channel or each neuron.
    is_input : bool
        Whether it is the first layer, whose sigma-delta neurons have no sigma.
    reset : Reset, optional
        Of LOIHI and CUBA neurons; others have none, in netx neither.

    Raises
    ------
    ModelFileError
        If the type is unknown or has no exact counterpart here, or a constant is missing or out of range.
    """
    kind = kind_of(f"{owner}, neuron", stored)
    biases = 0 if bias is None else per_neuron(owner, "bias", bias, shape)
    if np.any(integers(owner, "weight_exp", stored.get("weight_exp", 0))):
        raise ModelFileError(
            f"{owner}: its normalisation has a weight_exp other than 0, which netx does not read either"
        )
    n = math.prod(shape)
    if kind in ("LOIHI", "CUBA"):
        return Neurons(_lif(owner, name, stored, shape, biases, reset), 0)
    if kind == "SDNN":
        return Neurons(_sigma_delta(owner, name, stored, n, biases, is_input), MESSAGE_BITS)
    if kind in ("RF_PHASE", "RF_IZHIKEVICH"):
        if np.any(biases):
            raise ModelFileError(f"{owner}: resonate-and-fire neurons with a bias; netx has none for them")
        model = RF if kind == "RF_PHASE" else RFIzhikevich
        sin, cos, vth = (integer(owner, key, _need(owner, stored, key)) for key in ("sinDecay", "cosDecay", "vThMant"))
        return Neurons(model(name, n, sin, cos, vth, STATE_EXP), 0)
    raise ModelFileError(
        f"{owner}: neurons of type {kind!r} have no exact counterpart here; read are LOIHI, CUBA, SDNN, RF_PHASE and "
        "RF_IZHIKEVICH"
    )


def _need(owner: str, stored: Mapping[str, Any], key: str) -> Any:
    if key not in stored:
        raise ModelFileError(f"{owner}: its neurons have no {key}; the file is not complete")
    return stored[key]


def _lif(
    owner: str, name: str, stored: Mapping[str, Any], shape: tuple[int, ...], bias: int | Ints, reset: Reset | None
) -> LIF:
    """LOIHI and CUBA neurons: the current's register is one less than the decay, since the chip adds 1."""
    if np.any(integers(owner, "gradedSpike", stored.get("gradedSpike", False))):
        raise ModelFileError(f"{owner}: its neurons send their voltage (gradedSpike); the chip's LIF neurons cannot")
    decay_u, dv, vth = (
        per_neuron(owner, key, _need(owner, stored, key), shape) for key in ("iDecay", "vDecay", "vThMant")
    )
    if np.any(np.asarray(decay_u) < 1):
        raise ModelFileError(
            f"{owner}: iDecay 0 is a current that never decays; the chip's decay is at least 1 in {ONE}"
        )
    period = integer(owner, "refDelay", stored.get("refDelay", 1)) - 1
    n, du = math.prod(shape), decay_u - 1
    if period > 0 and reset is not None:
        raise ModelFileError(f"{owner}: neurons with refDelay {period + 1} cannot be reset; leave out reset_interval")
    if reset is not None:
        return LIFReset(name, n, du, dv, vth, bias, BIAS_EXP, *reset)
    if period > 0:
        return LIFRefractory(name, n, du, dv, vth, bias, BIAS_EXP, refractory_period=period)
    return LIF(name, n, du, dv, vth, bias, BIAS_EXP)


def _sigma_delta(
    owner: str, name: str, stored: Mapping[str, Any], n: int, bias: int | Ints, is_input: bool
) -> Sigma | Delta | SigmaDelta:
    """Sigma-delta neurons: the first layer has no sigma, an output no delta."""
    vth = integer(owner, "vThMant", stored.get("vThMant", 0))
    activation = stored.get("activation", "relu")
    if is_input:
        if np.any(bias):
            raise ModelFileError(f"{owner}: sigma-delta input with a bias for each neuron; give it with the input")
        return Delta(name, n, vth, spike_exp=STATE_EXP, state_exp=STATE_EXP)
    if "sigma_output" in stored:
        if np.any(bias):
            raise ModelFileError(f"{owner}: sigma output with a bias; netx has none for it")
        return Sigma(name, n)
    if not isinstance(activation, str) or activation not in ("relu", "identity"):
        raise ModelFileError(
            f"{owner}: activation {activation!r} of sigma-delta neurons; the chip has relu and identity"
        )
    mode = "relu" if activation == "relu" else "unit"
    return SigmaDelta(name, n, vth, bias, mode, spike_exp=STATE_EXP, state_exp=STATE_EXP)  # type: ignore[arg-type]
