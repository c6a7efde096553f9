"""What is loaded on a chip: the flat integer arrays of a mapped network, fixed during a run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.mapping.layout import Mapping
from neurosim.network import Network

CACHE_LINE = 64  # bytes
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

    group: npt.NDArray[np.int64]  # (G, 7) START, STOP, MODEL, KEEP_U, KEEP_V, THRESHOLD, HALF
    conn: npt.NDArray[np.int64]  # (C, 7) SOURCE, TARGET, FORMAT, SHIFT, EXPONENT, OFFSET, FAN_OUT
    ops: npt.NDArray[np.int64]  # (n_ops, 2) OP_*, group or connection
    bias: npt.NDArray[np.int32]  # (N,) bias_mant << bias_exp
    route: npt.NDArray[np.int32]  # (N, 4) per spike: messages, messages_local, hops_x, hops_y
    dense8: npt.NDArray[np.int8]
    dense16: npt.NDArray[np.int16]
    csr_start: npt.NDArray[np.int64]  # first synapse of each row and the end of the last, connection by connection
    csr_word: npt.NDArray[np.int32]  # weight << 23 | target


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
    """

    network: Network
    chip: Chip
    mapping: Mapping
    arrays: ProgramArrays
    scales: dict[str, float] = field(default_factory=dict)

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
    def fingerprint(self) -> str:
        """SHA-256 of all arrays, in hexadecimal: equal programs have equal fingerprints."""
        digest = hashlib.sha256()
        for name, array in self.arrays._asdict().items():
            digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def aligned_copy(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Return a copy that begins at a cache line, so that rows of weights share as few lines as they can."""
    room = np.zeros(array.nbytes + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    copy: npt.NDArray[Number] = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class State(NamedTuple):
    """What changes in each step; one row per sample."""

    u: npt.NDArray[np.int32]  # (n_samples, N)
    v: npt.NDArray[np.int32]  # (n_samples, N)
    fired: npt.NDArray[np.bool_]  # (n_samples, N) spikes of the last step, not yet delivered


def rest_state(program: Program, n_samples: int) -> State:
    """Return the state of a freshly loaded chip: all zero."""
    shape = (n_samples, program.network.n_neurons)
    return State(np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.bool_))
