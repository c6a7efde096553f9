"""Read HDF5 files in a process of its own: `neurosim.hdf5tree` starts this file and talks to it over two pipes.

It imports h5py and numpy and nothing of neurosim, so that it starts fast. A request is one line of JSON. The answer is the
length of a JSON text (8 bytes, little-endian), the text, and then the bytes of the arrays that the text names, in order.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
import time
from typing import Any, BinaryIO

MAX_DEPTH = 32
MAX_OBJECTS = 20_000
MAX_NAME = 1_000  # bytes
MAX_RANK = 8
MAX_STRING = 1 << 20  # bytes in one string
MAX_CHUNK = 1 << 28  # bytes
MAX_STRINGS = 1 << 17  # in one dataset; those of variable length are read one by one
MAX_TEXT = 1 << 23  # bytes in all strings and names of one answer
#: Filters that are part of every h5py, by their registered number; others need plugins, or have been a way into HDF5.
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
#: Names of layouts and types for errors, by HDF5's own numbers (H5Dpublic.h, H5Tpublic.h).
CHUNKED, VIRTUAL = 2, 3
INTEGER, FLOAT, STRING, ENUM, VLEN = 0, 1, 3, 8, 9
TYPES = {
    2: "time",
    4: "bitfield",
    5: "opaque",
    6: "compound",
    7: "reference",
    8: "enumeration",
    9: "variable-length",
    10: "array",
}
LINKS = {1: "soft", 64: "external"}  # H5Lpublic.h; 0 is a hard link

Array = Any
Request = dict[str, Any]
Answer = tuple[dict[str, Any], list[Array]]


class Refused(Exception):
    """The file holds what this reader does not read; the text says what and the remedy."""


class Budget:
    """What one request may still take."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.bytes, self.text, self.objects = max_bytes, 0, 0, 0

    def take(self, owner: str, n_bytes: int) -> None:
        """Count bytes of arrays, before they are read."""
        self.bytes += n_bytes
        if self.bytes > self.max_bytes:
            raise Refused(
                f"{owner} brings the arrays to {self.bytes} bytes, {self.max_bytes} are allowed; raise max_bytes if the "
                "file is trusted"
            )

    def take_text(self, owner: str, n_bytes: int) -> None:
        """Count the bytes of a string or a name."""
        self.text += n_bytes
        if n_bytes > MAX_STRING or self.text > MAX_TEXT:
            raise Refused(
                f"{owner} has a string of {n_bytes} bytes, {self.text} in all so far; {MAX_STRING} and {MAX_TEXT} are "
                "allowed; keep long data in arrays"
            )

    def take_object(self, owner: str) -> None:
        """Count a group or dataset."""
        self.objects += 1
        if self.objects > MAX_OBJECTS:
            raise Refused(f"{owner} is one of more than {MAX_OBJECTS} groups and datasets; split the file")


def links(group: Any, owner: str, budget: Budget) -> list[str]:
    """Return the names in a group, sorted, after checking that all are hard links."""
    found: list[bytes] = []

    def add(name: bytes) -> bool | None:
        found.append(name)
        return True if len(found) > MAX_OBJECTS else None  # anything but None ends the iteration

    group.links.iterate(add)
    names = []
    for name in sorted(found):
        if len(name) > MAX_NAME:
            raise Refused(f"{owner} has a name of {len(name)} bytes, {MAX_NAME} are allowed; rename it")
        budget.take_text(owner, len(name))
        shown = name.decode()
        kind = int(group.links.get_info(name).type)
        if kind != 0:
            what = LINKS.get(kind, "user-defined")
            raise Refused(
                f"{child_name(owner, shown)} is a link of kind {what!r}; write its target into the file itself"
            )
        names.append(shown)
    return names


def child_name(owner: str, name: str) -> str:
    """Return the name of a member for errors."""
    return f"{owner}/{name}" if owner != "/" else f"/{name}"


