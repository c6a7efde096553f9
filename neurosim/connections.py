"""Connections as the user describes them: float weights, or dense and sparse chip integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_register
from neurosim.codes import TARGET_BITS, TARGET_MASK
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


@dataclass(frozen=True, eq=False, init=False)
class Sparse(_BetweenGroups):
    """Integer weights between chosen pairs of neurons; arithmetic as `Dense`.

    Parameters
    ----------
    source, target : str
        Names of groups.
    shape : (n_post, n_pre)
        n_post up to 2**23.
    row, col : (n_synapses,) int
        Post and pre index of each synapse; a pair may appear once only.
    data : (n_synapses,) int
        Weights, ranges as in `Dense`.
    weight_exp, num_weight_bits, sign_mode
        As in `Dense`.

    Attributes
    ----------
    start : (n_pre + 1,) int64
        First synapse of each presynaptic neuron, and the end of the last.
    word : (n_synapses,) int32
        ``weight << 23 | post``, by presynaptic, then by postsynaptic neuron: four bytes a synapse, which programs share.

    Notes
    -----
    ``row``, ``col`` and ``data`` are made anew from these each time they are read, as int64.
    """

    source: str
    target: str
    shape: tuple[int, int]
    start: npt.NDArray[np.int64]
    word: npt.NDArray[np.int32]
    weight_exp: int
    num_weight_bits: int
    sign_mode: str
    plastic: Literal[False]

    def __init__(
        self,
        source: str,
        target: str,
        shape: tuple[int, int],
        row: npt.ArrayLike,
        col: npt.ArrayLike,
        data: npt.ArrayLike,
        weight_exp: int = 0,
        num_weight_bits: int = 8,
        sign_mode: str | None = None,
        plastic: Literal[False] = False,
    ) -> None:
        owner = f"connection {source + '->' + target!r}"
        if len(tuple(shape)) != 2:
            raise NetworkError(f"{owner}: shape {shape!r} is not (n_post, n_pre)")
        n_post, n_pre = (int(s) for s in shape)
        if n_post > TARGET_MASK + 1:
            raise NetworkError(
                f"{owner}: {n_post} postsynaptic neurons exceed the limit of {TARGET_MASK + 1}; split the target group"
            )
        post, pre, weights = np.asarray(row), np.asarray(col), np.asarray(data)
        for label, index, limit in (("row", post, n_post), ("col", pre, n_pre)):
            if index.ndim != 1 or index.shape != weights.shape or (index.size and index.dtype.kind not in "iu"):
                raise NetworkError(
                    f"{owner}: {label} must be integers, one per weight; found {index.dtype} of shape {index.shape} for {weights.shape} weights"
                )
            if index.size and (int(index.min()) < 0 or int(index.max()) >= limit):
                raise NetworkError(
                    f"{owner}: {label} reaches {int(index.max())}, allowed are 0..{limit - 1}; check the shape {shape}"
                )
        key = pre.astype(np.int64) * n_post + post.astype(np.int64)  # by pre, then post: as spikes read them
        if np.any(key[1:] <= key[:-1]):
            order = np.argsort(key)
            key, weights = key[order], weights[order]
        same = key[1:] == key[:-1]
        if np.any(same):
            i = int(key[int(np.argmax(same))])
            raise NetworkError(
                f"{owner}: synapse post {i % n_post}, pre {i // n_post} is given twice; add the weights first"
            )
        bits = int(check_register(owner, "num_weight_bits", num_weight_bits))
        exponent = int(check_register(owner, "weight_exp", weight_exp))
        weights = weights if weights.size else weights.astype(np.int64)
        wide, mode = _check_integer_weights(owner, weights, bits, sign_mode)
        if plastic:
            raise NetworkError(f"{owner}: sparse weights cannot be learned yet; use Dense, or plastic=False")
        n_before = np.searchsorted(key, np.arange(n_pre + 1, dtype=np.int64) * n_post).astype(np.int64)
        key %= max(n_post, 1)
        key |= wide << TARGET_BITS
        checked = {"source": source, "target": target, "shape": (n_post, n_pre), "start": n_before,
                   "word": key.astype(np.int32), "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode,
                   "plastic": False}  # fmt: skip
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def row(self) -> npt.NDArray[np.int64]:
        """Postsynaptic neuron of each synapse."""
        return (self.word & TARGET_MASK).astype(np.int64)

    @property
    def col(self) -> npt.NDArray[np.int64]:
        """Presynaptic neuron of each synapse, ascending."""
        return np.repeat(np.arange(self.shape[1], dtype=np.int64), np.diff(self.start))

    @property
    def data(self) -> npt.NDArray[np.int64]:
        """Weight of each synapse."""
        return (self.word >> TARGET_BITS).astype(np.int64)

    def with_data(self, data: npt.ArrayLike) -> Sparse:
        """Return the connection with other weights, in the order of ``row`` and ``col``."""
        return Sparse(
            self.source, self.target, self.shape, self.row, self.col, data, self.weight_exp, self.num_weight_bits,
            self.sign_mode,
        )  # fmt: skip


AnyConnection = Connection | Dense | Sparse
