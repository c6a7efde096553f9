"""A Lava Process behind neuron groups that records them and ends samples cleanly."""

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

SLOTS = 8  # groups of one relay: Lava forks a process for each Process, which costs more than anything in it
N_STATES = 4  # most states of a neuron model


class Relay(AbstractProcess):
    """Stands between neuron groups and their outgoing connections; adds no delay.

    The k-th group has the ports ``s_in_k`` and ``s_out_k`` and refers to its states by ``state_k_0`` and so on; ports
    without a group stay unconnected. ``tick_in`` and ``tick_out`` chain the relays of a network, so that Lava finds its
    unconnected parts too.
    """

    def __init__(self, *, groups: tuple[str, ...], sizes: tuple[int, ...]) -> None:
        super().__init__(groups=groups, sizes=sizes)
        for k in range(SLOTS):
            shape = (sizes[k] if k < len(sizes) else 1,)
            setattr(self, f"s_in_{k}", InPort(shape=shape))
            setattr(self, f"s_out_{k}", OutPort(shape=shape))
            for i in range(N_STATES):
                setattr(self, f"state_{k}_{i}", RefPort(shape=shape))
        self.tick_in = InPort(shape=(1,))
        self.tick_out = OutPort(shape=(1,))


@implements(proc=Relay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RelayModel(PyLoihiProcessModel):
    """Pass messages on in the step in which they come; at the end of a sample, bring its groups to rest."""

    tick_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    tick_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)

    def _place(self, group: str) -> tuple[int, int]:
        """Return the sample and the step in it, both from 0."""
        return divmod(int(self.time_step) - 1, RECORDINGS[group].period)

    def run_spk(self) -> None:
        """Spike phase: record and pass on; what a sample sends in its last step or later would reach the next one."""
        self.tick_out.send(np.zeros(1, dtype=np.int32))
        self.tick_in.recv()
        for k, group in enumerate(self.proc_params["groups"]):
            messages = getattr(self, f"s_in_{k}").recv().astype(np.int32)
            recording = RECORDINGS[group]
            sample, step = self._place(group)
            if step < recording.n_steps:
                row = sample * recording.n_steps + step
                if recording.spikes is not None:
                    recording.spikes[row] = np.packbits(messages.astype(bool))
                if recording.values is not None:
                    recording.values[row] = messages
            getattr(self, f"s_out_{k}").send(messages if step < recording.n_steps - 1 else np.zeros_like(messages))

    def post_guard(self) -> bool:
        """Whether `run_post_mgmt` has something to do in this step."""
        for group in self.proc_params["groups"]:
            recording = RECORDINGS[group]
            _, step = self._place(group)
            probed = any(array is not None for array in recording.states)
            if (probed and step < recording.n_steps) or step == recording.period - 1:
                return True
        return False

    def run_post_mgmt(self) -> None:
        """Management phase, after all spike phases of the step: read states; at the end of a sample set them to rest."""
        for k, group in enumerate(self.proc_params["groups"]):
            recording = RECORDINGS[group]
            sample, step = self._place(group)
            for i, array in enumerate(recording.states):
                port = getattr(self, f"state_{k}_{i}")
                if array is not None and step < recording.n_steps:
                    array[sample * recording.n_steps + step] = port.read()
                if step == recording.period - 1:
                    rest = np.full(self.proc_params["sizes"][k], recording.rest[i], dtype=np.int32)
                    port.write(rest)
                    # A read waits until the write is done, which Lava does not promise otherwise.
                    if not np.array_equal(port.read(), rest):
                        raise RuntimeError(f"group {group!r}: the state was not reset between samples")


for _k in range(SLOTS):  # Lava takes the types of ports from attributes of the class
    setattr(RelayModel, f"s_in_{_k}", LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=32))
    setattr(RelayModel, f"s_out_{_k}", LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=32))
    for _i in range(N_STATES):
        setattr(RelayModel, f"state_{_k}_{_i}", LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=32))
