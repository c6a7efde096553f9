"""A Lava Process behind each neuron group that records it and ends samples cleanly."""

# Lava has no types, and is missing in the environments that are checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurosim_lava.board import RECORDINGS


class Relay(AbstractProcess):
    """Stands between a neuron group and its outgoing connections; adds no delay.

    ``u`` and ``v`` refer to the group's state. ``tick_in`` and ``tick_out`` chain the relays of a network, so
    that Lava finds its unconnected parts too.
    """

    def __init__(self, *, group: str, n: int) -> None:
        super().__init__(group=group, n=n)
        self.s_in = InPort(shape=(n,))
        self.s_out = OutPort(shape=(n,))
        self.u = RefPort(shape=(n,))
        self.v = RefPort(shape=(n,))
        self.tick_in = InPort(shape=(1,))
        self.tick_out = OutPort(shape=(1,))


@implements(proc=Relay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RelayModel(PyLoihiProcessModel):
    """Pass spikes on in the step in which they come; after the last step of a sample, bring the group to rest."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)
    u: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=32)
    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=32)
    tick_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    tick_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)

    def _sample_ends(self) -> bool:
        return bool(self.time_step % RECORDINGS[self.proc_params["group"]].n_steps == 0)

    def run_spk(self) -> None:
        """Spike phase: record and pass on; what a sample sends in its last step would reach the next one."""
        self.tick_out.send(np.zeros(1, dtype=np.int32))
        self.tick_in.recv()
        spikes = self.s_in.recv().astype(np.int32)
        recording = RECORDINGS[self.proc_params["group"]]
        if recording.spikes is not None:
            recording.spikes[self.time_step - 1] = np.packbits(spikes.astype(bool))
        self.s_out.send(np.zeros_like(spikes) if self._sample_ends() else spikes)

    def post_guard(self) -> bool:
        """Whether `run_post_mgmt` has something to do in this step."""
        recording = RECORDINGS[self.proc_params["group"]]
        return recording.u is not None or recording.v is not None or self._sample_ends()

    def run_post_mgmt(self) -> None:
        """Management phase, after all spike phases of the step: read u and v; at the end of a sample zero them."""
        recording = RECORDINGS[self.proc_params["group"]]
        row = self.time_step - 1
        if recording.u is not None:
            recording.u[row] = self.u.read()
        if recording.v is not None:
            recording.v[row] = self.v.read()
        if self._sample_ends():
            for port in (self.u, self.v):
                port.write(np.zeros(self.proc_params["n"], dtype=np.int32))
                left = port.read()  # a read waits until the write is done, which Lava does not promise otherwise
                if left.any():
                    raise RuntimeError(f"group {self.proc_params['group']!r}: the state was not reset between samples")
