"""A backend that computes as the reference does, but for one voltage: what a comparison must find."""

from dataclasses import replace
from typing import Any

from neurosim.backend import RunResult
from neurosim.events import Events
from neurosim.program import Program
from neurosim.simulator import ReferenceBackend, ReferenceRunner

GROUP, SAMPLE, STEP, NEURON, ADDED = "out", 1, 6, 1, 3


class FaultyRunner(ReferenceRunner):
    """Adds `ADDED` to one voltage in the record."""

    backend = "faulty"

    def run(self, events: Events, n_steps: int | None = None, state: Any = None) -> RunResult:
        result = super().run(events, n_steps, state)
        v = result.states.get((GROUP, "v"))
        if v is not None and v.shape[1] > STEP:
            v[SAMPLE, STEP, NEURON] += ADDED
        return result


class FaultyBackend(ReferenceBackend):
    """Opens `FaultyRunner`."""

    name = "faulty"

    def open(self, program: Program, *, threads: int = 1, strict: bool = False) -> FaultyRunner:
        return FaultyRunner(program, threads, strict)


class SilentBackend(FaultyBackend):
    """The same without the feature that would show the fault."""

    features = ReferenceBackend.features - {"probe_state"}


class CountlessRunner(ReferenceRunner):
    """Counts nothing, as a board may."""

    backend = "countless"

    def run(self, events: Events, n_steps: int | None = None, state: Any = None) -> RunResult:
        return replace(super().run(events, n_steps, state), counts=None)


class CountlessBackend(ReferenceBackend):
    """Opens `CountlessRunner`."""

    name = "countless"
    features = ReferenceBackend.features - {"counts"}

    def open(self, program: Program, *, threads: int = 1, strict: bool = False) -> CountlessRunner:
        return CountlessRunner(program, threads, strict)


class NarrowBackend(ReferenceBackend):
    """Has no dense connections."""

    name = "narrow"
    features = ReferenceBackend.features - {"dense"}