def check_dataset(dataset: Any, owner: str) -> tuple[tuple[int, ...], int]:
    """Refuse storage that leads out of the file, unknown filters and ranks; return shape and class of the type."""
    plist = dataset.get_create_plist()
    # The layout comes first: asking a virtual dataset for its extent may open other files.
    if int(plist.get_layout()) == VIRTUAL:
        raise Refused(f"dataset {owner} is virtual; copy its data into the file")
    if plist.get_external_count():
        raise Refused(f"dataset {owner} keeps its data in external files; copy them into the file")
    for i in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(i)
        if code not in FILTERS:
            raise Refused(
                f"dataset {owner} is stored through filter {code} ({name.decode('ascii', 'replace')[:40]!r}), known are "
                f"{', '.join(FILTERS.values())}; write it with one of them"
            )
    space = dataset.get_space()
    rank = space.get_simple_extent_ndims()
    if rank > MAX_RANK:
        raise Refused(f"dataset {owner} has {rank} dimensions, {MAX_RANK} are allowed; reshape it")
    shape = tuple(int(n) for n in space.get_simple_extent_dims()) if rank else ()
    if space.get_simple_extent_npoints() != math.prod(shape):
        raise Refused(f"dataset {owner} has no elements of its own (a null dataspace); leave it out or write an array")
    return shape, int(dataset.get_type().get_class())


def check_chunk(dataset: Any, owner: str, itemsize: int) -> None:
    """Refuse large chunks, since HDF5 allocates a whole one for any part of it."""
    plist = dataset.get_create_plist()
    if int(plist.get_layout()) == CHUNKED:
        n_bytes = math.prod(int(n) for n in plist.get_chunk()) * itemsize
        if n_bytes > MAX_CHUNK:
            raise Refused(f"dataset {owner} has chunks of {n_bytes} bytes, {MAX_CHUNK} are allowed; write smaller ones")


def numbers(owner: str, kind: Any) -> Any:
    """Return the little-endian numpy type of an HDF5 type of numbers or booleans; refuse all others by name."""
    code = int(kind.get_class())
    n_bytes = int(kind.get_size())
    if code in (INTEGER, FLOAT) and n_bytes in (1, 2, 4, 8):
        dtype = kind.dtype
    elif code == ENUM and n_bytes == 1 and kind.get_nmembers() == 2:
        dtype = kind.dtype
    else:
        what = {INTEGER: "integer", FLOAT: "float"}.get(code) or TYPES.get(code, f"unknown ({code})")
        raise Refused(
            f"dataset {owner} has a type of kind {what!r} with {n_bytes} bytes; read are integers and floats up to 64 bits, "
            "booleans and strings"
        )
    if dtype.kind not in "biuf" or dtype.itemsize != n_bytes or dtype.metadata:
        raise Refused(f"dataset {owner} has the type {dtype}; read are plain integers, floats, booleans and strings")
    return dtype.newbyteorder("<")


def read_numbers(dataset: Any, owner: str, shape: tuple[int, ...], budget: Budget) -> Array:
    """Return a dataset of numbers."""
    import numpy as np

    dtype = numbers(owner, dataset.get_type())
    budget.take(owner, math.prod(shape) * dtype.itemsize)
    check_chunk(dataset, owner, dtype.itemsize)
    return np.ascontiguousarray(wrap(dataset)[()]).astype(dtype, copy=False).reshape(shape)


def wrap(dataset: Any) -> Any:
    """Return h5py's comfortable form of a dataset."""
    import h5py

    return h5py.Dataset(dataset)


def read_text(dataset: Any, owner: str, shape: tuple[int, ...], budget: Budget) -> Any:
    """Return a dataset of strings as a string or nested lists of strings; one string at a time, each checked."""
    import numpy as np

    n = math.prod(shape)
    kind = dataset.get_type()
    variable = kind.is_variable_str()
    size = 16 if variable else int(kind.get_size())  # HDF5 keeps a length and a place for each of variable length
    if n > MAX_STRINGS or (not variable and n * size > MAX_TEXT):
        raise Refused(
            f"dataset {owner} has {n} strings of {'any' if variable else size} bytes; {MAX_STRINGS} and {MAX_TEXT} bytes are "
            "allowed; keep long data in arrays"
        )
    check_chunk(dataset, owner, size)
    wrapped = wrap(dataset)
    whole = None if variable else np.asarray(wrapped[()]).ravel().tolist()
    texts = []
    for i, place in enumerate(np.ndindex(shape)):
        texts.append(decode(wrapped[place] if whole is None else whole[i], owner, budget))
    if shape == ():
        return texts[0]
    found: list[Any] = texts
    for size in reversed(shape[1:]):
        found = [found[i : i + size] for i in range(0, len(found), size)] if size else [[] for _ in range(shape[0])]
    return found


