"""Input spikes, binary or with values, of a batch of samples, stored as a list of neurons for each sample and step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import DataError

MAX_VALUE = 2**31 - 1


class Events(NamedTuple):
    """Input spikes.

    Attributes
    ----------
    start : (n_samples * n_steps + 1,) int64
        Events of sample s in step t (from 0) are ``neuron[start[s * n_steps + t]:start[s * n_steps + t + 1]]``.
    neuron : (n_events,) int32
        Input line of each event, ascending within a step, counted over all inputs in the order of the network.
    n_samples, n_steps, n_inputs : int
    value : (n_events,) int32, optional
        Value of each event, not 0; None means 1 for all. Connections with ``num_message_bits=0`` do not look at it.
    """

    start: npt.NDArray[np.int64]
    neuron: npt.NDArray[np.int32]
    n_samples: int
    n_steps: int
    n_inputs: int
    value: npt.NDArray[np.int32] | None = None

    def take(self, samples: npt.ArrayLike) -> Events:
        """Return the given samples (indices or a slice's range), in that order."""
        index = np.asarray(samples, dtype=np.int64)
        if index.size and (int(index.min()) < 0 or int(index.max()) >= self.n_samples):
            raise DataError(f"events: sample {int(index.max())} is outside 0..{self.n_samples - 1}; choose others")
        bounds = self.start.reshape(-1)
        first, last = bounds[index * self.n_steps], bounds[(index + 1) * self.n_steps]
        parts = [self.neuron[a:b] for a, b in zip(first, last, strict=True)]
        per_step = np.diff(bounds).reshape(self.n_samples, self.n_steps)[index]
        start = np.concatenate([[0], np.cumsum(per_step.ravel())]).astype(np.int64)
        neuron = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        value = None
        if self.value is not None:
            values = [self.value[a:b] for a, b in zip(first, last, strict=True)]
            value = np.concatenate(values).astype(np.int32) if values else np.zeros(0, np.int32)
        return Events(start, neuron.astype(np.int32), len(index), self.n_steps, self.n_inputs, value)

    def to_dense(self) -> npt.NDArray[np.bool_]:
        """Return a (n_samples, n_steps, n_inputs) bool array."""
        dense = np.zeros((self.n_samples * self.n_steps, self.n_inputs), dtype=np.bool_)
        dense[np.repeat(np.arange(len(dense)), np.diff(self.start)), self.neuron] = True
        return dense.reshape(self.n_samples, self.n_steps, self.n_inputs)

    def to_values(self) -> npt.NDArray[np.int32]:
        """Return a (n_samples, n_steps, n_inputs) int32 array of values, 0 where there is no event."""
        dense = np.zeros((self.n_samples * self.n_steps, self.n_inputs), dtype=np.int32)
        value = 1 if self.value is None else self.value
        dense[np.repeat(np.arange(len(dense)), np.diff(self.start)), self.neuron] = value
        return dense.reshape(self.n_samples, self.n_steps, self.n_inputs)


def events_from_dense(spikes: npt.ArrayLike, graded: bool = False) -> Events:
    """Make events from a (n_samples, n_steps, n_inputs) array of 0 and 1, or of integers where `graded`.

    Examples
    --------
    >>> events_from_dense([[[0, 1], [1, 1]]]).neuron.tolist()
    [1, 0, 1]
    """
    dense = np.asarray(spikes)
    if dense.ndim != 3:
        raise DataError(f"events: need shape (n_samples, n_steps, n_inputs), found {dense.shape}; add the missing axes")
    if graded and dense.dtype.kind not in "biu":
        raise DataError(f"events: values are {dense.dtype}, messages hold integers; round them")
    if not graded and dense.dtype != np.bool_ and not np.isin(dense, (0, 1)).all():
        raise DataError(
            f"events: spikes are 0 or 1, found {dense.dtype} values up to {dense.max()}; binarise the input, or use graded=True"
        )
    n_samples, n_steps, n_inputs = dense.shape
    flat = dense.reshape(n_samples * n_steps, n_inputs) != 0
    start = np.concatenate([[0], np.cumsum(flat.sum(axis=1))]).astype(np.int64)
    value = _int32(dense.reshape(flat.shape)[flat]) if graded else None
    return Events(start, np.nonzero(flat)[1].astype(np.int32), n_samples, n_steps, n_inputs, value)


def _int32(value: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return values as int32, or refuse those that a 32-bit channel would wrap."""
    if value.dtype.kind not in "biu":
        raise DataError(f"events: values are {value.dtype}, messages hold integers; round them")
    if value.size and (int(value.min()) < -MAX_VALUE - 1 or int(value.max()) > MAX_VALUE):
        raise DataError(
            f"events: value {int(np.abs(value).max())} exceeds the {MAX_VALUE} of a message; scale the input"
        )
    return np.ascontiguousarray(value, dtype=np.int32)


def check_events(events: Events, n_inputs: int) -> Events:
    """Return the events in the arrays that kernels expect, or say what is wrong with them."""
    start = np.ascontiguousarray(events.start, dtype=np.int64)
    neuron = np.asarray(events.neuron)
    if neuron.ndim != 1 or neuron.dtype.kind not in "iu":
        raise DataError(f"events: neuron must be a list of integers, found {neuron.dtype} of shape {neuron.shape}")
    if start.shape != (events.n_samples * events.n_steps + 1,):
        raise DataError(
            f"events: start has shape {start.shape}, need ({events.n_samples} * {events.n_steps} + 1,); rebuild it"
        )
    if start[0] != 0 or start[-1] != len(neuron) or (start[1:] < start[:-1]).any():
        raise DataError(f"events: start must rise from 0 to {len(neuron)} events; rebuild it")
    if events.n_inputs != n_inputs:
        raise DataError(
            f"events: made for {events.n_inputs} input lines, the network has {n_inputs}; encode the data for this network"
        )
    if len(neuron) and (int(neuron.min()) < 0 or int(neuron.max()) >= n_inputs):
        raise DataError(f"events: input line {int(neuron.max())} is outside 0..{n_inputs - 1}; check the encoder")
    rises = np.ones(len(neuron) + 1, np.bool_)  # from one event to the next; the last entry has room for the end
    np.greater(neuron[1:], neuron[:-1], out=rises[1:-1])
    rises[start] = True  # the first event of a step has none before it
    if not rises.all():
        raise DataError("events: input lines must ascend within a step, each at most once; sort them and drop repeats")
    value = None if events.value is None else _int32(np.asarray(events.value))
    if value is not None and (value.shape != neuron.shape or not value.all()):
        raise DataError(f"events: value must hold one integer other than 0 per event, shape {neuron.shape}; rebuild it")
    return Events(
        start, np.ascontiguousarray(neuron, dtype=np.int32), events.n_samples, events.n_steps, n_inputs, value
    )
