"""Events in numpy's files (.npy, .npz), and in arrays in memory."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.eventblock import Block, Size, bad_block
from neurosim.data.eventfile import Recorded
from neurosim.data.formats.binary import brief
from neurosim.data.formats.columns import find_columns, to_block
from neurosim.data.npyhead import read_head
from neurosim.errors import DataError

BLOCK = 1 << 16  # events decoded together
MAX_ITEM = 1 << 12  # bytes of one event with all its fields
ADVICE = "write one with numpy.savez(FILE, t=..., x=..., y=..., p=...)"

#: What zipfile, zlib and numpy raise over damaged bytes.
DAMAGES = (ValueError, TypeError, SyntaxError, EOFError, LookupError, OverflowError, MemoryError, RecursionError, RuntimeError,
           NotImplementedError, zipfile.BadZipFile, zlib.error)  # fmt: skip

Opener = Callable[[], IO[bytes]]


class Stored(NamedTuple):
    """An array in a file, not yet read."""

    open: Opener
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    head: int  # bytes before the numbers


def array_blocks(array: npt.NDArray[Any], where: str) -> Recorded:
    """Return the events in a structured array in memory, which is not copied as a whole."""
    if array.dtype.names is None or array.ndim != 1:
        raise DataError(
            f"{where}: has type {array.dtype} and shape {array.shape}; events are a structured array (n,) with fields t, x, y, p"
        )
    columns = find_columns(array.dtype.names, where)
    _check_kinds({column: array.dtype[name] for column, name in columns.items()}, where)

    def blocks() -> Iterator[Block]:
        for first in range(0, len(array), BLOCK):
            yield _to_block(array[first : first + BLOCK], columns)

    return Recorded(blocks)


def open_npy(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a .npy file with a structured array."""
    where = f"file {str(path)!r}"
    stored = _read_head(partial(_open_file, path), where, path.stat().st_size)
    return Recorded(_structured_blocks(stored, where), sensor_size)


