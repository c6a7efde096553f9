"""Yin-Yang: reading, both codes, the real points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import real_folder, write_yinyang

from neurosim.data import yinyang
from neurosim.data.yinyang import N_TUNED, ONE, YINYANG, Points, latency_spikes, load_yinyang, population_spikes
from neurosim.errors import DataError


def points(*pairs: tuple[float, float]) -> Points:
    xy = np.array(pairs)
    return Points(np.rint(np.concatenate([xy, 1 - xy], axis=1) * ONE).astype(np.int64), np.zeros(len(pairs), np.int64))


def test_files_become_whole_numbers(tmp_path: Path) -> None:
    write_yinyang(tmp_path / "yinyang")
    train, validation = load_yinyang("train", tmp_path / "yinyang"), load_yinyang("validation", tmp_path / "yinyang")
    assert (len(train.labels), len(validation.labels)) == (30, 12)
    np.testing.assert_array_equal(train.coordinates[:, :2] + train.coordinates[:, 2:], ONE)
    assert train.coordinates[0].tolist() == [0, 0, ONE, ONE] and train.coordinates[-1, 0] == ONE


def test_later_spikes_mean_larger_coordinates_and_the_bias_is_first() -> None:
    events = latency_spikes(points((0, 0.25), (1, 0.5)), 8).to_dense()
    assert np.argmax(events, axis=1).tolist() == [[0, 2, 7, 6, 0], [7, 4, 0, 4, 0]]
    assert np.all(events.sum(axis=1) == 1)


def test_tuned_neurons_fire_most_where_they_are_tuned_to() -> None:
    rates = population_spikes(points((0, 1), (7 / 15, 0.5)), 20).to_dense().sum(axis=1).reshape(2, 2, N_TUNED)
    assert rates[0, 0].tolist() == [20, 10] + [0] * 14 and rates[0, 1].tolist() == [0] * 14 + [10, 20]
    assert int(np.argmax(rates[1, 0])) == 7 and rates[1, 1, 7] == rates[1, 1, 8]
    totals = population_spikes(points(*((x, x) for x in np.linspace(0.1, 0.9, 50))), 20).to_dense().sum(axis=(1, 2))
    assert totals.max() - totals.min() <= 8  # rounded down in each of up to eight neurons


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("train_samples", np.zeros((30, 3)), r"train samples have shape \(30, 3\)"),
        ("train_samples", np.full((30, 4), 1.5), r"coordinates \(float64\) are not all numbers in 0\.\.1"),
        ("train_samples", np.full((30, 4), np.nan), "are not all numbers"),
        ("train_labels", np.zeros(29, int), r"labels \(29,\)"),
        ("train_labels", np.zeros(30), r"labels \(30,\) \(float64\)"),
        ("train_labels", np.full(30, 3), r"labels reach 3\.\.3, need 0\.\.2"),
    ],
)
def test_wrong_files_are_refused(name: str, array: np.ndarray, words: str, tmp_path: Path) -> None:  # type: ignore[type-arg]
    write_yinyang(tmp_path / "yinyang")
    np.save(tmp_path / "yinyang" / f"{name}.npy", array)
    with pytest.raises(DataError, match=words):
        load_yinyang("train", tmp_path / "yinyang")


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY"])
def test_broken_files_are_refused(content: bytes, tmp_path: Path) -> None:
    write_yinyang(tmp_path / "yinyang")
    (tmp_path / "yinyang" / "train_samples.npy").write_bytes(content)
    with pytest.raises(DataError, match="train_samples.npy': not an array of numbers"):
        load_yinyang("train", tmp_path / "yinyang")


def test_the_real_points() -> None:
    folder = real_folder(YINYANG)
    for part, n in (("train", 5000), ("validation", 1000)):
        found = load_yinyang(part, folder)
        assert found.coordinates.shape == (n, 4) and np.bincount(found.labels).min() > n // 4
        np.testing.assert_array_less(np.abs(found.coordinates[:, :2] + found.coordinates[:, 2:] - ONE), 2)
        centred = (found.coordinates[:, :2] - ONE // 2).astype(float)
        assert np.hypot(*centred.T).max() <= ONE / 2 + 1  # a disc


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'(", b"\x93NUMPY\x01\x00"])
def test_damaged_arrays_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match="not an array of numbers"):
        yinyang._read_npy(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(yinyang._read_npy(tmp_path / "x.npy"), np.arange(6).reshape(2, 3).T)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    with pytest.raises(DataError, match="47 bytes follow, shape .3, 2. of int64 needs 48"):
        yinyang._read_npy(tmp_path / "x.npy")
