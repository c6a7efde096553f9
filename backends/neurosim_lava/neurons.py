"""Make the Process for each neuron model, Lava's own where it has one, with the integers of a request.

Imported only by the worker, after `shim`: this module imports Lava.
"""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.proc.atrlif.process import ATRLIF
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.lif.process import LIF, LIFReset, TernaryLIF
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.rf.process import RF
from lava.proc.rf_iz.process import RF_IZ
from lava.proc.sdn.process import ActivationMode, Delta, Sigma, SigmaDelta

from neurosim_lava.processes.multispike import MultiSpike

#: The integer model of each Process; Lava takes a float model where a tag is missing or misspelt.
NEURON_MODELS = {
    LIF: "PyLifModelBitAcc",
    LIFReset: "PyLifResetModelBitAcc",
    TernaryLIF: "PyTernLifModelFixed",
    Sigma: "PySigmaModelFixed",
    Delta: "PyDeltaModelFixed",
    SigmaDelta: "PySigmaDeltaModelFixed",
    ProdNeuron: "PyProdNeuronModelFixed",
    GradedVec: "PyGradedVecModelFixed",
    GradedReluVec: "PyGradedReluVecModelFixed",
    RF: "PyRFModelFixed",
    RF_IZ: "PyRF_IZModelFixed",
    ATRLIF: "PyATRLIFModelFixed",
    MultiSpike: "MultiSpikeModel",
}
DECAY_ONE = 1 << 12  # ATRLIF takes its decays as fractions and multiplies them with this

Group = dict[str, Any]
Biases = dict[str, npt.NDArray[np.int32]]


def make_neurons(group: Group, biases: Biases) -> AbstractProcess:
    """Return the Lava Process of one group.

    Parameters
    ----------
    group : dict
        "model", "n", and the parameters of the model by the names of `neurosim.neurons`.
    biases : dict of str to (n,) int32
        The parameters that each neuron has of its own.
    """
    return MAKERS[group["model"]](group, biases)


def _lif(group: Group, biases: Biases) -> AbstractProcess:
    return LIF(shape=(group["n"],), du=group["du"], dv=group["dv"], vth=group["vth"], **_bias(biases))


def _lif_reset(group: Group, biases: Biases) -> AbstractProcess:
    return LIFReset(
        shape=(group["n"],), du=group["du"], dv=group["dv"], vth=group["vth"],
        reset_interval=group["reset_interval"], reset_offset=group["reset_offset"], **_bias(biases),
    )  # fmt: skip


def _ternary(group: Group, biases: Biases) -> AbstractProcess:
    process = TernaryLIF(shape=(group["n"],), du=group["du"], dv=group["dv"], **_bias(biases))
    for name in ("vth_hi", "vth_lo"):  # set here: the constructor refuses crossed thresholds, and one per neuron
        _set(getattr(process, name), biases[name])
    return process


def _multi_spike(group: Group, biases: Biases) -> AbstractProcess:
    return MultiSpike(
        n=group["n"], du=group["du"], dv=group["dv"], vth=group["vth"], max_spikes=group["max_spikes"],
        signed=group["signed"], **_bias(biases),
    )  # fmt: skip


def _sigma(group: Group, biases: Biases) -> AbstractProcess:
    return Sigma(shape=(group["n"],))


def _delta(group: Group, biases: Biases) -> AbstractProcess:
    return Delta(
        shape=(group["n"],), vth=group["vth"], cum_error=group["cum_error"],
        spike_exp=group["spike_exp"], state_exp=group["state_exp"],
    )  # fmt: skip


def _sigma_delta(group: Group, biases: Biases) -> AbstractProcess:
    return SigmaDelta(
        shape=(group["n"],), vth=group["vth"], bias=biases["bias"], act_mode=ActivationMode[group["act_mode"].upper()],
        cum_error=group["cum_error"], spike_exp=group["spike_exp"], state_exp=group["state_exp"],
    )  # fmt: skip


def _product(group: Group, biases: Biases) -> AbstractProcess:
    return ProdNeuron(shape=(group["n"],), vth=group["vth"], exp=group["exp"])


def _graded(group: Group, biases: Biases) -> AbstractProcess:
    return (GradedReluVec if group["relu"] else GradedVec)(shape=(group["n"],), vth=group["vth"])


def _resonate(group: Group, biases: Biases) -> AbstractProcess:
    """Lava computes both decays from a period in floats; we have the integers, so they are set afterwards."""
    kind = RF if group["model"] == "RF" else RF_IZ
    process = kind(shape=(group["n"],), period=1.0, alpha=0.0, vth=group["vth"],
                   state_exp=group["state_exp"], decay_bits=group["decay_bits"])  # fmt: skip
    process.sin_decay.init, process.cos_decay.init = group["sin_decay"], group["cos_decay"]
    return process


def _atrlif(group: Group, biases: Biases) -> AbstractProcess:
    """The decays must be floats: with an int, Lava multiplies the current in 32 bits and wraps."""
    decays = {name: group[name] / DECAY_ONE for name in ("delta_i", "delta_v", "delta_theta", "delta_r")}
    return ATRLIF(
        shape=(group["n"],), theta_0=group["theta_0"], theta_step=group["theta_step"], **decays, **_bias(biases)
    )


def _bias(biases: Biases) -> Biases:
    return {name: biases[name] for name in ("bias_mant", "bias_exp")}


def _set(var: Var, value: npt.NDArray[np.int32]) -> None:
    var.shape, var.init = value.shape, value


MAKERS: dict[str, Callable[[Group, Biases], AbstractProcess]] = {
    "LIF": _lif,
    "LIFReset": _lif_reset,
    "TernaryLIF": _ternary,
    "MultiSpikeLIF": _multi_spike,
    "Sigma": _sigma,
    "Delta": _delta,
    "SigmaDelta": _sigma_delta,
    "ProdNeuron": _product,
    "GradedVec": _graded,
    "RF": _resonate,
    "RFIzhikevich": _resonate,
    "ATRLIF": _atrlif,
}
