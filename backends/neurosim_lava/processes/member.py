"""A Lava Process for a group of neurons whose current a member of a population perturbs."""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF

from neurosim_lava.learnboard import MEMBERS, MemberBoard


class Member(LIF):
    """Lava's LIF with an input that is added to the current beyond its shift by 6.

    ``c_in`` takes one drive for each rank. What the group is given and writes lies in ``MEMBERS[group]``. ``tick_in``
    and ``tick_out`` chain the groups of a network, so that Lava finds its unconnected parts too.
    """

    def __init__(
        self, *, group: str, n: int, rank: int, du: int, dv: int, vth: int,
        bias_mant: npt.NDArray[np.int32], bias_exp: npt.NDArray[np.int32],
    ) -> None:  # fmt: skip
        super().__init__(shape=(n,), du=du, dv=dv, vth=vth, bias_mant=bias_mant, bias_exp=bias_exp, group=group)
        self.c_in = InPort(shape=(rank,))
        self.tick_in = InPort(shape=(1,))
        self.tick_out = OutPort(shape=(1,))


class MemberModel(PyLifModelBitAcc):
    """Lava's own steps of a LIF, in its order, with a perturbed input; every run of the schedule begins at rest."""

    act_shift: int
    implements_process = Member  # Lava's decorator refuses to change the inherited one; the rest is inherited
    c_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32)
    tick_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    tick_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)

    def __init__(self, proc_params: dict[str, Any]) -> None:
        super().__init__(proc_params)
        self.input_shift, self.act_shift = self.act_shift, 0  # shifted here, since the perturbation is not

    def run_spk(self) -> None:
        """Spike phase: one step of the group; after the last step of a run nothing is under way and all is at rest."""
        self.tick_out.send(np.zeros(1, dtype=np.int32))
        self.tick_in.recv()
        board = MEMBERS[self.proc_params["group"]]
        sample, run, t = board.schedule.place(self.time_step - 1)
        arriving, drive = self.a_in.recv(), self.c_in.recv()
        current = np.left_shift(arriving, self.input_shift)
        if run and board.post is not None:
            current = current + self._noise(board, drive, sample, run, t)

        self.scale_bias()
        self.scale_threshold()
        self.subthr_dynamics(activation_in=current)
        near = self.v > self.effective_vth // 2
        spikes = self.spiking_activation()
        self.reset_voltage(spike_vector=spikes)

        last = t + 1 == board.schedule.n_steps
        if run == 0:
            board.near[sample, board.schedule.window(t)] |= near
            if not last:  # spikes of the last step are never delivered
                board.trace[sample, board.schedule.window(t + 1)] += spikes
        if last:
            board.final[sample, run] = self.v
            self.u[:] = 0
            self.v[:] = 0
            spikes = np.zeros_like(spikes)
        self.s_out.send(spikes)

    def _noise(
        self, board: MemberBoard, drive: npt.NDArray[np.int32], sample: int, run: int, t: int
    ) -> npt.NDArray[np.int32]:
        """Return sign x shift(drive) x post factor, summed over ranks; magnitude first, so that pairs are opposite."""
        assert board.post is not None
        pair, minus = divmod(run - 1, 2)
        noise = np.zeros(board.post.shape[-1], np.int64)
        for rank in board.schedule.ranks(t):
            found = int(drive[rank])
            exponent = board.noise_exp
            size = abs(found) << exponent if exponent >= 0 else abs(found) >> -exponent
            noise += (-size if (found < 0) != bool(minus) else size) * board.post[sample, pair, rank].astype(np.int64)
            board.drive[:] += (abs(found), found != 0)
        return noise.astype(np.int32)
