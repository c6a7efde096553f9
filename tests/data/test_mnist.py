"""MNIST: idx files, encoding, the real set."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import idx_bytes, real_folder, write_mnist

from neurosim.data.mnist import LEVELS, MNIST, load_mnist, mnist_task, pixel_spikes, read_idx
from neurosim.errors import DataError


def test_compressed_and_plain_files_are_read(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", n_train=30, n_test=12)
    for part, n in (("train", 30), ("test", 12)):
        images, labels = load_mnist(part, tmp_path / "mnist")
        assert (images.shape, images.dtype, labels.dtype) == ((n, 28, 28), np.uint8, np.int64)
        assert labels.tolist() == [i % 10 for i in range(n)]
        for i in range(n):
            assert images[i, 3 + 2 * (i % 10), 5:20].tolist() == [255] * 15
            assert int(images[i].astype(int).sum()) >= 15 * 255


@pytest.mark.parametrize("n_steps", [1, 8, 10])
def test_a_pixel_fires_in_its_share_of_the_steps(n_steps: int) -> None:
    pixels = np.arange(LEVELS + 1, dtype=np.uint8).reshape(1, 16, 16)
    counts = pixel_spikes(pixels, n_steps).to_dense()[0].sum(axis=0)
    assert counts.tolist() == [(2 * x * n_steps + 255) // 510 for x in range(256)]  # x n / 255, rounded


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b[:10], "10 bytes cannot hold the header of 16"),
        (lambda b: b[:-3], r"781 bytes follow the header, which announces 784 \(1 x 28 x 28\)"),
        (lambda b: b + b"x", "785 bytes follow the header"),
        (
            lambda b: idx_bytes(np.zeros(3, np.uint8), 2049) + bytes(20),
            "magic number 2049 is not the 2051 of idx images",
        ),
    ],
)
def test_wrong_files_are_refused(change, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    content = change(idx_bytes(np.zeros((1, 28, 28), np.uint8), 2051))
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(content))
    for name in ("plain", "packed.gz"):
        with pytest.raises(DataError, match=words):
            read_idx(tmp_path / name, "images")


def test_a_broken_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(idx_bytes(np.zeros((1, 28, 28), np.uint8), 2051))
    for content in (packed[: len(packed) // 2], b"no gzip at all", packed[:20] + b"\xff" * 30):
        (tmp_path / "images.gz").write_bytes(content)
        with pytest.raises(DataError, match="not a whole gzip file"):
            read_idx(tmp_path / "images.gz", "images")


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    write_mnist(folder, n_train=30)
    labels = folder / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(np.zeros(29, np.uint8), 2049))
    with pytest.raises(DataError, match="30 train images have 29 labels"):
        load_mnist("train", folder)
    labels.write_bytes(idx_bytes(np.full(30, 10, np.uint8), 2049))
    with pytest.raises(DataError, match=r"label 10 of the train images is outside 0\.\.9"):
        load_mnist("train", folder)
    labels.unlink()
    with pytest.raises(DataError, match=r"has neither train-labels-idx1-ubyte nor train-labels-idx1-ubyte.gz"):
        load_mnist("train", folder)


def test_the_real_set() -> None:
    folder = real_folder(MNIST)
    train, test = load_mnist("train", folder), load_mnist("test", folder)
    md5 = [hashlib.md5(idx_bytes(part.images, 2051)).hexdigest() for part in (train, test)]
    assert md5 == ["6bbc9ace898e44ae57da46a324031adb", "2646ac647ad5339dbf082846283269ea"]
    assert np.bincount(train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    task = mnist_task(None, False, {"limit": 2000})
    assert (task.n_inputs, task.n_steps_input, len(task.train_labels), len(task.test_labels)) == (784, 8, 2000, 10000)
    assert 800 < len(task.test_events.neuron) / 10000 < 850


def test_small_compressed_files_that_say_very_much_and_empty_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurosim.data.mnist.MAX_UNPACKED", 1 << 20)
    (tmp_path / "x.gz").write_bytes(gzip.compress(bytes((1 << 20) + 1)))
    with pytest.raises(DataError, match="exceeds 1048576 bytes once it is unpacked"):
        read_idx(tmp_path / "x.gz", "images")
    (tmp_path / "x").write_bytes(np.array([2051, 0, 2**32 - 1, 2**32 - 1], ">u4").tobytes())
    with pytest.raises(DataError, match="holds nothing .0 x 4294967295 x 4294967295.; get it anew"):
        read_idx(tmp_path / "x", "images")
