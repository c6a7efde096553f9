"""Spoken digits: WAV files, split, loudness, the real recordings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import real_folder, write_fsdd, write_wav

from neurosim.data import cochlea, fsdd
from neurosim.data.cochlea import N_CHANNELS, RANGE, cochlea_events, loudness, overflow_spikes
from neurosim.data.resonators import ONE, centre, resonator_bank
from neurosim.errors import DataError
from neurosim.reference.cochlea import hear as plain_hear
from neurosim.tasks import load_task

BANK = resonator_bank(8000, N_CHANNELS, 100, 3700)


def test_channels_span_the_range_and_are_stable() -> None:
    centres = [centre(c, N_CHANNELS, 100, 3700) / ONE for c in range(N_CHANNELS)]
    assert np.all(np.diff(centres) > 0) and (round(centres[0]), round(centres[-1])) == (100, 3700)
    b, a1, a2 = BANK.T / 2.0**14
    assert np.all(np.abs(a2) < 1) and np.all(np.abs(a1) < 1 + a2) and np.all(b > 0)  # poles inside the circle


def test_loudness_is_the_logarithm_below_the_loudest() -> None:
    strength = np.random.default_rng(0).integers(0, 10**9, (2, 5, 4))
    strength[0, 0] = [0, 1, 2, 2**40]
    found = loudness(strength)
    for s in (0, 1):
        top = math.log2(int(strength[s].max()) + 1)
        exact = [max(0, RANGE + 256 * (math.log2(int(x) + 1) - top)) for x in strength[s].ravel()]
        assert np.abs(found[s].ravel() - exact).max() <= 2
    assert (found[0, 0] == [0, 0, 0, RANGE]).all()
    assert (loudness(np.zeros((1, 3, 2), np.int64)) == RANGE).all()  # of silence, all is as loud


def test_counters_fire_once_per_overflow() -> None:
    loud = np.array([[[RANGE, RANGE // 2, 0, RANGE // 3 + 1]] * 6])
    assert overflow_spikes(loud)[0].astype(int).T.tolist() == [
        [1, 1, 1, 1, 1, 1],
        [0, 1, 0, 1, 0, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 1],
    ]


def test_sounds_become_the_twins_spikes() -> None:
    rng = np.random.default_rng(1)
    sounds = [rng.integers(-9000, 9000, n).astype(np.int16) for n in (250, 700, 1)]
    start = np.cumsum([0, 250, 700, 1]).astype(np.int64)
    strength = plain_hear(np.concatenate(sounds), start, BANK, 14, cochlea.FRAME, 5)
    np.testing.assert_array_equal(cochlea_events(sounds, 5).to_dense(), overflow_spikes(loudness(strength)))
    assert cochlea_events([], 5).n_samples == 0


def test_how_loud_a_recording_is_does_not_matter_much() -> None:
    sound = np.random.default_rng(2).integers(-3000, 3000, 2000).astype(np.int16)
    soft, loud = cochlea_events([sound], 20).to_dense(), cochlea_events([8 * sound], 20).to_dense()
    assert (soft ^ loud).mean() < 0.03 < loud.mean() / 10


def test_wav_files_are_read(tmp_path: Path) -> None:
    samples = np.array([0, 1, -1, 2**15 - 1, -(2**15)], np.int16)
    write_wav(tmp_path / "a.wav", samples)
    np.testing.assert_array_equal(fsdd.parse_wav((tmp_path / "a.wav").read_bytes(), "a.wav"), samples)


def test_other_wav_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, np.zeros(10, np.int16), rate=16000)
    with pytest.raises(DataError, match=r"'a.wav': 1 channel\(s\), 16 bits, 16000 Hz, need 1, 16, 8000; convert it"):
        fsdd.parse_wav(path.read_bytes(), "a.wav")
    write_wav(path, np.zeros(10, np.int16), channels=2)
    with pytest.raises(DataError, match=r"2 channel\(s\)"):
        fsdd.parse_wav(path.read_bytes(), "a.wav")
    write_wav(path, np.zeros(10, np.int16))
    content = path.read_bytes()
    with pytest.raises(DataError, match="13 bytes follow, its header announces 20; get it anew"):
        fsdd.parse_wav(content[:-7], "a.wav")
    for broken in (b"", b"RIFF", content[:30], b"x" * 100):
        with pytest.raises(DataError, match="'a.wav': not a WAV file"):
            fsdd.parse_wav(broken, "a.wav")


@pytest.mark.parametrize(
    ("indices", "test", "words"),
    [
        (range(3, 12), [3, 4], "the official split"),
        (range(5, 12), [5, 6, 7, 8, 9], "as the official 0 to 4 are missing"),
    ],
)
def test_the_official_test_set_is_taken_where_it_is_there(
    indices: range, test: list[int], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_fsdd(tmp_path / "fsdd", indices)
    spoken = fsdd.list_spoken(tmp_path / "fsdd")
    trained, tested, said = fsdd.split_spoken(spoken)
    assert words in said
    assert sorted({each.take for each in tested}) == test
    assert sorted({each.take for each in trained}) == [i for i in indices if i not in test]
    assert [(each.digit, each.take) for each in spoken] == [(d, i) for d in range(10) for i in indices]
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    assert words in load_task("fsdd", n_steps=4).description


def test_wrong_names_and_missing_parts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    write_fsdd(tmp_path / "fsdd", range(5, 7))
    with pytest.raises(DataError, match="0 recordings to learn from, 20 to test with; get the full set"):
        load_task("fsdd", n_steps=4)
    write_wav(tmp_path / "fsdd" / "recordings" / "five_ann_3.wav", np.zeros(3, np.int16))
    with pytest.raises(DataError, match="five_ann_3.wav': its name is not DIGIT_SPEAKER_INDEX.wav"):
        load_task("fsdd", n_steps=4)


def test_the_real_recordings() -> None:
    spoken = fsdd.list_spoken(real_folder(fsdd.FSDD))
    speakers = {each.speaker for each in spoken}
    trained, tested, _ = fsdd.split_spoken(spoken)
    assert speakers == {"george", "jackson", "lucas", "nicolas", "theo", "yweweler"}
    assert (len(trained) % 60, len(tested)) == (0, 300)
    assert {(each.digit, each.speaker) for each in tested} == {(d, s) for d in range(10) for s in speakers}
    sounds = [fsdd.parse_wav(each.path.read_bytes(), each.path.name) for each in tested]
    events = cochlea_events(sounds, fsdd.N_STEPS)
    per_sound = np.diff(events.start[:: fsdd.N_STEPS])
    assert per_sound.min() > 50 and 200 < per_sound.mean() < 800
    assert np.mean([len(sound) <= fsdd.N_STEPS * cochlea.FRAME for sound in sounds]) > 0.95


def test_pieces_that_leave_the_file_are_refused(tmp_path: Path) -> None:
    content = b"RIFF\x24\x00\x00\x00WAVE" + b"junk\x01\x00\x00\x00a\x00" + b"more\xff\xff\xff\x7fab"
    with pytest.raises(DataError, match="not a WAV file"):
        fsdd.parse_wav(content, "x.wav")


def test_delay_lines_repeat_their_channel_later() -> None:
    spikes = np.random.default_rng(4).random((3, 9, 5)) < 0.4
    lines = fsdd.delayed(spikes, 4, 3).reshape(3, 9, 4, 5)
    for k in range(4):
        for t in range(9):
            expected = spikes[:, t - 3 * k] if t >= 3 * k else np.zeros((3, 5), bool)
            np.testing.assert_array_equal(lines[:, t, k], expected)
    assert not lines[:, :, 3].any()  # it would begin after the end
    np.testing.assert_array_equal(fsdd.delayed(spikes, 1, 7), spikes)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fsdd(tmp_path / "fsdd")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))


@pytest.mark.usefixtures("tiny")
def test_taps_are_inputs_of_their_own() -> None:
    plain, task = load_task("fsdd", n_steps=12), load_task("fsdd:taps=3,gap=2", n_steps=12)
    assert (task.n_inputs, task.name) == (3 * N_CHANNELS, "fsdd:taps=3,gap=2")
    for before, after in ((plain.train_events, task.train_events), (plain.test_events, task.test_events)):
        np.testing.assert_array_equal(after.to_dense(), fsdd.delayed(before.to_dense(), 3, 2))


@pytest.mark.usefixtures("tiny")
def test_copies_are_near_their_recordings_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, task = load_task("fsdd", n_steps=20), load_task("fsdd", n_steps=20, augment=True)
    assert plain.copies is None and task.copies is not None
    np.testing.assert_array_equal(task.test_events.neuron, plain.test_events.neuron)
    monkeypatch.setattr(fsdd, "BLOCK", 7)
    parts = load_task("fsdd", n_steps=20, augment=True)
    assert parts.copies is not None
    for epoch in (0, 3):
        np.testing.assert_array_equal(task.copies(epoch).neuron, parts.copies(epoch).neuron)
        rates = [events.to_dense().sum(axis=1).astype(float) for events in (plain.train_events, task.copies(epoch))]
        alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(*rates, strict=True)]  # of spikes per channel
        assert 0.7 < np.mean(alike) < 0.999
