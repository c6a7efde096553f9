"""Groups of neurons as the user describes them: inputs, LIF neurons in physical units or in chip integers.

The other neuron models are in `neurosim.neurons`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_group, check_name, check_register, check_size, check_thresholds, check_times
from neurosim.errors import NetworkError

#: One integer for a group, or one for each neuron.
Register = int | npt.NDArray[np.int64]
MAX_SPIKES = 15  # of a message, unless a group says otherwise
#: Models of `CubaLIF`, and the bits of the messages that they send: 0 for binary spikes. Those of "multispike" are its default's;
#: `message_bits` has any group's.
CUBA_MODELS = {"lif": 0, "refractory": 0, "ternary": 1, "multispike": MAX_SPIKES.bit_length(), "atrlif": 0}
#: The model of `CubaLIF` without memory; `quantize` makes `GradedVec` of it, which cannot be trained.
STATELESS = "threshold"


def message_bits(model: str, max_spikes: int = MAX_SPIKES, signed: bool = True) -> int:
    """Return the bits of a message of neurons of a model, its sign beside them: 0 where spikes are binary.

    Parameters
    ----------
    model : str
        A model of `CubaLIF`.
    max_spikes, signed
        As in `CubaLIF`, of the model "multispike".

    Examples
    --------
    >>> [message_bits("multispike", n, signed) for n, signed in ((15, True), (16, False), (1, True), (1, False))]
    [4, 5, 1, 0]
    """
    if model != "multispike":
        return CUBA_MODELS.get(model, 0)
    return max_spikes.bit_length() if signed or max_spikes > 1 else 0


def bias_per_step(mantissa: npt.ArrayLike, exponent: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    """Return ``mantissa << exponent`` of each of n neurons: (n,) int64."""
    return np.broadcast_to(np.asarray(mantissa) << np.asarray(exponent), (n,)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Input:
    """Neurons whose spikes come from outside the chip.

    Spikes of an input may carry a value (`neurosim.events.Events`); connections with ``num_message_bits=0`` take
    any value other than 0 as a spike.

    Parameters
    ----------
    name : str
    n : int
        Number of input lines.
    """

    name: str
    n: int

    states: ClassVar[tuple[str, ...]] = ()
    ports: ClassVar[tuple[str, ...]] = ()
    graded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_name("input", self.name)
        check_size("input", self.name, self.n)


@dataclass(frozen=True, eq=False)
class CubaLIF:
    """Leaky integrate-and-fire neurons in physical units; `quantize` turns them into `LIF`.

    ``tau_syn dI/dt = -I + w S``, ``tau_mem dv/dt = -v + I``; a spike where v > v_threshold, then v = 0
    (NIR's CubaLIF with v_leak = v_reset = 0). Weights are in units of `v_threshold`: a spike of weight w moves v by ``w``, at once
    when `tau_syn` is None (no current filter), otherwise in total over the time constant of the current.

    Parameters
    ----------
    name : str
    n : int
        Number of neurons.
    tau_mem : float, (n,) float or None
        Membrane time constant in seconds; None means no leak, in an array inf.
    tau_syn : float, (n,) float or None
        Synaptic time constant in seconds; None means that the current has no memory, in an array inf.
    v_threshold : float or (n,) float
        Threshold; ``inf`` makes a neuron that only integrates (a readout). 0 with the model "threshold" only.
    bias : float or (n,) float
        Added to v in each step, in units of v.
    model : {"lif", "refractory", "ternary", "multispike", "atrlif", "threshold"}
        What the neurons become on the chip: `LIF`, or `LIFRefractory` (2 steps), `TernaryLIF` (thresholds v_threshold and
        -v_threshold), `MultiSpikeLIF` (sends how often v_threshold fits into v, keeps the rest), `ATRLIF` (a spike raises the
        threshold by an eighth, which decays four times slower than v), or `GradedVec`: "threshold" has no memory, neither time
        constants nor bias, and fires where the input of the step exceeds the one `v_threshold` of the group. What its
        connections bring is a spike whatever its value, so their ``num_message_bits`` is 0.
    max_spikes : int
        Model "multispike" only: the largest message, 1..127. Where it is 1 without signs, spikes are binary.
    signed : bool
        Model "multispike" only: v below -v_threshold sends negative messages; without it, nothing is sent there.

    Attributes
    ----------
    message_bits : int
        ``num_message_bits`` of connections that take the messages at their values (`message_bits`).
    """

    name: str
    n: int
    tau_mem: npt.ArrayLike | None = None
    tau_syn: npt.ArrayLike | None = None
    v_threshold: npt.ArrayLike = 1.0
    bias: npt.ArrayLike = 0.0
    model: str = "lif"
    max_spikes: int = MAX_SPIKES
    signed: bool = True

    states: ClassVar[tuple[str, ...]] = ("u", "v")
    ports: ClassVar[tuple[str, ...]] = ("a_in",)
    graded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_group(self.name, self.n)
        owner = f"group {self.name!r}"
        models = (*CUBA_MODELS, STATELESS)
        if self.model not in models:
            raise NetworkError(f"{owner}: unknown model {self.model!r}; choose one of {', '.join(models)}")
        stateless = self.model == STATELESS
        for quantity in ("tau_mem", "tau_syn"):
            checked = check_times(owner, quantity, getattr(self, quantity), self.n)
            object.__setattr__(self, quantity, checked)
        object.__setattr__(self, "v_threshold", check_thresholds(owner, self.v_threshold, self.n, zero=stateless))
        bias = np.asarray(self.bias, dtype=np.float64)
        if bias.shape not in ((), (self.n,)) or not np.all(np.isfinite(bias)):
            raise NetworkError(f"{owner}: bias must be finite, one number or {self.n}; found shape {bias.shape}")
        object.__setattr__(self, "bias", bias)
        if stateless and (self.tau_mem is not None or self.tau_syn is not None or bool(np.any(bias))):
            raise NetworkError(
                f"{owner}: model {STATELESS!r} has no memory, tau_mem, tau_syn and bias must be left out; "
                "take a bias off v_threshold, or choose model 'lif'"
            )
        self._check_messages(owner)

    def _check_messages(self, owner: str) -> None:
        object.__setattr__(self, "max_spikes", int(check_register(owner, "max_spikes", self.max_spikes)))
        if not isinstance(self.signed, (bool, np.bool_)):
            raise NetworkError(f"{owner}: signed {self.signed!r} is not a truth value; give True or False")
        object.__setattr__(self, "signed", bool(self.signed))
        if self.model != "multispike" and (self.max_spikes, self.signed) != (MAX_SPIKES, True):
            raise NetworkError(
                f"{owner}: max_spikes {self.max_spikes} and signed {self.signed} are for model 'multispike', and this one's is "
                f"{self.model!r}; leave them out, or choose that model"
            )

    @property
    def message_bits(self) -> int:
        """Bits of a message, its sign beside them: 0 where spikes are binary."""
        return message_bits(self.model, self.max_spikes, self.signed)

    def each(self, quantity: Literal["tau_mem", "tau_syn", "v_threshold", "bias"]) -> npt.NDArray[np.float64]:
        """Return a quantity of every neuron, (n,) float64: a time constant that is not there is inf.

        Examples
        --------
        >>> CubaLIF("out", 2, tau_syn=[0.005, np.inf]).each("tau_syn").tolist()
        [0.005, inf]
        """
        value = getattr(self, quantity)
        return np.broadcast_to(np.asarray(np.inf if value is None else value, np.float64), (self.n,)).copy()


@dataclass(frozen=True, eq=False)
class LIF:
    """Leaky integrate-and-fire neurons in chip integers, with Lava's parameter names.

    Parameters
    ----------
    name : str
    n : int
        Number of neurons.
    du, dv : int or (n,) int
        Decays of current and voltage per step in 1/4096, 0..4095. The chip adds 1 to du (not to dv), so
        du = 4095 is a current without memory and dv = 0 a voltage without leak.
    vth : int or (n,) int
        Threshold mantissa, 0..131071; compared as ``v > vth << 6``.
    bias_mant : int or (n,) int
        -4096..4095.
    bias_exp : int or (n,) int
        0..7; the bias added to v is ``bias_mant << bias_exp``.

    Notes
    -----
    Lava's CPU model takes one du, dv and vth per group; the chip holds a few different ones per core.
    """

    name: str
    n: int
    du: Register = 0
    dv: Register = 0
    vth: Register = 10
    bias_mant: npt.ArrayLike = 0
    bias_exp: npt.ArrayLike = 0

    states: ClassVar[tuple[str, ...]] = ("u", "v")
    ports: ClassVar[tuple[str, ...]] = ("a_in",)
    graded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_group(self.name, self.n)
        owner = f"group {self.name!r}"
        for register in ("du", "dv", "vth"):
            checked = check_register(owner, register, getattr(self, register), self.n)
            object.__setattr__(self, register, int(checked) if checked.ndim == 0 else checked)
        for register in ("bias_mant", "bias_exp"):
            object.__setattr__(self, register, check_register(owner, register, getattr(self, register), self.n))

    @property
    def bias(self) -> npt.NDArray[np.int64]:
        """Bias per step, ``bias_mant << bias_exp``: (n,) int64 in units of v."""
        return bias_per_step(self.bias_mant, self.bias_exp, self.n)

    @property
    def is_uniform(self) -> bool:
        """Whether du, dv and vth are one number each for the whole group."""
        return all(np.ndim(value) == 0 for value in (self.du, self.dv, self.vth))
