"""Connections as the user describes them: float weights, or chip integers: dense, sparse, one-to-one, convolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from neurosim.checks import check_register, check_size, outside
from neurosim.codes import TARGET_BITS, TARGET_MASK
from neurosim.errors import NetworkError
from neurosim.fixedpoint import RANGES, SIGN_MODES, resolve_sign_mode, weight_range


class _BetweenGroups:
    """What all connections share: a name made of their ends."""

    source: str
    target: str
    port: str = ""

    @property
    def name(self) -> str:
        """ "source->target", with ".port" where one is given."""
        return f"{self.source}->{self.target}" + (f".{self.port}" if self.port else "")


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
    worst = outside(wide, *register)
    if worst is not None:
        fits = weight_range(bits, resolved)
        raise NetworkError(
            f"{owner}: weight {worst} is outside {register[0]}..{register[1]} ({resolved}); "
            f"scale the weights into {fits.low}..{fits.high} or raise weight_exp"
        )
    return wide, resolved


def _check_delays(owner: str, delays: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.uint8] | None:
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
        wide, mode = _check_integer_weights(owner, weights, bits, mode)
        if self.plastic and mode != "mixed":
            raise NetworkError(
                f"{owner}: plastic weights need sign_mode 'mixed', found {mode!r}; learning must be free to change signs"
            )
        checked = {"weights": wide, "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode,
                   "delays": _check_delays(owner, self.delays, wide.shape),
                   "num_message_bits": int(check_register(owner, "num_message_bits", self.num_message_bits))}  # fmt: skip
        for key, value in checked.items():
            object.__setattr__(self, key, value)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        n_post, n_pre = np.asarray(self.weights).shape
        return n_post, n_pre


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


@dataclass(frozen=True, eq=False)
class Sparse(_Synapses, _BetweenGroups):
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
    weight_exp, num_weight_bits, sign_mode, num_message_bits, port
        As in `Dense`.

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
    plastic: Literal[False] = False
    delays: npt.ArrayLike | None = None
    num_message_bits: int = 0
    port: str = ""

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        if len(tuple(self.shape)) != 2:
            raise NetworkError(f"{owner}: shape {self.shape!r} is not (n_post, n_pre)")
        n_post, n_pre = (int(s) for s in self.shape)
        if n_post > TARGET_MASK + 1:
            raise NetworkError(
                f"{owner}: {n_post} postsynaptic neurons exceed the limit of {TARGET_MASK + 1}; split the target group"
            )
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
        delays = _check_delays(owner, self.delays, data.shape)
        key = col.astype(np.int64) * n_post + row.astype(
            np.int64
        )  # by pre, then post: the order in which spikes read them
        if np.any(key[1:] <= key[:-1]):
            order = np.argsort(key)
            key, data = key[order], data[order]
            delays = None if delays is None else delays[order]
        same = key[1:] == key[:-1]
        if np.any(same):
            twice = int(key[int(np.argmax(same))])
            raise NetworkError(
                f"{owner}: synapse post {twice % n_post}, pre {twice // n_post} is given twice; add the weights first"
            )
        bits = int(check_register(owner, "num_weight_bits", self.num_weight_bits))
        exponent = int(check_register(owner, "weight_exp", self.weight_exp))
        wide, mode = _check_integer_weights(owner, data if data.size else data.astype(np.int64), bits, self.sign_mode)
        if self.plastic:
            raise NetworkError(f"{owner}: sparse weights cannot be learned yet; use Dense, or plastic=False")
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
class OneToOne(_BetweenGroups):
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
    weight_exp, num_weight_bits, sign_mode, num_message_bits, port
        As in `Dense`.
    """

    source: str
    target: str
    n: int
    weights: npt.ArrayLike = 1
    weight_exp: int = 0
    num_weight_bits: int = 8
    sign_mode: str | None = None
    plastic: Literal[False] = False
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


def _pair(owner: str, key: str, value: int | tuple[int, int], low: int) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else tuple(value)  # type: ignore[arg-type]
    if len(pair) != 2 or any(not isinstance(x, (int, np.integer)) or x < low for x in pair):
        raise NetworkError(f"{owner}: {key} {value!r} is not one or two integers of at least {low}")
    return int(pair[0]), int(pair[1])


