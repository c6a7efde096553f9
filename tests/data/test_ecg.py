"""Heartbeats: reading, windows, delayed copies, splits, the real recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tiny_sets import ecg_variables, mat_bytes, real_folder, write_ecg

from neurosim.data import ecg
from neurosim.errors import DataError


def test_bands_and_the_end() -> None:
    variables = ecg_variables(3, 20)
    variables["max_i"][2] = 15
    spikes, labels = ecg.parse_sequences(mat_bytes(variables), "f.mat")
    assert spikes.shape == (3, 20, 4) and spikes.dtype == np.bool_ and not spikes[:, -1].any()
    assert labels[0].tolist() == [-1] * 2 + [0] * 8 + [1] * 9 + [-1]
    assert labels[2].tolist() == [-1] * 2 + [2] * 8 + [3] * 4 + [-1] * 6


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("x", np.zeros((3, 20, 5), np.int16), r"x, y and max_i have shapes \(3, 20, 5\), .* need \(n, steps, 4\)"),
        ("y", np.zeros((3, 20, 5), np.uint8), r"have shapes \(3, 20, 4\), \(3, 20, 5\)"),
        ("y", np.zeros((3, 20), np.uint8), r"have shapes \(3, 20, 4\), \(3, 20\)"),
        ("max_i", np.zeros((1, 3), np.uint16), r"and \(1, 3\), need"),
        ("x", np.full((3, 20, 4), 2, np.int16), "x must hold -1, 0 or 1 and y at most one 1 a step"),
        ("y", np.full((3, 20, 6), 1, np.uint8), "y at most one 1 a step"),
        ("x", np.zeros((3, 20), np.int16), "have shapes"),
    ],
)
def test_other_shapes_and_values_are_refused(name: str, array: npt.NDArray[Any], words: str) -> None:
    with pytest.raises(DataError, match=f"file 'f.mat': .*{words}"):
        ecg.parse_sequences(mat_bytes(ecg_variables(3, 20) | {name: array}), "f.mat")


def test_windows_end_at_steps_with_a_label() -> None:
    labels = np.array([[-1, 0, 0, 1, 1, -1, 2, 2], [3] * 8])
    assert ecg.window_ends(labels, 3, 3).tolist() == [[0, 2], [1, 2], [1, 5]]
    assert ecg.window_ends(labels, 2, 3).tolist() == [[0, 1], [0, 4], [0, 7], [1, 1], [1, 4], [1, 7]]


def test_input_4k_plus_c_repeats_line_c_after_8k_steps() -> None:
    rng = np.random.default_rng(0)
    spikes = rng.random((2, 300, 4)) < 0.2
    ends = np.array([[0, 20], [1, 299], [1, 250]])
    dense = ecg.tapped_events(spikes, ends, 10).to_dense()
    assert dense.shape == (3, 10, 4 * ecg.N_TAPS)
    for window, (sequence, last) in zip(dense, ends.tolist(), strict=True):
        for t in range(10):
            for k in range(ecg.N_TAPS):
                seen = last - 9 + t - 8 * k
                expected = spikes[sequence, seen] if seen >= 0 else np.zeros(4, np.bool_)
                np.testing.assert_array_equal(window[t, 4 * k : 4 * k + 4], expected)


def test_a_window_of_eight_steps_holds_every_event_of_the_past_once() -> None:
    spikes = np.random.default_rng(1).random((1, 400, 4)) < 0.2
    dense = ecg.tapped_events(spikes, np.array([[0, 300]]), ecg.TAP).to_dense()
    reach = ecg.TAP * ecg.N_TAPS
    assert dense.sum() == spikes[0, 301 - reach : 301].sum() > 0


@pytest.mark.parametrize("split", range(1, 6))
def test_tested_sequences_lie_apart_from_those_learned_from(split: int) -> None:
    train, test = ecg.split_sequences(618, split)
    assert len(test) in (123, 124) and np.abs(train[:, None] - test).min() > ecg.GAP - 1
    assert len(train) >= 618 - 124 - 2 * ecg.GAP


def test_every_sequence_is_tested_in_one_split() -> None:
    tests = [ecg.split_sequences(618, split)[1] for split in range(1, 6)]
    assert np.concatenate(tests).tolist() == list(range(618))


def test_the_label_of_a_window_is_that_of_its_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ecg(tmp_path / "ecg-qtdb")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    task = ecg.ecg_task(6, False, {"split": 2})
    for steps, labels in ((task.train_step_labels, task.train_labels), (task.test_step_labels, task.test_labels)):
        assert steps is not None
        np.testing.assert_array_equal(steps[:, -1], labels)
        assert (steps == -1).any() and steps.shape[1] == 6
    newest = task.test_events.to_dense()[:, :, :4]  # of the lines that are not delayed
    assert task.test_step_labels is not None
    sample, step, line = np.nonzero(newest)
    known = task.test_step_labels[sample, step] >= 0
    assert known.sum() > 100
    np.testing.assert_array_equal(task.test_step_labels[sample, step][known] % 4, line[known])


def test_the_real_recordings() -> None:
    path = real_folder(ecg.ECG) / ecg.FILE
    spikes, labels = ecg.parse_sequences(path.read_bytes(), str(path))
    assert spikes.shape == (618, 1301, 4) and 0.07 < spikes.mean() < 0.08
    share = np.bincount(labels[labels >= 0]) / (labels >= 0).sum()
    assert len(share) == 6 and share.min() > 0.04  # every band occurs
    after = labels[:, 1:][(labels[:, :-1] == 2) & (labels[:, 1:] != 2)]
    assert np.mean(after == 3) > 0.97  # QR is followed by RS
    qrs = np.isin(labels, (2, 3))
    assert spikes[qrs].mean() > 3 * spikes[labels == 5].mean()  # steep waves make events, the pause between beats few


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("max_i", np.full((3, 1), np.nan), "max_i must hold steps, 0..20"),
        ("max_i", np.full((3, 1), 21.0), "max_i must hold steps, 0..20"),
        ("x", np.zeros((0, 1 << 30, 4), np.int16), "have shapes"),
        ("x", np.zeros((3, 20), np.int16), "have shapes"),
    ],
)
def test_numbers_that_cannot_be_are_refused(name: str, array: npt.NDArray[Any], words: str) -> None:
    variables = ecg_variables(3, 20)
    variables[name] = array
    with pytest.raises(DataError, match=words):
        ecg.parse_sequences(mat_bytes(variables, False), "f.mat")
