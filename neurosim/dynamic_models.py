"""Neurons with dynamics of their own: resonate-and-fire, adaptive threshold (Lava's models)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_group, check_register, check_registers, check_shifted
from neurosim.errors import NetworkError
from neurosim.groups import bias_per_step


@dataclass(frozen=True, eq=False)
class RF:
    """Resonate-and-fire neurons (Lava's ``RF``; Izhikevich, Neural Networks 14, 2001).

    A complex state is turned and shrunk in each step; a spike where the real part is at least the threshold while
    the imaginary part turns from negative to not negative.

    Parameters
    ----------
    sin_decay, cos_decay : int
        Damped rotation per step in ``2**-decay_bits``, each in -(2**decay_bits)..2**decay_bits;
        `rotation` computes them from a period and a damping as Lava does.
    decay_bits : int
        0..12.
    state_exp : int
        0..7; inputs are scaled by ``<< state_exp``, and the threshold likewise.
    vth : int
        0..2**23 - 1 after scaling.
    """

    name: str
    n: int
    sin_decay: int
    cos_decay: int
    vth: int = 1
    state_exp: int = 0
    decay_bits: int = 12

    states: ClassVar[tuple[str, ...]] = ("real", "imag")
    graded: ClassVar[bool] = False
    ports: ClassVar[tuple[str, ...]] = ("a_real_in", "a_imag_in")

    def __post_init__(self) -> None:
        check_group(self.name, self.n)
        owner = f"group {self.name!r}"
        check_registers(self, ("state_exp", "decay_bits"))
        check_registers(self, ("vth",), "graded_vth")
        check_shifted(owner, "vth", self.vth, self.state_exp)
        one = 1 << self.decay_bits
        for register in ("sin_decay", "cos_decay"):
            value = getattr(self, register)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not -one <= value <= one:
                raise NetworkError(
                    f"{owner}: {register} {value!r} is not an integer in {-one}..{one}; "
                    "compute it with neurosim.neurons.rotation"
                )
            object.__setattr__(self, register, int(value))


@dataclass(frozen=True, eq=False)
class RFIzhikevich(RF):
    """Resonate-and-fire neurons with Izhikevich's threshold and reset (Lava's ``RF_IZ``).

    A spike where the imaginary part is at least the threshold; then the real part is 0 and the imaginary part one
    below the threshold.
    """


def rotation(period: float, alpha: float, decay_bits: int = 12) -> tuple[int, int]:
    """Return (sin_decay, cos_decay) of resonate-and-fire neurons, rounded toward zero as Lava does.

    Parameters
    ----------
    period : float
        Steps of a full turn.
    alpha : float
        Share of the state that is lost in each step, 0..1.
    decay_bits : int
        0..12.

    Examples
    --------
    >>> rotation(period=10, alpha=0.07)
    (2239, 3081)
    """
    if not (np.isfinite(period) and period > 0 and 0 <= alpha <= 1):
        raise NetworkError(f"rotation: period {period!r} must be positive and alpha {alpha!r} in 0..1")
    angle, one = 2 * np.pi / period, 1 << decay_bits
    return int((1 - alpha) * np.sin(angle) * one), int((1 - alpha) * np.cos(angle) * one)


@dataclass(frozen=True, eq=False)
class ATRLIF:
    """LIF neurons with an adaptive threshold and relative refractoriness (Lava's ``ATRLIF``).

    Parameters
    ----------
    delta_i, delta_v, delta_theta, delta_r : int
        Decays per step in 1/4096, 0..4095, of current, voltage, threshold and refractory state. The current's has
        the chip's offset of 1. Lava wants them as fractions: delta / 4096, which it scales back exactly.
    theta_0, theta_step : int
        0..131071, threshold at rest and its increase at a spike; scaled by ``<< 6``.
    bias_mant, bias_exp : int or (n,) int
        As in `LIF`.
    """

    name: str
    n: int
    delta_i: int = 0
    delta_v: int = 0
    delta_theta: int = 0
    delta_r: int = 0
    theta_0: int = 5
    theta_step: int = 0
    bias_mant: npt.ArrayLike = 0
    bias_exp: npt.ArrayLike = 0

    states: ClassVar[tuple[str, ...]] = ("i", "v", "theta", "r")
    graded: ClassVar[bool] = False
    ports: ClassVar[tuple[str, ...]] = ("a_in",)

    def __post_init__(self) -> None:
        check_group(self.name, self.n)
        check_registers(self, ("delta_i", "delta_v", "delta_theta", "delta_r", "theta_0", "theta_step"))
        for register in ("bias_mant", "bias_exp"):
            value = check_register(f"group {self.name!r}", register, getattr(self, register), self.n)
            object.__setattr__(self, register, value)

    @property
    def bias(self) -> npt.NDArray[np.int64]:
        """Bias per step, ``bias_mant << bias_exp``: (n,) int64 in units of v."""
        return bias_per_step(self.bias_mant, self.bias_exp, self.n)
