"""Compile and call `ceiling.c`, where there is a C compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SOURCE = Path(__file__).with_name("ceiling.c")
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-shared", "-fPIC", "-Wno-psabi")
_MARK: dict[str, Any] = {"i": ctypes.c_int64, "w": ctypes.c_int32, "p": ctypes.c_void_p}
#: Arguments of each function: i int64, w int32, p array.
SIGNATURES = {
    "update_lif": "iipppppwwwwppp",
    "sum_dense8": "ipipiip",
    "sum_dense16": "ipipiip",
    "sum_words": "ipppiip",
}


def find_compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


class Ceiling:
    """The functions of `ceiling.c`; arrays are passed as they are, so their types must be those of the C file."""

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        self._functions = {}
        for name, marks in SIGNATURES.items():
            function = loaded[name]
            function.argtypes, function.restype = [_MARK[mark] for mark in marks], None
            self._functions[name] = function

    def __call__(self, name: str, *arguments: int | npt.NDArray[Any]) -> None:
        """Call a function by name; ctypes lets other threads run meanwhile."""
        self._functions[name](*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))


@lru_cache(maxsize=1)
def load_ceiling() -> Ceiling | None:
    """Compile and load the C programs; None where there is no compiler.

    Raises
    ------
    RuntimeError
        With the compiler's words, if it cannot compile them.
    """
    compiler = find_compiler()
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "ceiling.so"
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{SOURCE.name}: {compiler} failed: {done.stderr[-2000:]}")
        return Ceiling(library)
