"""The bundled digits: content, integrity and splits."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from neurosim.data import digits
from neurosim.errors import DataError


def test_shapes_types_and_values() -> None:
    data = digits.load_digits()
    assert (data.images.shape, data.images.dtype) == ((1797, 8, 8), np.uint8)
    assert (data.labels.shape, data.labels.dtype) == ((1797,), np.uint8)
    assert (data.images.min(), data.images.max()) == (0, 16)
    assert np.bincount(data.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert "10.24432/C50P49" in data.attribution and data.licence == "CC BY 4.0" and "UCI" in data.source


def test_content_is_what_scikit_learn_bundles() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    bundled = sklearn_datasets.load_digits()
    data = digits.load_digits()
    np.testing.assert_array_equal(data.images, bundled.images)
    np.testing.assert_array_equal(data.labels, bundled.target)


def test_corrupt_file_is_refused() -> None:
    content = bytearray(files("neurosim.data").joinpath(digits.FILE).read_bytes())
    assert digits.parse(bytes(content)).shape == (1797, 65)
    content[1000] ^= 1
    with pytest.raises(DataError, match="the file is corrupt; install neurosim again"):
        digits.parse(bytes(content))


@pytest.mark.parametrize(("split", "n_train", "n_test"), [("random", 1437, 360), ("ordered", 1347, 450)])
def test_splits_use_each_image_once(split: str, n_train: int, n_test: int) -> None:
    data = digits.load_digits(split)  # type: ignore[arg-type]
    assert (len(data.train), len(data.test)) == (n_train, n_test)
    np.testing.assert_array_equal(np.sort(np.concatenate([data.train, data.test])), np.arange(1797))
    assert np.all(np.diff(data.train) > 0) and np.all(np.diff(data.test) > 0)


def test_random_split_is_stratified() -> None:
    data = digits.load_digits()
    share = np.bincount(data.labels[data.test]) / np.bincount(data.labels)
    assert np.all(np.abs(np.bincount(data.labels) * share - 0.2003 * np.bincount(data.labels)) < 1)


def test_random_split_is_always_the_same() -> None:
    test = digits.load_digits().test.astype("<i8")
    assert hashlib.sha256(test.tobytes()).hexdigest()[:16] == "442b089aab1797b2"


def test_ordered_split_takes_the_end_of_the_file() -> None:
    assert digits.load_digits("ordered").test[0] == 1347


def test_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="unknown split 'odd'; choose 'random' or 'ordered'"):
        digits.load_digits("odd")  # type: ignore[arg-type]
