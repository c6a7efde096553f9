"""What the user writes: groups, connections and probes, in floats or in chip integers, frozen once made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurosim.errors import NetworkError
from neurosim.fixedpoint import RANGES, SIGN_MODES, resolve_sign_mode, weight_range

MAX_FAN_IN = 1 << 22  # synaptic sums are kept in 32 bits: 2**22 weights of 2**8 fit


def _check_name(kind: str, name: str) -> None:
    if not isinstance(name, str) or not name or "->" in name or "/" in name:
        raise NetworkError(f"{kind} {name!r}: a name is a non-empty string without '->' or '/'; rename it")


def _check_size(kind: str, name: str, n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise NetworkError(f"{kind} {name!r}: size {n!r} is not a positive integer; give the number of neurons")


def _check_register(owner: str, register: str, value: Any, size: int | None = None) -> npt.NDArray[np.int64]:
    """Return the value as int64 after checking type, shape and the register's documented range."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise NetworkError(f"{owner}: {register} {value!r} is not an integer; chip registers hold integers")
    if size is not None and array.shape not in ((), (size,)):
        raise NetworkError(f"{owner}: {register} has shape {array.shape}; give one number or {size}")
    if size is None and array.shape != ():
        raise NetworkError(f"{owner}: {register} has shape {array.shape}; it is one number for the whole group")
    low, high = RANGES[register]
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        worst = int(array.max()) if int(array.max()) > high else int(array.min())
        raise NetworkError(f"{owner}: {register} {worst} is outside {low}..{high}; choose a value the register holds")
    return array.astype(np.int64)


def _check_positive(owner: str, quantity: str, value: float | None) -> None:
    if value is not None and not (np.isfinite(value) and value > 0):
        raise NetworkError(f"{owner}: {quantity} {value!r} is not a positive finite number")


@dataclass(frozen=True, eq=False)
class Input:
    """Neurons whose spikes come from outside the chip.

    Parameters
    ----------
    name : str
    n : int
        Number of input lines.
    """

    name: str
    n: int

    def __post_init__(self) -> None:
        _check_name("input", self.name)
        _check_size("input", self.name, self.n)


@dataclass(frozen=True, eq=False)
class CubaLIF:
    """Leaky integrate-and-fire neurons in physical units; `quantize` turns them into `LIF`.

    ``tau_syn dI/dt = -I + w S``, ``tau_mem dv/dt = -v + I``; a spike where v > v_threshold, then v = 0
    (NIR's CubaLIF with r = 1, v_leak = v_reset = 0). A spike of weight w moves v by ``w`` at once when
    `tau_syn` is None (no current filter), in the same units as `v_threshold`.

    Parameters
    ----------
    name : str
    n : int
        Number of neurons.
    tau_mem : float or None
        Membrane time constant in seconds; None means no leak.
    tau_syn : float or None
        Synaptic time constant in seconds; None means that the current has no memory.
    v_threshold : float
        Threshold; ``inf`` makes a group that only integrates (a readout).
    bias : float or (n,) float
        Added to v in each step, in units of v.
    """

    name: str
    n: int
    tau_mem: float | None = None
    tau_syn: float | None = None
    v_threshold: float = 1.0
    bias: npt.ArrayLike = 0.0

    def __post_init__(self) -> None:
        _check_name("group", self.name)
        _check_size("group", self.name, self.n)
        owner = f"group {self.name!r}"
        _check_positive(owner, "tau_mem", self.tau_mem)
        _check_positive(owner, "tau_syn", self.tau_syn)
        if not self.v_threshold > 0:
            raise NetworkError(f"{owner}: v_threshold {self.v_threshold!r} is not positive; use inf for a readout")
        bias = np.asarray(self.bias, dtype=np.float64)
        if bias.shape not in ((), (self.n,)) or not np.all(np.isfinite(bias)):
            raise NetworkError(f"{owner}: bias must be finite, one number or {self.n}; found shape {bias.shape}")
        object.__setattr__(self, "bias", bias)


