"""Compile and call the C programs `ceiling.c` and `ceiling_population.c`, where there is a C compiler."""

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

KERNELS, POPULATION = "ceiling.c", "ceiling_population.c"
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-shared", "-fPIC", "-Wno-psabi")
_MARK: dict[str, Any] = {"i": ctypes.c_int64, "w": ctypes.c_int32, "p": ctypes.c_void_p}
#: Arguments of each function: i int64, w int32, p array.
SIGNATURES = {
    KERNELS: {
        "update_lif": "iipppppwwwwppp",
        "sum_dense8": "ipipiip",
        "sum_dense16": "ipipiip",
        "sum_words": "ipppiip",
    },
    POPULATION: {"evaluate_pairs": "iipppppppppp", "tell_lanes": "p"},
}


def find_compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


class Ceiling:
    """The functions of a C file; arrays are passed as they are, so their types must be those of that file."""

    def __init__(self, library: Path, source: str = KERNELS) -> None:
        loaded = ctypes.CDLL(str(library))
        self._functions = {}
        for name, marks in SIGNATURES[source].items():
            function = loaded[name]
            function.argtypes, function.restype = [_MARK[mark] for mark in marks], None
            self._functions[name] = function

    def __call__(self, name: str, *arguments: int | npt.NDArray[Any]) -> None:
        """Call a function by name; ctypes lets other threads run meanwhile."""
        self._functions[name](*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))


@lru_cache(maxsize=len(SIGNATURES))
def load_ceiling(source: str = KERNELS) -> Ceiling | None:
    """Compile and load a C file; None where there is no compiler.

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
        command = [compiler, *FLAGS, str(Path(__file__).with_name(source)), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{source}: {compiler} failed: {done.stderr[-2000:]}")
        return Ceiling(library, source)
