"""All neuron models in one place, and what programs and backends ask about them (`docs/arithmetic.md`, section 6)."""

from __future__ import annotations

from neurosim.dynamic_models import ATRLIF as ATRLIF
from neurosim.dynamic_models import RF as RF
from neurosim.dynamic_models import RFIzhikevich as RFIzhikevich
from neurosim.dynamic_models import rotation as rotation
from neurosim.fixedpoint import INPUT_SHIFT
from neurosim.graded_models import Delta as Delta
from neurosim.graded_models import GradedVec as GradedVec
from neurosim.graded_models import ProdNeuron as ProdNeuron
from neurosim.graded_models import Sigma as Sigma
from neurosim.graded_models import SigmaDelta as SigmaDelta
from neurosim.groups import LIF, CubaLIF, Input
from neurosim.lif_models import LIFRefractory as LIFRefractory
from neurosim.lif_models import LIFReset as LIFReset
from neurosim.lif_models import MultiSpikeLIF as MultiSpikeLIF
from neurosim.lif_models import TernaryLIF as TernaryLIF

Neurons = LIF | Sigma | Delta | SigmaDelta | ProdNeuron | GradedVec | RF | ATRLIF
Group = Input | CubaLIF | Neurons

#: Names of all states that a probe may ask for.
STATE_NAMES = tuple(
    dict.fromkeys(
        state
        for model in (LIF, LIFRefractory, Sigma, Delta, SigmaDelta, ProdNeuron, GradedVec, RF, ATRLIF)
        for state in model.states
    )
)


def rest_of(group: Neurons) -> tuple[int, ...]:
    """Return the value of each of a model's states in a freshly loaded chip: 0, but for thresholds that are states."""
    theta = group.theta_0 << INPUT_SHIFT if isinstance(group, ATRLIF) else 0
    return tuple(theta if state == "theta" else 0 for state in group.states)


#: Feature that each neuron model needs.
MODEL_FEATURES: dict[type, str] = {
    LIF: "lif",
    LIFReset: "lif_reset",
    LIFRefractory: "lif_refractory",
    TernaryLIF: "lif_ternary",
    MultiSpikeLIF: "lif_multispike",
    Sigma: "sigma",
    Delta: "delta",
    SigmaDelta: "sigma_delta",
    ProdNeuron: "product",
    GradedVec: "graded_vec",
    RF: "resonate",
    RFIzhikevich: "resonate",
    ATRLIF: "atrlif",
}
