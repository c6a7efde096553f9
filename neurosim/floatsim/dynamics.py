"""The neuron models of `CubaLIF` in floats, one step each (`docs/arithmetic.md`, section 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.decays import Decay, check_decay, decays_of
from neurosim.errors import NetworkError
from neurosim.groups import CubaLIF
from neurosim.quantize import REFRACTORY_STEPS, SLOWER, THETA_PART

Floats = npt.NDArray[np.float64]
Messages = npt.NDArray[Any]  # bool, or int8 where messages have values

#: Models that this module knows, and the type of what they send.
MODELS: dict[str, type[np.bool_] | type[np.int8]] = {
    "lif": np.bool_,
    "refractory": np.bool_,
    "ternary": np.int8,
    "multispike": np.int8,
    "atrlif": np.bool_,
    "threshold": np.bool_,
}


@dataclass(frozen=True, eq=False)
class Dynamics:
    """A group's equations with their constants, (n,) each.

    ``u = keep_u u + gain a``, ``v = keep_v v + u + bias``, a spike where ``v > threshold``, then v = 0; a is the sum of the
    weights that arrive in the step.
    """

    group: CubaLIF
    keep_u: Floats
    gain: Floats
    keep_v: Floats
    threshold: Floats
    bias: Floats

    @classmethod
    def of(cls, group: CubaLIF, dt: float, decay: Decay) -> Dynamics:
        """Return the equations of a group.

        Raises
        ------
        NetworkError
            If there is no float form of its model.
        """
        if group.model not in MODELS:
            raise NetworkError(
                f"group {group.name!r}: model {group.model!r} has no float form; those that have: {', '.join(MODELS)}"
            )
        check_decay(decay)
        d_syn, d_mem = decays_of(group, dt, decay)
        return cls(group, 1 - d_syn, d_syn, 1 - d_mem, group.each("v_threshold"), group.each("bias"))

    def rest(self, n_samples: int) -> State:
        """Return the state before the first step."""
        u, v, r = (np.zeros((n_samples, self.group.n)) for _ in range(3))
        return State(u, v, np.zeros((n_samples, self.group.n), np.int8), r, r + self.threshold)

    def advance(self, a: Floats, state: State) -> Messages:
        """Advance the group by one step: `state` in place; return what its neurons send, 0 for nothing.

        Parameters
        ----------
        a : (n_samples, n) float64
            Sum of the weights that arrive.
        state : State
        """
        model = self.group.model
        if model == "threshold":
            return np.asarray(a + self.bias > self.threshold)
        if np.any(self.keep_u):
            state.u *= self.keep_u
            state.u += self.gain * a
        else:
            state.u[...] = a
        v = state.v * self.keep_v
        v += state.u
        v += self.bias
        if model == "refractory":
            return self._refractory(v, state)
        if model == "ternary":
            signs = (v > self.threshold).astype(np.int8) - (v < -self.threshold).astype(np.int8)
            state.v[...] = np.where(signs != 0, 0.0, v)
            return np.asarray(signs, np.int8)
        if model == "multispike":
            most, least = self.group.max_spikes, -self.group.max_spikes if self.group.signed else 0
            messages = np.clip(np.trunc(v / self.threshold), least, most)
            state.v[...] = v - messages * np.where(messages == 0, 0.0, self.threshold)  # inf * 0 is no number
            return np.asarray(messages, np.int8)
        if model == "atrlif":
            return self._adaptive(v, state)
        fired = v > self.threshold
        v[fired] = 0.0
        state.v[...] = v
        return fired

    def _refractory(self, v: Floats, state: State) -> Messages:
        """Block a neuron after its spike: v stays, u went on."""
        free = state.blocked == 0
        fired = free & (v > self.threshold)
        state.v[free] = np.where(fired, 0.0, v)[free]
        state.blocked[...] = np.where(fired, REFRACTORY_STEPS, np.maximum(state.blocked - 1, 0))
        return np.asarray(fired)

    def _adaptive(self, v: Floats, state: State) -> Messages:
        """Raise the threshold and the refractory state r at a spike (`neurosim.dynamic_models.ATRLIF`)."""
        state.v[...] = v
        state.theta[...] = (state.theta - self.threshold) * (1 - (1 - self.keep_v) / SLOWER) + self.threshold
        state.r *= self.keep_v
        fired = v - state.r >= state.theta
        state.r += np.where(fired, 2 * state.theta, 0.0)
        state.theta += np.where(fired, self.threshold / THETA_PART, 0.0)
        return np.asarray(fired)


@dataclass(eq=False)
class State:
    """What a group keeps from step to step, (n_samples, n) each; `Dynamics.advance` writes into it."""

    u: Floats
    v: Floats
    blocked: npt.NDArray[np.int8]
    r: Floats
    theta: Floats
