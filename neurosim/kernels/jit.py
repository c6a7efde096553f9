"""The one decorator of all kernels, and the folder that keeps their machine code."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config

Function = TypeVar("Function", bound=Callable[..., Any])

_log = logging.getLogger(__name__)


def _digest() -> str:
    """Digest of every file that ends up in machine code: numba's cache looks only at the file of the kernel itself.

    An edit of a function that other kernels call would otherwise be served as old machine code.
    """
    digest = hashlib.sha256(f"{numba.__version__};boundscheck={config.BOUNDSCHECK}".encode())
    package = Path(__file__).parent.parent
    for path in [*sorted(Path(__file__).parent.glob("*.py")), package / "codes.py", package / "counters.py"]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Return the folder for compiled kernels.

    ``NEUROSIM_CACHE_DIR``, else ``NUMBA_CACHE_DIR``, else ``$XDG_CACHE_HOME/neurosim`` (``~/.cache/neurosim``);
    a folder in the system's temporary place where that cannot be written.
    """
    given = os.environ.get("NEUROSIM_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neurosim"
    name = f"kernels-{_digest()}"
    for parent in (base, Path(tempfile.gettempdir()) / f"neurosim-{os.getuid() if hasattr(os, 'getuid') else 'user'}"):
        folder = parent / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError as error:
            _log.warning("compiled kernels cannot be kept in %s: %s", folder, error)
    return Path(tempfile.mkdtemp(prefix="neurosim-"))


_FOLDER = str(cache_folder())


def jit(function: Function) -> Function:
    """Compile a kernel: cached on disk, without the interpreter's lock, numpy's division, no fast mathematics.

    Without numba's run-time (``_nrt``) no kernel can allocate, and slices cost nothing: with it every slice and every
    call counts references atomically, which made a step five to ten times slower and threads fight over the counters.
    """
    previous = config.CACHE_DIR
    config.CACHE_DIR = _FOLDER  # read by numba when the dispatcher is made, so other packages keep their own
    try:
        return cast(
            Function, numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)(function)
        )
    finally:
        config.CACHE_DIR = previous
