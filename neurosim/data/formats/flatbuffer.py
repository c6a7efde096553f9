"""Read tables of Google's FlatBuffers, as little as AEDAT 4 needs, with every offset checked.

Source: the format's page "FlatBuffers Internals": a table begins with the distance back to its list of fields; the list holds its own
size, the table's, and the place of each field in the table, 0 for one that is left out.
"""

from __future__ import annotations

import struct


class FlatBufferError(ValueError):
    """The bytes are no such table."""


class Table:
    """A table in a buffer that is not changed.

    Parameters
    ----------
    buffer : bytes
    place : int
        Of the table, in bytes.
    """

    def __init__(self, buffer: bytes, place: int) -> None:
        self.buffer, self.place = buffer, place
        self.fields = place - _number(buffer, place, "<i")
        self.n_fields = (_number(buffer, self.fields, "<H") - 4) // 2

    def scalar(self, field: int, form: str, default: int) -> int:
        """Return a number of `struct`'s form."""
        offset = self._offset(field)
        return _number(self.buffer, self.place + offset, form) if offset else default

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Return where the items of a vector begin and how many there are; all of them lie in the buffer."""
        offset = self._offset(field)
        if not offset:
            return 0, 0
        place = self.place + offset
        place += _number(self.buffer, place, "<I")
        n = _number(self.buffer, place, "<I")
        if place + 4 + n * item_bytes > len(self.buffer):
            raise FlatBufferError(f"a vector of {n} items does not fit")
        return place + 4, n

    def text(self, field: int) -> str:
        """Return a string, empty if it is left out."""
        first, n = self.vector(field, 1)
        return self.buffer[first : first + n].decode("utf-8", "replace")

    def _offset(self, field: int) -> int:
        return _number(self.buffer, self.fields + 4 + 2 * field, "<H") if field < self.n_fields else 0


def root(buffer: bytes, identifier: bytes) -> Table:
    """Return the table of a buffer without the prefix of its size, of the kind named by four bytes."""
    if buffer[4:8] != identifier:
        raise FlatBufferError(f"is marked {buffer[4:8]!r}, not {identifier!r}")
    return Table(buffer, _number(buffer, 0, "<I"))


def _number(buffer: bytes, place: int, form: str) -> int:
    if not 0 <= place <= len(buffer) - struct.calcsize(form):
        raise FlatBufferError(f"an offset of {place} leaves the {len(buffer)} bytes")
    return int(struct.unpack_from(form, buffer, place)[0])
