"""Read HDF5 files of others safely: in a child process with limits, because the HDF5 library may crash on a damaged file."""

from __future__ import annotations

import json
import math
import os
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from neurosim.errors import ModelFileError

#: Groups are dicts, datasets of numbers and booleans arrays, of strings str or nested lists of str.
Tree = dict[str, Any]
Array = npt.NDArray[Any]
Answer = dict[str, Any]
T = TypeVar("T")

MAX_BYTES = 1 << 28
#: Time allowed by default: some seconds, and one for so many bytes of the file.
TIMEOUT_S, BYTES_PER_S = 10.0, 1 << 23
#: Address space of the child, the libraries' own 0.2 to 0.4 GiB included.
CHILD_MEMORY = 1 << 30
#: The child's text: names and strings are at most 8 MiB (`hdf5child.MAX_TEXT`), JSON may need six bytes for one.
MAX_HEADER = 1 << 26
DTYPES = frozenset(np.dtype(code).newbyteorder("<").str for code in ("?", *"bhiqBHIQ", *"efd"))

#: Keys of an answer that says why there is none.
_FAILURES = frozenset({"refused", "missing", "damaged"})
#: The child's module path is set before anything else is imported, so that files in the working folder are not.
_START = (
    "import sys; sys.path[:] = sys.argv[2].split('\\n'); import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
)


class Description(NamedTuple):
    """What a dataset is, without its data.

    Attributes
    ----------
    shape : tuple of int
    form : {"array", "ragged", "text", "unreadable"}
        "ragged": rows of variable length.
    dtype : str
        Of the numbers, as numpy writes it; "" for strings; for what is unreadable, why.
    """

    shape: tuple[int, ...]
    form: str
    dtype: str


def read_tree(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, timeout_s: float | None = None) -> Tree:
    """Return the contents of an HDF5 file as nested dicts.

    Groups become dicts (names sorted), datasets of integers, floats (up to 64 bits) and booleans arrays in the machine's byte
    order, strings str, arrays of strings nested lists of str. Attributes are not read. Sizes are checked before anything is
    read: a compressed dataset counts in full.

    Parameters
    ----------
    path : path-like
    max_bytes : int
        Of all arrays together.
    timeout_s : float, optional
        Time for all of it, in seconds; by default 10, and one more for each 8 MiB of the file.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, too large, takes too long, or holds links other than hard ones, virtual datasets,
        external storage, unknown filters or types.
    """
    with TreeReader() as reader:
        return reader.read_tree(path, max_bytes=max_bytes, timeout_s=timeout_s)


def describe(path: str | os.PathLike[str], *, timeout_s: float | None = None) -> dict[str, Description]:
    """Return what datasets a file has, by name ("group/dataset"), without reading their data.

    Raises
    ------
    ModelFileError
        As `read_tree`; a dataset that cannot be read is listed as "unreadable" with the reason instead.
    """
    with TreeReader() as reader:
        return reader.describe(path, timeout_s=timeout_s)


