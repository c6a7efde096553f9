"""Plug data sets of tonic, torch and others in, without copying them: their samples become spikes batch by batch.

Nothing of those libraries is imported. A data set is anything with a length and items, such as a list, a ``tonic`` or ``torch``
data set; a loader, or whatever else can be iterated, is read in its own order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.data.binning import Binner, Shape, checked_shape
from neurosim.data.labelled import Labelled, whole_microseconds
from neurosim.data.readers import open_events
from neurosim.data.spikefile import events_of_dense
from neurosim.data.stages import Size, Transform, transform_chunks
from neurosim.data.task import Task
from neurosim.errors import DataError
from neurosim.events import Events

#: From values (n, *shape) to input spikes of n samples.
Encoder = Callable[[npt.NDArray[Any]], Events]


@dataclass(frozen=True, eq=False)
class EventBatches:
    """A data set as labelled spikes, a batch at a time; made by `from_dataset`, which says what the fields are.

    ``len()`` is the number of batches, ``[i]`` one of them (of data sets with items), iteration goes through all. Only the batch asked
    for is in memory.
    """

    dataset: Any
    shape: Shape
    dt_us: int
    n_steps: int | None = None
    count: str = "once"
    transforms: tuple[Transform, ...] = ()
    encode: Encoder | None = None
    batch: int = 32
    sensor_size: Size | None = None
    strict: bool = True
    origin: int | str = "auto"
    name: str = "data set"
    order: str = field(default="framework", repr=False)

    @property
    def has_items(self) -> bool:
        """Whether samples can be asked for by number."""
        return hasattr(self.dataset, "__getitem__") and hasattr(self.dataset, "__len__")

    def __len__(self) -> int:
        if self.has_items:
            return -(-len(self.dataset) // self.batch)
        if getattr(self.dataset, "batch_size", None) is not None:
            return len(self.dataset)
        # Not one of ours: list() and others ask for a length first, and take this for "unknown".
        raise TypeError(f"{self.name}: can only be iterated, so its number of batches is not known before the end")

    def __getitem__(self, index: int) -> Labelled:
        if not self.has_items:
            raise DataError(f"{self.name}: can only be iterated, it has no items by number; go through it in a loop")
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"{self.name}: batch {index} is outside 0..{n - 1}")  # which ends a loop over items
        first = index % n * self.batch
        return self._batch(first, range(first, min(first + self.batch, len(self.dataset))))

    def __iter__(self) -> Iterator[Labelled]:
        if self.has_items:
            for index in range(len(self)):
                yield self[index]
            return
        number, held, labels = 0, self._binner(), _Labels(self.name)
        for item in self.dataset:
            data, label = _split(item)
            together = self._is_batch(data)
            if held.n_samples and (together or held.n_samples >= self.batch):
                yield self._labelled(held, labels)
                held, labels = self._binner(), _Labels(self.name)
            number = self._add(held, labels, data, label, number)
            if together:
                yield self._labelled(held, labels)
                held, labels = self._binner(), _Labels(self.name)
        if held.n_samples:
            yield self._labelled(held, labels)

    def load(self, limit: int | None = None, first_number: int = 0) -> Labelled:
        """Return all samples, or the first `limit` of them, as one; only their spikes are kept.

        Parameters
        ----------
        limit : int, optional
        first_number : int
            Number of the first sample for the transforms: others for another epoch change the samples in another way.
        """
        held, labels, number = self._binner(), _Labels(self.name), first_number
        for item in self._items():
            if limit is not None and held.n_samples >= limit:
                break
            number = self._add(held, labels, *_split(item), number)
        if not held.n_samples:
            raise DataError(f"{self.name}: has no samples; give one that has")
        found = self._labelled(held, labels)
        if limit is None or found.events.n_samples <= limit:
            return found
        kept = None if found.labels is None else found.labels[:limit]
        return replace(found, events=found.events.take(np.arange(limit)), labels=kept)

    def _items(self) -> Iterator[Any]:
        if self.has_items:
            return (self.dataset[i] for i in range(len(self.dataset)))
        return iter(self.dataset)

    def _batch(self, first: int, numbers: range) -> Labelled:
        held, labels, number = self._binner(), _Labels(self.name), first
        for i in numbers:
            number = self._add(held, labels, *_split(self.dataset[i]), number)
        return self._labelled(held, labels)

    def _binner(self) -> Binner:
        return Binner(self.shape, dt_us=self.dt_us, n_steps=self.n_steps, count=self.count, order=self.order)

    def _labelled(self, held: Binner, labels: _Labels) -> Labelled:
        n_late = held.n_late
        return Labelled(held.events(), labels.known(), self.name, labels.n_malformed, n_late)

    def _is_batch(self, data: Any) -> bool:
        """Whether an item holds several samples, as those of loaders do."""
        if isinstance(data, (list, tuple)):
            return True
        array = as_array(data)
        return array.dtype.names is None and array.ndim == len(self.shape) + (1 if self.encode else 2)

    def _add(self, held: Binner, labels: _Labels, data: Any, label: Any, number: int) -> int:
        """Add an item's samples, and return the number of the next."""
        where = f"{self.name}, sample {number}"
        if isinstance(data, (list, tuple)):
            several = [None] * len(data) if label is None else list(as_array(label))
            for one, its in zip(data, several, strict=True):
                number = self._add(held, labels, one, its, number)
            return number
        array = as_array(data)
        if array.dtype.names is not None:
            labels.n_malformed += self._add_events(held, array, number, where)
            labels.add(label, 1, where)
            return number + 1
        spikes = self._spikes(array, where)
        held.add_spikes(spikes)
        labels.add(label, spikes.n_samples, where)
        return number + spikes.n_samples

    def _add_events(self, held: Binner, array: npt.NDArray[Any], number: int, where: str) -> int:
        """Add a recording, and return how many of its events were malformed."""
        file = open_events(array, strict=self.strict, sensor_size=self.sensor_size)
        file.name = where
        chunks = file.chunks()
        if self.transforms:
            if self.sensor_size is None:
                raise DataError(f"{where}: transforms need the sensor's size; give sensor_size=(width, height)")
            chunks = transform_chunks(chunks, self.transforms, self.sensor_size, number)
        held.add(chunks, self.origin, where)
        return file.n_malformed

    def _spikes(self, array: npt.NDArray[Any], where: str) -> Events:
        """Return the spikes of one sample or of a batch."""
        if self.transforms:
            raise DataError(
                f"{where}: transforms are for events, this holds {array.dtype} of shape {array.shape}; leave them out"
            )
        lead = array.ndim - len(self.shape)
        least = 0 if self.encode else 1
        if array.shape[max(lead, 0) :] != self.shape or lead not in (least, least + 1):
            what = (
                "values (*shape), or a batch of them" if self.encode else "frames (n_steps, *shape), or a batch of them"
            )
            raise DataError(
                f"{where}: found shape {array.shape}, need {what}, for input shape {self.shape}; give the shape that the samples have"
                + ("" if self.encode else ", or encode= for values without time")
            )
        if lead == least:
            array = array[None]
        if self.encode is not None:
            return self.encode(array)
        return events_of_dense(array.reshape(len(array), array.shape[1], -1), self.count, where)


