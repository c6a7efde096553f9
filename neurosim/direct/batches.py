"""The training samples of each batch as frames or as lists of events, made while the batch before is learned from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType

import numpy as np
import numpy.typing as npt

from neurosim.data.task import Task
from neurosim.direct.eventlayer import EventInput
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events
from neurosim.learning.keys import STREAM_ORDER, permutation, stream_key

LARGEST_VALUE = 1 << 24  # up to here float32 holds every integer
N_WORKERS = 2  # one makes the next epoch's copies, one the next batch

_Integers = npt.NDArray[np.int64]
_Frames = npt.NDArray[np.float32]


class Batches:
    """Batches of a task's training samples, each a function of the seed and of its number alone.

    The samples come in an endless sequence of epochs, each in an order of its own (a hash of seed and epoch, the one of
    `neurosim.learning.trainer.Trainer`). Batch g is the piece from ``g * batch`` on, so that the samples that are left at the end
    of an epoch open the next batch, which ends in the next epoch. Tasks with changed copies show a batch the copies of the
    epoch that it begins in. At most two epochs of copies are in memory, beside the task's own.

    Threads make the next batch, and the copies of the next epoch, in the background. What they make does not depend on it.

    Parameters
    ----------
    task : Task
    batch : int
        Samples in a batch, 1..n_train.
    seed : int
    n_steps : int
        Of a batch, at least the task's own; the steps after those are empty.
    n_generations : int, optional
        Batches that will be asked for: nothing is made in advance beyond them. None: no end is known.

    Examples
    --------
    >>> from neurosim.tasks import load_task
    >>> with Batches(load_task("digits", n_steps=4, augment=False), batch=32, seed=1, n_steps=4) as batches:
    ...     frames, labels = batches.frames(7)
    >>> frames.shape, frames.dtype, labels.shape, batches.n_batches
    ((4, 32, 64), dtype('float32'), (32,), 44)
    """

    def __init__(self, task: Task, batch: int, seed: int, n_steps: int, n_generations: int | None = None) -> None:
        self.n_samples = len(task.train_labels)
        if not 1 <= batch <= self.n_samples:
            raise ConfigError(f"batch: {batch} samples of the {self.n_samples} of the task; choose 1..{self.n_samples}")
        self.task, self.batch, self.seed, self.n_steps = task, batch, seed, n_steps
        self.n_generations = n_generations
        self.labels = np.ascontiguousarray(task.train_labels, np.int64)
        self._check(task.train_events)
        self._orders: dict[int, _Integers] = {}
        self._copies: dict[int, Future[Events]] = {}
        self._ahead: dict[tuple[str, int], Future[_Frames | list[EventInput]]] = {}
        self._pool: ThreadPoolExecutor | None = None

    @property
    def n_batches(self) -> int:
        """Whole batches in one epoch."""
        return self.n_samples // self.batch

    def epoch_of(self, generation: int) -> int:
        """Return the epoch that a batch begins in, from 0."""
        return generation * self.batch // self.n_samples

    def samples_of(self, generation: int) -> npt.NDArray[np.int64]:
        """Return the numbers of a batch's samples, (batch,) int64."""
        parts, first, missing = [], generation * self.batch, self.batch
        while missing:
            epoch, offset = divmod(first, self.n_samples)
            part = self._order(epoch)[offset : offset + missing]
            parts.append(part)
            first, missing = first + len(part), missing - len(part)
        return np.concatenate(parts)

    def frames(self, generation: int) -> tuple[_Frames, _Integers]:
        """Return the inputs and the labels of a batch.

        Parameters
        ----------
        generation : int
            Number of the batch, from 0; any order, though only the one after the last is ready at once.

        Returns
        -------
        frames : (n_steps, batch, n_inputs) float32
            What each input sends in each step, a whole number: 1, or the value of the event. Belongs to the caller.
        labels : (batch,) int64
        """
        found = self._take("frames", generation, frames_of)
        assert not isinstance(found, list)
        return found, self.labels[self.samples_of(generation)]

    def events(self, generation: int, n_parts: int = 1) -> tuple[list[EventInput], _Integers]:
        """Return the events of a batch, and the labels of all its samples.

        Parameters
        ----------
        generation : int
            As in `frames`.
        n_parts : int
            The events come in as many parts, of the samples that `part_bounds` says.
        """
        found = self._take(f"events in {n_parts} parts", generation, partial(parts_of, n_parts=n_parts))
        assert isinstance(found, list)
        return found, self.labels[self.samples_of(generation)]

    def test_frames(self, events: Events, first: int, last: int) -> _Frames:
        """Return samples first to last - 1 of other events as `frames` does, (n_steps, last - first, n_inputs) float32."""
        self._check(events)
        if not 0 <= first <= last <= events.n_samples:
            raise DataError(
                f"task {self.task.name!r}: samples {first} to {last - 1} of {events.n_samples} are asked for; choose others"
            )
        return frames_of(events, np.arange(first, last, dtype=np.int64), self.n_steps)

    def close(self) -> None:
        """End the threads; what they have begun is finished first."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None
        self._ahead.clear()
        self._copies.clear()

    def __enter__(self) -> Batches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(
        self, kind: str, generation: int, make: Callable[[Events, _Integers, int], _Frames | list[EventInput]]
    ) -> _Frames | list[EventInput]:
        """Return what was made in advance, or make it now; then begin with the next."""
        ready = self._ahead.pop((kind, generation), None)
        self._ahead.clear()  # what was not asked for
        found = self._begin(generation, make).result() if ready is None else ready.result()
        epoch = self.epoch_of(generation)
        self._copies = {e: copies for e, copies in self._copies.items() if e in (epoch, epoch + 1)}
        self._orders = {e: order for e, order in self._orders.items() if e in (epoch, epoch + 1)}
        if self.n_generations is None or generation + 1 < self.n_generations:
            last = None if self.n_generations is None else self.epoch_of(self.n_generations - 1)
            if last is None or epoch < last:
                self._epoch(epoch + 1)
            self._ahead[kind, generation + 1] = self._begin(generation + 1, make)
        return found

    def _begin(
        self, generation: int, make: Callable[[Events, _Integers, int], _Frames | list[EventInput]]
    ) -> Future[_Frames | list[EventInput]]:
        """Have a thread make a batch.

        It may wait for copies, but never for what begins later, so that threads cannot wait for each other.
        """
        samples, epoch = self.samples_of(generation), self._epoch(self.epoch_of(generation))
        return self._workers().submit(lambda: make(epoch.result(), samples, self.n_steps))

    def _epoch(self, epoch: int) -> Future[Events]:
        """Return the samples of an epoch, made or being made."""
        if epoch not in self._copies:
            if self.task.copies is None or epoch == 0:
                self._copies[epoch] = Future()
                self._copies[epoch].set_result(self.task.train_events)
            else:
                self._copies[epoch] = self._workers().submit(self._made, self.task.copies, epoch)
        return self._copies[epoch]

    def _made(self, copies: Callable[[int], Events], epoch: int) -> Events:
        events = copies(epoch)
        self._check(events)
        return events

    def _order(self, epoch: int) -> _Integers:
        if epoch not in self._orders:
            self._orders[epoch] = permutation(stream_key(self.seed, STREAM_ORDER, epoch), self.n_samples)
        return self._orders[epoch]

    def _workers(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(N_WORKERS, "neurosim-batches")
        return self._pool

    def _check(self, events: Events) -> None:
        """Refuse events that frames cannot hold."""
        name = self.task.name
        if events.n_steps > self.n_steps:
            raise ConfigError(
                f"task {name!r}: its samples have {events.n_steps} steps, more than the {self.n_steps} that are learned from; load it with fewer"
            )
        if events.n_inputs != self.task.n_inputs:
            raise DataError(
                f"task {name!r}: samples with {events.n_inputs} inputs, the task has {self.task.n_inputs}; encode them alike"
            )
        if events.value is not None and len(events.value):
            largest = max(-int(events.value.min()), int(events.value.max()))
            if largest > LARGEST_VALUE:
                raise DataError(
                    f"task {name!r}: an event has the value {largest}, floats of 32 bits hold whole numbers up to {LARGEST_VALUE}; scale the input"
                )


def frames_of(events: Events, samples: _Integers, n_steps: int) -> _Frames:
    """Return samples of events as frames, (n_steps, n, n_inputs) float32; `neurosim.reference.frames.fill_frames`."""
    from neurosim.kernels.frames import fill_frames

    frames = np.empty((n_steps, len(samples), events.n_inputs), np.float32)
    fill_frames(events.start, events.neuron, _values(events), samples, events.n_steps, frames)
    return frames


def part_bounds(n: int, n_parts: int) -> list[tuple[int, int]]:
    """Return the first sample of each part of a batch, and that of the next one.

    Examples
    --------
    >>> part_bounds(10, 3)
    [(0, 3), (3, 6), (6, 10)]
    """
    ends = [n * i // n_parts for i in range(n_parts + 1)]
    return list(zip(ends[:-1], ends[1:], strict=True))


def parts_of(events: Events, samples: _Integers, n_steps: int, n_parts: int) -> list[EventInput]:
    """Return samples of events in parts."""
    return [rows_of(events, samples[first:last], n_steps) for first, last in part_bounds(len(samples), n_parts)]


def rows_of(events: Events, samples: _Integers, n_steps: int) -> EventInput:
    """Return samples of events step after step; `neurosim.reference.frames.gather_events`."""
    from neurosim.kernels.frames import count_events, gather_events

    start = np.empty(n_steps * len(samples) + 1, np.int64)
    n = int(count_events(events.start, samples, events.n_steps, start))
    values, is_valued = _values(events), int(events.value is not None)
    neuron, value = np.empty(n, np.int32), np.empty(n if is_valued else 0, np.float32)
    gather_events(events.start, events.neuron, values, samples, events.n_steps, start, neuron, value)
    return EventInput.trusted(start, neuron, value, is_valued, n_steps, events.n_inputs)


def _values(events: Events) -> npt.NDArray[np.int32]:
    return np.zeros(0, np.int32) if events.value is None else events.value