class TreeReader:
    """A child process that reads many files, one after the other; it is started when needed, and again when it died.

    Use it in a ``with`` block. The methods take what the functions of the same name take.

    Parameters
    ----------
    keep_after_error : bool
        Whether the process goes on after the HDF5 library has met damage in a file. Starting another one costs some tenths
        of a second; going on trusts the library that the damage left no trace.
    """

    def __init__(self, *, keep_after_error: bool = False) -> None:
        self.keep_after_error = keep_after_error
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TreeReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; a further request starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # a request that the dead process never took is still in the pipe's buffer
                continue

    def read_tree(
        self, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, timeout_s: float | None = None
    ) -> Tree:
        """Return the contents of a file; see the function `read_tree`."""
        request = {"operation": "tree", "max_bytes": max_bytes}
        return self._ask(path, request, max_bytes, timeout_s, _tree)

    def describe(self, path: str | os.PathLike[str], *, timeout_s: float | None = None) -> dict[str, Description]:
        """Return what datasets a file has; see the function `describe`."""
        return self._ask(path, {"operation": "describe"}, 0, timeout_s, _descriptions)

    def read_rows(
        self,
        path: str | os.PathLike[str],
        dataset: str,
        start: int,
        stop: int,
        *,
        max_bytes: int = MAX_BYTES,
        timeout_s: float | None = None,
    ) -> Array | list[Array] | list[str]:
        """Return rows ``start`` to ``stop - 1`` of a dataset, fewer where it ends before.

        Parameters
        ----------
        path : path-like
        dataset : str
            Name as `describe` gives it.
        start, stop : int
            Rows along the first dimension, not negative.
        max_bytes, timeout_s
            As `read_tree`, for these rows.

        Returns
        -------
        array, list of array or list of str
            For datasets in form "array", "ragged" and "text" in one dimension.
        """
        if not 0 <= start <= stop:
            raise ModelFileError(f"rows {start} to {stop} of dataset {dataset!r}: give 0 <= start <= stop")
        request = {"operation": "rows", "dataset": dataset, "start": int(start), "stop": int(stop)}
        return self._ask(path, request | {"max_bytes": max_bytes}, max_bytes, timeout_s, _rows)

    def _ask(
        self,
        path: str | os.PathLike[str],
        request: dict[str, Any],
        max_bytes: int,
        timeout_s: float | None,
        build: Callable[[Answer, list[Array]], T],
    ) -> T:
        """Send a request, wait for the answer no longer than allowed, and return what `build` makes of it."""
        owner = f"file {str(path)!r}"
        full = _check_path(path, owner)
        allowed = TIMEOUT_S + os.stat(full).st_size / BYTES_PER_S if timeout_s is None else timeout_s
        request = request | {
            "path": full,
            "timeout_s": allowed,
            "memory": CHILD_MEMORY + 2 * max(0, max_bytes - MAX_BYTES),
        }
        process = self._started()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(allowed, end)
        timer.daemon = True
        timer.start()
        try:
            answer, arrays = _exchange(process, request, max_bytes)
            if not answer.keys() & _FAILURES:
                return build(answer, arrays)
        except (EOFError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            self.close()
            if late.is_set():
                raise ModelFileError(
                    f"{owner}: reading took more than {allowed:.3g} s; it is damaged, or give it more time (timeout_s)"
                ) from error
            raise ModelFileError(
                f"{owner}: damaged: the HDF5 library failed on it ({_ending(process)}); get it anew"
            ) from error
        except BaseException:
            self.close()  # an interrupted exchange leaves half an answer in the pipe
            raise
        finally:
            timer.cancel()
        if "refused" in answer:
            raise ModelFileError(f"{owner}: {answer['refused']}")
        if "missing" in answer:
            raise ModelFileError(f"{owner}: h5py cannot be imported ({answer['missing']}); install h5py")
        if not self.keep_after_error:
            self.close()
        raise ModelFileError(f"{owner}: damaged or of an unknown kind ({answer['damaged']}); get it anew")

    def _started(self) -> subprocess.Popen[bytes]:
        """Return the running child, started if there is none."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        child = str(Path(__file__).with_name("hdf5child.py"))
        modules = "\n".join(str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str) and entry)
        quiet = {
            "HDF5_PLUGIN_PRELOAD": "::",  # no filter is loaded from anywhere
            "HDF5_USE_FILE_LOCKING": "FALSE",
            "OPENBLAS_NUM_THREADS": "1",  # each thread takes address space
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, child, modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | quiet,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        return self._process


def read_rows(
    path: str | os.PathLike[str],
    dataset: str,
    start: int,
    stop: int,
    *,
    max_bytes: int = MAX_BYTES,
    timeout_s: float | None = None,
) -> Array | list[Array] | list[str]:
    """Return some rows of one dataset; see `TreeReader.read_rows`."""
    with TreeReader() as reader:
        return reader.read_rows(path, dataset, start, stop, max_bytes=max_bytes, timeout_s=timeout_s)


def _check_path(path: str | os.PathLike[str], owner: str) -> str:
    """Refuse what is not a regular file (a pipe would never end); return the absolute path."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{owner}: cannot be read ({error}); check the path") from error
    if not stat.S_ISREG(mode):
        raise ModelFileError(f"{owner}: is not a file; give the path of an HDF5 file")
    return os.path.abspath(path)


def _exchange(process: subprocess.Popen[bytes], request: dict[str, Any], max_bytes: int) -> tuple[Answer, list[Array]]:
    """Write the request and read the answer, with nothing in it trusted."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
    process.stdin.flush()
    (n_text,) = struct.unpack("<Q", _read(process, 8))
    if n_text > MAX_HEADER:
        raise ValueError(f"an answer of {n_text} bytes")
    answer = json.loads(_read(process, n_text))
    if not isinstance(answer, dict):
        raise TypeError("an answer that is no dictionary")
    entries = answer.get("entries", []) if request["operation"] == "tree" else []
    forms = [rest for kind, _, *rest in entries if kind == "array"]
    forms += answer.get("ragged", []) + ([answer["array"]] if "array" in answer else [])
    arrays = []
    for dtype, shape in forms:
        if dtype not in DTYPES or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"an array of type {dtype!r} and shape {shape!r}")
        n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        max_bytes -= n_bytes
        if max_bytes < 0:
            raise ValueError(f"arrays larger than asked for by {-max_bytes} bytes")
        little = np.frombuffer(_read(process, n_bytes), dtype).reshape(shape)
        arrays.append(little.astype(np.dtype(dtype).newbyteorder("="), copy=False))
    return answer, arrays


def _tree(answer: Answer, arrays: list[Array]) -> Tree:
    tree: Tree = {}
    position = iter(arrays)
    for kind, parts, *rest in answer["entries"]:
        place = tree
        for part in parts[:-1]:
            place = place[part]
        place[parts[-1]] = {} if kind == "group" else rest[0] if kind == "text" else next(position)
    return tree


def _descriptions(answer: Answer, arrays: list[Array]) -> dict[str, Description]:
    return {
        str(name): Description(tuple(int(n) for n in shape), str(form), str(dtype))
        for name, shape, form, dtype in answer["entries"]
    }


def _rows(answer: Answer, arrays: list[Array]) -> Array | list[Array] | list[str]:
    if "text" in answer:
        return [str(text) for text in answer["text"]]
    if "array" in answer:
        return arrays[0]
    lengths, values = arrays
    if (lengths < 0).any() or lengths.sum() != len(values):
        raise ValueError("lengths of rows that do not add up")
    return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []


def _read(process: subprocess.Popen[bytes], n_bytes: int) -> bytearray:
    """Return exactly so many bytes of the answer."""
    assert process.stdout is not None
    buffer = bytearray(n_bytes)
    view = memoryview(buffer)
    got = 0
    while got < n_bytes:
        n = process.stdout.readinto(view[got:])  # type: ignore[attr-defined]  # a BufferedReader
        if not n:
            raise EOFError("the reading process ended")
        got += n
    return buffer


def _ending(process: subprocess.Popen[bytes]) -> str:
    """Say how the child ended."""
    code = process.poll()
    if code is None:
        return "its answer was not understood"
    return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
