"""Data sets of others become spikes without being copied; fakes speak the protocols of tonic and torch here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.config import TrainConfig, override
from neurosim.data.binning import bin_events, join_events
from neurosim.data.datasets import as_array, from_dataset, task_from_datasets
from neurosim.data.encode import rate_code
from neurosim.data.eventtype import EVENT
from neurosim.data.readers import open_events
from neurosim.data.transforms import Downscale, RandomShift
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events, check_events
from neurosim.experiment import train_model
from neurosim.modelfile import load_model
from neurosim.runfolder import RunFolder

WIDTH, HEIGHT, N = 6, 4, 7
SHAPE = (2, HEIGHT, WIDTH)
TONIC = np.dtype([("x", int), ("y", int), ("t", int), ("p", bool)])  # as tonic orders them for some sets


def recording(i: int, n: int = 60) -> npt.NDArray[Any]:
    rng = np.random.default_rng(i)
    events = np.zeros(n, TONIC)
    events["t"] = np.cumsum(rng.integers(0, 300, n))
    events["x"], events["y"], events["p"] = rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n), rng.integers(0, 2, n)
    return events


class Tonic:
    """Items (structured array, label), counted as they are asked for."""

    def __init__(self, n: int = N) -> None:
        self.n, self.asked = n, 0

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], int]:
        if not 0 <= index < self.n:
            raise IndexError(index)
        self.asked += 1
        return recording(index), index % 3


class Tensor:
    """What torch's tensors show of their memory."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array
        self.ndim, self.shape, self.requires_grad, self.is_sparse = array.ndim, array.shape, False, False

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return self.array if dtype is None else self.array.astype(dtype)


