"""Data sets of tonic and torch themselves plug in; where these are not installed, the tests say so (`nox -s datasets` has them).

`test_datasets.py` tests the same with objects that speak their protocols.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_sets import event_bytes, real_folder

from neurosim.data.binning import bin_events
from neurosim.data.datasets import as_array, from_dataset, task_from_datasets
from neurosim.data.encode import rate_code
from neurosim.data.labelled import load_labelled
from neurosim.data.nmnist import NMNIST
from neurosim.data.readers import open_events
from neurosim.errors import DataError
from neurosim.events import check_events

SHAPE = (2, 34, 34)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed: pip install torch, or nox -s datasets")


@pytest.fixture
def tonic() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports, not of ours
        return pytest.importorskip("tonic", reason="tonic is not installed: pip install tonic, or nox -s datasets")


def write_tonic(folder: Path, n: int = 8) -> None:
    """Write recordings as tonic's N-MNIST keeps them, with the number of files that it asks for before it downloads."""
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / f"NMNIST/Train/{i % 2}/{i:05d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        t = np.sort(rng.integers(0, 300_000, 200)).tolist()
        path.write_bytes(event_bytes([(*rng.integers(0, 34, 2).tolist(), int(rng.integers(0, 2)), time) for time in t]))


@pytest.fixture
def recordings(tonic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    write_tonic(tmp_path)
    monkeypatch.setattr(tonic.datasets.NMNIST, "_check_exists", lambda self: True)  # it wants 10,000 files
    return tonic.datasets.NMNIST(save_to=str(tmp_path), train=True)


def test_recordings_of_tonic_are_those_of_our_reader(recordings: Any, tmp_path: Path) -> None:
    batches = from_dataset(recordings, SHAPE, dt=1e-3, batch=3)
    ours = load_labelled(tmp_path / "NMNIST/Train", SHAPE, dt=1e-3)
    theirs = batches.load()
    for name in ("start", "neuron"):
        np.testing.assert_array_equal(getattr(theirs.events, name), getattr(ours.events, name))
    assert theirs.known_labels().tolist() == ours.known_labels().tolist()
    assert len(batches) == 3 and sum(part.events.n_samples for part in batches) == 8


def test_frames_of_tonic_are_our_bins(tonic: Any, recordings: Any) -> None:
    to_frame = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), time_window=1000)
    events, _ = recordings[0]
    frames = to_frame(events)
    found = from_dataset([(frames, 0)], SHAPE, dt=1e-3, count="sum").load().events.to_values()
    # tonic cuts time from the first event on, and leaves the last, unfinished frame out
    own = bin_events(open_events(events).read(), SHAPE, dt_us=1000, count="sum", origin="first").to_values()
    n = frames.shape[0]
    np.testing.assert_array_equal(found[0], own[0, :n])
    assert own.shape[1] - n in (0, 1)


def test_loaders_of_torch_give_batches(tonic: Any, torch: Any, recordings: Any) -> None:
    recordings.transform = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=20)
    padded = tonic.collation.PadTensors(batch_first=True)
    loader = torch.utils.data.DataLoader(recordings, batch_size=3, collate_fn=padded)
    batches = from_dataset(loader, SHAPE, dt=1e-3, count="sum")
    assert len(batches) == len(loader) == 3
    for batch, (frames, labels) in zip(batches, loader, strict=True):
        values = check_events(batch.events, 2312).to_values()
        np.testing.assert_array_equal(values, frames.numpy().reshape(len(labels), 20, -1))
        assert batch.known_labels().tolist() == labels.tolist()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_tensors_are_looked_at_in_place(torch: Any, dtype: str) -> None:
    tensor = torch.randint(0, 2, (5, 4, 6), generator=torch.Generator().manual_seed(0)).to(getattr(torch, dtype))
    seen = as_array(tensor)
    assert seen.__array_interface__["data"][0] == tensor.data_ptr()
    data = torch.utils.data.TensorDataset(tensor, torch.arange(5))
    found = from_dataset(data, (6,), dt=1e-3, batch=2)
    np.testing.assert_array_equal(found.load().events.to_dense(), seen != 0)
    assert found[2].known_labels().tolist() == [4]
    subset = torch.utils.data.Subset(data, [3, 1])
    np.testing.assert_array_equal(from_dataset(subset, (6,), dt=1e-3).load().events.to_dense(), seen[[3, 1]] != 0)


def test_sparse_tensors_and_gradients(torch: Any) -> None:
    dense = torch.eye(4)
    assert from_dataset([(dense.to_sparse(), 0)], (4,), dt=1e-3).load().events.neuron.tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="a Tensor with a gradient cannot be looked at; detach it first"):
        from_dataset([(dense.requires_grad_(), 0)], (4,), dt=1e-3).load()


def test_iterable_data_sets_and_images(torch: Any) -> None:
    images = torch.randint(0, 256, (7, 1, 5, 5), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)

    class Stream(torch.utils.data.IterableDataset):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Any:
            return iter((image, i) for i, image in enumerate(images))

    def encode(values: Any) -> Any:
        return rate_code(values.reshape(len(values), -1), 16, 255)

    expected = rate_code(images.numpy().reshape(7, -1), 16, 255)
    for source in (Stream(), torch.utils.data.DataLoader(Stream(), batch_size=3)):
        found = from_dataset(source, (1, 5, 5), dt=1e-3, encode=encode, batch=2)
        whole = found.load()
        np.testing.assert_array_equal(whole.events.neuron, expected.neuron)
        assert whole.known_labels().tolist() == list(range(7))
        assert sum(part.events.n_samples for part in found) == 7


def test_a_task_of_tonic_and_torch(recordings: Any, torch: Any) -> None:
    train, test = torch.utils.data.random_split(recordings, [5, 3], generator=torch.Generator().manual_seed(0))
    task = task_from_datasets(train, test, SHAPE, dt=1e-3, n_steps=300, name="two digits")
    assert (len(task.train_labels), len(task.test_labels), task.n_classes, task.input_shape) == (5, 3, 2, (34, 34, 2))
    check_events(task.train_events, 2312)


def test_the_real_recordings(tonic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = real_folder(NMNIST)
    ours = load_labelled(folder, SHAPE, dt=1e-3, limit=30, n_steps=310)

    class Listed:
        files = sorted((folder / "events").glob("*.bin"))

        def __len__(self) -> int:
            return 30

        def __getitem__(self, index: int) -> tuple[Any, int]:
            if index >= 30:
                raise IndexError(index)
            events = tonic.io.read_mnist_file(
                str(self.files[index * len(self.files) // 30]), dtype=tonic.datasets.NMNIST.dtype
            )
            return events, int(ours.known_labels()[index])

    theirs = from_dataset(Listed(), SHAPE, dt=1e-3, n_steps=310).load()
    np.testing.assert_array_equal(theirs.events.neuron, ours.events.neuron)
    np.testing.assert_array_equal(theirs.events.start, ours.events.start)
