"""N-MNIST: the event format, binning, splits, the real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import event_bytes, real_folder, write_nmnist

from neurosim.data import nmnist
from neurosim.data.mnist import MNIST, load_mnist
from neurosim.errors import DataError

EVENTS = [(0, 0, 0, 0), (33, 1, 1, 105_000), (33, 1, 1, 105_001), (2, 33, 0, 314_999), (5, 5, 1, 8_388_607)]


def test_five_bytes_make_an_event() -> None:
    found = nmnist.parse_events(event_bytes(EVENTS), "a.bin")
    assert list(zip(found.x, found.y, found.polarity, found.time, strict=True)) == EVENTS
    assert found.n_malformed == 0
    assert nmnist.parse_events(b"\x21\x01\x92\x34\x56", "b.bin").time.tolist() == [0x123456]
    assert len(nmnist.parse_events(b"", "empty.bin").x) == 0


@pytest.mark.parametrize(
    ("content", "n_malformed", "first"),
    [
        (event_bytes([*EVENTS[:2], (34, 0, 0, 200_000), *EVENTS[3:]]), 1, 2),
        (event_bytes([(0, 255, 0, 5), *EVENTS]), 1, 0),
        (event_bytes([EVENTS[1], EVENTS[0], EVENTS[3]]), 1, 1),  # goes back in time
        (event_bytes([EVENTS[3], EVENTS[1], EVENTS[2], EVENTS[4]]), 2, 1),
        (event_bytes(EVENTS)[:-2], 1, 4),  # ends within an event
        (event_bytes([(99, 0, 0, 400_000), *EVENTS]), 1, 0),  # what is dropped does not set the clock
    ],
)
def test_malformed_events_are_counted_or_refused(content: bytes, n_malformed: int, first: int) -> None:
    found = nmnist.parse_events(content, "a.bin", strict=False)
    assert found.n_malformed == n_malformed
    assert len(found.x) == -(-len(content) // 5) - n_malformed
    assert found.x.max(initial=0) < 34 and np.all(np.diff(found.time) >= 0)
    with pytest.raises(DataError, match=f"'a.bin': {n_malformed} of .* are malformed, the first is number {first} "):
        nmnist.parse_events(content, "a.bin")


def test_events_fall_into_the_input_and_the_step_of_their_place_and_time() -> None:
    found = nmnist.parse_events(event_bytes(EVENTS), "a.bin")
    counts = nmnist.bin_recording(found, 3)
    cells = {tuple(cell): int(counts[tuple(cell)]) for cell in np.argwhere(counts)}
    assert cells == {(0, 0): 1, (1, 1156 + 34 + 33): 2, (2, 33 * 34 + 2): 1, (2, 1156 + 5 * 34 + 5): 1}
    events = nmnist.bin_recordings([found, found], 3)
    assert events.neuron.tolist() == [0, 1156 + 67, 33 * 34 + 2, 1156 + 175] * 2
    assert events.start.tolist() == [0, 1, 2, 4, 5, 6, 8]


@pytest.mark.parametrize("pool", [1, 2, 17, 34])
def test_pooling_joins_squares(pool: int) -> None:
    rng = np.random.default_rng(pool)
    raw = [(int(x), int(y), int(p), 1000 * i) for i, (x, y, p) in enumerate(rng.integers(0, [34, 34, 2], (300, 3)))]
    found = nmnist.parse_events(event_bytes(raw), "a.bin")
    fine = nmnist.bin_recording(found, 2).reshape(2, 2, 34 // pool, pool, 34 // pool, pool).sum(axis=(3, 5))
    np.testing.assert_array_equal(nmnist.bin_recording(found, 2, pool), fine.reshape(2, -1))
    assert nmnist.n_pooled(pool) == 2 * (34 // pool) ** 2


def test_moved_events_leave_the_field() -> None:
    found = nmnist.parse_events(event_bytes(EVENTS), "a.bin")
    right = nmnist.moved(found, 0, 1)
    assert list(zip(right.x, right.y, right.time, strict=True)) == [(1, 0, 0), (3, 33, 314_999), (6, 5, 8_388_607)]
    assert len(nmnist.moved(found, -1, 0).x) == 4


def test_pictures_are_event_counts() -> None:
    picture = nmnist.pictures([nmnist.parse_events(event_bytes(EVENTS), "a.bin")])[0]
    assert (picture[1, 33], picture[0, 0], picture[33, 2], int((picture > 0).sum())) == (255, 127, 127, 4)
    assert nmnist.pictures([nmnist.parse_events(b"", "none.bin")]).max() == 0


def test_splits_share_no_test_recording(tmp_path: Path) -> None:
    write_nmnist(tmp_path)
    listing = nmnist.list_recordings(tmp_path)
    assert listing.is_test is None
    tests = []
    for number in range(1, 6):
        train, test = listing.split(number)
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(listing.files)))
        assert len(test) == 100 and np.bincount(listing.labels[test]).tolist() == [10] * 10
        tests.append(test)
    assert len(np.unique(np.concatenate(tests))) == 500


def test_the_layout_of_the_full_set_has_one_split(tmp_path: Path) -> None:
    for part, names in (("Train", ["00001", "00003"]), ("Test", ["00002"])):
        for digit in (4, 7):
            (tmp_path / part / str(digit)).mkdir(parents=True)
            for name in names:
                (tmp_path / part / str(digit) / f"{name}.bin").write_bytes(event_bytes(EVENTS))
    listing = nmnist.list_recordings(tmp_path)
    train, test = listing.split(1)
    assert listing.labels[train].tolist() == [4, 4, 7, 7] and listing.labels[test].tolist() == [4, 7]
    assert [nmnist.image_number(listing.files[i]) for i in train] == [0, 2, 0, 2]
    with pytest.raises(DataError, match="split 2 is asked for, the full set has one"):
        listing.split(2)
    for path in (tmp_path / "Test").glob("*/*"):
        path.unlink()
    with pytest.raises(DataError, match=r"needs files Train/LABEL/\*.bin and Test/LABEL/\*.bin; unpack both"):
        nmnist.list_recordings(tmp_path)


@pytest.mark.parametrize("line", ["events/00001.bin", "events/00001.bin,11", "events/00001.bin,x", "a,1,2"])
def test_wrong_lists_of_labels_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"file,label\nevents/00002.bin,3\n{line}\n")
    with pytest.raises(DataError, match="line 3 is '.*', not the head 'file,label' or a file and its digit"):
        nmnist.list_recordings(tmp_path)
    (tmp_path / "labels.csv").write_text("events/00002.bin,3\n")
    with pytest.raises(DataError, match="line 1 is"):
        nmnist.list_recordings(tmp_path)


def test_too_few_recordings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\nevents/00002.bin,3\n")
    with pytest.raises(DataError, match="1 recordings are too few for 5 test sets of 100"):
        nmnist.list_recordings(tmp_path).split(1)


def test_the_real_recordings() -> None:
    listing = nmnist.list_recordings(real_folder(nmnist.NMNIST))
    if listing.is_test is not None:
        pytest.skip("the full set is here; the figures below are those of the sample of 900")
    recordings = nmnist.read_recordings(listing.files)  # strictly
    sizes = [len(r.x) for r in recordings]
    assert (len(sizes), min(sizes), max(sizes), sum(sizes) // 900) == (900, 1112, 7152, 4124)
    assert max(int(r.time[-1]) for r in recordings) == 315_109
    mnist = load_mnist("train", real_folder(MNIST))
    np.testing.assert_array_equal(listing.labels, mnist.labels[[nmnist.image_number(f) for f in listing.files]])
    train, test = listing.split(1)
    assert (len(train), len(test)) == (800, 100) and np.bincount(listing.labels[test]).min() >= 8
    binned = nmnist.bin_recordings([recordings[i] for i in test], 12)
    assert 1900 < len(binned.neuron) / 100 < 2000  # of about 4,125
