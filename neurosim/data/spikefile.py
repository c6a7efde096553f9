"""Read a .npz file of spikes (n_samples, n_steps, ...), a block of samples at a time."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from neurosim.data.binning import MAX_CELLS, Shape, join_events
from neurosim.data.eventfolder import spread
from neurosim.errors import DataError
from neurosim.events import Events, events_from_dense

BLOCK_BYTES = 1 << 24  # decoded together
MAX_SAMPLE_BYTES = 1 << 28
MAX_LABELS = 1 << 26
ADVICE = "write it with numpy.savez(FILE, spikes=..., labels=...)"

#: What zipfile, zlib and numpy raise over damaged bytes.
DAMAGES = (ValueError, TypeError, SyntaxError, EOFError, LookupError, OverflowError, MemoryError, RecursionError, RuntimeError,
           NotImplementedError, zipfile.BadZipFile, zlib.error)  # fmt: skip


class Spikes(NamedTuple):
    """What a file of spikes holds."""

    events: Events
    labels: npt.NDArray[np.int64] | None


class _Head(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def holds_spikes(path: Path) -> bool:
    """Whether a file is an archive of numpy arrays with one named "spikes"."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "spikes.npy" in archive.namelist()
    except (OSError, *DAMAGES):
        return False  # whoever opens it next says what it is


def load_spikes(path: Path, shape: Shape, *, n_steps: int | None, count: str, limit: int | None) -> Spikes:
    """Return the spikes of a file, with the inputs in C order of `shape`.

    Parameters
    ----------
    path : Path
        An array "spikes" (n_samples, n_steps, *shape) or (n_samples, n_steps, n_inputs), of booleans, integers, or floats that are
        whole numbers; and "labels" (n_samples,) of integers, if there are any.
    shape : tuple of int
    n_steps : int or None
        Take the first so many steps; None takes all.
    count : {"once", "sum"}
        Numbers other than 0 are one spike, or a spike of that value.
    limit : int or None
        As in `neurosim.data.eventfolder.spread`.
    """
    where = f"file {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as archive:
            events, chosen, n_samples = _read_spikes(archive, where, shape, n_steps, count, limit)
            labels = _read_labels(archive, where, n_samples)
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror or error}); check the path") from error
    except DAMAGES as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: a damaged .npz file ({error}); {ADVICE}") from error
    return Spikes(events, None if labels is None else labels[chosen])


def _read_spikes(
    archive: zipfile.ZipFile, where: str, shape: Shape, n_steps: int | None, count: str, limit: int | None
) -> tuple[Events, npt.NDArray[np.int64], int]:
    info = archive.getinfo("spikes.npy")
    with archive.open(info) as stream:
        head = _head(stream, f"{where}, array 'spikes'", info.file_size)
        n_inputs = math.prod(shape)
        if len(head.shape) < 3 or (head.shape[2:] != shape and head.shape[2:] != (n_inputs,)):
            raise DataError(
                f"{where}: spikes have shape {head.shape}, need (n_samples, n_steps, {', '.join(map(str, shape))}) for input shape {shape}; "
                "give the shape of the samples, or save them in that of the network's input"
            )
        n, steps = head.shape[:2]
        if n_steps is not None and n_steps > steps:
            raise DataError(f"{where}: {n_steps} steps asked for, samples have {steps}; lower n_steps")
        kept = steps if n_steps is None else n_steps
        size = steps * n_inputs * head.dtype.itemsize
        if size > MAX_SAMPLE_BYTES or n * kept > MAX_CELLS:
            raise DataError(
                f"{where}: {n} samples of {size} bytes, limits are {MAX_SAMPLE_BYTES} bytes a sample and {MAX_CELLS} steps in all; "
                "split the file"
            )
        chosen = spread(n, limit)
        wanted = np.zeros(n, np.bool_)
        wanted[chosen] = True
        parts = [events_from_dense(np.zeros((0, kept, n_inputs), np.bool_), graded=count == "sum")]
        block = max(1, BLOCK_BYTES // max(1, size))
        for first in range(0, n, block):
            m = min(block, n - first)
            content = stream.read(m * size)
            if len(content) != m * size:
                raise DataError(
                    f"{where}: ends within sample {first + len(content) // max(1, size)} of {n}; get it anew"
                )
            taken = np.frombuffer(content, head.dtype).reshape(m, steps, n_inputs)[wanted[first : first + m], :kept]
            parts.append(events_of_dense(taken, count, where))
    return join_events(parts), chosen, n


def events_of_dense(dense: npt.NDArray[Any], count: str, where: str) -> Events:
    """Return the spikes of a dense array (n_samples, n_steps, n_inputs) of whole numbers of any type."""
    if dense.dtype.kind == "f":
        whole = np.rint(dense)
        if not np.array_equal(whole, dense) or (len(whole.ravel()) and float(np.abs(whole).max()) > 1 << 31):
            raise DataError(
                f"{where}: spikes are {dense.dtype} and not whole numbers; give spikes or counts, or an encoder for values"
            )
        dense = whole.astype(np.int64)
    if dense.dtype.kind not in "biu":
        raise DataError(f"{where}: spikes are {dense.dtype}; give booleans or whole numbers")
    return events_from_dense(dense, graded=True) if count == "sum" else events_from_dense(dense != 0)


def _read_labels(archive: zipfile.ZipFile, where: str, n_samples: int) -> npt.NDArray[np.int64] | None:
    if "labels.npy" not in archive.namelist():
        return None
    info = archive.getinfo("labels.npy")
    with archive.open(info) as stream:
        head = _head(stream, f"{where}, array 'labels'", info.file_size)
        if head.dtype.kind not in "iu" or head.shape != (n_samples,) or n_samples > MAX_LABELS:
            raise DataError(
                f"{where}: labels are {head.dtype} of shape {head.shape}, need {n_samples} whole numbers, one for each sample; {ADVICE}"
            )
        content = stream.read(n_samples * head.dtype.itemsize)
    return np.frombuffer(content, head.dtype, n_samples).astype(np.int64)


def _head(stream: IO[bytes], where: str, n_bytes: int) -> _Head:
    """Read the head of an array, and check that its numbers can be there before room for them is made."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{where}: version {version} of the .npy format is not known here; {ADVICE}")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=10_000)
    if dtype.hasobject or dtype.names is not None:
        raise DataError(f"{where}: has type {dtype}, which is no number; {ADVICE}")
    if fortran and len(shape) > 1:
        raise DataError(f"{where}: is stored in Fortran order; save numpy.ascontiguousarray of it")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > n_bytes - stream.tell():
        raise DataError(
            f"{where}: announces {shape} of {dtype.itemsize} bytes each, and {max(0, n_bytes - stream.tell())} bytes follow; get it anew"
        )
    return _Head(tuple(int(n) for n in shape), dtype)
