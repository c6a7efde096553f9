"""Connections that store chosen synapses: sparse in floats and in chip integers, and one-to-one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_register, check_size
from neurosim.codes import TARGET_BITS, TARGET_MASK
from neurosim.dense_connections import (
    BetweenGroups,
    Connection,
    check_delays,
    check_integer_weights,
    check_plastic_mode,
)
from neurosim.errors import NetworkError


class _Synapses:
    """Stored synapses in four bytes each; what the user gave is made from them again when it is read."""

    start: npt.NDArray[np.int64]
    word: npt.NDArray[np.int32]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> npt.NDArray[np.int64]:
            if name == "row":
                return (self.word & TARGET_MASK).astype(np.int64)
            if name == "col":
                return np.repeat(np.arange(len(self.start) - 1, dtype=np.int64), np.diff(self.start))
            if name == "data":
                return (self.word >> TARGET_BITS).astype(np.int64)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _order_pairs(
    owner: str, shape: tuple[int, int], row: npt.ArrayLike, col: npt.ArrayLike, data: npt.NDArray[Any]
) -> tuple[tuple[int, int], npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Check the pairs of synapses; return their shape, ``pre * n_post + post`` in rising order, and the order if it is another."""
    if len(tuple(shape)) != 2:
        raise NetworkError(f"{owner}: shape {shape!r} is not (n_post, n_pre)")
    n_post, n_pre = (int(s) for s in shape)
    if n_post > TARGET_MASK + 1:
        raise NetworkError(
            f"{owner}: {n_post} postsynaptic neurons exceed the limit of {TARGET_MASK + 1}; split the target group"
        )
    post, pre = np.asarray(row), np.asarray(col)
    for label, index, limit in (("row", post, n_post), ("col", pre, n_pre)):
        if index.ndim != 1 or index.shape != data.shape or (index.size and index.dtype.kind not in "iu"):
            raise NetworkError(
                f"{owner}: {label} must be integers, one per weight; found {index.dtype} of shape {index.shape} for {data.shape} weights"
            )
        if index.size and (int(index.min()) < 0 or int(index.max()) >= limit):
            raise NetworkError(
                f"{owner}: {label} reaches {int(index.max())}, allowed are 0..{limit - 1}; check the shape {shape}"
            )
    # By pre, then post: the order in which spikes read them.
    key = pre.astype(np.int64) * n_post + post.astype(np.int64)
    order = None
    if np.any(key[1:] <= key[:-1]):
        order = np.argsort(key)
        key = key[order]
    same = key[1:] == key[:-1]
    if np.any(same):
        twice = int(key[int(np.argmax(same))])
        raise NetworkError(
            f"{owner}: synapse post {twice % n_post}, pre {twice // n_post} is given twice; add the weights first"
        )
    return (n_post, n_pre), key, order


