"""What must be set before Lava is imported, in the process that runs it and nowhere else."""

from __future__ import annotations

import dataclasses
import importlib
import multiprocessing.shared_memory as shared_memory
import sys
from typing import Any


def import_var_model() -> None:
    """Import the one module of Lava 0.10.0 that Python 3.11 and later refuse.

    ``lava.magma.compiler.var_model`` uses an instance of its dataclass ByteEncoder as the default of a
    dataclass field; since Python 3.11 such a default must be hashable. While that module is imported,
    `dataclasses.dataclass` asks for a hash on the class of that name. No file of Lava is touched.
    """
    if sys.version_info < (3, 11):
        return
    original = dataclasses.dataclass

    def dataclass(cls: Any = None, /, **options: Any) -> Any:
        def decorate(decorated: type) -> Any:
            if decorated.__name__ == "ByteEncoder":
                options["unsafe_hash"] = True
            return original(**options)(decorated)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = dataclass
    try:
        importlib.import_module("lava.magma.compiler.var_model")
    finally:
        dataclasses.dataclass = original


def name_shared_memory(prefix: str) -> None:
    """Make the names of new shared-memory blocks start with `prefix`, so that the group's blocks can be told apart.

    Python takes both values from module constants (``/psm_`` and 14 characters, the limit of FreeBSD;
    Linux allows 255).
    """
    shared_memory._SHM_NAME_PREFIX = "/" + prefix  # type: ignore[attr-defined]
    shared_memory._SHM_SAFE_NAME_LENGTH = len(prefix) + 1 + 16  # type: ignore[attr-defined]
