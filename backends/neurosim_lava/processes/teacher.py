"""A Lava Process that teaches a learning connection and reads what it learned."""

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

from neurosim_lava.learnboard import LESSONS


class Teacher(AbstractProcess):
    """Sends pre and post factors to a learning connection; what it plays lies in ``LESSONS[engine]``.

    ``weights`` refers to those of the connection. ``tick_in`` and ``tick_out`` chain the teachers, so that Lava runs all.
    """

    def __init__(self, *, engine: str, n_pre: int, n_post: int) -> None:
        super().__init__(engine=engine, n_post=n_post)
        self.s_out = OutPort(shape=(n_pre,))
        self.y1_out = OutPort(shape=(n_post,))
        self.y2_out = OutPort(shape=(n_post,))
        self.weights = RefPort(shape=(n_post, n_pre))
        self.tick_in = InPort(shape=(1,))
        self.tick_out = OutPort(shape=(1,))


@implements(proc=Teacher, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class TeacherModel(PyLoihiProcessModel):
    """Send the factors of each step; where the lesson says so, read the weights and clear them."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=8)
    y1_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=8)
    y2_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=8)
    weights: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32, precision=32)
    tick_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    tick_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=1)

    def run_spk(self) -> None:
        """Spike phase: send; the connection learns from it in the learning phase of the same step."""
        self.tick_out.send(np.zeros(1, dtype=np.int32))
        self.tick_in.recv()
        lesson, i = LESSONS[self.proc_params["engine"]], self.time_step - 1
        self.s_out.send(lesson.payload[i])
        self.y1_out.send(lesson.y1[i])
        self.y2_out.send(np.full(self.proc_params["n_post"], lesson.y2[i], np.int32))

    def post_guard(self) -> bool:
        """Whether `run_post_mgmt` has something to do in this step."""
        return bool(LESSONS[self.proc_params["engine"]].read[self.time_step - 1] >= 0)

    def run_post_mgmt(self) -> None:
        """Management phase, after the learning phase of the step: take the weights, then clear them."""
        lesson = LESSONS[self.proc_params["engine"]]
        learned = np.asarray(self.weights.read(), np.int64)
        lesson.total[:] += learned << int(lesson.read[self.time_step - 1])
        self.weights.write(np.zeros(learned.shape, np.int32))
        if np.asarray(self.weights.read()).any():  # a read waits until the write is done; see Relay
            raise RuntimeError(f"{self.proc_params['engine']}: the weights were not cleared")