def decode(value: Any, owner: str, budget: Budget) -> str:
    """Return a string from what h5py gives for one."""
    raw = bytes(value) if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    budget.take_text(f"dataset {owner}", len(raw))
    return raw.decode()


def walk(group: Any, owner: str, depth: int, budget: Budget, found: list[Any], arrays: list[Array]) -> None:
    """Append what a group holds to the entries, in the order of its names."""
    import h5py

    if depth > MAX_DEPTH:
        raise Refused(
            f"group {owner[:100]}... lies deeper than {MAX_DEPTH} groups; links may form a circle: rewrite it"
        )
    for name in links(group, owner, budget):
        place = child_name(owner, name)
        budget.take_object(place)
        item = h5py.h5o.open(group, name.encode())
        parts = place[1:].split("/")
        if isinstance(item, h5py.h5g.GroupID):
            found.append(["group", parts])
            walk(item, place, depth + 1, budget, found, arrays)
            continue
        if not isinstance(item, h5py.h5d.DatasetID):
            raise Refused(f"{place} is neither a group nor a dataset; leave it out")
        shape, kind = check_dataset(item, place)
        if kind == STRING:
            found.append(["text", parts, read_text(item, place, shape, budget)])
        else:
            arrays.append(read_numbers(item, place, shape, budget))
            found.append(["array", parts, arrays[-1].dtype.str, list(shape)])


def tree(file: Any, request: Request) -> Answer:
    """Answer with all of a file."""
    budget = Budget(request["max_bytes"])
    found: list[Any] = []
    arrays: list[Array] = []
    walk(file, "/", 0, budget, found, arrays)
    return {"entries": found}, arrays


