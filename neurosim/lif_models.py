"""LIF neurons with more than a threshold and a reset: periodic, refractory, ternary, multi-spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurosim.checks import check_register, check_registers
from neurosim.errors import NetworkError
from neurosim.groups import LIF, Register


@dataclass(frozen=True, eq=False)
class LIFReset(LIF):
    """LIF neurons whose u and v are set to 0 at regular steps (Lava's ``LIFReset``).

    Parameters
    ----------
    reset_interval : int
        1 or more. The state is cleared before step t (counted from 1 in each sample) takes its input, where
        ``t % reset_interval == reset_offset % reset_interval``.
    reset_offset : int
        0 or more.
    """

    reset_interval: int = 1
    reset_offset: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_registers(self, ("reset_interval", "reset_offset"))


@dataclass(frozen=True, eq=False)
class LIFRefractory(LIF):
    """LIF neurons that are blocked after a spike; our definition, since Lava has it in floats only.

    Parameters
    ----------
    refractory_period : int
        1..64 steps in which v stays at 0 and no spike is sent; u goes on. SLAYER's ``refDelay`` and nengo-loihi's
        ``refract_delay`` are one more than this.
    """

    refractory_period: int = 1

    states: ClassVar[tuple[str, ...]] = ("u", "v", "blocked")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_registers(self, ("refractory_period",))


@dataclass(frozen=True, eq=False)
class TernaryLIF(LIF):
    """LIF neurons with spikes of +1 above `vth_hi` and -1 below `vth_lo` (Lava's ``TernaryLIF``).

    Parameters
    ----------
    vth_hi, vth_lo : int or (n,) int
        -131072..131071, compared strictly with v after ``<< 6``; `vth` is not used. Where both hold no spike is sent.
    """

    vth_hi: Register = 10
    vth_lo: Register = -10

    graded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for register in ("vth_hi", "vth_lo"):
            checked = check_register(f"group {self.name!r}", register, getattr(self, register), self.n)
            object.__setattr__(self, register, int(checked) if checked.ndim == 0 else checked)


@dataclass(frozen=True, eq=False)
class MultiSpikeLIF(LIF):
    """LIF neurons that send how often the threshold fits into v, and keep the rest (soft reset); our definition.

    ``s = clip(trunc(v / (vth << 6)), -max_spikes, max_spikes)``, then ``v -= (vth << 6) * s``; s is the message.

    Parameters
    ----------
    max_spikes : int
        1..127, the largest message.
    signed : bool
        Without it negative messages are 0.
    """

    max_spikes: int = 1
    signed: bool = True

    graded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_registers(self, ("max_spikes",))
        if np.any(np.asarray(self.vth) < 1):
            raise NetworkError(f"group {self.name!r}: vth 0 cannot divide v; use a threshold of at least 1")
