"""Neurons that send numbers: sigma, delta, sigma-delta, product, graded vector (Lava's models)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy.typing as npt

from neurosim.checks import check_group, check_register, check_registers, check_shifted
from neurosim.errors import NetworkError


@dataclass(frozen=True, eq=False)
class Sigma:
    """Neurons that add up what they receive and send the sum in each step (Lava's ``Sigma``)."""

    name: str
    n: int

    states: ClassVar[tuple[str, ...]] = ("sigma",)
    graded: ClassVar[bool] = True
    ports: ClassVar[tuple[str, ...]] = ("a_in",)

    def __post_init__(self) -> None:
        check_group(self.name, self.n)


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
    ports: ClassVar[tuple[str, ...]] = ("a_in",)

    def __post_init__(self) -> None:
        check_group(self.name, self.n)
        check_registers(self, ("spike_exp", "state_exp"))
        check_registers(self, ("vth",), "graded_vth")
        check_shifted(f"group {self.name!r}", "vth", self.vth, self.spike_exp + self.state_exp)


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
    ports: ClassVar[tuple[str, ...]] = ("a_in",)

    def __post_init__(self) -> None:
        check_group(self.name, self.n)
        owner = f"group {self.name!r}"
        check_registers(self, ("spike_exp", "state_exp"))
        check_registers(self, ("vth",), "graded_vth")
        check_shifted(owner, "vth", self.vth, self.spike_exp + self.state_exp)
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
        check_group(self.name, self.n)
        check_registers(self, ("vth",), "graded_vth")
        check_registers(self, ("exp",))


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
    ports: ClassVar[tuple[str, ...]] = ("a_in",)

    def __post_init__(self) -> None:
        check_group(self.name, self.n)
        check_registers(self, ("vth",), "graded_vth")
