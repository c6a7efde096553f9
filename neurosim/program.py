"""What is loaded on a chip: the flat integer arrays of a mapped network, fixed during a run."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.codes import RING_LENGTH, RING_WIDTH
from neurosim.mapping.layout import Mapping
from neurosim.network import AnyConnection, Connection, Conv, Dense, Input, Network, OneToOne, Sparse

CACHE_LINE = 64  # bytes

#: Name of each form of connection.
FORMS: dict[type[AnyConnection], str] = {Dense: "dense", Sparse: "sparse", OneToOne: "one_to_one", Conv: "conv"}
Number = TypeVar("Number", bound=np.generic)


class ProgramArrays(NamedTuple):
    """The program as kernels see it; every array is C-contiguous.

    G groups (inputs first), N neurons, C connections. Rows of dense weights are presynaptic: the weights of
    connection c from neuron j are ``dense[offset + j * n_post:][:n_post]``; OFFSET of a sparse one is a row of
    ``csr_start``. FAN_OUT is the row there that counts the synapses of the first source, or -1 where every source
    reaches all targets: the format does not say how many synapses the description has. The words may be those of the
    network's description, so nothing may write there. Few arrays, because every kernel call passes them all: the
    parameters of groups and connections are columns of one table each (`neurosim.codes`).
    """

    group: npt.NDArray[np.int64]  # (G, 8) START, STOP, MODEL, KEEP_U, KEEP_V, THRESHOLD, HALF, ALIKE
    conn: npt.NDArray[np.int64]  # (C, 7) SOURCE, TARGET, FORMAT, SHIFT, EXPONENT, OFFSET, FAN_OUT
    ops: npt.NDArray[np.int64]  # (n_ops, 2) OP_*, group or connection
    bias: npt.NDArray[np.int32]  # (N,) bias_mant << bias_exp
    route: npt.NDArray[np.int32]  # (N, 7) what a spike sends and makes cores read: `ROUTE_COLUMNS` of mapping.layout
    dense8: npt.NDArray[np.int8]
    dense16: npt.NDArray[np.int16]
    csr_start: npt.NDArray[np.int64]  # first synapse of each row and the end of the last, connection by connection
    csr_word: npt.NDArray[np.int32]  # weight << 23 | target


class ModelArrays(NamedTuple):
    """What programs have besides, where neurons other than plain LIF or links other than plain weights occur.

    Links are connections with values, delays, a second port or a convolution. K slots of state per neuron beyond u and v.
    """

    setting: npt.NDArray[np.int64]  # (G, 8) by model, see `neurosim.codes`
    param: npt.NDArray[np.int32]  # (4, N) LIF family: keep u, keep v, high and low threshold
    rest: npt.NDArray[np.int32]  # (4, N) states at rest
    link: npt.NDArray[np.int64]  # (L, 7)
    rows: npt.NDArray[np.int16]  # weights of LINK_ROWS by presynaptic neuron, and kernels of convolutions
    start: npt.NDArray[np.int64]  # synapses of LINK_CSR and LINK_DELAYED by presynaptic neuron
    target: npt.NDArray[np.int32]
    weight: npt.NDArray[np.int16]
    delay: npt.NDArray[np.uint8]
    conv: npt.NDArray[np.int64]  # (n, 16)
    ring: npt.NDArray[np.int64]  # (n, 5)

    @property
    def ring_size(self) -> int:
        """Elements of all rings."""
        return int((self.ring[:, RING_LENGTH] * self.ring[:, RING_WIDTH]).sum())


@dataclass(frozen=True, eq=False)
class Program:
    """A network in chip integers, mapped onto a chip and packed.

    Parameters
    ----------
    network : Network
        Quantised; what adapters for other simulators translate from.
    chip : Chip
    mapping : Mapping
    arrays : ProgramArrays
    scales : dict of str to float
        Units of the quantised quantities, for reports only ("group/hidden": chip weight units per float unit).
    arithmetic : {"lava-0.10", "loihi1", "lava-dl"}
        Whose arithmetic the neurons follow where Lava, the chip and lava-dl differ (`docs/arithmetic.md`).
    models : ModelArrays or None
        None for LIF neurons with binary spikes and without delays.
    """

    network: Network
    chip: Chip
    mapping: Mapping
    arrays: ProgramArrays
    scales: dict[str, float] = field(default_factory=dict)
    arithmetic: str = "lava-0.10"
    models: ModelArrays | None = None

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names in the order of the arrays (inputs first)."""
        return tuple(group.name for group in self.network.ordered_groups)

    @property
    def connection_names(self) -> tuple[str, ...]:
        """Names in the order of the arrays."""
        return tuple(connection.name for connection in self.network.connections)

    @property
    def rows(self) -> tuple[str, ...]:
        """Row names of a count matrix: groups, then connections."""
        return self.group_names + self.connection_names

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kind of each row of a count matrix; see `neurosim.counters.OpCounts`."""
        groups = ["input" if isinstance(group, Input) else "" for group in self.network.ordered_groups]
        return (*groups, *(kind_of(connection) for connection in self.network.connections))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all arrays, in hexadecimal: equal programs have equal fingerprints."""
        digest = hashlib.sha256()
        for name, array in (self.arrays._asdict() | (self.models._asdict() if self.models else {})).items():
            digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def kind_of(connection: AnyConnection) -> str:
    """Return the form of a connection, " graded" behind it where its messages have values."""
    assert not isinstance(connection, Connection)
    return FORMS[type(connection)] + " graded" * (connection.num_message_bits > 0)


