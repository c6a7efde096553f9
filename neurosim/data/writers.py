"""Write recordings of events, in formats that keep all of each event."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from neurosim.atomic import open_atomically
from neurosim.data.eventblock import LATEST, Size
from neurosim.data.eventfile import EventFile
from neurosim.data.eventstats import EventStats
from neurosim.data.eventtype import EVENT
from neurosim.data.formats import atis
from neurosim.errors import DataError

CHUNK = 1 << 16  # events written together
DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can say; a real time would change the bytes
Events = npt.NDArray[Any]
OnProgress = Callable[[str, int, int | None], None]


class Selection(NamedTuple):
    """Which part of a recording is written.

    Attributes
    ----------
    from_us, to_us : int, optional
        Events from `from_us` on and before `to_us`, in microseconds after the first event.
    from_zero : bool
        Count the time from the first event of the recording.
    """

    from_us: int | None = None
    to_us: int | None = None
    from_zero: bool = False

    def take(self, file: EventFile) -> Iterator[Events]:
        """Yield the events of the part."""
        first: int | None = None
        for events in file.chunks(CHUNK):
            if first is None:
                first = int(events["t"][0])
            low, high = 0, len(events)
            if self.from_us is not None:
                low = int(np.searchsorted(events["t"], first + self.from_us))
            if self.to_us is not None:
                high = int(np.searchsorted(events["t"], first + self.to_us))
            chosen = events[low:high]
            if self.from_zero:
                chosen = chosen.copy()
                chosen["t"] -= first
            if len(chosen):
                yield chosen
            if high < len(events):  # no later event is wanted
                return


class Writing(NamedTuple):
    """What is known of a recording before it is written."""

    n_events: int
    sensor_size: Size | None
    label: int | None
    stats: EventStats


class Target(NamedTuple):
    """A format that is written.

    Attributes
    ----------
    suffix : str
    keeps_size, keeps_label : bool
        Whether a reader finds the size of the sensor and the label again.
    limits : (x, y, t)
        Coordinates and times are below these.
    write : callable
        From events in pieces into a stream.
    """

    suffix: str
    keeps_size: bool
    keeps_label: bool
    limits: tuple[int, int, int]
    write: Callable[[IO[bytes], Writing, Iterator[Events]], None]


def convert(
    file: EventFile, out: Path, format: str, selection: Selection, *,
    force: bool = False, on_progress: OnProgress | None = None,
) -> EventStats:  # fmt: skip
    """Write a recording in another format: whole or not at all.

    The recording is read twice: first to see whether the format can hold it, then to write it.

    Parameters
    ----------
    file : EventFile
    out : path
    format : str
        A name in `TARGETS`.
    selection : Selection
    force : bool
        Write even if the sensor's size or the label cannot be kept.
    on_progress : callable, optional
        Is given what is done, events so far, and of how many; None: not known yet.

    Returns
    -------
    EventStats
        Of what was written.

    Raises
    ------
    DataError
        If the format cannot hold an event, or would lose something and `force` is not given; as reading does.
    RunFolderError
        If the file cannot be written.
    """
    target = TARGETS[format]
    stats = EventStats()
    for events in selection.take(file):
        stats.add(events)
        _check_limits(events, target, format, file)
        if on_progress is not None:
            on_progress("looked through", stats.n_events, None)
    writing = Writing(stats.n_events, file.sensor_size, file.label, stats)
    _check_losses(writing, target, format, file, force)

    def pieces() -> Iterator[Events]:
        n_done = 0
        for events in selection.take(file):
            yield events
            n_done += len(events)
            if on_progress is not None:
                on_progress("written", n_done, stats.n_events)

    with open_atomically(out) as stream:
        target.write(stream, writing, pieces())
    return stats


def _check_limits(events: Events, target: Target, format: str, file: EventFile) -> None:
    for field, limit in zip("xyt", target.limits, strict=True):
        least = -LATEST if limit == LATEST else 0
        if int(events[field].max()) >= limit or int(events[field].min()) < least:
            wrong = events[field][(events[field] >= limit) | (events[field].astype(np.int64) < least)][0]
            remedy = "choose a shorter part, or --from-zero" if field == "t" else "crop or downscale it"
            raise DataError(
                f"file {file.name!r}: an event has {field} = {int(wrong)}, format {format!r} holds 0..{limit - 1}; {remedy}, "
                "or write another format"
            )


def _check_losses(writing: Writing, target: Target, format: str, file: EventFile, force: bool) -> None:
    lost = []
    if writing.label is not None and not target.keeps_label:
        lost.append(f"its label {writing.label}")
    if writing.sensor_size is not None and not target.keeps_size and not (format == "atis" and _is_guessed(writing)):
        lost.append(f"the size of its sensor, {writing.sensor_size[0]} x {writing.sensor_size[1]}")
    if lost and not force:
        raise DataError(
            f"file {file.name!r}: format {format!r} would lose {' and '.join(lost)}; write .npz, or add --force to do without"
        )


def _is_guessed(writing: Writing) -> bool:
    """Whether a reader of the format without a header will take the sensor for what it is."""
    pixels = writing.stats.pixels
    if writing.sensor_size == atis.N_MNIST:
        return True
    if writing.sensor_size != atis.N_CALTECH or pixels is None:
        return False
    inside = int(pixels[:, : atis.N_MNIST[1], : atis.N_MNIST[0]].sum())
    return writing.n_events > atis.BLOCK or (writing.n_events - inside) * atis.STRAY > writing.n_events


def _write_npy(stream: IO[bytes], writing: Writing, pieces: Iterator[Events]) -> None:
    header = {"descr": npy.dtype_to_descr(EVENT), "fortran_order": False, "shape": (writing.n_events,)}
    npy.write_array_header_1_0(stream, header)
    for events in pieces:
        stream.write(events.tobytes())


def _write_npz(stream: IO[bytes], writing: Writing, pieces: Iterator[Events]) -> None:
    small = {"sensor_size": writing.sensor_size, "label": writing.label}
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(_member("events"), "w", force_zip64=True) as member:
            _write_npy(member, writing, pieces)
        for name, value in small.items():
            if value is not None:
                with archive.open(_member(name), "w") as member:
                    npy.write_array(member, np.asarray(value, "<i8"), (1, 0), allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(f"{name}.npy", DATE)
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    return info


def _write_csv(stream: IO[bytes], writing: Writing, pieces: Iterator[Events]) -> None:
    if writing.sensor_size is not None:
        stream.write(b"# sensor_size %d %d\n" % writing.sensor_size)
    stream.write(b"t,x,y,p\n")
    for events in pieces:
        rows = zip(*(events[field].tolist() for field in "txyp"), strict=True)
        stream.write("".join(f"{t},{x},{y},{p}\n" for t, x, y, p in rows).encode("ascii"))


def _write_atis(stream: IO[bytes], writing: Writing, pieces: Iterator[Events]) -> None:
    for events in pieces:
        t = events["t"]
        late = (events["p"].astype(np.int64) << 7) | (t >> 16)
        raw = np.stack([events["x"], events["y"], late, t >> 8 & 255, t & 255], axis=1)
        stream.write(raw.astype(np.uint8).tobytes())


def _write_dat(stream: IO[bytes], writing: Writing, pieces: Iterator[Events]) -> None:
    size = "" if writing.sensor_size is None else "% Width {}\n% Height {}\n".format(*writing.sensor_size)
    stream.write(f"% Data file containing CD events\n% Version 2\n{size}".encode("ascii") + bytes([12, 8]))
    for events in pieces:
        x, y, p = (events[field].astype(np.int64) for field in ("x", "y", "p"))
        stream.write(np.stack([events["t"], x | y << 14 | p << 28], axis=1).astype("<u4").tobytes())


_ANY = (1 << 16, 1 << 16, LATEST)
#: The formats that are written, by the name that `neurosim.data.readers.FORMATS` has for them.
TARGETS: dict[str, Target] = {
    "npz": Target(".npz", True, True, _ANY, _write_npz),
    "npy": Target(".npy", False, False, _ANY, _write_npy),
    "text": Target(".csv", True, False, _ANY, _write_csv),
    "atis": Target(".bin", False, False, (256, 256, 1 << 23), _write_atis),
    "dat": Target(".dat", True, False, (1 << 14, 1 << 14, 1 << 32), _write_dat),
}
