"""What all connections share, and dense ones: float weights, and chip integers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_register, outside
from neurosim.errors import NetworkError
from neurosim.fixedpoint import RANGES, SIGN_MODES, resolve_sign_mode, weight_range


class BetweenGroups:
    """What all connections share: a name made of their ends."""

    source: str
    target: str
    port: str = ""

    @property
    def name(self) -> str:
        """ "source->target", with ".port" where one is given."""
        return f"{self.source}->{self.target}" + (f".{self.port}" if self.port else "")


@dataclass(frozen=True, eq=False)
class Connection(BetweenGroups):
    """Float weights between two groups; `quantize` turns them into `Dense`.

    Parameters
    ----------
    source, target : str
        Names of groups.
    weights : (n_post, n_pre) float
        In units of the target's v_threshold scale; finite.
    num_weight_bits : int
        Bits of a weight on the chip, 1..8.
    plastic : bool
        The weights may be learned on the chip. The quantiser then leaves room for them to grow.
    num_message_bits : int
        As in `Dense`: 0, or more where the source sends messages with values.
    delays : (n_post, n_pre) int or int, optional
        As in `Dense`.

    Attributes
    ----------
    shape : (n_post, n_pre)
    """

    source: str
    target: str
    weights: npt.ArrayLike
    num_weight_bits: int = 8
    plastic: bool = False
    num_message_bits: int = 0
    delays: npt.ArrayLike | None = None
    shape: tuple[int, int] = field(init=False, repr=False)

    layout: ClassVar[tuple[str, ...]] = ("n_post", "n_pre")

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        weights = np.asarray(self.weights)
        if weights.dtype.kind not in "fiu" or weights.ndim != len(self.layout):
            raise NetworkError(
                f"{owner}: weights must be numbers of shape ({', '.join(self.layout)}); "
                f"found {weights.dtype} of shape {weights.shape}"
            )
        if not np.all(np.isfinite(weights)):
            raise NetworkError(
                f"{owner}: {int(np.count_nonzero(~np.isfinite(weights)))} weights are NaN or infinite; replace them"
            )
        check_register(owner, "num_weight_bits", self.num_weight_bits)
        check_register(owner, "num_message_bits", self.num_message_bits)
        object.__setattr__(self, "weights", weights.astype(np.float64))
        self._settle(owner)

    def _settle(self, owner: str) -> None:
        """Check the delays and store the shape."""
        n_post, n_pre = np.asarray(self.weights).shape
        object.__setattr__(self, "shape", (n_post, n_pre))
        object.__setattr__(self, "delays", check_delays(owner, self.delays, self.shape))

    def over_weights(self, each: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return a number of each target neuron, (n_post,), in a shape that multiplies with the weights."""
        return each[:, None]

    def with_integers(self, weights: npt.NDArray[np.int64], exponent: int, sign_mode: str) -> Any:
        """Return the connection with integer weights, in chip units."""
        return Dense(self.source, self.target, weights, exponent, self.num_weight_bits, sign_mode, self.plastic,
                     self.delays, self.num_message_bits)  # fmt: skip


def check_integer_weights(
    owner: str, weights: npt.NDArray[Any], bits: int, mode: str | None
) -> tuple[npt.NDArray[np.int64], str]:
    """Return the weights of a format as int64, and their sign mode."""
    if weights.dtype.kind not in "iu":
        raise NetworkError(
            f"{owner}: weights are {weights.dtype}, chip weights are integers; use Connection for float weights"
        )
    if mode is not None and mode not in SIGN_MODES:
        raise NetworkError(f"{owner}: unknown sign_mode {mode!r}; choose one of {', '.join(SIGN_MODES)} or None")
    wide = weights.astype(np.int64)
    resolved = resolve_sign_mode(wide, mode)
    register = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}[resolved]
    worst = outside(wide, *register)
    if worst is not None:
        fits = weight_range(bits, resolved)
        raise NetworkError(
            f"{owner}: weight {worst} is outside {register[0]}..{register[1]} ({resolved}); "
            f"scale the weights into {fits.low}..{fits.high} or raise weight_exp"
        )
    return wide, resolved


def check_plastic_mode(owner: str, plastic: bool, mode: str) -> None:
    """Refuse weights of one sign that are to learn."""
    if plastic and mode != "mixed":
        raise NetworkError(
            f"{owner}: plastic weights need sign_mode 'mixed', found {mode!r}; learning must be free to change signs"
        )


def check_delays(owner: str, delays: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
    """Return the delays of all synapses, or None if there are none."""
    if delays is None:
        return None
    array = np.asarray(delays)
    if array.dtype.kind not in "iu" or array.shape not in ((), shape):
        raise NetworkError(f"{owner}: delays are {array.dtype} of shape {array.shape}; give integers of shape {shape}")
    low, high = RANGES["delay"]
    worst = outside(array, low, high)
    if worst is not None:
        raise NetworkError(
            f"{owner}: delay {worst} is outside {low}..{high} steps; use shorter delays, or relay through neurons"
        )
    return np.broadcast_to(array, shape).astype(np.uint8) if array.any() else None


@dataclass(frozen=True, eq=False)
class Dense(BetweenGroups):
    """Integer weights between all neurons of two groups, with Lava's parameter names.

    Parameters
    ----------
    source, target : str
        Names of groups.
    weights : (n_post, n_pre) int
        -256..255 (mixed), 0..255 (excitatory), -255..0 (inhibitory). Bits that the format cannot hold are
        cut as on the chip and reported by `quantize`.
    weight_exp : int
        -8..7; the sum of the weights of one step is scaled by ``2**weight_exp``, rounding down.
    num_weight_bits : int
        1..8.
    sign_mode : {"mixed", "excitatory", "inhibitory", "null", None}
        None infers it from the weights as Lava does.
    plastic : bool
        The weights may be learned on the chip; sign_mode must then be "mixed".
    delays : (n_post, n_pre) int or int, optional
        0..62 steps beyond the one that every spike takes. The exponent then rounds the sum of each delay.
    num_message_bits : int
        0: a spike adds its weight, whatever its value. 1..24: weights are multiplied with the value, up to so many bits and sign.
    port : str
        Input port of the target, where it has several (`ProdNeuron`, `RF`); "" is the first.
    """

    source: str
    target: str
    weights: npt.ArrayLike
    weight_exp: int = 0
    num_weight_bits: int = 8
    sign_mode: str | None = None
    plastic: bool = False
    delays: npt.ArrayLike | None = None
    num_message_bits: int = 0
    port: str = ""

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        weights = np.asarray(self.weights)
        if weights.ndim != 2:
            raise NetworkError(f"{owner}: weights must have shape (n_post, n_pre); found {weights.shape}")
        bits = int(check_register(owner, "num_weight_bits", self.num_weight_bits))
        exponent = int(check_register(owner, "weight_exp", self.weight_exp))
        mode = "mixed" if self.plastic and self.sign_mode is None else self.sign_mode
        wide, mode = check_integer_weights(owner, weights, bits, mode)
        check_plastic_mode(owner, self.plastic, mode)
        checked = {"weights": wide, "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode,
                   "delays": check_delays(owner, self.delays, wide.shape),
                   "num_message_bits": int(check_register(owner, "num_message_bits", self.num_message_bits))}  # fmt: skip
        for key, value in checked.items():
            object.__setattr__(self, key, value)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        n_post, n_pre = np.asarray(self.weights).shape
        return n_post, n_pre
