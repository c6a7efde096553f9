"""The neuron models besides LIF, in chip integers, with Lava's parameter names (`docs/arithmetic.md`, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_name, check_register, check_size
from neurosim.errors import NetworkError
from neurosim.fixedpoint import STATE_MAX
from neurosim.groups import LIF, CubaLIF, Input, Register

A_IN = ("a_in",)


def _check_registers(group: Neurons, names: tuple[str, ...], limits: str | None = None) -> None:
    """Check one integer per group and register, and store it as int."""
    owner = f"group {group.name!r}"
    for register in names:
        value = check_register(owner, register, getattr(group, register), limits=limits)
        object.__setattr__(group, register, int(value))


def _check_shifted(owner: str, register: str, value: int, shift: int) -> None:
    """Refuse a threshold that leaves 24 bits once it is scaled."""
    if value << shift > STATE_MAX:
        raise NetworkError(
            f"{owner}: {register} {value} << {shift} is {value << shift}, state registers hold up to {STATE_MAX}; "
            "use a smaller threshold or smaller exponents"
        )


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
        _check_registers(self, ("reset_interval", "reset_offset"))


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
        _check_registers(self, ("refractory_period",))


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
        _check_registers(self, ("max_spikes",))
        if np.any(np.asarray(self.vth) < 1):
            raise NetworkError(f"group {self.name!r}: vth 0 cannot divide v; use a threshold of at least 1")


@dataclass(frozen=True, eq=False)
class Sigma:
    """Neurons that add up what they receive and send the sum in each step (Lava's ``Sigma``)."""

    name: str
    n: int

    states: ClassVar[tuple[str, ...]] = ("sigma",)
    graded: ClassVar[bool] = True
    ports: ClassVar[tuple[str, ...]] = A_IN

    def __post_init__(self) -> None:
        check_name("group", self.name)
        check_size("group", self.name, self.n)


@dataclass(frozen=True, eq=False)
class Delta:
    """Neurons that send how much their input changed, where that reaches the threshold (Lava's ``Delta``).

    Parameters
    ----------
    vth : int
        0..2**23 - 1, scaled by ``<< spike_exp + state_exp``; a message is sent where the change is at least this.
    cum_error : bool
        Compare the accumulated change instead.
    spike_exp, state_exp : int
        0..7, shared scaling of messages and of states.
    """

    name: str
    n: int
    vth: int = 1
    cum_error: bool = False
    spike_exp: int = 0
    state_exp: int = 0

    states: ClassVar[tuple[str, ...]] = ("act", "residue", "error")
    graded: ClassVar[bool] = True
    ports: ClassVar[tuple[str, ...]] = A_IN

    def __post_init__(self) -> None:
        check_name("group", self.name)
        check_size("group", self.name, self.n)
        _check_registers(self, ("spike_exp", "state_exp"))
        _check_registers(self, ("vth",), "graded_vth")
        _check_shifted(f"group {self.name!r}", "vth", self.vth, self.spike_exp + self.state_exp)


@dataclass(frozen=True, eq=False)
class SigmaDelta:
    """Sigma, an activation, then Delta, in one neuron (Lava's ``SigmaDelta``).

    Parameters
    ----------
    vth, cum_error, spike_exp, state_exp
        As in `Delta`. The input is not shifted by `spike_exp`.
    bias : int or (n,) int
        -32768..32767, scaled by ``<< spike_exp + state_exp``.
    act_mode : {"relu", "unit"}
        Activation of sigma + bias.
    """

    name: str
    n: int
    vth: int = 1
    bias: npt.ArrayLike = 0
    act_mode: Literal["relu", "unit"] = "relu"
    cum_error: bool = False
    spike_exp: int = 0
    state_exp: int = 0

    states: ClassVar[tuple[str, ...]] = ("sigma", "act", "residue", "error")
    graded: ClassVar[bool] = True
    ports: ClassVar[tuple[str, ...]] = A_IN

    def __post_init__(self) -> None:
        check_name("group", self.name)
        check_size("group", self.name, self.n)
        owner = f"group {self.name!r}"
        _check_registers(self, ("spike_exp", "state_exp"))
        _check_registers(self, ("vth",), "graded_vth")
        _check_shifted(owner, "vth", self.vth, self.spike_exp + self.state_exp)
        object.__setattr__(self, "bias", check_register(owner, "bias", self.bias, self.n))
        if self.act_mode not in ("relu", "unit"):
            raise NetworkError(f"{owner}: unknown act_mode {self.act_mode!r}; choose 'relu' or 'unit'")


@dataclass(frozen=True, eq=False)
class ProdNeuron:
    """Neurons that send the product of two inputs, where it exceeds the threshold (Lava's ``ProdNeuron``).

    Parameters
    ----------
    vth : int
        0..2**23 - 1; a message is sent where ``abs(v) > vth``.
    exp : int
        0..31; ``v = i32(a_in1 * a_in2) >> exp``.
    """

    name: str
    n: int
    vth: int = 1
    exp: int = 0

    states: ClassVar[tuple[str, ...]] = ()
    graded: ClassVar[bool] = True
    ports: ClassVar[tuple[str, ...]] = ("a_in1", "a_in2")

    def __post_init__(self) -> None:
        check_name("group", self.name)
        check_size("group", self.name, self.n)
        _check_registers(self, ("vth",), "graded_vth")
        _check_registers(self, ("exp",))


@dataclass(frozen=True, eq=False)
class GradedVec:
    """Neurons without memory that send their input where it exceeds the threshold (Lava's ``GradedVec``).

    Parameters
    ----------
    vth : int
        0..2**23 - 1; a message is sent where ``abs(v) > vth``, or ``v > vth`` with `relu` (Lava's ``GradedReluVec``).
    """

    name: str
    n: int
    vth: int = 1
    relu: bool = False

    states: ClassVar[tuple[str, ...]] = ()
    graded: ClassVar[bool] = True
    ports: ClassVar[tuple[str, ...]] = A_IN

    def __post_init__(self) -> None:
        check_name("group", self.name)
        check_size("group", self.name, self.n)
        _check_registers(self, ("vth",), "graded_vth")


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
        check_name("group", self.name)
        check_size("group", self.name, self.n)
        owner = f"group {self.name!r}"
        _check_registers(self, ("state_exp", "decay_bits"))
        _check_registers(self, ("vth",), "graded_vth")
        _check_shifted(owner, "vth", self.vth, self.state_exp)
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
    ports: ClassVar[tuple[str, ...]] = A_IN

    def __post_init__(self) -> None:
        check_name("group", self.name)
        check_size("group", self.name, self.n)
        _check_registers(self, ("delta_i", "delta_v", "delta_theta", "delta_r", "theta_0", "theta_step"))
        for register in ("bias_mant", "bias_exp"):
            value = check_register(f"group {self.name!r}", register, getattr(self, register), self.n)
            object.__setattr__(self, register, value)

    @property
    def bias(self) -> npt.NDArray[np.int64]:
        """Bias per step, ``bias_mant << bias_exp``: (n,) int64 in units of v."""
        mantissa, exponent = np.asarray(self.bias_mant), np.asarray(self.bias_exp)
        return np.broadcast_to(mantissa << exponent, (self.n,)).astype(np.int64)


Neurons = LIF | Sigma | Delta | SigmaDelta | ProdNeuron | GradedVec | RF | ATRLIF
Group = Input | CubaLIF | Neurons

#: Names of all states that a probe may ask for.
STATE_NAMES = tuple(
    dict.fromkeys(
        state
        for model in (LIF, LIFRefractory, Sigma, Delta, SigmaDelta, ProdNeuron, GradedVec, RF, ATRLIF)
        for state in model.states
    )
)

#: Feature that each neuron model needs.
MODEL_FEATURES: dict[type, str] = {
    LIF: "lif",
    LIFReset: "lif_reset",
    LIFRefractory: "lif_refractory",
    TernaryLIF: "lif_ternary",
    MultiSpikeLIF: "lif_multispike",
    Sigma: "sigma",
    Delta: "delta",
    SigmaDelta: "sigma_delta",
    ProdNeuron: "product",
    GradedVec: "graded_vec",
    RF: "resonate",
    RFIzhikevich: "resonate",
    ATRLIF: "atrlif",
}