@dataclass(frozen=True, eq=False, init=False)
class SparseConnection(Connection):
    """Float weights between chosen pairs of neurons; `quantize` turns them into `Sparse`.

    Parameters
    ----------
    source, target : str
        Names of groups.
    shape : (n_post, n_pre)
        n_post up to 2**23.
    row, col : (n_synapses,) int
        Post and pre index of each synapse; a pair may appear once only.
    weights : (n_synapses,) float
        As in `Connection`.
    delays : (n_synapses,) int or int, optional
        As in `Dense`.
    num_weight_bits, plastic, num_message_bits
        As in `Connection`.

    Notes
    -----
    All arrays are kept by presynaptic, then by postsynaptic neuron, as in `Sparse`: what was given in another order is sorted.
    """

    shape: tuple[int, int] = field(kw_only=True)
    row: npt.ArrayLike = field(kw_only=True)
    col: npt.ArrayLike = field(kw_only=True)

    layout: ClassVar[tuple[str, ...]] = ("n_synapses",)

    def __init__(
        self, source: str, target: str, shape: tuple[int, int], row: npt.ArrayLike, col: npt.ArrayLike,
        weights: npt.ArrayLike, delays: npt.ArrayLike | None = None, num_weight_bits: int = 8, plastic: bool = False,
        num_message_bits: int = 0,
    ) -> None:  # fmt: skip
        given = {"source": source, "target": target, "shape": shape, "row": row, "col": col, "weights": weights, "delays": delays,
                 "num_weight_bits": num_weight_bits, "plastic": plastic, "num_message_bits": num_message_bits}  # fmt: skip
        for key, value in given.items():
            object.__setattr__(self, key, value)
        self.__post_init__()

    def _settle(self, owner: str) -> None:
        weights = np.asarray(self.weights)
        (n_post, n_pre), key, order = _order_pairs(owner, self.shape, self.row, self.col, weights)
        delays = check_delays(owner, self.delays, weights.shape)
        if order is not None:
            weights = weights[order]
            delays = None if delays is None else delays[order]
        checked = {"shape": (n_post, n_pre), "row": key % max(n_post, 1), "col": key // max(n_post, 1), "weights": weights,
                   "delays": delays}  # fmt: skip
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def over_weights(self, each: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return a number of each target neuron, (n_post,), in a shape that multiplies with the weights."""
        return np.asarray(each[np.asarray(self.row)], np.float64)

    def with_integers(self, weights: npt.NDArray[np.int64], exponent: int, sign_mode: str) -> Any:
        """Return the connection with integer weights, in chip units."""
        return Sparse(self.source, self.target, self.shape, self.row, self.col, weights, exponent, self.num_weight_bits,
                      sign_mode, self.plastic, self.delays, self.num_message_bits)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sparse(_Synapses, BetweenGroups):
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
    delays : (n_synapses,) int or int, optional
    weight_exp, num_weight_bits, sign_mode, plastic, num_message_bits, port
        As in `Dense`; learning changes weights, not which synapses there are.

    Attributes
    ----------
    start : (n_pre + 1,) int64
        First synapse of each presynaptic neuron, and the end of the last.
    word : (n_synapses,) int32
        ``weight << 23 | post``, by presynaptic, then by postsynaptic neuron; programs share it, so it must not be written.

    Notes
    -----
    Only `start` and `word` are kept. ``row``, ``col`` and ``data`` are made from them each time they are read, as int64 and
    in their order.
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
    plastic: bool = False
    delays: npt.ArrayLike | None = None
    num_message_bits: int = 0
    port: str = ""

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        data = np.asarray(self.data)
        (n_post, n_pre), key, order = _order_pairs(owner, self.shape, self.row, self.col, data)
        delays = check_delays(owner, self.delays, data.shape)
        if order is not None:
            data = data[order]
            delays = None if delays is None else delays[order]
        bits = int(check_register(owner, "num_weight_bits", self.num_weight_bits))
        exponent = int(check_register(owner, "weight_exp", self.weight_exp))
        wanted = "mixed" if self.plastic and self.sign_mode is None else self.sign_mode
        wide, mode = check_integer_weights(owner, data if data.size else data.astype(np.int64), bits, wanted)
        check_plastic_mode(owner, self.plastic, mode)
        start = np.searchsorted(key, np.arange(n_pre + 1, dtype=np.int64) * n_post).astype(np.int64)
        key %= max(n_post, 1)
        key |= wide << TARGET_BITS
        for given in ("row", "col", "data"):
            object.__delattr__(self, given)
        checked = {"shape": (n_post, n_pre), "start": start, "word": key.astype(np.int32),
                   "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode, "delays": delays,
                   "num_message_bits": int(check_register(owner, "num_message_bits", self.num_message_bits))}  # fmt: skip
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def as_sparse(self) -> Sparse:
        """Return the connection itself."""
        return self


@dataclass(frozen=True, eq=False)
class OneToOne(BetweenGroups):
    """One synapse from each neuron to the neuron of the same number; arithmetic as `Sparse`.

    Parameters
    ----------
    source, target : str
        Names of groups of the same size.
    n : int
        Their size.
    weights : int or (n,) int
        Ranges as in `Dense`.
    delays : int or (n,) int, optional
    weight_exp, num_weight_bits, sign_mode, plastic, num_message_bits, port
        As in `Dense`.
    """

    source: str
    target: str
    n: int
    weights: npt.ArrayLike = 1
    weight_exp: int = 0
    num_weight_bits: int = 8
    sign_mode: str | None = None
    plastic: bool = False
    delays: npt.ArrayLike | None = None
    num_message_bits: int = 0
    port: str = ""

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        check_size("connection", self.name, self.n)
        weights = np.asarray(self.weights)
        if weights.shape not in ((), (self.n,)):
            raise NetworkError(f"{owner}: weights have shape {weights.shape}; give one number or {self.n}")
        object.__setattr__(self, "weights", np.broadcast_to(weights, (self.n,)))
        sparse = self._sparse  # checks everything else
        for key in ("weight_exp", "num_weight_bits", "sign_mode", "delays", "num_message_bits"):
            object.__setattr__(self, key, getattr(sparse, key))
        object.__setattr__(self, "weights", sparse.data)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.n, self.n

    @cached_property
    def _sparse(self) -> Sparse:
        index = np.arange(self.n)
        return Sparse(
            self.source, self.target, self.shape, index, index, self.weights, self.weight_exp, self.num_weight_bits,
            self.sign_mode, self.plastic, self.delays, self.num_message_bits, self.port,
        )  # fmt: skip

    def as_sparse(self) -> Sparse:
        """Return the same synapses as `Sparse`."""
        return self._sparse
