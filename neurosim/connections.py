"""Connections as the user describes them: float weights, or dense and sparse chip integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_register
from neurosim.errors import NetworkError
from neurosim.fixedpoint import SIGN_MODES, resolve_sign_mode, weight_range


class _BetweenGroups:
    """What all connections share: a name made of their ends."""

    source: str
    target: str

    @property
    def name(self) -> str:
        """ "source->target"."""
        return f"{self.source}->{self.target}"


@dataclass(frozen=True, eq=False)
class Connection(_BetweenGroups):
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
    """

    source: str
    target: str
    weights: npt.ArrayLike
    num_weight_bits: int = 8
    plastic: bool = False

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        weights = np.asarray(self.weights)
        if weights.dtype.kind not in "fiu" or weights.ndim != 2:
            raise NetworkError(
                f"{owner}: weights must be numbers of shape (n_post, n_pre); found {weights.dtype} of shape {weights.shape}"
            )
        if not np.all(np.isfinite(weights)):
            raise NetworkError(
                f"{owner}: {int(np.count_nonzero(~np.isfinite(weights)))} weights are NaN or infinite; replace them"
            )
        check_register(owner, "num_weight_bits", self.num_weight_bits)
        object.__setattr__(self, "weights", weights.astype(np.float64))

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        n_post, n_pre = np.asarray(self.weights).shape
        return n_post, n_pre


def _check_integer_weights(
    owner: str, weights: npt.NDArray[Any], bits: int, mode: str | None
) -> tuple[npt.NDArray[np.int64], str]:
    if weights.dtype.kind not in "iu":
        raise NetworkError(
            f"{owner}: weights are {weights.dtype}, chip weights are integers; use Connection for float weights"
        )
    if mode is not None and mode not in SIGN_MODES:
        raise NetworkError(f"{owner}: unknown sign_mode {mode!r}; choose one of {', '.join(SIGN_MODES)} or None")
    wide = weights.astype(np.int64)
    resolved = resolve_sign_mode(wide, mode)
    register = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}[resolved]
    if wide.size and (int(wide.min()) < register[0] or int(wide.max()) > register[1]):
        worst = int(wide.max()) if int(wide.max()) > register[1] else int(wide.min())
        fits = weight_range(bits, resolved)
        raise NetworkError(
            f"{owner}: weight {worst} is outside {register[0]}..{register[1]} ({resolved}); "
            f"scale the weights into {fits.low}..{fits.high} or raise weight_exp"
        )
    return wide, resolved


@dataclass(frozen=True, eq=False)
class Dense(_BetweenGroups):
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
    """

    source: str
    target: str
    weights: npt.ArrayLike
    weight_exp: int = 0
    num_weight_bits: int = 8
    sign_mode: str | None = None
    plastic: bool = False

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        weights = np.asarray(self.weights)
        if weights.ndim != 2:
            raise NetworkError(f"{owner}: weights must have shape (n_post, n_pre); found {weights.shape}")
        bits = int(check_register(owner, "num_weight_bits", self.num_weight_bits))
        exponent = int(check_register(owner, "weight_exp", self.weight_exp))
        mode = "mixed" if self.plastic and self.sign_mode is None else self.sign_mode
        wide, mode = _check_integer_weights(owner, weights, bits, mode)
        if self.plastic and mode != "mixed":
            raise NetworkError(
                f"{owner}: plastic weights need sign_mode 'mixed', found {mode!r}; learning must be free to change signs"
            )
        for key, value in {"weights": wide, "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode}.items():
            object.__setattr__(self, key, value)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        n_post, n_pre = np.asarray(self.weights).shape
        return n_post, n_pre


@dataclass(frozen=True, eq=False)
class Sparse(_BetweenGroups):
    """Integer weights between chosen pairs of neurons; arithmetic as `Dense`.

    Parameters
    ----------
    source, target : str
        Names of groups.
    shape : (n_post, n_pre)
    row, col : (n_synapses,) int
        Post and pre index of each synapse; a pair may appear once only.
    data : (n_synapses,) int
        Weights, ranges as in `Dense`.
    weight_exp, num_weight_bits, sign_mode
        As in `Dense`.
    """

    source: str
    target: str
    shape: tuple[int, int]
    row: npt.ArrayLike
    col: npt.ArrayLike
    data: npt.ArrayLike
    weight_exp: int = 0
    num_weight_bits: int = 8
    sign_mode: str | None = None
    plastic: Literal[False] = False

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        if len(tuple(self.shape)) != 2:
            raise NetworkError(f"{owner}: shape {self.shape!r} is not (n_post, n_pre)")
        n_post, n_pre = (int(s) for s in self.shape)
        row, col, data = np.asarray(self.row), np.asarray(self.col), np.asarray(self.data)
        for label, index, limit in (("row", row, n_post), ("col", col, n_pre)):
            if index.ndim != 1 or index.shape != data.shape or (index.size and index.dtype.kind not in "iu"):
                raise NetworkError(
                    f"{owner}: {label} must be integers, one per weight; found {index.dtype} of shape {index.shape} for {data.shape} weights"
                )
            if index.size and (int(index.min()) < 0 or int(index.max()) >= limit):
                raise NetworkError(
                    f"{owner}: {label} reaches {int(index.max())}, allowed are 0..{limit - 1}; check the shape {self.shape}"
                )
        row, col = row.astype(np.int64), col.astype(np.int64)
        order = np.lexsort((row, col))  # by pre, then post: the order in which spikes read them
        row, col, data = row[order], col[order], data[order]
        same = (row[1:] == row[:-1]) & (col[1:] == col[:-1])
        if np.any(same):
            i = int(np.argmax(same))
            raise NetworkError(
                f"{owner}: synapse post {int(row[i])}, pre {int(col[i])} is given twice; add the weights first"
            )
        bits = int(check_register(owner, "num_weight_bits", self.num_weight_bits))
        exponent = int(check_register(owner, "weight_exp", self.weight_exp))
        wide, mode = _check_integer_weights(owner, data if data.size else data.astype(np.int64), bits, self.sign_mode)
        if self.plastic:
            raise NetworkError(f"{owner}: sparse weights cannot be learned yet; use Dense, or plastic=False")
        checked = {"shape": (n_post, n_pre), "row": row, "col": col, "data": wide,
                   "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode}  # fmt: skip
        for key, value in checked.items():
            object.__setattr__(self, key, value)


AnyConnection = Connection | Dense | Sparse
