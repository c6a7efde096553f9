"""Seeded damage to files: what disks, networks and people who mean harm do to them."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

Random = np.random.Generator

#: Values of length and size fields that programs get wrong.
EXTREMES = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
)
NUMBERS = (b"0", b"-1", b"1", b"255", b"65536", b"2147483648", b"4294967295", b"9223372036854775808", b"1" * 30, b"1" * 5000, b"1e999",
           b"-1e-999", b"nan", b"inf", b"NaN", b"Infinity", b"0x10", b"1_000", b"", b"1.5", b"true", b"[]", b"{}", b'""')  # fmt: skip
#: Values of a document, of every type that JSON has, and some that it has not.
VALUES: tuple[Any, ...] = (None, True, False, 0, -1, 1, 2**31, 2**40, 2**62, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, float("nan"),
                           float("inf"), "", "x", "\x00", "\x1b[31m", "\ud800", "a->b", "a" * 100_000, "\n", [], {}, [1], [[1]], {"x": 1},
                           [2**20, 2**20, 1], [2**40, 2**40], [0] * 1000)  # fmt: skip
DIGITS = re.compile(rb"[0-9]+(?:\.[0-9]+)?")
DEEP = 100_000


def damaged(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Return content with one to three kinds of damage.

    Parameters
    ----------
    content : bytes
    others : sequence of bytes
        Contents that parts are taken from.
    random : Generator
    """
    for _ in range(int(random.integers(1, 4))):
        content = DAMAGES[int(random.integers(len(DAMAGES)))](content, others, random)
    return content


def _place(content: bytes, random: Random) -> int:
    """Return a place in a file; heads are hit more often than their share."""
    n = len(content) if random.random() < 0.5 else min(len(content), 256)
    return int(random.integers(max(1, n)))


def _length(content: bytes, random: Random) -> int:
    return int(min(2 ** random.integers(0, 12), max(1, len(content))))