class _Labels:
    """Labels of samples as they come: all have one, or none."""

    def __init__(self, name: str) -> None:
        self.name, self.n_samples, self.n_malformed = name, 0, 0
        self.found: list[npt.NDArray[np.int64]] = []

    def add(self, label: Any, n: int, where: str) -> None:
        """Add the label of one sample, or those of n."""
        self.n_samples += n
        if label is None:
            return
        values = as_array(label)
        if values.dtype.kind == "f" and np.array_equal(np.rint(values), values):
            values = values.astype(np.int64)
        if values.dtype.kind not in "iu" or values.size != n:
            raise DataError(
                f"{where}: label {label!r} is not {'a whole number' if n == 1 else f'{n} whole numbers'}; number the classes from 0"
            )
        self.found.append(values.astype(np.int64).ravel())

    def known(self) -> npt.NDArray[np.int64] | None:
        """Return all labels, (n_samples,)."""
        labels = np.concatenate([np.zeros(0, np.int64), *self.found])
        if len(labels) not in (0, self.n_samples):
            raise DataError(
                f"{self.name}: {len(labels)} of {self.n_samples} samples have labels; give all one, or none"
            )
        return labels if len(labels) or not self.n_samples else None


def from_dataset(
    dataset: Any,
    shape: Iterable[int],
    *,
    dt: float,
    n_steps: int | None = None,
    count: str = "once",
    transforms: Sequence[Transform] = (),
    encode: Encoder | None = None,
    batch: int = 32,
    sensor_size: Size | None = None,
    strict: bool = True,
    origin: int | str = "auto",
    name: str = "data set",
) -> EventBatches:
    """Return a data set of someone else's as labelled spikes; it is read when batches are asked for, and never copied.

    Parameters
    ----------
    dataset : sequence or iterable
        Items are (sample, label), or samples alone. A sample is a structured array of events with fields t, x, and y, p where there are
        some, in any order, in microseconds (or seconds, if they are floats), as tonic has them; or frames (n_steps, *shape) of spikes or
        counts; or values (*shape), with `encode`. Arrays and tensors are looked at through ``__array__`` or DLPack, in place. A
        loader's batches (lists, or one more axis in front) are taken apart.
    shape : tuple of int
        Of the network's input, as in `neurosim.data.binning.Binner`.
    dt, n_steps, count, transforms, sensor_size, strict, origin
        As in `neurosim.data.labelled.load_labelled`; the transforms' number of a sample is its place. Frames have steps of their own:
        shorter samples are filled up with silence, steps beyond `n_steps` are left out and their spikes counted.
    encode : callable, optional
        From values (n, *shape), of the type that the data set has, to `Events` with the inputs in C order of `shape`.
    batch : int
        Samples of a batch; a loader's own batches stay as they are.
    name : str
        For error texts.

    Examples
    --------
    >>> frames = np.array([[[0, 1], [1, 1]], [[0, 0], [2, 0]]])
    >>> batches = from_dataset(list(zip(frames, [3, 7])), (2,), dt=1e-3, batch=1)
    >>> len(batches), batches[1].events.neuron.tolist(), batches[1].labels.tolist()
    (2, [0], [7])
    """
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
        raise DataError(f"{name}: batch {batch!r} is not a positive number of samples; choose another")
    if not hasattr(dataset, "__iter__") and not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise DataError(
            f"{name}: a {type(dataset).__name__} has neither items nor can it be iterated; give a data set or a loader"
        )
    return EventBatches(
        dataset, checked_shape(shape), whole_microseconds(dt), n_steps, count, tuple(transforms), encode, int(batch),
        sensor_size, strict, origin, name,
    )  # fmt: skip


