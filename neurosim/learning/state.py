"""Check that what a checkpoint holds belongs to the run that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from neurosim.errors import ModelFileError


def check_state(
    header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], present: Mapping[str, npt.NDArray[Any]],
    version: int, fingerprint: str, where: str,
) -> None:  # fmt: skip
    """Refuse a state of another version, another program or another rule.

    Parameters
    ----------
    header, arrays
        What was stored.
    present : mapping of name to array
        What must be there, in these shapes.
    version, fingerprint
        Of the trainer that reads it, and of its program.
    where : str
        Begins the error.

    Raises
    ------
    ModelFileError
        If anything does not fit.
    """
    if header.get("state_version") != version:
        found = header.get("state_version")
        raise ModelFileError(f"{where}: state version {found!r}, this neurosim reads {version}; train anew")
    if header["fingerprint"] != fingerprint:
        raise ModelFileError(f"{where}: made for another network, chip or seed; resume with the same configuration")
    for name, array in present.items():
        if name not in arrays or arrays[name].shape != array.shape:
            raise ModelFileError(f"{where}: {name} does not fit this rule; resume with the same configuration")
