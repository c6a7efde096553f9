"""A Lava Process that plays input events."""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurosim_lava.board import FEEDS


class Source(AbstractProcess):
    """Input lines; what they play lies in ``FEEDS[group]``."""

    def __init__(self, *, group: str, n: int) -> None:
        super().__init__(group=group, n=n)
        self.s_out = OutPort(shape=(n,))


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceModel(PyLoihiProcessModel):
    """Send the events of each step; none in the last step of a sample (they would reach the next one) and after it."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)

    def run_spk(self) -> None:
        """Spike phase: send."""
        feed = FEEDS[self.proc_params["group"]]
        spikes = np.zeros(self.proc_params["n"], dtype=np.int32)
        sample, step = divmod(self.time_step - 1, feed.period or feed.n_steps)
        if step < feed.n_steps - 1:
            i = sample * feed.n_steps + step
            events = slice(feed.start[i], feed.start[i + 1])
            spikes[feed.neuron[events]] = 1 if feed.value is None else feed.value[events]
        self.s_out.send(spikes)
