"""A Lava Process for neurons that send several spikes as one message and reset softly, which Lava lacks."""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF


class MultiSpike(LIF):
    """Lava's LIF that sends how often the threshold fits into v, up to `max_spikes`, and keeps the rest."""

    def __init__(
        self, *, n: int, du: int, dv: int, vth: int, max_spikes: int, signed: bool,
        bias_mant: npt.NDArray[np.int32], bias_exp: npt.NDArray[np.int32],
    ) -> None:  # fmt: skip
        super().__init__(
            shape=(n,),
            du=du,
            dv=dv,
            vth=vth,
            bias_mant=bias_mant,
            bias_exp=bias_exp,
            max_spikes=max_spikes,
            signed=signed,
        )


class MultiSpikeModel(PyLifModelBitAcc):
    """Lava's own steps of a LIF, in its order; only what is sent and what is taken off v differ."""

    v: npt.NDArray[np.int32]
    effective_vth: int
    implements_process = MultiSpike  # Lava's decorator refuses to change the inherited one; the rest is inherited

    def spiking_activation(self) -> npt.NDArray[np.int32]:
        """Return the messages: v over the threshold, rounded toward zero and cut to the largest message."""
        most = self.proc_params["max_spikes"]
        fits = np.abs(self.v) // self.effective_vth * np.sign(self.v)
        return np.asarray(np.clip(fits, -most if self.proc_params["signed"] else 0, most), np.int32)

    def reset_voltage(self, spike_vector: npt.NDArray[np.int32]) -> None:
        """Take what was sent off v; at most v itself, so that nothing wraps."""
        self.v[:] = self.v - spike_vector * self.effective_vth