def flip_bits(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 9)) if changed else 0):
        changed[_place(content, random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def overwrite(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Overwrite a run of bytes by noise, or by one byte."""
    place, n = _place(content, random), _length(content, random)
    run = random.bytes(n) if random.random() < 0.5 else bytes([int(random.choice([0, 255, 32, 48]))]) * n
    return content[:place] + run + content[place + n :]


def cut_off(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Lose the end, or all of it."""
    return content[: int(random.integers(len(content) + 1))]


def repeat(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Have a run of bytes twice, or many times."""
    place, n = _place(content, random), _length(content, random)
    return content[: place + n] + content[place : place + n] * int(random.choice([1, 2, 50])) + content[place + n :]


def remove(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Lose a run of bytes."""
    place, n = _place(content, random), _length(content, random)
    return content[:place] + content[place + n :]


def splice(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Go on with a part of another file."""
    other = others[int(random.integers(len(others)))] if others else content
    place = int(random.integers(len(other) + 1))
    return content[: int(random.integers(len(content) + 1))] + other[place:]


def set_field(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Set one, two, four or eight bytes to an extreme value, in either order."""
    width = int(random.choice([1, 2, 4, 8]))
    values = [*EXTREMES, len(content), len(content) + 1]
    value = values[int(random.integers(len(values)))] % (1 << 8 * width)
    place = _place(content, random)
    place -= place % width if random.random() < 0.7 else 0
    return (
        content[:place] + value.to_bytes(width, "big" if random.random() < 0.3 else "little") + content[place + width :]
    )


def set_number(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Set a number that is written in digits to another one, or to what is none."""
    found = list(DIGITS.finditer(content[: 1 << 16]))
    if not found:
        return set_field(content, others, random)
    hit = found[int(random.integers(len(found)))]
    return content[: hit.start()] + NUMBERS[int(random.integers(len(NUMBERS)))] + content[hit.end() :]


def nest(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Insert many brackets."""
    place = _place(content, random)
    sign = [b"[", b"{", b"(", b'{"a":', b"a.", b'"', b"\n"][int(random.integers(7))]
    return content[:place] + sign * int(random.choice([1, 50, DEEP])) + content[place:]


Damage = Callable[[bytes, Sequence[bytes], Random], bytes]
DAMAGES: tuple[Damage, ...] = (
    flip_bits,
    flip_bits,
    overwrite,
    cut_off,
    repeat,
    remove,
    splice,
    set_field,
    set_field,
    set_number,
    nest,
)


def changed_document(document: Any, random: Random) -> Any:
    """Change a value of nested lists and tables: another value, none, many, or that of another place."""
    document = json.loads(json.dumps(document))
    for _ in range(int(random.integers(1, 4))):
        places: list[tuple[Any, Any]] = []
        _walk(document, places)
        if not places:
            return document
        holder, key = places[int(random.integers(len(places)))]
        action = int(random.integers(7))
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, list):
            holder.extend([holder[key]] * int(random.choice([1, 3, 5000])))
        elif action == 2:
            other, at = places[int(random.integers(len(places)))]
            holder[key] = json.loads(json.dumps(other[at])) if at in _keys(other) else None
        elif action == 3 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] += int(random.choice([-1, 1, 7]))
        elif action == 4 and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        elif action == 5:
            for _ in range(int(random.choice([1, 40]))):
                holder[key] = [holder[key]]
        else:
            holder[key] = deepcopy(VALUES[int(random.integers(len(VALUES)))])
    return document


def _keys(holder: Any) -> Any:
    return holder.keys() if isinstance(holder, dict) else range(len(holder))


def _walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    for key in _keys(value) if isinstance(value, (dict, list)) else ():
        places.append((value, key))
        if len(places) < 20_000:
            _walk(value[key], places)


def changed_array(array: np.ndarray, random: Random) -> np.ndarray:
    """Change values, type, shape or length of an array."""
    action = int(random.integers(6))
    if action == 0 and array.size:
        changed = array.copy()
        limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
        pool = [0, 1] if limits is None else [0, 1, limits.min, limits.max, limits.max // 2]
        changed.reshape(-1)[int(random.integers(array.size))] = pool[int(random.integers(len(pool)))]
        return changed
    if action == 1:
        kinds = ["<i1", "<i2", "<i8", "<u4", "<f4", "<f8", "?", "<u1"]
        with np.errstate(all="ignore"):
            return array.astype(kinds[int(random.integers(len(kinds)))])
    if action == 2:
        return array.reshape(-1)
    if action == 3:
        return array[..., : int(random.integers(array.shape[-1] + 1))] if array.ndim else array.reshape(1)
    if action == 4:
        return np.repeat(array, int(random.choice([2, 50])), axis=0) if array.ndim else np.repeat(array, 5)
    return array.T.copy() if array.ndim > 1 else array.reshape((1, *array.shape))


def rezipped(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Damage a member of a zip and write the archive with right checksums, compressed or not, or the archive's own lists."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = sorted(members)[int(random.integers(len(members)))]
    action = int(random.integers(8))
    if action == 0:
        del members[chosen]
    elif action == 1:
        members[f"{chosen[:-4]}x.npy"] = members.pop(chosen)
    elif action == 2 and members[chosen].startswith(b"\x93NUMPY"):
        members[chosen] = _bomb(random)
    else:
        members[chosen] = damaged(members[chosen], [*members.values(), *others], random)
    buffer = io.BytesIO()
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    with zipfile.ZipFile(buffer, "w", kinds[int(random.integers(len(kinds)))]) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue() if random.random() < 0.8 else damaged(buffer.getvalue(), others, random)


def _bomb(random: Random) -> bytes:
    """Return an array of zeros or ones that is small only in an archive."""
    n = int(random.choice([1 << 16, 1 << 22, 1 << 25], p=[0.6, 0.37, 0.03]))
    shape = [(n,), (1, 1, n), (n, 1, 1), (64, n // 64, 1), (1, n // 4096, 4096)][int(random.integers(5))]
    head = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes([int(random.integers(3))]) * n


def recompressed(content: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Damage what is inside a gzip file and compress it again."""
    inner = damaged(zlib.decompress(content, 31), [], random)
    if random.random() < 0.002:
        inner += bytes(1 << 28)  # small once compressed
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(inner) + packer.flush()
