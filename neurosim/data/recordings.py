"""Event files in a folder: which there are, and what they hold together."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from neurosim.data.eventfolder import LABELS, list_recordings
from neurosim.data.eventstats import EventStats
from neurosim.data.readers import NO_RECORDINGS, SUFFIXES, iterate_samples
from neurosim.errors import DataError


class Recording(NamedTuple):
    """What is told of one recording.

    Attributes
    ----------
    group : str
        The subfolder that the file is in, from the folder that was given; "": directly in it.
    label : str, optional
        From the folder's table of labels, or from the file.
    error : str
        Why it could not be read; empty: it could.
    """

    path: Path
    group: str
    format: str
    label: str | None
    n_events: int
    n_on: int
    duration_us: int
    extent: tuple[int, int]
    n_malformed: int
    error: str = ""


class Range(NamedTuple):
    """The least, the middle and the most of a number."""

    least: float
    median: float
    most: float


def list_event_files(folder: Path) -> list[Path]:
    """Return the files below a folder whose suffix is that of a format, sorted; tables of labels are left out.

    Raises
    ------
    DataError
        If there are none.
    """
    found = sorted(
        path for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.name.lower() not in NO_RECORDINGS and path.is_file()
    )  # fmt: skip
    if not found:
        raise DataError(
            f"folder {str(folder)!r}: holds no file with a suffix of {', '.join(sorted(SUFFIXES))}; check the path"
        )
    return found


def look_through(
    folder: Path, files: list[Path], *, strict: bool = True, on_file: Callable[[int, Path], None] | None = None
) -> list[Recording]:
    """Read every recording of files, and tell what it is like; what cannot be read is told as well.

    Parameters
    ----------
    folder : path
        That the files are in.
    files : list of path
    strict : bool
        Whether a file with a malformed event counts as one that cannot be read.
    on_file : callable, optional
        Is given the number of files done and the one that begins.
    """
    found: list[Recording] = []
    listed = _listed_labels(folder)
    for number, path in enumerate(files):
        if on_file is not None:
            on_file(number, path)
        group = path.parent.relative_to(folder).as_posix()
        group = "" if group == "." else group
        try:
            for file in iterate_samples(path, strict=strict):
                stats = EventStats()
                for events in file.chunks():
                    stats.add(events)
                label = listed.get(path, None if file.label is None else str(file.label))
                found.append(
                    Recording(
                        path, group, file.format, label, stats.n_events, stats.n_on, stats.duration_us, stats.extent,
                        file.n_malformed,
                    )
                )  # fmt: skip
        except DataError as error:  # one bad file shall not hide the others
            found.append(Recording(path, group, "", None, 0, 0, 0, (0, 0), 0, str(error)))
    return found


def _listed_labels(folder: Path) -> dict[Path, str]:
    """Return the class of each file that the folder's table of labels names; nothing without a table."""
    if not (folder / LABELS).is_file():
        return {}
    listed = list_recordings(folder)
    if listed.labels is None:
        return {}
    names = [listed.classes[label] if listed.classes else str(label) for label in listed.labels.tolist()]
    return dict(zip(listed.files, names, strict=True))


def ranges(recordings: list[Recording]) -> dict[str, Range]:
    """Return least, median and most of events, seconds and events per second over recordings that hold events."""
    held = [one for one in recordings if one.n_events]
    rates = [one.n_events * 1e6 / one.duration_us for one in held if one.duration_us]
    columns: dict[str, list[float]] = {
        "events": [float(one.n_events) for one in held],
        "duration (s)": [one.duration_us / 1e6 for one in held],
        "events per second": rates,
    }
    return {
        name: Range(min(values), statistics.median(values), max(values)) for name, values in columns.items() if values
    }


def classes(recordings: list[Recording]) -> dict[str, int]:
    """Return how many recordings there are of each label, or in each subfolder where files hold no labels."""
    labels = Counter(one.label for one in recordings if one.label is not None)
    if labels:
        return dict(sorted(labels.items(), key=lambda item: (len(item[0]) if item[0].isdigit() else 0, item[0])))
    return dict(sorted(Counter(one.group for one in recordings if one.group).items()))
