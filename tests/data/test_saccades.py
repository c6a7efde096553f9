"""The simulated saccades: the path, light, binning, and how near they come to the real recordings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from realdata import INTERPRETED
from tiny_sets import real_folder, write_mnist, write_nmnist

from neurosim.data import camera, saccades
from neurosim.data.camera import LEVELS, N_FRAMES, Camera, light_levels, positions, record, sensor_lines
from neurosim.data.mnist import MNIST
from neurosim.data.nmnist import NMNIST, list_recordings
from neurosim.data.saccades import CAMERA, compare_with_recordings
from neurosim.errors import DataError
from neurosim.reference.camera import see as plain_see
from neurosim.tasks import load_task

SQUARE = Camera(((0, 0), (512, 0), (512, 512), (0, 0)), (50_000, 150_000, 250_000), (40_000,) * 3, 256, 1600, 90, 256)


def digit() -> np.ndarray:  # type: ignore[type-arg]
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 8:20, 10:14] = 255
    return image


def test_the_picture_moves_from_corner_to_corner_and_rests_between() -> None:
    place = positions(SQUARE)
    assert place.shape == (N_FRAMES, 2)
    for time, corner in ((0, 0), (10, 0), (90, 1), (110, 1), (190, 2), (210, 2), (290, 3), (310, 3)):
        assert tuple(place[time // 5]) == SQUARE.corners[corner]
    assert place[10].tolist() == [256, 0]  # halfway in the middle of the first move
    assert np.all(np.diff(place[:20, 0]) >= 0) and np.all(np.diff(place[41:, 1]) <= 0)
    speed = np.diff(place[2:19, 0])
    assert speed[len(speed) // 2] > 3 * max(int(speed[0]), 1)


def test_a_still_sensor_sees_the_picture_where_it_lies() -> None:
    columns, rows = sensor_lines(SQUARE, 28)
    assert (columns.shape, rows.shape, columns.dtype) == ((63, 34), (63, 34), np.int32)
    assert columns[0].tolist()[:3] == [512, 768, 1024]  # two dark points of margin
    for lines in (columns, rows):
        assert lines.min() >= 0 and (lines.max() >> 8) + 1 <= 28 + 2 * camera.MARGIN - 1


@pytest.mark.parametrize("dark", [16, 500, 1872])
def test_levels_are_logarithms_of_light(dark: int) -> None:
    levels = light_levels(dark)
    assert len(levels) == LEVELS and levels[0] == 0 and np.all(np.diff(levels) >= 0)
    exact = [256 * math.log2((dark + b) / dark) for b in range(LEVELS)]
    assert np.abs(levels - exact).max() < 3  # floors, and 8 bits of mantissa


def test_bright_edges_rise_in_front_and_fall_behind() -> None:
    counts = record(digit(), SQUARE, 3)[0].reshape(3, 2, 34, 34)
    first = counts[0]  # two pixels to the right
    assert set(np.flatnonzero(first[0].sum(axis=0))) == {14, 15} and set(np.flatnonzero(first[1].sum(axis=0))) == {
        10,
        11,
    }
    second = counts[1]  # two pixels down
    assert set(np.flatnonzero(second[0].sum(axis=1))) == {20, 21} and set(np.flatnonzero(second[1].sum(axis=1))) == {
        8,
        9,
    }
    assert first[0].sum() == first[1].sum() and counts[:, 0].sum() == counts[:, 1].sum()


def test_steps_only_say_when() -> None:
    fine = record(digit(), CAMERA, 63)
    for n_steps in (1, 3, 7, 21):
        coarse = record(digit(), CAMERA, n_steps)
        np.testing.assert_array_equal(coarse, fine.reshape(1, n_steps, 63 // n_steps, 2, -1).sum(axis=2))
    with pytest.raises(DataError, match=r"camera: 64 steps, the simulation has 63 frames; choose 1\.\.63"):
        record(digit(), CAMERA, 64)


def test_the_camera_is_its_twin() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 28, 28)).astype(np.uint8)
    columns, rows = sensor_lines(CAMERA, 28)
    scenes = np.pad(images, ((0, 0), (camera.MARGIN,) * 2, (camera.MARGIN,) * 2))
    thresholds = np.full((2, 34 * 34), CAMERA.threshold << 8, np.int32)
    step = (np.arange(N_FRAMES) * 12 // N_FRAMES).astype(np.int32)
    expected = plain_see(scenes, columns, rows, light_levels(CAMERA.dark), thresholds, CAMERA.lag, step, 12)
    np.testing.assert_array_equal(record(images, CAMERA, 12), expected)


def test_blocks_do_not_change_the_events(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    write_mnist(tmp_path / "mnist")
    write_nmnist(tmp_path / "nmnist")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    whole = load_task("nmnist-saccades", n_steps=3)
    monkeypatch.setattr(saccades, "BLOCK", 7)
    parts = load_task("nmnist-saccades", n_steps=3)
    np.testing.assert_array_equal(whole.train_events.neuron, parts.train_events.neuron)
    np.testing.assert_array_equal(whole.train_labels, parts.train_labels)


def test_the_recordings_follow_the_images(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    write_mnist(tmp_path / "mnist", n_train=1100)
    write_nmnist(tmp_path / "nmnist")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    for augment in (False, True):
        for copies in (0, 1, 2):
            task = load_task(f"nmnist-saccades:copies={copies}", n_steps=3, augment=augment)
            assert len(task.train_labels) == 100 + 420 * (copies if augment else min(1, copies))
            assert task.train_labels.tolist()[:10] == list(range(10))
            if copies:
                recordings = load_task(f"nmnist:copies={copies}", n_steps=3, augment=augment)
                real = task.train_events.take(range(100, len(task.train_labels)))
                np.testing.assert_array_equal(real.neuron, recordings.train_events.neuron)
                np.testing.assert_array_equal(task.train_labels[100:], recordings.train_labels)
                np.testing.assert_array_equal(task.test_events.neuron, recordings.test_events.neuron)


@pytest.mark.parametrize("name", ["nmnist", "nmnist-saccades"])
def test_copies_are_drawn_anew_where_that_is_asked_for(name: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    write_mnist(tmp_path / "mnist", n_train=1040)
    write_nmnist(tmp_path / "nmnist")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    n = 40 if name == "nmnist-saccades" else 0  # images; then 420 recordings as they are, and once warped
    plain, task = load_task(f"{name}:copies=2", n_steps=3), load_task(f"{name}:copies=2,anew=1", n_steps=3)
    assert plain.copies is None and load_task(f"{name}:anew=1,copies=2", n_steps=3, augment=False).copies is None
    assert task.copies is not None and len(task.train_labels) == n + 840
    first, second, third = (task.copies(epoch).to_dense() for epoch in range(3))
    np.testing.assert_array_equal(first, plain.train_events.to_dense())
    np.testing.assert_array_equal(task.train_events.neuron, plain.train_events.neuron)
    np.testing.assert_array_equal(first[n : n + 420], second[n : n + 420])  # the recordings themselves
    for one, other in ((first, second), (second, third)):
        for part in (one[:n] != other[:n], one[n + 420 :] != other[n + 420 :]):
            assert part.any(axis=(1, 2)).mean() > 0.95 if len(part) else n == 0
    monkeypatch.setattr(saccades, "BLOCK", 7)
    parts = load_task(f"{name}:copies=2,anew=1", n_steps=3)
    assert parts.copies is not None
    np.testing.assert_array_equal(parts.copies(2).to_dense(), third)


def test_no_images_are_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    write_mnist(tmp_path / "mnist", n_train=1000)
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    with pytest.raises(DataError, match="MNIST has no images from number 1000 on"):
        load_task("nmnist-saccades")


@pytest.mark.skipif(INTERPRETED, reason="kernels run as plain Python: the camera would take minutes")
@pytest.mark.parametrize("split", [None, 1, 4])
def test_simulated_events_are_like_the_recordings_of_the_same_digits(split: int | None) -> None:
    real_folder(MNIST)
    if list_recordings(real_folder(NMNIST)).is_test is not None:
        pytest.skip("the full set is here; the comparison is with the sample of 900")
    found = compare_with_recordings(split)
    assert found.n == (400 if split is None else 100)
    simulated, recorded = found.events
    assert abs(simulated / recorded - 1) < 0.05
    assert np.abs(found.per_saccade[0] / found.per_saccade[1] - 1).max() < 0.1
    assert np.abs(found.falling - 0.5).max() < 0.01
    assert found.per_cell > 0.72 and found.per_pixel > 0.92