@dataclass(frozen=True, eq=False)
class Conv(_BetweenGroups):
    """Convolution with shared integer weights (Lava's ``Conv``): the kernel is flipped, unlike torch's.

    Neurons lie in the order (x, y, channel): neuron ``(x * height + y) * channels + c``. The sum of a step wraps into 24 bits.

    Parameters
    ----------
    source, target : str
        Names of groups.
    weights : (out_channels, kernel_x, kernel_y, in_channels / groups) int
        -256..255; used as they are: Lava ignores weight bits and exponent here.
    input_shape : (width, height, channels)
    stride, padding, dilation : int or (x, y)
    groups : int
        Divides both numbers of channels.
    num_message_bits, port
        As in `Dense`.
    """

    source: str
    target: str
    weights: npt.ArrayLike
    input_shape: tuple[int, int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int] = 0
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    num_message_bits: int = 0
    port: str = ""

    num_weight_bits: ClassVar[int] = 8
    weight_exp: ClassVar[int] = 0
    sign_mode: ClassVar[str] = "mixed"
    plastic: ClassVar[Literal[False]] = False
    delays: ClassVar[None] = None

    def __post_init__(self) -> None:
        owner = f"connection {self.name!r}"
        weights = np.asarray(self.weights)
        if weights.ndim != 4 or weights.dtype.kind not in "iu" or not weights.size:
            raise NetworkError(
                f"{owner}: weights are {weights.dtype} of shape {weights.shape}; give integers (out, kernel_x, kernel_y, in)"
            )
        low, high = RANGES["conv_weight"]
        worst = outside(weights, low, high)
        if worst is not None:
            raise NetworkError(f"{owner}: weight {worst} is outside {low}..{high}; scale the weights")
        if len(tuple(self.input_shape)) != 3:
            raise NetworkError(f"{owner}: input_shape {self.input_shape!r} is not (width, height, channels)")
        width, height, channels = (int(x) for x in self.input_shape)
        groups = self.groups
        if groups < 1 or channels % groups or weights.shape[0] % groups or weights.shape[3] != channels // groups:
            raise NetworkError(
                f"{owner}: {groups} groups of weights {weights.shape} do not fit {channels} input channels; "
                "both numbers of channels must be multiples of groups"
            )
        stride, padding, dilation = self.geometry
        checked = {
            "weights": weights.astype(np.int64),
            "input_shape": (width, height, channels),
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "num_message_bits": int(check_register(owner, "num_message_bits", self.num_message_bits)),
        }
        for key, value in checked.items():
            object.__setattr__(self, key, value)
        if min(self.output_shape) < 1:
            raise NetworkError(
                f"{owner}: output shape {self.output_shape} is empty; use a smaller kernel or more padding"
            )

    @property
    def geometry(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Stride, padding and dilation, each (x, y)."""
        owner = f"connection {self.name!r}"
        return (
            _pair(owner, "stride", self.stride, 1),
            _pair(owner, "padding", self.padding, 0),
            _pair(owner, "dilation", self.dilation, 1),
        )

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(width, height, channels) of the target."""
        stride, padding, dilation = self.geometry
        kernel = np.asarray(self.weights).shape
        size = [
            (self.input_shape[i] + 2 * padding[i] - dilation[i] * (kernel[1 + i] - 1) - 1) // stride[i] + 1
            for i in (0, 1)
        ]
        return size[0], size[1], kernel[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        return int(np.prod(self.output_shape)), int(np.prod(self.input_shape))

    @cached_property
    def _sparse(self) -> Sparse:
        weights = np.asarray(self.weights)
        width, height, n_in = self.input_shape
        out_width, out_height, n_out = self.output_shape
        (stride_x, stride_y), (pad_x, pad_y), (step_x, step_y) = self.geometry
        _, kernel_x, kernel_y, per_group = weights.shape
        o, i, j, c, x, y = np.meshgrid(
            np.arange(n_out), np.arange(kernel_x), np.arange(kernel_y), np.arange(per_group),
            np.arange(out_width), np.arange(out_height), indexing="ij",
        )  # fmt: skip
        source_x, source_y = x * stride_x + i * step_x - pad_x, y * stride_y + j * step_y - pad_y
        inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
        source_c = c + o // (n_out // self.groups) * per_group
        row = ((x * out_height + y) * n_out + o)[inside]
        col = ((source_x * height + source_y) * n_in + source_c)[inside]
        data = weights[o, kernel_x - 1 - i, kernel_y - 1 - j, c][inside]
        return Sparse(self.source, self.target, self.shape, row, col, data, sign_mode="mixed",
                      num_message_bits=self.num_message_bits, port=self.port)  # fmt: skip

    def as_sparse(self) -> Sparse:
        """Return the same synapses one by one; `Sparse` would cut odd weights and does not wrap into 24 bits."""
        return self._sparse


IntegerConnection = Dense | Sparse | OneToOne | Conv
AnyConnection = Connection | IntegerConnection
