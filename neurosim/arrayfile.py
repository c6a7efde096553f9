"""The container of model files and checkpoints: named arrays and a JSON header in one checked .npz."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from neurosim.errors import ModelFileError
from neurosim.version import VERSION

FORMAT = "neurosim"
FORMAT_VERSION = 1

HEADER = "header"  # member with the JSON text as uint8
MAGIC = b"PK\x03\x04"  # first bytes of a zip with at least one member
TRAILER = b"neurosim sha256 "  # the zip comment: this, then the digest of all bytes before the digest
DIGEST_LENGTH = 64
NPY_MAGIC = b"\x93NUMPY\x01\x00"
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can say; a real time would change the bytes
_NAME = re.compile(r"[A-Za-z0-9_.-]+")

Arrays = dict[str, npt.NDArray[Any]]


def pack_arrays(header: Mapping[str, Any], arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Pack a header and arrays into the bytes of an .npz file that `numpy.load` can read.

    The same content gives the same bytes on every machine: members are stored uncompressed in the order of
    their names, little-endian and in C order, with a fixed date. The zip comment holds the SHA-256 of
    everything before it.

    Parameters
    ----------
    header : mapping
        JSON-able (no NaN); `unpack_arrays` returns it.
    arrays : mapping of str to array
        Booleans, integers or floats of at most 64 bits. Names of letters, digits and ``_.-``, not "header".

    Examples
    --------
    >>> header, arrays = unpack_arrays(pack_arrays({"generation": 3}, {"w": [[1, -2]]}))
    >>> header["generation"], arrays["w"].tolist()
    (3, [[1, -2]])
    """
    try:
        document = {"format": FORMAT, "format_version": FORMAT_VERSION, "content": dict(header)}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelFileError(
            f"header: cannot be written as JSON: {error}; use plain finite numbers, strings and lists"
        ) from error
    members = {HEADER: np.frombuffer(text.encode("ascii"), dtype=np.uint8)}
    for name in sorted(arrays):
        if name == HEADER or not _NAME.fullmatch(name):
            raise ModelFileError(f"array {name!r}: a name has letters, digits and _.- and is not {HEADER!r}; rename it")
        members[name] = np.asarray(arrays[name])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = TRAILER + b"0" * DIGEST_LENGTH
        for name, array in members.items():
            info = zipfile.ZipInfo(f"{name}.npy", DATE)
            info.create_system, info.external_attr = 3, 0o644 << 16  # the writing system would show otherwise
            archive.writestr(info, _npy_bytes(name, array))
    body = buffer.getvalue()[:-DIGEST_LENGTH]
    return body + hashlib.sha256(body).hexdigest().encode("ascii")


def unpack_arrays(data: bytes, path: object = "data") -> tuple[dict[str, Any], Arrays]:
    """Check and read what `pack_arrays` wrote.

    Parameters
    ----------
    data : bytes
    path : path-like
        Where the bytes come from, for error texts.

    Raises
    ------
    ModelFileError
        If the data is something else, truncated, altered, or from a newer version. Nothing is unpickled.
    """
    owner = f"file {str(path)!r}"
    _check_digest(owner, data)
    try:
        members = _read_members(data)
        document = json.loads(members.pop(HEADER).tobytes().decode("ascii"))
        form, version, content = document["format"], document["format_version"], document["content"]
    except (
        zipfile.BadZipFile,
        struct.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelFileError(
            f"{owner}: unexpected contents: {error}; write it again with neurosim {VERSION}"
        ) from error
    if form != FORMAT or not isinstance(version, int) or not isinstance(content, dict):
        raise ModelFileError(
            f"{owner}: unexpected contents: format {form!r}, version {version!r}; "
            f"write it again with neurosim {VERSION}"
        )
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{owner}: has format version {version}, neurosim {VERSION} reads up to {FORMAT_VERSION}; "
            "install a newer neurosim"
        )
    return content, members


def _npy_bytes(name: str, array: npt.NDArray[Any]) -> bytes:
    """Return the array in .npy format 1.0, written here so that no numpy version can change a byte."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ModelFileError(
            f"array {name!r}: has type {array.dtype}, files hold booleans, integers and floats up to 64 bits; "
            "convert it"
        )
    little = array.astype(array.dtype.newbyteorder("<"))
    text = f"{{'descr': '{little.dtype.str}', 'fortran_order': False, 'shape': {tuple(int(n) for n in array.shape)}, }}"
    padding = -(len(NPY_MAGIC) + 2 + len(text) + 1) % 64  # numpy aligns the data to 64 bytes
    head = (text + " " * padding + "\n").encode("ascii")
    return NPY_MAGIC + struct.pack("<H", len(head)) + head + little.tobytes(order="C")


def _check_digest(owner: str, data: bytes) -> None:
    """Refuse anything but an intact file, before any of it is parsed."""
    body, digest = data[:-DIGEST_LENGTH], data[-DIGEST_LENGTH:]
    if not data.startswith(MAGIC):
        what = "is empty" if not data else "is not a neurosim file"
        raise ModelFileError(f"{owner}: {what}; give a model or checkpoint that neurosim wrote (.npz)")
    if not body.endswith(TRAILER):
        if zipfile.is_zipfile(io.BytesIO(data)):
            raise ModelFileError(f"{owner}: is an archive without neurosim's checksum; give a file that neurosim wrote")
        raise ModelFileError(f"{owner}: is truncated at {len(data)} bytes; copy it again or use an earlier checkpoint")
    found = hashlib.sha256(body).hexdigest().encode("ascii")
    if found != digest:
        shown = digest.decode("ascii", "replace")[:12]
        raise ModelFileError(
            f"{owner}: is corrupt: its checksum is {found[:12].decode()}, it should be {shown}; "
            "copy it again or use an earlier checkpoint"
        )


def _read_members(data: bytes) -> Arrays:
    """Read all members; their sizes are checked against the file before memory is taken."""
    arrays: Arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if info.compress_type != zipfile.ZIP_STORED or not info.filename.endswith(".npy") or name in arrays:
                raise ValueError(f"member {info.filename!r} is compressed, repeated or not an array")
            arrays[name] = _read_npy(name, archive.read(info))
    return arrays


def _read_npy(name: str, data: bytes) -> npt.NDArray[Any]:
    stream = io.BytesIO(data)
    if npy.read_magic(stream) != (1, 0):
        raise ValueError(f"array {name!r} is not in .npy format 1.0")
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    if fortran or dtype.kind not in "biuf" or dtype.names is not None:
        raise ValueError(f"array {name!r} has type {dtype} or Fortran order")
    start = stream.tell()
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"array {name!r} has {len(data) - start} bytes, its shape {shape} needs {math.prod(shape) * dtype.itemsize}"
        )
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
