"""Find the folder of a data set that does not come with neurosim."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from neurosim.errors import DataError

ENVIRONMENT = "NEUROSIM_DATA"
CHECKOUT = Path(__file__).resolve().parent.parent.parent  # holds the package


class DataSet(NamedTuple):
    """A data set as it lies on disk.

    Attributes
    ----------
    name : str
        Of its folder.
    files : str
        What the folder must hold, in words.
    marks : tuple of str
        Patterns; a folder with a match of any of them is taken for the data set.
    origin : str
        Who publishes the full set, and where.
    """

    name: str
    files: str
    marks: tuple[str, ...]
    origin: str


def data_roots() -> list[Path]:
    """Return the folders that may hold data sets, in the order in which they are tried.

    Where the environment variable ``NEUROSIM_DATA`` is set, only the folder it names. Otherwise ``data`` and
    ``../shared/data``, first seen from the current folder, then from the checkout that neurosim runs from.
    """
    given = os.environ.get(ENVIRONMENT)
    if given:
        return [Path(given)]
    bases = list(dict.fromkeys([Path.cwd(), CHECKOUT]))
    return [base / "data" for base in bases] + [base.parent / "shared" / "data" for base in bases]


def find_data(data_set: DataSet) -> Path:
    """Return the folder of a data set.

    Raises
    ------
    DataError
        If no root has it; the text says where it was looked for, what is expected and where to get it.
    """
    folders = [root / data_set.name for root in data_roots()]
    for folder in folders:
        if any(next(folder.glob(mark), None) is not None for mark in data_set.marks):
            return folder
    raise DataError(
        f"data set {data_set.name!r}: not found in {', '.join(map(str, folders))}; the folder must hold "
        f"{data_set.files}. Get it from {data_set.origin}, and set {ENVIRONMENT} to the folder that holds "
        f"{data_set.name!r} (docs/tasks.md)"
    )


def read_bytes(path: Path) -> bytes:
    """Return the content of a file of a data set, or say that it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"file {str(path)!r}: cannot be read ({error.strerror}); get the data set anew") from error
