"""The container of model files and checkpoints: named arrays and a JSON header in one checked .npz.

`docs/models.md` describes every byte. A reader trusts nothing of a file, its checksum included, which anybody can compute: the
layout must be the one that `pack_arrays` writes, byte for byte, and every size is held against the file before memory is taken.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import ModelFileError, one_line
from neurosim.npzbytes import END, MAGIC, MAX_BYTES, read_members, write_members
from neurosim.npzbytes import Arrays as Arrays
from neurosim.version import VERSION

FORMAT = "neurosim"
FORMAT_VERSION = 1

HEADER = "header"  # member with the JSON text as uint8
TRAILER = b"neurosim sha256 "  # the zip comment: this, then the digest of all bytes before the digest
DIGEST_LENGTH = 64
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")

#: What a file may hold; whatever it says, reading it takes no more memory than three times its size and what its header
#: needs: at most about 500 MB, for `MAX_VALUES`.
MAX_HEADER = 1 << 26  # bytes of the JSON text
MAX_VALUES = 1 << 22  # lists, tables and values in it
MAX_DEPTH = 32  # of lists and tables in each other


def pack_arrays(header: Mapping[str, Any], arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Pack a header and arrays into the bytes of an .npz file that `numpy.load` can read.

    The same content gives the same bytes on every machine and with every version of Python and numpy: members are stored
    uncompressed in the order of their names, little-endian and in C order, with a fixed date. The zip comment holds the
    SHA-256 of everything before it.

    Parameters
    ----------
    header : mapping
        JSON-able (no NaN, integers below 2**64, at most 32 deep); `unpack_arrays` returns it.
    arrays : mapping of str to array
        Booleans, integers or floats of at most 64 bits. Names of letters, digits and ``_.-``, not "header".

    Raises
    ------
    ModelFileError
        If something cannot be written, or could not be read again.

    Examples
    --------
    >>> header, arrays = unpack_arrays(pack_arrays({"generation": 3}, {"w": [[1, -2]]}))
    >>> header["generation"], arrays["w"].tolist()
    (3, [[1, -2]])
    """
    document = {"format": FORMAT, "format_version": FORMAT_VERSION, "content": dict(header)}
    try:
        check_values(document)
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
        _check_text(text)
    except (TypeError, ValueError) as error:
        raise ModelFileError(
            f"header: cannot be written as JSON: {error}; use plain finite numbers, strings and lists"
        ) from error
    members = {HEADER: np.frombuffer(text, dtype=np.uint8)}
    for name in sorted(arrays):
        if name == HEADER or not _NAME.fullmatch(name):
            raise ModelFileError(f"array {name!r}: a name has letters, digits and _.- and is not {HEADER!r}; rename it")
        members[name] = np.asarray(arrays[name])
    body = write_members(members, TRAILER, DIGEST_LENGTH)
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
        If the data is something else, truncated, altered, beyond the limits, or from a newer version. Nothing is unpickled.
    """
    owner = f"file {str(path)!r}"
    _check_digest(owner, data)
    try:
        members = read_members(memoryview(data)[:-DIGEST_LENGTH], TRAILER, DIGEST_LENGTH)
        document = _read_text(members.pop(HEADER))
        form, version, content = document["format"], document["format_version"], document["content"]
    except (LookupError, TypeError, ValueError) as error:
        what = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(
            one_line(f"{owner}: unexpected contents: {what}; write it again with neurosim {VERSION}")
        ) from error
    if form != FORMAT or type(version) is not int or version < 1 or not isinstance(content, dict):
        raise ModelFileError(
            one_line(
                f"{owner}: unexpected contents: format {form!r}, version {version!r}; "
                f"write it again with neurosim {VERSION}"
            )
        )
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{owner}: has format version {version}, neurosim {VERSION} reads up to {FORMAT_VERSION}; "
            "install a newer neurosim"
        )
    return content, members


def check_values(document: Any) -> None:
    """Refuse what a header cannot hold: numbers beyond 64 bits, NaN, broken texts, lists and tables too deep in each other.

    Raises
    ------
    ValueError
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [key for key in value if isinstance(key, str)]
                below += value.values()
            elif isinstance(value, (list, tuple)):
                below += value
            elif isinstance(value, str):
                if _SURROGATE.search(value):
                    raise ValueError(f"text {value[:40]!r} has half of a pair of surrogates")
            elif isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"number {value} is not finite")
            elif isinstance(value, int) and not -(1 << 64) < value < 1 << 64:
                raise ValueError("a number exceeds 64 bits")
        if not below:
            return
        level = below
    raise ValueError(f"lists and tables are nested more than {MAX_DEPTH} deep")


def _check_text(text: bytes) -> None:
    """Refuse a JSON text that takes too much memory once it is read: every value but the first follows one of four signs."""
    marks = sum(text.count(sign) for sign in (b",", b":", b"[", b"{"))
    if len(text) > MAX_HEADER or marks > MAX_VALUES:
        raise ValueError(f"header has {len(text)} bytes and {marks} values, limits are {MAX_HEADER} and {MAX_VALUES}")


def _read_text(member: npt.NDArray[Any]) -> dict[str, Any]:
    """Read the header."""
    if member.dtype != np.uint8:
        raise ValueError(f"header is of {member.dtype}, not of bytes")
    text = member.tobytes()
    _check_text(text)
    try:
        document = json.loads(text.decode("ascii"), object_pairs_hook=_unique, parse_int=_integer)
    except RecursionError:
        raise ValueError(f"lists and tables are nested more than {MAX_DEPTH} deep") from None
    check_values(document)
    if not isinstance(document, dict):
        raise ValueError("header is not a table")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key is there twice")
    return table


def _integer(digits: str) -> int:
    """Read an integer; the time that takes grows with the square of its length."""
    if len(digits) > 20:
        raise ValueError("a number exceeds 64 bits")
    return int(digits)


def _check_digest(owner: str, data: bytes) -> None:
    """Refuse anything but an intact file, before any of it is parsed."""
    digest = data[-DIGEST_LENGTH:]
    if not data.startswith(MAGIC):
        what = "is empty" if not data else "is not a neurosim file"
        raise ModelFileError(f"{owner}: {what}; give a model or checkpoint that neurosim wrote (.npz)")
    if not data.endswith(TRAILER, 0, len(data) - DIGEST_LENGTH) or len(data) < DIGEST_LENGTH:
        if END in data[-(1 << 16) - 22 :]:
            raise ModelFileError(f"{owner}: is an archive without neurosim's checksum; give a file that neurosim wrote")
        raise ModelFileError(f"{owner}: is truncated at {len(data)} bytes; copy it again or use an earlier checkpoint")
    found = hashlib.sha256(memoryview(data)[:-DIGEST_LENGTH]).hexdigest().encode("ascii")
    if found != digest:
        shown = one_line(digest.decode("ascii", "replace")[:12])
        raise ModelFileError(
            f"{owner}: is corrupt: its checksum is {found[:12].decode()}, it should be {shown}; "
            "copy it again or use an earlier checkpoint"
        )
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"{owner}: {len(data)} bytes exceed the limit of {MAX_BYTES}; store it in several files")