def describe(file: Any, request: Request) -> Answer:
    """Answer with names, shapes and types of all datasets; none is read, unreadable ones are said to be so."""
    import h5py

    budget = Budget(0)
    found: list[Any] = []

    def visit(group: Any, owner: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Refused(f"group {owner[:100]}... lies deeper than {MAX_DEPTH} groups; links may form a circle")
        for name in links(group, owner, budget):
            place = child_name(owner, name)
            budget.take_object(place)
            item = h5py.h5o.open(group, name.encode())
            if isinstance(item, h5py.h5g.GroupID):
                visit(item, place, depth + 1)
            elif isinstance(item, h5py.h5d.DatasetID):
                try:
                    shape, kind = check_dataset(item, place)
                    found.append([place[1:], list(shape), *form(item, place, kind)])
                except Refused as error:
                    found.append([place[1:], [], "unreadable", str(error)])

    visit(file, "/", 0)
    return {"entries": found}, []


def form(dataset: Any, owner: str, kind: int) -> list[str]:
    """Return how a dataset is read, and the numpy type of its numbers."""
    if kind == STRING:
        return ["text", ""]
    if kind == VLEN:
        return ["ragged", numbers(owner, dataset.get_type().get_super()).str]
    return ["array", numbers(owner, dataset.get_type()).str]


def rows(file: Any, request: Request) -> Answer:
    """Answer with rows of one dataset; rows of variable length as their lengths and one array."""
    import h5py
    import numpy as np

    budget = Budget(request["max_bytes"])
    owner, item = "/", file
    for name in request["dataset"].split("/"):
        if not isinstance(item, h5py.h5g.GroupID) and item is not file:
            raise Refused(f"{owner} is not a group; the file has no dataset {request['dataset']!r}")
        if not name or name not in links(item, owner, Budget(0)):
            raise Refused(f"there is no dataset {request['dataset']!r}; describe() lists those that are there")
        owner = child_name(owner, name)
        item = h5py.h5o.open(item, name.encode())
    if not isinstance(item, h5py.h5d.DatasetID):
        raise Refused(f"{owner} is not a dataset; describe() lists those that are there")
    shape, kind = check_dataset(item, owner)
    if not shape:
        raise Refused(f"dataset {owner} is a single value, not rows; use read_tree")
    start, stop = request["start"], min(request["stop"], shape[0])
    start = min(start, stop)
    n = stop - start
    if kind == STRING:
        if len(shape) != 1:
            raise Refused(f"dataset {owner} has strings in {len(shape)} dimensions; rows of strings are read in one")
        check_chunk(item, owner, 16)
        return {"text": [decode(wrap(item)[i], owner, budget) for i in range(start, stop)]}, []
    if kind == VLEN:
        if len(shape) != 1:
            raise Refused(f"dataset {owner} has rows of variable length in {len(shape)} dimensions; one is read")
        dtype = numbers(owner, item.get_type().get_super())
        check_chunk(item, owner, 16)
        budget.take(owner, 8 * n)
        pieces = []
        for i in range(start, stop):
            piece = np.asarray(wrap(item)[i])
            budget.take(owner, piece.size * dtype.itemsize)
            pieces.append(piece.astype(dtype, copy=False))
        lengths = np.array([len(piece) for piece in pieces], dtype="<i8")
        values = np.concatenate(pieces) if pieces else np.empty(0, dtype)
        arrays = [lengths, np.ascontiguousarray(values)]
        return {"ragged": [[array.dtype.str, list(array.shape)] for array in arrays]}, arrays
    dtype = numbers(owner, item.get_type())
    budget.take(owner, n * math.prod(shape[1:]) * dtype.itemsize)
    check_chunk(item, owner, dtype.itemsize)
    values = np.ascontiguousarray(wrap(item)[start:stop]).astype(dtype, copy=False)
    return {"array": [values.dtype.str, list(values.shape)]}, [values]


OPERATIONS = {"tree": tree, "describe": describe, "rows": rows}


def answer(request: Request) -> Answer:
    """Open the file, do what is asked, and close it."""
    import h5py

    if not h5py.is_hdf5(request["path"]):
        raise Refused("is not an HDF5 file, or is cut off; give a file that h5py can open")
    with h5py.File(request["path"], "r") as file:
        return OPERATIONS[request["operation"]](file.id, request)


def limit(memory: int, cpu_s: float) -> None:
    """Limit memory and processor time of this process, where the platform can; no core files and no written files."""
    try:
        import resource  # absent on Windows
    except ImportError:
        return
    used = int(time.process_time() + cpu_s) + 2
    wanted = {"RLIMIT_AS": memory, "RLIMIT_CPU": used, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (soft, hard))
        except (ValueError, OSError):  # macOS refuses RLIMIT_AS below what is mapped
            continue


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the pipe ends."""
    missing = ""
    try:
        import h5py  # noqa: F401  # before memory is limited
    except ImportError as error:
        missing = str(error)
    for line in requests:
        request = json.loads(line)
        if missing:
            send(answers, {"missing": missing}, [])
            continue
        limit(request["memory"], request["timeout_s"])
        arrays: list[Array] = []
        try:
            header, arrays = answer(request)
        except Refused as error:
            header = {"refused": str(error)}
        except MemoryError:
            header = {"damaged": f"needs more memory than the {request['memory']} bytes of the reading process"}
        except UnicodeError as error:
            header = {"damaged": f"a name or string is not UTF-8 ({error})"}
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            header = {"damaged": f"{type(error).__name__}: {str(error)[:300]}"}
        send(answers, header, arrays)


def send(answers: BinaryIO, header: dict[str, Any], arrays: list[Array]) -> None:
    """Write one answer."""
    text = json.dumps(header).encode("ascii")
    answers.write(struct.pack("<Q", len(text)) + text)
    for array in arrays:
        answers.write(memoryview(array.reshape(-1)).cast("B") if array.size else b"")
    answers.flush()


def main() -> None:
    """Talk over the pipes that the parent gave; what libraries print goes nowhere near the answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
