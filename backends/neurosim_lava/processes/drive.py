"""A Lava Process that sums the pre factors of the sources that fired: the low-rank half of a perturbation."""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurosim_lava.learnboard import DRIVES


class Drive(AbstractProcess):
    """Stands beside a plastic connection and, like it, sends in a step what the spikes of the step before gave.

    ``trace`` holds each source's spikes in the unperturbed run, by window of time.
    """

    def __init__(self, *, connection: str, n: int, rank: int) -> None:
        super().__init__(connection=connection)
        self.s_in = InPort(shape=(n,))
        self.c_out = OutPort(shape=(rank,))
        self.trace = Var(shape=(rank, n), init=0)
        self.buffer = Var(shape=(rank,), init=0)


@implements(proc=Drive, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DriveModel(PyLoihiProcessModel):
    """Count spikes in the unperturbed run of a sample; in the members' runs sum the pre factors of who fired."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    c_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32)
    trace: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=32)
    buffer: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=32)

    def run_spk(self) -> None:
        """Spike phase: send first, so that loops do not wait for themselves."""
        self.c_out.send(self.buffer)
        spikes = self.s_in.recv().astype(np.int32)
        board = DRIVES[self.proc_params["connection"]]
        schedule = board.schedule
        sample, run, t = schedule.place(self.time_step - 1)
        self.buffer = np.zeros_like(self.buffer)
        if run == 0 and t == 0:
            self.trace[:] = 0
        if t + 1 == schedule.n_steps:  # nothing was sent; the next run begins with no drive
            return
        if run == 0:
            self.trace[schedule.window(t + 1)] += spikes
            return
        for rank in schedule.ranks(t + 1):
            if board.signs is None:
                factor = self.trace[rank]
            else:
                factor = board.signs[sample, (run - 1) // 2, rank] * (self.trace.sum(axis=0) > 0)
            self.buffer[rank] = int(factor.astype(np.int64) @ spikes)