@dataclass(frozen=True, eq=False)
class LIF:
    """Leaky integrate-and-fire neurons in chip integers, with Lava's parameter names.

    Parameters
    ----------
    name : str
    n : int
        Number of neurons.
    du, dv : int
        Decays of current and voltage per step in 1/4096, 0..4095. The chip adds 1 to du (not to dv), so
        du = 4095 is a current without memory and dv = 0 a voltage without leak.
    vth : int
        Threshold mantissa, 0..131071; compared as ``v > vth << 6``.
    bias_mant : int or (n,) int
        -4096..4095.
    bias_exp : int or (n,) int
        0..7; the bias added to v is ``bias_mant << bias_exp``.
    """

    name: str
    n: int
    du: int = 0
    dv: int = 0
    vth: int = 10
    bias_mant: npt.ArrayLike = 0
    bias_exp: npt.ArrayLike = 0

    def __post_init__(self) -> None:
        _check_name("group", self.name)
        _check_size("group", self.name, self.n)
        owner = f"group {self.name!r}"
        for register in ("du", "dv", "vth"):
            object.__setattr__(self, register, int(_check_register(owner, register, getattr(self, register))))
        for register in ("bias_mant", "bias_exp"):
            object.__setattr__(self, register, _check_register(owner, register, getattr(self, register), self.n))

    @property
    def bias(self) -> npt.NDArray[np.int64]:
        """Bias per step, ``bias_mant << bias_exp``: (n,) int64 in units of v."""
        mantissa, exponent = np.asarray(self.bias_mant), np.asarray(self.bias_exp)
        return np.broadcast_to(mantissa << exponent, (self.n,)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Connection:
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
            raise NetworkError(f"{owner}: weights must be numbers of shape (n_post, n_pre); found {weights.dtype} of shape {weights.shape}")
        if not np.all(np.isfinite(weights)):
            raise NetworkError(f"{owner}: {int(np.count_nonzero(~np.isfinite(weights)))} weights are NaN or infinite; replace them")
        _check_register(owner, "num_weight_bits", self.num_weight_bits)
        object.__setattr__(self, "weights", weights.astype(np.float64))

    @property
    def name(self) -> str:
        """"source->target"."""
        return f"{self.source}->{self.target}"

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        n_post, n_pre = np.asarray(self.weights).shape
        return n_post, n_pre


def _check_integer_weights(owner: str, weights: npt.NDArray[Any], bits: int, mode: str | None) -> tuple[npt.NDArray[np.int64], str]:
    if weights.dtype.kind not in "iu":
        raise NetworkError(f"{owner}: weights are {weights.dtype}, chip weights are integers; use Connection for float weights")
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
class Dense:
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
        bits = int(_check_register(owner, "num_weight_bits", self.num_weight_bits))
        exponent = int(_check_register(owner, "weight_exp", self.weight_exp))
        mode = "mixed" if self.plastic and self.sign_mode is None else self.sign_mode
        wide, mode = _check_integer_weights(owner, weights, bits, mode)
        if self.plastic and mode != "mixed":
            raise NetworkError(f"{owner}: plastic weights need sign_mode 'mixed', found {mode!r}; learning must be free to change signs")
        for key, value in {"weights": wide, "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode}.items():
            object.__setattr__(self, key, value)

    @property
    def name(self) -> str:
        """"source->target"."""
        return f"{self.source}->{self.target}"

    @property
    def shape(self) -> tuple[int, int]:
        """(n_post, n_pre)."""
        n_post, n_pre = np.asarray(self.weights).shape
        return n_post, n_pre


@dataclass(frozen=True, eq=False)
class Sparse:
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
                raise NetworkError(f"{owner}: {label} must be integers, one per weight; found {index.dtype} of shape {index.shape} for {data.shape} weights")
            if index.size and (int(index.min()) < 0 or int(index.max()) >= limit):
                raise NetworkError(f"{owner}: {label} reaches {int(index.max())}, allowed are 0..{limit - 1}; check the shape {self.shape}")
        row, col = row.astype(np.int64), col.astype(np.int64)
        order = np.lexsort((row, col))  # by pre, then post: the order in which spikes read them
        row, col, data = row[order], col[order], data[order]
        same = (row[1:] == row[:-1]) & (col[1:] == col[:-1])
        if np.any(same):
            i = int(np.argmax(same))
            raise NetworkError(f"{owner}: synapse post {int(row[i])}, pre {int(col[i])} is given twice; add the weights first")
        bits = int(_check_register(owner, "num_weight_bits", self.num_weight_bits))
        exponent = int(_check_register(owner, "weight_exp", self.weight_exp))
        wide, mode = _check_integer_weights(owner, data if data.size else data.astype(np.int64), bits, self.sign_mode)
        if self.plastic:
            raise NetworkError(f"{owner}: sparse weights cannot be learned yet; use Dense, or plastic=False")
        checked = {"shape": (n_post, n_pre), "row": row, "col": col, "data": wide,
                   "num_weight_bits": bits, "weight_exp": exponent, "sign_mode": mode}  # fmt: skip
        for key, value in checked.items():
            object.__setattr__(self, key, value)

    @property
    def name(self) -> str:
        """"source->target"."""
        return f"{self.source}->{self.target}"


Group = Input | CubaLIF | LIF
AnyConnection = Connection | Dense | Sparse

PROBED = ("spikes", "u", "v")


@dataclass(frozen=True)
class Probe:
    """What to record in each step: the spikes, current (u) or voltage (v) of a group."""

    group: str
    what: str = "spikes"

    def __post_init__(self) -> None:
        if self.what not in PROBED:
            raise NetworkError(f"probe of {self.group!r}: unknown quantity {self.what!r}; choose one of {', '.join(PROBED)}")


@dataclass(frozen=True, eq=False)
class Network:
    """A spiking network: groups, the connections between them, and what to record.

    Parameters
    ----------
    groups : sequence of Input, CubaLIF or LIF
    connections : sequence of Connection, Dense or Sparse
        At most one per pair of groups. A spike of step t reaches its targets in step t + 1.
    probes : sequence of Probe
    dt : float
        Length of a step in seconds, used only to quantise time constants.
    name : str

    Examples
    --------
    >>> net = Network([Input("in", 2), LIF("out", 1, du=4095, vth=10)], [Dense("in", "out", [[6, 8]])])
    >>> [group.name for group in net.groups]
    ['in', 'out']
    """

    groups: tuple[Group, ...]
    connections: tuple[AnyConnection, ...] = ()
    probes: tuple[Probe, ...] = ()
    dt: float = 1e-3
    name: str = "network"
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        groups, connections, probes = tuple(self.groups), tuple(self.connections), tuple(self.probes)
        _check_positive(f"network {self.name!r}", "dt", self.dt)
        if not groups:
            raise NetworkError(f"network {self.name!r}: no groups; give at least one")
        index: dict[str, int] = {}
        for i, group in enumerate(groups):
            if group.name in index:
                raise NetworkError(f"group {group.name!r}: the name is used twice; rename one")
            index[group.name] = i
        seen: set[str] = set()
        for connection in connections:
            self._check_connection(connection, groups, index)
            if connection.name in seen:
                raise NetworkError(f"connection {connection.name!r}: given twice; add the weights into one connection")
            seen.add(connection.name)
        for probe in probes:
            if probe.group not in index:
                raise NetworkError(f"probe: unknown group {probe.group!r}; groups are {', '.join(index)}")
            if isinstance(groups[index[probe.group]], Input) and probe.what != "spikes":
                raise NetworkError(f"probe of {probe.group!r}: an input has no {probe.what}; probe its spikes")
        for key, value in {"groups": groups, "connections": connections, "probes": probes, "_index": index}.items():
            object.__setattr__(self, key, value)

    @staticmethod
    def _check_connection(connection: AnyConnection, groups: tuple[Group, ...], index: dict[str, int]) -> None:
        owner = f"connection {connection.name!r}"
        for end in (connection.source, connection.target):
            if end not in index:
                raise NetworkError(f"{owner}: unknown group {end!r}; groups are {', '.join(index)}")
        source, target = groups[index[connection.source]], groups[index[connection.target]]
        if isinstance(target, Input):
            raise NetworkError(f"{owner}: {target.name!r} is an input and cannot receive spikes; connect to a neuron group")
        if tuple(connection.shape) != (target.n, source.n):
            raise NetworkError(
                f"{owner}: weights have shape {tuple(connection.shape)}, need (n_post, n_pre) = ({target.n}, {source.n})"
            )
        if source.n > MAX_FAN_IN:
            raise NetworkError(f"{owner}: {source.n} presynaptic neurons exceed the limit of {MAX_FAN_IN}; split the source")

    def group(self, name: str) -> Group:
        """Return the group of that name."""
        if name not in self._index:
            raise NetworkError(f"unknown group {name!r}; groups are {', '.join(self._index)}")
        return self.groups[self._index[name]]

    def connection(self, name: str) -> AnyConnection:
        """Return the connection of that name ("source->target")."""
        for connection in self.connections:
            if connection.name == name:
                return connection
        raise NetworkError(f"unknown connection {name!r}; connections are {', '.join(c.name for c in self.connections)}")

    def with_weights(self, weights: Mapping[str, npt.ArrayLike]) -> Network:
        """Return the network with the integer weights (n_post, n_pre) of some dense connections replaced."""
        connections: list[AnyConnection] = []
        for connection in self.connections:
            if connection.name in weights:
                if not isinstance(connection, Dense):
                    raise NetworkError(f"connection {connection.name!r}: only dense integer weights can be replaced")
                connection = replace(connection, weights=weights[connection.name])
            connections.append(connection)
        return replace(self, connections=tuple(connections))

    def with_probes(self, probes: Iterable[Probe]) -> Network:
        """Return the network with other probes."""
        return replace(self, probes=tuple(probes))

    @property
    def ordered_groups(self) -> tuple[Group, ...]:
        """Groups in the order of programs, counts and events: inputs first, then the others as given."""
        return tuple(sorted(self.groups, key=lambda group: not isinstance(group, Input)))

    @property
    def offsets(self) -> dict[str, int]:
        """First neuron of each group in the numbering of programs (that of `ordered_groups`)."""
        offsets, start = {}, 0
        for group in self.ordered_groups:
            offsets[group.name] = start
            start += group.n
        return offsets

    @property
    def n_inputs(self) -> int:
        """Number of input lines over all inputs."""
        return sum(group.n for group in self.groups if isinstance(group, Input))

    @property
    def n_neurons(self) -> int:
        """Number of neurons, input lines included."""
        return sum(group.n for group in self.groups)

    @property
    def is_quantized(self) -> bool:
        """Whether everything is in chip integers."""
        return not any(isinstance(part, (CubaLIF, Connection)) for part in (*self.groups, *self.connections))