class Exported:
    """An array that shows DLPack only."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    def __dlpack__(self, **settings: Any) -> Any:
        return self.array.__dlpack__(**settings)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class Loader:
    """A loader of batches: a length and batches of tensors, no items."""

    def __init__(self, frames: npt.NDArray[Any], labels: npt.NDArray[Any], batch_size: int) -> None:
        self.frames, self.labels, self.batch_size = frames, labels, batch_size

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        for first in range(0, len(self.labels), self.batch_size):
            part = slice(first, first + self.batch_size)
            yield [Tensor(self.frames[part]), Tensor(self.labels[part])]


def expected(numbers: range, n_steps: int | None = None, count: str = "once") -> Events:
    binned = [
        bin_events(open_events(recording(i)).read(), SHAPE, dt_us=1000, n_steps=n_steps or 40, count=count)
        for i in numbers
    ]
    return join_events(binned)


def assert_same(found: Events, other: Events) -> None:
    check_events(found, other.n_inputs)
    assert found[2:5] == other[2:5]
    for name in ("start", "neuron", "value"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))


@pytest.mark.parametrize("count", ["once", "sum"])
def test_events_come_batch_by_batch(count: str) -> None:
    tonic = Tonic()
    batches = from_dataset(tonic, SHAPE, dt=1e-3, n_steps=40, batch=3, count=count)
    assert (len(batches), tonic.asked) == (3, 0)
    assert_same(batches[1].events, expected(range(3, 6), count=count))
    assert tonic.asked == 3  # the others were not looked at
    assert_same(batches[-1].events, expected(range(6, 7), count=count))
    parts = list(batches)
    assert [part.known_labels().tolist() for part in parts] == [[0, 1, 2], [0, 1, 2], [0]]
    assert_same(join_events(part.events for part in parts), expected(range(N), count=count))
    assert_same(batches.load().events, expected(range(N), count=count))
    assert_same(batches.load(limit=4).events, expected(range(4), count=count))
    with pytest.raises(IndexError, match=r"batch 3 is outside 0\.\.2"):
        batches[3]


def test_steps_follow_from_the_longest_where_none_are_given() -> None:
    batch = from_dataset(Tonic(), SHAPE, dt=1e-3, batch=2)[0]
    longest = max(int(recording(i)["t"][-1]) for i in range(2))
    assert batch.events.n_steps == longest // 1000 + 1
    short = from_dataset(Tonic(), SHAPE, dt=1e-3, n_steps=2, batch=2)[0]
    assert short.n_late == sum(int((recording(i)["t"] >= 2000).sum()) for i in range(2))


def test_a_sensor_in_one_dimension_has_no_rows() -> None:
    heard = np.zeros(3, np.dtype([("t", "<i8"), ("x", "<i8"), ("p", "<i8")]))  # as tonic has spoken digits
    heard["t"], heard["x"], heard["p"] = [5, 1500, 1600], [4, 0, 9], 1
    found = from_dataset([(heard, 2)], (10,), dt=1e-3).load()
    assert found.events.neuron.tolist() == [4, 0, 9]
    assert found.events.start.tolist() == [0, 1, 3]


@pytest.mark.parametrize("wrap", [np.asarray, Tensor, Exported])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32])
def test_frames_are_spikes_already(wrap: Any, dtype: Any) -> None:
    frames = np.random.default_rng(0).integers(0, 2, (N, 5, *SHAPE)).astype(dtype)
    if wrap is Exported and dtype is np.bool_ and np.lib.NumpyVersion(np.__version__) < "1.27.0":
        pytest.skip("numpy before 2 does not export booleans")
    data = [(wrap(frame), label) for label, frame in enumerate(frames)]
    found = from_dataset(data, SHAPE, dt=1e-3).load()
    np.testing.assert_array_equal(check_events(found.events, 48).to_dense(), frames.reshape(N, 5, -1) != 0)
    assert found.known_labels().tolist() == list(range(N))


def test_frames_of_different_lengths_are_filled_up_or_cut() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 3, (steps, 3)) for steps in (2, 5, 4)]
    long = from_dataset(frames, (3,), dt=1e-3, count="sum").load()
    assert long.labels is None and long.events.n_steps == 5
    for frame, values in zip(frames, long.events.to_values(), strict=True):
        np.testing.assert_array_equal(values, np.pad(frame, ((0, 5 - len(frame)), (0, 0))))
    short = from_dataset(frames, (3,), dt=1e-3, n_steps=3, count="sum").load()
    for frame, values in zip(frames, short.events.to_values(), strict=True):
        np.testing.assert_array_equal(values, np.pad(frame[:3], ((0, 3 - len(frame[:3])), (0, 0))))
    assert short.n_late == sum(int((frame[3:] != 0).sum()) for frame in frames)


def test_batches_of_a_loader_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    frames, labels = rng.integers(0, 2, (N, 5, *SHAPE)).astype(np.float32), rng.integers(0, 4, N)
    batches = from_dataset(Loader(frames, labels, 3), SHAPE, dt=1e-3)
    assert len(batches) == 3
    parts = list(batches)
    assert [part.events.n_samples for part in parts] == [3, 3, 1]
    np.testing.assert_array_equal(
        np.concatenate([part.events.to_dense() for part in parts]), frames.reshape(N, 5, -1) != 0
    )
    assert np.concatenate([part.known_labels() for part in parts]).tolist() == labels.tolist()
    whole = batches.load(limit=4)
    assert (whole.events.n_samples, whole.known_labels().tolist()) == (4, labels[:4].tolist())
    with pytest.raises(DataError, match="can only be iterated, it has no items by number"):
        batches[0]


def test_an_iterable_of_samples_is_put_into_batches() -> None:
    def samples() -> Iterator[tuple[npt.NDArray[Any], int]]:
        yield from ((recording(i), i) for i in range(N))

    batches = from_dataset(samples(), SHAPE, dt=1e-3, n_steps=40, batch=3)
    with pytest.raises(TypeError, match="number of batches is not known"):
        len(batches)
    parts = list(batches)
    assert [part.events.n_samples for part in parts] == [3, 3, 1]
    assert_same(join_events(part.events for part in parts), expected(range(N)))


def test_lists_of_recordings_are_batches_too() -> None:
    items = [([recording(0), recording(1)], np.array([4, 5])), ([recording(2)], [6])]
    found = from_dataset(items, SHAPE, dt=1e-3, n_steps=40).load()
    assert_same(found.events, expected(range(3)))
    assert found.known_labels().tolist() == [4, 5, 6]


def test_values_are_encoded() -> None:
    images = np.random.default_rng(0).integers(0, 256, (N, 1, 4, 6)).astype(np.uint8)
    asked: list[int] = []

    def encode(values: npt.NDArray[Any]) -> Events:
        asked.append(len(values))
        return rate_code(values.reshape(len(values), -1), 8, 255)

    data = [(Tensor(image), label) for label, image in enumerate(images)]
    found = from_dataset(data, (1, 4, 6), dt=1e-3, encode=encode, batch=4)
    assert_same(found[0].events, rate_code(images[:4].reshape(4, -1), 8, 255))
    assert asked == [1] * 4
    loaded = from_dataset(Loader(images, np.arange(N), 5), (1, 4, 6), dt=1e-3, encode=encode).load()
    assert_same(loaded.events, rate_code(images.reshape(N, -1), 8, 255))


def test_memory_is_shared() -> None:
    array = np.arange(6.0)
    for wrapped in (array, Tensor(array), Exported(array)):
        assert np.shares_memory(as_array(wrapped), array)
    kept = Tensor(array)
    kept.requires_grad = True
    with pytest.raises(DataError, match="a Tensor with a gradient cannot be looked at; detach it first"):
        as_array(kept)


def test_sparse_tensors_are_filled_in() -> None:
    class Sparse(Tensor):
        def to_dense(self) -> Tensor:
            return Tensor(self.array)

    sparse = Sparse(np.eye(3))
    sparse.is_sparse = True
    assert from_dataset([(sparse, 1)], (3,), dt=1e-3).load().events.neuron.tolist() == [0, 1, 2]


def test_transforms_see_the_number_of_the_sample() -> None:
    transforms = [RandomShift(2, 1, seed=4), Downscale(2)]
    given: dict[str, Any] = {"dt": 1e-3, "n_steps": 40, "transforms": transforms, "sensor_size": (WIDTH, HEIGHT)}
    batches = from_dataset(Tonic(), (2, 2, 3), batch=3, **given)
    for i in range(N):
        whole = open_events(recording(i)).read()
        for transform, size in zip(transforms, ((6, 4), (6, 4)), strict=True):
            whole = transform(whole, size, i)
        assert_same(batches[i // 3].events.take([i % 3]), bin_events(whole, (2, 2, 3), dt_us=1000, n_steps=40))
    again = batches.load(first_number=N).events
    assert not np.array_equal(again.neuron, batches.load().events.neuron)


@pytest.mark.parametrize(
    ("data", "given", "words"),
    [
        ([(recording(0), 1)], {"transforms": [Downscale(2)]}, "sample 0: transforms need the sensor's size"),
        ([(recording(0), 1)], {"shape": (2, 3, 3)}, "sample 0: event at .* does not fit input shape"),
        ([(recording(0)[::-1], 1)], {}, "sample 0.*going back in time"),
        ([(recording(0), 1.5)], {}, r"label 1\.5 is not a whole number"),
        ([(recording(0), "cat")], {}, "label 'cat' is not a whole number; number the classes from 0"),
        ([(recording(0), 1), (recording(1),)], {}, "1 of 2 samples have labels; give all one, or none"),
        ([(recording(0), 1, 2)], {}, "an item has 3 parts, need a sample and its label"),
        ([(np.zeros((5, 4, 6)), 1)], {}, r"found shape \(5, 4, 6\), need frames \(n_steps, \*shape\).*or encode="),
        ([(np.zeros((4, 6)), 1)], {"encode": len}, r"found shape \(4, 6\), need values \(\*shape\)"),
        ([(np.zeros((5, *SHAPE)), 1)], {"transforms": [Downscale(2)]}, "transforms are for events, this holds float64"),
        ([(np.full((5, *SHAPE), 0.5), 1)], {}, "spikes are float64 and not whole numbers"),
        ([], {}, "data set: has no samples"),
        (7, {}, "a int has neither items nor can it be iterated"),
        ([], {"batch": 0}, "batch 0 is not a positive number"),
        ([], {"dt": 1e-7}, "not a whole number of microseconds"),
    ],
)  # fmt: skip
def test_wrong_data_sets_are_refused(data: Any, given: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_dataset(data, given.pop("shape", SHAPE), **({"dt": 1e-3} | given)).load()


def bars(n: int, seed: int) -> list[tuple[npt.NDArray[Any], int]]:
    """Return recordings in which the class is the column that has the events."""
    rng, found = np.random.default_rng(seed), []
    for i in range(n):
        events = np.zeros(30, EVENT)
        events["t"] = np.sort(rng.integers(0, 8000, 30))
        events["x"], events["y"] = (
            np.where(rng.random(30) < 0.8, i % WIDTH, rng.integers(0, WIDTH, 30)),
            rng.integers(0, HEIGHT, 30),
        )
        found.append((events, i % WIDTH))
    return found


def test_a_task_of_data_sets_is_in_the_order_of_tasks() -> None:
    task = task_from_datasets(Tonic(), Tonic(3), SHAPE, dt=1e-3, n_steps=40, name="mine", description="d", source="s")
    assert (task.n_classes, task.n_inputs, task.n_steps_input, task.input_shape) == (3, 48, 40, (HEIGHT, WIDTH, 2))
    chip = expected(range(N)).to_dense().reshape(N, 40, *SHAPE).transpose(0, 1, 3, 4, 2).reshape(N, 40, 48)
    np.testing.assert_array_equal(check_events(task.train_events, 48).to_dense(), chip)
    np.testing.assert_array_equal(task.test_events.to_dense(), chip[:3])
    assert task.copies is None and task.train_labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    frames = np.random.default_rng(0).integers(0, 2, (3, 5, HEIGHT, WIDTH))
    pictures = task_from_datasets(
        list(zip(frames, range(3), strict=True)), [(frames[0], 0)], (HEIGHT, WIDTH), dt=1e-3, n_steps=5
    )
    np.testing.assert_array_equal(pictures.train_events.to_dense(), frames.reshape(3, 5, -1))
    flat = frames.reshape(3, 5, -1)
    plain = task_from_datasets(list(zip(flat, range(3), strict=True)), [(flat[0], 0)], (24,), dt=1e-3, n_steps=5)
    np.testing.assert_array_equal(plain.train_events.to_dense(), flat)
    assert plain.input_shape is None


def test_every_epoch_sees_samples_changed_anew() -> None:
    given: dict[str, Any] = {"dt": 1e-3, "n_steps": 40, "sensor_size": (WIDTH, HEIGHT)}
    task = task_from_datasets(Tonic(), Tonic(), SHAPE, augment=[RandomShift(2, 2)], **given)
    assert task.copies is not None
    np.testing.assert_array_equal(task.copies(0).neuron, task.train_events.neuron)
    assert not np.array_equal(task.copies(1).neuron, task.train_events.neuron)
    np.testing.assert_array_equal(task.copies(1).neuron, task.copies(1).neuron)
    plain = task_from_datasets(Tonic(), Tonic(), SHAPE, **given)
    np.testing.assert_array_equal(task.test_events.neuron, plain.test_events.neuron)

    class Shuffled(Loader):
        def __iter__(self) -> Iterator[list[Tensor]]:
            self.labels = self.labels[::-1]
            return super().__iter__()

    mixed = task_from_datasets(
        Shuffled(np.zeros((3, 4, 2)), np.arange(3), 2), [(np.zeros((4, 2)), 0)], (2,), dt=1e-3, n_steps=4
    )
    assert mixed.copies is None
    events = [[recording(i), i] for i in range(3)]

    class Turned(list):  # type: ignore[type-arg]
        def __getitem__(self, index: Any) -> Any:
            self.asked = getattr(self, "asked", 0) + 1
            return super().__getitem__(index if self.asked <= 3 else 2 - index)

    turned = task_from_datasets(Turned(events), events, SHAPE, augment=[RandomShift(1, 1)], **given)
    assert turned.copies is not None
    with pytest.raises(DataError, match="come in another order in epoch 1; give the data set itself"):
        turned.copies(1)


@pytest.mark.parametrize(
    ("labels", "given", "words"),
    [([0, -1], {}, r"label -1 is outside 0\.\.0"), ([0, 3], {"n_classes": 3}, r"label 3 is outside 0\.\.2"),
     ([None, None], {}, "has no labels to compare answers with")],
)  # fmt: skip
def test_wrong_labels_of_a_task_are_refused(labels: list[Any], given: dict[str, Any], words: str) -> None:
    data = [(np.zeros((4, 2)), label) for label in labels]
    with pytest.raises(DataError, match=words):
        task_from_datasets(data, data, (2,), dt=1e-3, n_steps=4, **given)


def test_a_network_learns_from_a_data_set_of_ones_own(tmp_path: Path) -> None:
    task = task_from_datasets(bars(240, 1), bars(60, 2), SHAPE, dt=1e-3, n_steps=8, name="bars")
    config = override(
        TrainConfig(),
        ["epochs=4", "batch=16", "network.hidden=[24]", "network.n_steps=8", "rule.warmup=3", "evaluate_every=20"],
    )
    metrics = train_model(config, RunFolder.create(tmp_path / "run"), threads=1, task=task)
    assert metrics["test"]["accuracy"] > 0.6  # chance is 1/6
    assert metrics["next_steps"] == [
        f"neurosim inspect {tmp_path / 'run' / 'model.npz'}   # what is on the chip, core by core"
    ]
    assert "task='bars'" in metrics["command"]
    model = load_model(tmp_path / "run" / "model.npz")
    assert (model.metadata["task"], model.metadata["config"]["task"]) == ("bars", "bars")
    with pytest.raises(ConfigError, match=r"network.n_steps: 9, task 'bars' was given with 8 steps of input"):
        train_model(override(config, ["network.n_steps=9"]), RunFolder.create(tmp_path / "b"), task=task)
