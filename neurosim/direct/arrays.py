"""Arrays for kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 64  # bytes that a cache reads together


def empty(shape: tuple[int, ...], kind: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Return an array that begins where a line of the cache does, not written.

    Vectors that lie across two lines take twice as long; the arrays of numpy itself begin 16 bytes behind a line, or anywhere.
    """
    dtype = np.dtype(kind)
    memory = np.empty(math.prod(shape) * dtype.itemsize + LINE, np.uint8)
    first = -memory.ctypes.data % LINE
    return memory[first : first + math.prod(shape) * dtype.itemsize].view(dtype).reshape(shape)