def open_npz(path: Path, sensor_size: Size | None) -> Recorded:
    """Open a .npz file: one structured array, or an array for each column, read side by side.

    Arrays ``sensor_size`` (width, height) and ``label`` are taken note of.
    """
    where = f"file {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{where}: a damaged .npz file ({brief(error)}); get it anew") from error
    packed = [
        name for name, info in members.items() if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ]
    if packed:
        raise DataError(f"{where}: array {packed[0][:60]!r} is compressed in a way that numpy does not use; {ADVICE}")
    stored = {
        name: _read_head(partial(_open_member, path, info), f"{where}, array {name!r}", info.file_size)
        for name, info in members.items()
        if info.filename.endswith(".npy")
    }
    if "spikes" in stored and len(stored["spikes"].shape) == 3:
        raise DataError(
            f"{where}: holds spikes (n_samples, n_steps, n_inputs), which are no events of a sensor; give it to a command as --input"
        )
    size, label = _small(stored, "sensor_size", 2, where), _small(stored, "label", 1, where)
    if sensor_size is None and size is not None:
        sensor_size = size[0], size[1]
    structured = [one for one in stored.values() if one.dtype.names is not None]
    blocks = _structured_blocks(structured[0], where) if len(structured) == 1 else _column_blocks(stored, where)
    return Recorded(blocks, sensor_size, None if label is None else label[0])


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_member(path: Path, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a member of an archive."""
    with zipfile.ZipFile(path) as archive:
        return archive.open(info)  # which keeps the file open


def _read_head(opened: Opener, where: str, n_bytes: int) -> Stored:
    """Read the head of an array, and check that its numbers are there before anything of their size is made."""
    try:
        with opened() as stream:
            head = read_head(stream, any_type=True)
            start = stream.tell()
    except DAMAGES as error:
        raise DataError(f"{where}: a damaged array ({brief(error)}); get it anew") from error
    if head.n_bytes > n_bytes - start and not head.dtype.hasobject:
        raise DataError(
            f"{where}: announces {brief(head.shape)} of {head.dtype.itemsize} bytes each, and {max(0, n_bytes - start)} bytes follow; "
            "get it anew"
        )
    return Stored(opened, head.dtype, head.shape, start)


def _small(stored: dict[str, Stored], name: str, n: int, where: str) -> list[int] | None:
    """Read an array of few integers; None: there is none of the name."""
    if name not in stored:
        return None
    one = stored[name]
    if one.dtype.kind not in "iu" or math.prod(one.shape) != n:
        raise DataError(f"{where}: array {name!r} has {one.shape} of {one.dtype}; it must be {n} integers")
    (values,) = list(_arrays({name: one}, where)) or [{name: np.zeros(0, np.int64)}]
    found = [int(value) for value in values[name]]
    if len(found) != n or (name == "sensor_size" and not all(1 <= value <= 1 << 16 for value in found)):
        raise DataError(f"{where}: array {name!r} is {found}; it must be {n} integers, of a sensor 1..65536")
    return found


def _arrays(stored: dict[str, Stored], where: str) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Yield arrays of one length side by side, in blocks; the last may be shorter for some if the file is damaged."""
    n = math.prod(next(iter(stored.values())).shape)
    if max(one.dtype.itemsize for one in stored.values()) > MAX_ITEM:
        raise DataError(f"{where}: its items have more than {MAX_ITEM} bytes; events have fields t, x, y, p")
    with ExitStack() as stack:
        try:
            streams = {name: stack.enter_context(one.open()) for name, one in stored.items()}
            for name, stream in streams.items():
                stream.read(stored[name].head)
            for first in range(0, n, BLOCK):
                wanted = min(BLOCK, n - first)
                yield {name: _take(streams[name], one.dtype, wanted) for name, one in stored.items()}
        except DAMAGES as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{where}: a damaged .npz file ({brief(error)}); get it anew") from error


def _take(stream: IO[bytes], dtype: np.dtype[Any], n: int) -> npt.NDArray[Any]:
    content = stream.read(n * dtype.itemsize)
    return np.frombuffer(content, dtype, len(content) // dtype.itemsize)


def _to_block(arrays: npt.NDArray[Any] | dict[str, npt.NDArray[Any]], columns: dict[str, str]) -> Block:
    """Return the events in the fields of a structured array, or in arrays by name."""
    found = {column: np.asarray(arrays[name]) for column, name in columns.items()}
    return to_block(found["t"], found["x"], found.get("y"), found.get("p"))


def _structured_blocks(stored: Stored, where: str) -> Callable[[], Iterator[Block]]:
    if stored.dtype.names is None or len(stored.shape) != 1:
        raise DataError(
            f"{where}: holds {brief(stored.shape)} of {brief(stored.dtype)}; events are a structured array (n,) with fields t, x, y, p"
        )
    columns = find_columns(stored.dtype.names, where)
    _check_kinds({column: stored.dtype[name] for column, name in columns.items()}, where)

    def blocks() -> Iterator[Block]:
        n_left = stored.shape[0]
        for taken in _arrays({"events": stored}, where):
            yield _to_block(taken["events"], columns)
            n_left -= len(taken["events"])
        if n_left:
            yield bad_block(f"missing at the end of the file, as {n_left - 1} more")

    return blocks


def _column_blocks(stored: dict[str, Stored], where: str) -> Callable[[], Iterator[Block]]:
    columns = find_columns(list(stored), where)
    shapes = {name: stored[name].shape for name in columns.values()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise DataError(f"{where}: columns differ in shape ({brief(told)}); they must have one number for each event")
    _check_kinds({column: stored[name].dtype for column, name in columns.items()}, where)

    def blocks() -> Iterator[Block]:
        for taken in _arrays({name: stored[name] for name in columns.values()}, where):
            n = min(map(len, taken.values()))
            yield _to_block({name: array[:n] for name, array in taken.items()}, columns)
            if n < max(map(len, taken.values())):
                yield bad_block("cut short at the end of the file")

    return blocks


def _check_kinds(dtypes: dict[str, np.dtype[Any]], where: str) -> None:
    for column, dtype in dtypes.items():
        if dtype.hasobject:
            raise DataError(f"{where}: column {column!r} holds Python objects, which could run code; {ADVICE}")
        if dtype.kind not in "biuf" or dtype.itemsize > 8 or (column != "p" and dtype.kind == "b"):
            raise DataError(f"{where}: column {column!r} has type {dtype}; it must hold numbers")
