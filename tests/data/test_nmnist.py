"""N-MNIST: the event format, binning, splits, the real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_sets import event_bytes, real_folder, write_nmnist

from neurosim.data import nmnist
from neurosim.data.event_code import EventCode
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


def test_events_fall_into_the_cell_of_their_place_and_time() -> None:
    found = nmnist.parse_events(event_bytes(EVENTS), "a.bin")
    counts = nmnist.count_events(found, 3)
    cells = {tuple(map(int, cell)): int(counts[tuple(cell)]) for cell in np.argwhere(counts)}
    assert cells == {(0, 0, 0): 1, (1, 1, 34 + 33): 2, (2, 0, 33 * 34 + 2): 1, (2, 1, 5 * 34 + 5): 1}
    events = nmnist.encode_recordings([found, found], EventCode(3))
    assert events.neuron.tolist() == [0, 1156 + 67, 33 * 34 + 2, 1156 + 175] * 2
    assert events.start.tolist() == [0, 1, 2, 4, 5, 6, 8]


def test_copies_are_warped_and_the_first_is_not() -> None:
    found = nmnist.parse_events(event_bytes(EVENTS), "a.bin")
    numbers = np.array([7, 9])
    copies = list(nmnist.warped_copies([found, found], numbers, 3))
    assert len(copies) == 6
    for copy, number in ((0, None), (1, None), (2, 65536 + 7), (3, 65536 + 9), (4, 131072 + 7)):
        expected = found if number is None else nmnist.warped(found, number)
        for one, other in zip(copies[copy], expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(list(nmnist.warped_copies([found], numbers[:1], 1))) == 1
    for epoch, copy, warp in ((1, 2, 3), (1, 4, 4), (511, 2, 1023), (512, 2, 2)):  # two warps in each epoch, of 1,023
        later = list(nmnist.warped_copies([found, found], numbers, 3, epoch))
        for one, other in zip(later[copy], nmnist.warped(found, (warp << 16) + 7), strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(later[0].x, found.x)


def test_warped_events_leave_the_field_with_their_time_and_polarity() -> None:
    n = 3000
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 34, (2, n))
    whole = nmnist.Recording(x, y, rng.integers(0, 2, n), np.arange(n) * 100)
    for number in (3, 65536 + 4):
        found = nmnist.warped(whole, number)
        assert 0.8 * n < len(found.x) < n and min(found.x.min(), found.y.min()) >= 0
        assert max(found.x.max(), found.y.max()) < 34
        kept = found.time // 100
        np.testing.assert_array_equal(found.polarity, whole.polarity[kept])
        assert 0 < np.abs(found.x - whole.x[kept]).max() <= 6


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
    binned = nmnist.encode_recordings([recordings[i] for i in test], EventCode(12))
    assert 1900 < len(binned.neuron) / 100 < 2000  # of about 4,125


@pytest.mark.parametrize("text", ["file,label\n" + "x" * 200_000 + ",1\n", 'file,label\na"b\rc,1\n'])
def test_lists_that_are_no_table_are_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(text.encode())
    with pytest.raises(DataError, match=r"labels.csv") as caught:
        nmnist.list_recordings(tmp_path)
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)
