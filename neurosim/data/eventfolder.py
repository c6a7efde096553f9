"""Find the recordings in a folder and their labels: in a table, or in the names of folders."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.folder import read_bytes
from neurosim.data.readers import FORMATS, NO_RECORDINGS, SUFFIXES
from neurosim.errors import DataError

LABELS = "labels.csv"
HEAD = ["file", "label"]
MAX_LABELS_BYTES = 1 << 26
PARTS = ("train", "test")


class Recordings(NamedTuple):
    """Files of recordings.

    Attributes
    ----------
    files : list of Path
    labels : (n,) int64, or None
        None: the folder says nothing of classes.
    classes : tuple of str
        Names of the classes by label; empty where labels are numbers from the start.
    """

    files: list[Path]
    labels: npt.NDArray[np.int64] | None
    classes: tuple[str, ...] = ()


def spread(n: int, limit: int | None) -> npt.NDArray[np.int64]:
    """Return the indices ``i * n // limit`` of `limit` of n things, or of all.

    Examples
    --------
    >>> spread(10, 4).tolist()
    [0, 2, 5, 7]
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit: {limit} is not a positive number of samples; leave it out for all")
    return (
        np.arange(n, dtype=np.int64) if limit is None or limit >= n else np.arange(limit, dtype=np.int64) * n // limit
    )


def list_recordings(folder: Path, part: str | None = None) -> Recordings:
    """Return the recordings of a folder, in a fixed order.

    Parameters
    ----------
    folder : Path
        With `labels.csv` (columns file, label) beside the files it names; or with one folder for each class, named after it; or
        with the files alone, which have no labels then. Or with folders Train and Test (small letters or capitals) of one of these
        forms.
    part : {"train", "test"} or None
        Which of Train and Test; None: Test, where there are such folders.

    Raises
    ------
    DataError
        If there are no recordings, the part is missing, the table is damaged, or something cannot be read.
    """
    try:
        return _list(folder, part)
    except OSError as error:
        raise DataError(
            f"folder {str(folder)!r}: cannot be read ({error.strerror or error}); check its permissions"
        ) from error


def _list(folder: Path, part: str | None) -> Recordings:
    parts = {path.name.lower(): path for path in _folders(folder) if path.name.lower() in PARTS}
    if part is not None and part not in PARTS:
        raise DataError(f"part: {part!r} is none of {', '.join(PARTS)}; choose one, or leave it out")
    if not parts:
        if part is not None:
            raise DataError(
                f"folder {str(folder)!r}: has no folders Train and Test to take part {part!r} of; leave part out for all of it"
            )
        return _of_part(folder, _class_names(folder))
    chosen = part or "test"
    if chosen not in parts:
        raise DataError(
            f"folder {str(folder)!r}: has {' and '.join(sorted(parts))} but no {chosen!r}; choose that part"
        )
    names = sorted({name for path in parts.values() for name in _class_names(path)})
    return _of_part(parts[chosen], names)


def _of_part(folder: Path, names: list[str]) -> Recordings:
    if (folder / LABELS).is_file():
        return _from_table(folder)
    if not names:
        alone = _event_files(folder)
        if not alone:
            raise _no_files(folder)
        return Recordings(alone, None)
    loose = _event_files(folder)
    if loose:
        raise DataError(
            f"folder {str(folder)!r}: has folders of classes and also files of events beside them, such as {loose[0].name!r}; "
            f"sort them into the classes, or list all in {LABELS}"
        )
    label_of, classes = _numbered(names)
    files: list[Path] = []
    labels: list[int] = []
    for name in names:
        found = _event_files(folder / name, deep=True) if (folder / name).is_dir() else []
        files += found
        labels += [label_of[name]] * len(found)
    if not files:
        raise _no_files(folder)
    return Recordings(files, np.array(labels, np.int64), classes)


def _from_table(folder: Path) -> Recordings:
    path = folder / LABELS
    if path.stat().st_size > MAX_LABELS_BYTES:
        raise DataError(
            f"file {str(path)!r}: has {path.stat().st_size} bytes, the limit is {MAX_LABELS_BYTES}; split the set"
        )
    try:
        rows = [row for row in csv.reader(io.StringIO(read_bytes(path).decode("utf-8-sig", "replace"))) if row]
    except csv.Error as error:
        raise DataError(f"file {str(path)!r}: not a table with columns file and label ({error}); mend it") from error
    for number, row in enumerate(rows, 1):
        if (row != HEAD) if number == 1 else (len(row) != 2 or not row[0] or not row[1]):
            raise DataError(
                f"file {str(path)!r}: line {number} is {','.join(row)!r}, not the head 'file,label' or a file and its label; mend it"
            )
        inside = Path(row[0])
        if inside.is_absolute() or ".." in inside.parts or "\0" in row[0]:
            raise DataError(
                f"file {str(path)!r}: line {number} names {row[0]!r}, which is outside the folder; move it inside"
            )
    if len(rows) < 2:
        raise DataError(f"file {str(path)!r}: lists no recordings; add lines with a file and its label")
    label_of, classes = _numbered(sorted({row[1] for row in rows[1:]}))
    return Recordings(
        [folder / row[0] for row in rows[1:]], np.array([label_of[row[1]] for row in rows[1:]], np.int64), classes
    )


def _numbered(names: list[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the label of each class: its name where all are numbers, else its place in the order of the alphabet."""
    if all(name.isascii() and name.isdecimal() and len(name) < 10 for name in names):
        return {name: int(name) for name in names}, ()
    return {name: i for i, name in enumerate(names)}, tuple(names)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_names(folder: Path) -> list[str]:
    """Return the names of the folders in it that hold event files, unless a table says what the classes are."""
    if (folder / LABELS).is_file():
        return []
    return [path.name for path in _folders(folder) if _event_files(path, deep=True)]


def _event_files(folder: Path, deep: bool = False) -> list[Path]:
    """Return the files whose suffix is that of a format of events, all of one kind."""
    found = sorted(
        path
        for path in (folder.rglob("*") if deep else folder.iterdir())
        if path.suffix.lower() in SUFFIXES
        and path.name.lower() not in NO_RECORDINGS
        and not path.name.startswith(".")
        and path.is_file()
    )
    kinds = sorted({path.suffix.lower() for path in found})
    readers = [{name for name, format in FORMATS.items() if kind in format.suffixes} for kind in kinds]
    if readers and not set.intersection(*readers):
        raise DataError(
            f"folder {str(folder)!r}: holds files of several formats ({', '.join(kinds)}); keep one, or list the recordings in "
            f"{LABELS} (columns file, label)"
        )
    return found


def _no_files(folder: Path) -> DataError:
    known = ", ".join(sorted(SUFFIXES))
    return DataError(
        f"folder {str(folder)!r}: no files of events found ({known}); give a folder with {LABELS} (columns file, label) or with one "
        "folder of recordings for each class"
    )
