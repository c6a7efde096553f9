"""Labelled spikes of samples from .npz files."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.data.binning import Shape
from neurosim.data.eventfolder import spread
from neurosim.data.npyhead import read_head
from neurosim.data.npzspikes import DAMAGES, MAX_UNITS, read_spikes
from neurosim.errors import DataError
from neurosim.events import Events, events_from_dense

LARGEST_FLOAT = 1 << 31  # a value beyond it is no message
ADVICE = "write it with numpy.savez(FILE, spikes=..., labels=...)"


class Spikes(NamedTuple):
    """What a file of spikes holds."""

    events: Events
    labels: npt.NDArray[np.int64] | None


def holds_spikes(path: Path) -> bool:
    """Whether a file is an archive of numpy arrays with one named "spikes"."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "spikes.npy" in archive.namelist()
    except DAMAGES:
        return False  # whoever opens it next says what it is


def load_spikes(path: Path, shape: Shape, *, n_steps: int | None, count: str, limit: int | None) -> Spikes:
    """Return the spikes of a file, with the inputs in C order of `shape`.

    Parameters
    ----------
    path : Path
        An array "spikes" (n_samples, n_steps, *shape) or (n_samples, n_steps, n_inputs), as `neurosim.data.npzspikes.read_spikes`
        takes it; and "labels" (n_samples,) of integers, if there are any.
    shape : tuple of int
    n_steps : int or None
        Take the first so many steps; None takes all.
    count : {"once", "sum"}
        Numbers other than 0 are one spike, or a spike of that value.
    limit : int or None
        As in `neurosim.data.eventfolder.spread`.
    """
    where = f"file {str(path)!r}"
    events, found = read_spikes(path)
    if found[2:] not in (shape, (math.prod(shape),)):
        raise DataError(
            f"{where}: spikes have shape {found}, need (n_samples, n_steps, {', '.join(map(str, shape))}) for input shape {shape}; give "
            "the shape of the samples, or save them in that of the network's input"
        )
    if n_steps is not None and n_steps > events.n_steps:
        raise DataError(f"{where}: {n_steps} steps asked for, samples have {events.n_steps}; lower n_steps")
    labels = _labels(path, where, events.n_samples)
    if limit is not None:
        chosen = spread(events.n_samples, limit)
        events, labels = events.take(chosen), None if labels is None else labels[chosen]
    if n_steps is not None:
        events = first_steps(events, n_steps)
    return Spikes(events if count == "sum" else events._replace(value=None), labels)


def first_steps(events: Events, n_steps: int) -> Events:
    """Return the samples without what comes after so many steps."""
    per_step = np.diff(events.start).reshape(events.n_samples, events.n_steps)
    kept = np.zeros(per_step.shape, np.bool_)
    kept[:, :n_steps] = True
    chosen = np.repeat(kept.ravel(), per_step.ravel())
    start = np.concatenate([[0], np.cumsum(per_step[:, :n_steps].ravel())]).astype(np.int64)
    value = None if events.value is None else events.value[chosen]
    return Events(start, events.neuron[chosen], events.n_samples, n_steps, events.n_inputs, value)


def events_of_dense(dense: npt.NDArray[Any], count: str, where: str) -> Events:
    """Return the spikes of a dense array (n_samples, n_steps, n_inputs) of whole numbers of any type."""
    if dense.dtype.kind == "f":
        if not (np.abs(dense) < LARGEST_FLOAT).all() or not np.array_equal(np.rint(dense), dense):
            raise DataError(
                f"{where}: spikes are {dense.dtype} and not whole numbers; give spikes or counts, or an encoder for values"
            )
        dense = dense.astype(np.int64)
    if dense.dtype.kind not in "biu":
        raise DataError(f"{where}: spikes are {dense.dtype}; give booleans or whole numbers")
    return events_from_dense(dense, graded=True) if count == "sum" else events_from_dense(dense != 0)


def _labels(path: Path, where: str, n_samples: int) -> npt.NDArray[np.int64] | None:
    """Return the array "labels" of a file; None where it has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.NameToInfo.get("labels.npy")
            if info is None:
                return None
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{where}: array 'labels' is compressed in a way that numpy does not use; {ADVICE}")
            with archive.open(info) as member:
                head = read_head(member)
                if head.dtype.kind not in "iu" or head.shape != (n_samples,) or n_samples > MAX_UNITS:
                    raise DataError(
                        f"{where}: labels are {head.dtype} of shape {head.shape}, need {n_samples} whole numbers, one for each sample; {ADVICE}"
                    )
                content = member.read(head.n_bytes)
    except DAMAGES as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: array 'labels' is damaged ({error}); {ADVICE}") from error
    if len(content) != head.n_bytes:
        raise DataError(f"{where}: array 'labels' is cut off; get it anew")
    return np.frombuffer(content, head.dtype).astype(np.int64)