def task_from_datasets(
    train: Any,
    test: Any,
    shape: Iterable[int],
    *,
    dt: float,
    n_steps: int,
    n_classes: int | None = None,
    name: str = "data",
    count: str = "once",
    transforms: Sequence[Transform] = (),
    augment: Sequence[Transform] = (),
    encode: Encoder | None = None,
    sensor_size: Size | None = None,
    strict: bool = True,
    origin: int | str = "auto",
    description: str = "",
    source: str = "a data set given from Python",
    licence: str = "that of the data set",
    attribution: str = "",
) -> Task:
    """Return two data sets as a task to train on: ``neurosim.experiment.train_model(config, folder, task=...)``.

    Each is read once, for its spikes, which stay in memory; with `augment`, the one to learn from is read again for every epoch.

    Parameters
    ----------
    train, test
        As in `from_dataset`; all samples have labels, 0..n_classes - 1.
    shape, dt, n_steps, count, transforms, encode, sensor_size, strict, origin
        As in `from_dataset`. Pictures, (channels, height, width) and (height, width), are renumbered to input
        ``(row * columns + column) * channels + c`` as tasks have them, so that dense and convolutional networks learn from them.
    n_classes : int, optional
        The largest label and one, by default.
    augment : sequence of Transform
        Applied after `transforms` to samples to learn from, with another number for every sample and epoch.
    name, description, source, licence, attribution : str
        For reports.
    """
    given = tuple(transforms)
    learned = replace(
        from_dataset(
            train, shape, dt=dt, n_steps=n_steps, count=count, transforms=(*given, *augment), encode=encode,
            sensor_size=sensor_size, strict=strict, origin=origin, name=f"{name}, samples to learn from",
        ),
        order="task",
    )  # fmt: skip
    tested = replace(learned, dataset=test, transforms=given, name=f"{name}, samples to test with")
    first, other = learned.load(), tested.load()
    labels, test_labels = first.known_labels(), other.known_labels()
    most = int(max(labels.max(), test_labels.max()))
    n = most + 1 if n_classes is None else n_classes
    if min(labels.min(), test_labels.min()) < 0 or most >= n:
        worst = most if most >= n else int(min(labels.min(), test_labels.min()))
        raise DataError(
            f"task {name!r}: label {worst} is outside 0..{n - 1}; number the classes from 0, or raise n_classes"
        )

    def copies(epoch: int) -> Events:
        found = learned.load(first_number=epoch * len(labels))
        if not np.array_equal(found.known_labels(), labels):
            raise DataError(
                f"task {name!r}: its samples to learn from come in another order in epoch {epoch}; give the data set itself, or a loader "
                "with shuffle=False"
            )
        return found.events

    full = (1,) * (3 - len(learned.shape)) + learned.shape
    return Task(
        name=name,
        train_events=first.events,
        train_labels=labels,
        test_events=other.events,
        test_labels=test_labels,
        n_classes=n,
        n_inputs=first.events.n_inputs,
        n_steps_input=n_steps,
        description=description or f"{name}: {len(labels)} samples to learn from, {len(test_labels)} to test with",
        source=source,
        licence=licence,
        attribution=attribution,
        input_shape=(full[1], full[2], full[0]) if len(learned.shape) in (2, 3) else None,
        copies=copies if augment else None,
    )


def as_array(data: Any) -> npt.NDArray[Any]:
    """Return an array that looks at the same memory, where the object has any: through ``__array__``, else DLPack."""
    if getattr(data, "requires_grad", False):
        raise DataError(f"data set: a {type(data).__name__} with a gradient cannot be looked at; detach it first")
    if getattr(data, "is_sparse", False):
        data = data.to_dense()
    if isinstance(data, np.ndarray) or hasattr(data, "__array__") or not hasattr(data, "__dlpack__"):
        return np.asarray(data)
    return np.from_dlpack(data)


def _split(item: Any) -> tuple[Any, Any]:
    """Return the sample and the label of an item."""
    if isinstance(item, (tuple, list)):
        if len(item) == 2:
            return item[0], item[1]
        if len(item) == 1:
            return item[0], None
        raise DataError(f"data set: an item has {len(item)} parts, need a sample and its label; leave the others out")
    return item, None