def aligned_copy(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return a copy that has its cache lines for itself: rows lie on few of them, and no other thread writes there.

    Behind it is one line more, so that kernels may read a whole vector where a row of weights begins.
    """
    lines = -(-array.nbytes // CACHE_LINE)
    copy: npt.NDArray[Number] = _aligned(np.zeros((lines + 2) * CACHE_LINE, np.uint8), array.shape, array.dtype)
    copy[...] = array
    return copy


def aligned_empty(shape: tuple[int, ...], kind: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Return an array that begins where a cache line does, not written.

    Vectors that lie across two lines take twice as long; the arrays of numpy itself begin 16 bytes behind a line, or anywhere.
    """
    dtype = np.dtype(kind)
    return _aligned(np.empty(math.prod(shape) * dtype.itemsize + CACHE_LINE, np.uint8), shape, dtype)


def _aligned(room: npt.NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the array that begins at the first cache line in a piece of memory."""
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)


class State(NamedTuple):
    """What changes in each step; one row per sample."""

    u: npt.NDArray[np.int32]  # (n_samples, N) first state of each model (LIF: u)
    v: npt.NDArray[np.int32]  # (n_samples, N) second state (LIF: v)
    fired: npt.NDArray[np.bool_]  # (n_samples, N) spikes of the last step, not yet delivered
    #: (n_samples, M) of programs with `ModelArrays`, else M = 0: steps done, third states (N), fourth states (N),
    #: values of the spikes of the last step (N), and what arrives later.
    more: npt.NDArray[np.int32]


def rest_state(program: Program, n_samples: int) -> State:
    """Return the state of a freshly loaded chip: all zero, but for thresholds that are states."""
    n = program.network.n_neurons
    shape = (n_samples, n)
    if program.models is None:
        more = np.zeros((n_samples, 0), np.int32)
        return State(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.bool_), more)
    rest = program.models.rest
    more = np.zeros((n_samples, 1 + 3 * n + program.models.ring_size), np.int32)
    more[:, 1 : 1 + n], more[:, 1 + n : 1 + 2 * n] = rest[2], rest[3]
    u, v = (np.repeat(rest[slot][None], n_samples, axis=0) for slot in (0, 1))
    return State(u, v, np.zeros(shape, np.bool_), more)


def part_of(state: State, samples: slice = slice(None)) -> State:
    """Return a copy of some samples' state."""
    return State(
        state.u[samples].copy(), state.v[samples].copy(), state.fired[samples].copy(), state.more[samples].copy()
    )
