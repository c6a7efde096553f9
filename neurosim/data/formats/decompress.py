"""Decompress packets of LZ4 and Zstandard, never to more than a limit."""

from __future__ import annotations

from importlib.util import find_spec

from neurosim.errors import DataError

MODULES = {"lz4": "lz4", "zstd": "zstandard"}
INSTALL = "pip install 'neurosim-hal[events]'"


class DecompressionError(ValueError):
    """The bytes are damaged, or there are too many."""


def check_available(method: str, where: str) -> None:
    """Refuse a method whose library is not installed."""
    module = MODULES.get(method)
    if module is not None and find_spec(module) is None:
        raise DataError(
            f"{where}: is compressed with {method}, which needs the package {module!r}; install it with: {INSTALL}"
        )


def decompress(content: bytes, method: str, limit: int) -> bytes:
    """Return one frame decompressed; "none" returns it as it is.

    Raises
    ------
    DecompressionError
        If it is damaged, ends early, or is of more than `limit` bytes.
    """
    if method == "none":
        return content
    found, finished = _lz4(content, limit) if method == "lz4" else _zstd(content, limit)
    if not finished:
        raise DecompressionError(f"it does not end, or holds more than {limit} bytes")
    return found


def _lz4(content: bytes, limit: int) -> tuple[bytes, bool]:
    import lz4.frame

    decompressor = lz4.frame.LZ4FrameDecompressor()
    try:
        return decompressor.decompress(content, max_length=limit), decompressor.eof
    except RuntimeError as error:  # what lz4 raises over damaged bytes
        raise DecompressionError(str(error)) from error


def _zstd(content: bytes, limit: int) -> tuple[bytes, bool]:
    import zstandard

    try:
        with zstandard.ZstdDecompressor(max_window_size=limit).stream_reader(content) as reader:
            found = reader.read(limit)
            return found, len(found) < limit
    except zstandard.ZstdError as error:
        raise DecompressionError(str(error)) from error
