"""Labelled samples from files of spikes, folders of events and tasks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_sets import event_bytes, real_folder

from neurosim.data import labelled, npzspikes
from neurosim.data.eventtype import EVENT
from neurosim.data.labelled import Labelled, load_labelled, whole_microseconds
from neurosim.data.nmnist import NMNIST
from neurosim.data.transforms import Crop, Downscale, RandomShift, Shift, StackPolarity
from neurosim.errors import DataError
from neurosim.events import check_events, events_from_dense
from neurosim.tasks import load_task

SHAPE = (2, 34, 34)
N = 6


def recording(i: int) -> list[tuple[int, int, int, int]]:
    """Return events (x, y, p, t) that differ from file to file; several of a pixel within a millisecond."""
    return [((i + k) % 34, 2 * i, k % 2, 400 * k + late) for k in range(10 + i) for late in (0, 1)]


def expected(numbers: list[int], n_steps: int, count: str = "once") -> np.ndarray[Any, Any]:
    dense = np.zeros((len(numbers), n_steps, *SHAPE), np.int64)
    for sample, i in enumerate(numbers):
        for x, y, p, t in recording(i):
            if t // 1000 < n_steps:
                dense[sample, t // 1000, p, y, x] += 1
    dense = dense.reshape(len(numbers), n_steps, -1)
    return dense if count == "sum" else (dense > 0).astype(np.int64)


def write_table(folder: Path) -> Path:
    (folder / "events").mkdir(parents=True)
    for i in range(N):
        (folder / f"events/{i}.bin").write_bytes(event_bytes(recording(i)))
    lines = ["file,label", *(f"events/{i}.bin,{i % 3}" for i in range(N))]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_classes(folder: Path, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    for i in range(N):
        path = folder / names[i % len(names)] / f"{i}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(event_bytes(recording(i)))
    return folder


@pytest.mark.parametrize("count", ["once", "sum"])
def test_a_folder_with_a_table(tmp_path: Path, count: str) -> None:
    data = load_labelled(write_table(tmp_path), SHAPE, dt=1e-3, count=count)
    n_steps = (400 * (9 + N - 1) + 1) // 1000 + 1
    check_events(data.events, 2312)
    np.testing.assert_array_equal(data.events.to_values(), expected(list(range(N)), n_steps, count))
    assert data.known_labels().tolist() == [0, 1, 2, 0, 1, 2] and data.classes == ()
    assert (data.name, data.n_malformed, data.n_late, data.n_outside) == (str(tmp_path), 0, 0, 0)


def test_steps_and_samples_can_be_fewer(tmp_path: Path) -> None:
    data = load_labelled(str(write_table(tmp_path)), SHAPE, dt=1e-3, n_steps=3, limit=4, count="sum")
    np.testing.assert_array_equal(data.events.to_values(), expected([0, 1, 3, 4], 3, "sum"))
    assert data.known_labels().tolist() == [0, 1, 0, 1]
    assert data.n_late == sum(2 * (10 + i) - 2 * 8 for i in (0, 1, 3, 4))  # eight pairs come in the first 3 ms


def test_folders_of_classes(tmp_path: Path) -> None:
    data = load_labelled(write_classes(tmp_path / "a"), SHAPE, dt=1e-3, n_steps=5)
    np.testing.assert_array_equal(data.events.to_values(), expected([0, 2, 4, 1, 3, 5], 5))
    assert (data.known_labels().tolist(), data.classes) == ([0, 0, 0, 1, 1, 1], ("cat", "dog"))
    numbers = load_labelled(write_classes(tmp_path / "b", ("7", "11")), SHAPE, dt=1e-3, n_steps=5)
    assert (numbers.known_labels().tolist(), numbers.classes) == ([11, 11, 11, 7, 7, 7], ())


def test_train_and_test_are_parts(tmp_path: Path) -> None:
    write_classes(tmp_path / "Train", ("a", "b", "c"))
    write_classes(tmp_path / "Test", ("b",))
    test = load_labelled(tmp_path, SHAPE, dt=1e-3, n_steps=5)
    assert (test.events.n_samples, test.known_labels().tolist(), test.classes) == (N, [1] * N, ("a", "b", "c"))
    train = load_labelled(tmp_path, SHAPE, dt=1e-3, n_steps=5, part="train")
    assert train.known_labels().tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(DataError, match="part: 'validation' is none of train, test"):
        load_labelled(tmp_path, SHAPE, dt=1e-3, part="validation")
    with pytest.raises(DataError, match="has no folders Train and Test to take part 'train' of"):
        load_labelled(tmp_path / "Train", SHAPE, dt=1e-3, part="train")
    for path in (tmp_path / "Test").rglob("*.bin"):
        path.unlink()
    (tmp_path / "Test/b").rmdir()
    (tmp_path / "Test").rmdir()
    with pytest.raises(DataError, match="has train but no 'test'"):
        load_labelled(tmp_path, SHAPE, dt=1e-3)


def test_a_single_file_and_a_folder_of_files_have_no_labels(tmp_path: Path) -> None:
    folder = write_table(tmp_path) / "events"
    one = load_labelled(folder / "3.bin", SHAPE, dt=1e-3, n_steps=5)
    np.testing.assert_array_equal(one.events.to_values(), expected([3], 5))
    several = load_labelled(folder, SHAPE, dt=1e-3, n_steps=5)
    np.testing.assert_array_equal(several.events.to_values(), expected(list(range(N)), 5))
    for data in (one, several):
        assert data.labels is None
        with pytest.raises(DataError, match="has no labels to compare answers with; add labels.csv"):
            data.known_labels()


def test_files_may_hold_their_labels(tmp_path: Path) -> None:
    for i in range(3):
        np.savez(tmp_path / f"{i}.npz", t=[10, 20], x=[i, 1], y=[0, 0], p=[1, 1], label=7 - i, sensor_size=(3, 1))
    data = load_labelled(tmp_path, (1, 3), dt=1e-3)
    assert data.known_labels().tolist() == [7, 6, 5]
    assert data.events.neuron.tolist() == [0, 1, 1, 1, 2]


def test_transforms_are_applied_to_each_recording_by_its_place(tmp_path: Path) -> None:
    folder = write_table(tmp_path)
    shifted = load_labelled(
        folder, (34, 17), dt=1e-3, n_steps=5, transforms=[RandomShift(5, 5), Downscale(2), StackPolarity()]
    )
    assert shifted.events.n_inputs == 34 * 17
    moves = {RandomShift(5, 5).move(i) for i in range(N)}
    assert len(moves) > 3
    for i in range(N):
        alone = load_labelled(folder / f"events/{i}.bin", (34, 17), dt=1e-3, n_steps=5,
                              transforms=[Shift(*RandomShift(5, 5).move(i)), Downscale(2), StackPolarity()])  # fmt: skip
        np.testing.assert_array_equal(shifted.events.take([i]).neuron, alone.events.neuron)


def test_a_flat_shape_takes_both_polarities_or_neither(tmp_path: Path) -> None:
    folder = write_table(tmp_path)
    full = load_labelled(folder, SHAPE, dt=1e-3).events
    np.testing.assert_array_equal(load_labelled(folder, (2312,), dt=1e-3).events.neuron, full.neuron)
    merged = load_labelled(folder, (1, 34, 34), dt=1e-3).events
    np.testing.assert_array_equal(load_labelled(folder, (1156,), dt=1e-3).events.neuron, merged.neuron)
    np.testing.assert_array_equal(merged.to_dense(), full.to_dense().reshape(N, -1, 2, 1156).any(axis=2))


@pytest.mark.parametrize("shape", [(2, 34, 33), (17, 17), (100,)])
def test_shapes_that_the_sensor_does_not_have_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        DataError, match=r"its sensor has 34 x 34 pixels, which does not fit input shape .*; need \(2, 34, 34\)"
    ):
        load_labelled(write_table(tmp_path), shape, dt=1e-3)


def test_transforms_need_the_size_of_the_sensor(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([(5, 1, 0, 1)], EVENT))
    with pytest.raises(DataError, match="does not say its sensor's size, which transforms need; give sensor_size"):
        load_labelled(path, (2, 2), dt=1e-3, transforms=[Crop(0, 0, 2, 2)])
    data = load_labelled(path, (2, 2), dt=1e-3, transforms=[Crop(0, 0, 2, 2)], sensor_size=(4, 4))
    assert data.events.neuron.tolist() == [1]
    assert load_labelled(path, (2, 2), dt=1e-3).events.neuron.tolist() == [1]


def test_malformed_events_are_counted_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = write_table(tmp_path)
    (folder / "events/1.bin").write_bytes(event_bytes([*recording(1), (3, 3, 0, 0)]))
    with pytest.raises(DataError, match="is malformed"):
        load_labelled(folder, SHAPE, dt=1e-3)
    data = load_labelled(folder, SHAPE, dt=1e-3, strict=False)
    assert data.n_malformed == 1
    np.testing.assert_array_equal(data.events.to_values(), expected(list(range(N)), data.events.n_steps))


def write_spikes(path: Path, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    spikes, labels = rng.integers(-1, 3, (7, 4, 2, 3, 5)).astype(np.int16), rng.integers(0, 4, 7)
    np.savez_compressed(path, spikes=spikes, labels=labels)
    return spikes, labels


def test_a_file_of_spikes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    spikes, labels = write_spikes(path)
    flat = spikes.reshape(7, 4, 30)
    for shape in ((2, 3, 5), (30,)):
        if shape == (30,):
            np.savez(path, spikes=flat, labels=labels)
            monkeypatch.setattr(npzspikes, "BLOCK", 100)
        once, summed = (load_labelled(path, shape, dt=1e-3, count=count) for count in ("once", "sum"))
        np.testing.assert_array_equal(check_events(once.events, 30).to_dense(), flat != 0)
        np.testing.assert_array_equal(check_events(summed.events, 30).to_values(), flat)
        assert once.known_labels().tolist() == labels.tolist()
        few = load_labelled(path, shape, dt=1e-3, count="sum", n_steps=2, limit=3)
        np.testing.assert_array_equal(few.events.to_values(), flat[[0, 2, 4], :2])
        assert few.known_labels().tolist() == labels[[0, 2, 4]].tolist()


def test_spikes_may_be_floats_and_of_any_shape(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    spikes = np.random.default_rng(0).integers(0, 2, (3, 2, 3, 2, 4)).astype(np.float32)  # three channels
    np.savez(path, spikes=spikes)
    data = load_labelled(path, (3, 2, 4), dt=1e-3)
    np.testing.assert_array_equal(data.events.to_dense(), spikes.reshape(3, 2, -1) != 0)
    assert data.labels is None
    np.savez(path, spikes=0.5 * spikes)
    with pytest.raises(DataError, match="spikes are 0 or 1, found float32 value 0.5"):
        load_labelled(path, (3, 2, 4), dt=1e-3)


@pytest.mark.parametrize(
    ("arrays", "given", "words"),
    [
        ({"spikes": np.zeros((2, 3, 4))}, {"shape": (5,)}, r"spikes have shape \(2, 3, 4\), need \(n_samples, n_steps, 5\)"),
        ({"spikes": np.zeros((2, 3))}, {}, "found 2 axes"),
        ({"spikes": np.zeros((2, 3, 4))}, {"n_steps": 4}, "4 steps asked for, samples have 3"),
        ({"spikes": np.zeros((2, 3, 4), "U3")}, {}, "the array holds no numbers"),
        ({"spikes": np.zeros((2, 3, 4)), "labels": np.zeros(3, int)}, {}, r"labels are int64 of shape \(3,\), need 2 whole numbers"),
        ({"spikes": np.zeros((2, 3, 4)), "labels": np.zeros(2)}, {}, "labels are float64"),
        ({"spikes": np.zeros((2, 3, 4)), "labels": np.zeros(2, object)}, {}, "array 'labels' is damaged"),
        ({"spikes": np.zeros((2, 3, 4))}, {"transforms": [Shift(1, 1)]}, "holds spikes, transforms are for events"),
    ],
)  # fmt: skip
def test_wrong_files_of_spikes_are_refused(
    tmp_path: Path, arrays: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=words):
        load_labelled(path, given.pop("shape", (4,)), dt=1e-3, **given)


def test_a_cut_or_changed_file_of_spikes_is_a_clear_error_or_a_right_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    spikes, labels = write_spikes(path)
    content, n_errors = path.read_bytes(), 0
    rng = np.random.default_rng(0)
    for trial in range(300):
        changed = bytearray(content)
        if trial % 3:
            for at in rng.integers(0, len(content), 1 + trial % 4):
                changed[at] = rng.integers(0, 256)
        else:
            changed = changed[: rng.integers(0, len(content))]
        path.write_bytes(bytes(changed))
        try:
            found = load_labelled(path, (2, 3, 5), dt=1e-3, count="sum")
        except DataError:
            n_errors += 1
            continue
        np.testing.assert_array_equal(found.events.to_values(), spikes.reshape(7, 4, 30))
        assert found.labels is None or found.labels.tolist() == labels.tolist()
    assert 150 < n_errors < 300


@pytest.mark.parametrize("labels", [True, False])
def test_a_file_of_many_recordings(tmp_path: Path, labels: bool) -> None:
    """As the Heidelberg sets keep them."""
    import h5py

    rng = np.random.default_rng(0)
    times = [np.sort(rng.random(n)) * 0.1 for n in (5, 9, 0, 12, 7)]
    units = [rng.integers(0, 20, len(t)) for t in times]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, rows, dtype in (("times", times, "f4"), ("units", units, "u2")):
            stored = file.create_dataset(f"spikes/{name}", (5,), h5py.vlen_dtype(np.dtype(dtype)))
            for i, row in enumerate(rows):
                stored[i] = row.astype(dtype)
        if labels:
            file["labels"] = [3, 1, 4, 1, 5]

    def dense(chosen: list[int]) -> np.ndarray[Any, Any]:
        found = np.zeros((len(chosen), 12, 20), bool)
        for s, i in enumerate(chosen):
            found[s, np.rint(times[i].astype("f4").astype(float) * 1e6).astype(int) // 10_000, units[i]] = True
        return found

    for source in (tmp_path / "a.h5", tmp_path):
        data = load_labelled(source, (20,), dt=0.01, n_steps=12)
        np.testing.assert_array_equal(check_events(data.events, 20).to_dense(), dense([0, 1, 2, 3, 4]))
        assert data.known_labels().tolist() == [3, 1, 4, 1, 5] if labels else data.labels is None
        few = load_labelled(source, (20,), dt=0.01, n_steps=12, limit=2)
        np.testing.assert_array_equal(few.events.to_dense(), dense([0, 2]))
    (tmp_path / "labels.csv").write_text("file,label\na.h5,1\n")
    with pytest.raises(DataError, match="holds 5 recordings, its label is for one; give the file itself"):
        load_labelled(tmp_path, (20,), dt=0.01)


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (64,)])
def test_a_task_comes_in_the_order_of_frameworks(shape: tuple[int, ...]) -> None:
    task = load_task("digits", n_steps=16, augment=False)
    data = load_labelled("digits", shape, dt=1e-3, n_steps=16)
    check_events(data.events, 64)
    np.testing.assert_array_equal(data.events.to_dense().sum(axis=1).reshape(-1, 8, 8), task.images)  # (row, column)
    np.testing.assert_array_equal(data.known_labels(), task.test_labels)


def test_channels_of_a_task_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 2, (3, 4, 2, 5, 2)).astype(bool)  # row, column, channel
    task = replace(
        load_task("digits", n_steps=4, augment=False), test_events=events_from_dense(dense.reshape(3, 4, 20)),
        test_labels=np.arange(3), n_inputs=20, input_shape=(2, 5, 2),
    )  # fmt: skip
    monkeypatch.setattr("neurosim.tasks.load_task", lambda name, **settings: task)
    data = load_labelled("digits", (2, 2, 5), dt=1e-3)
    np.testing.assert_array_equal(
        check_events(data.events, 20).to_dense(), dense.transpose(0, 1, 4, 2, 3).reshape(3, 4, 20)
    )


def test_samples_to_learn_from_and_a_few(tmp_path: Path) -> None:
    task = load_task("digits", n_steps=4, augment=False)
    train = load_labelled("digits", (8, 8), dt=1e-3, n_steps=4, part="train", limit=100)
    chosen = np.arange(100) * len(task.train_labels) // 100
    assert train.known_labels().tolist() == task.train_labels[chosen].tolist()
    assert train.events.n_samples == 100
    with pytest.raises(DataError, match="limit: 0 is not a positive number"):
        load_labelled("digits", (8, 8), dt=1e-3, limit=0)


@pytest.mark.parametrize(
    ("source", "given", "words"),
    [
        (
            "digits",
            {"shape": (8, 4)},
            r"task 'digits': its samples have 64 inputs, \(1, 8, 8\), which does not fit input shape \(8, 4\)",
        ),
        ("digits", {"transforms": [Shift(1, 0)]}, "is encoded already, transforms are for events"),
        ("digits", {"part": "all"}, "part: 'all' is none of train, test"),
        ("digits:split=3", {}, "task 'digits': unknown option 'split'"),
        ("cartpole", {}, "is played and has no samples"),
        ("nothing-here", {}, "data 'nothing-here': no such file or folder, and no task; tasks are digits"),
        ("digits", {"dt": 1.5e-7}, "dt: 1.5e-07 s is not a whole number of microseconds"),
        ("digits", {"dt": 0}, "dt: 0 s is not"),
        ("digits", {"dt": float("nan")}, "dt: nan s is not"),
    ],
)
def test_wrong_sources_are_refused(source: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_labelled(source, **({"shape": (8, 8), "dt": 1e-3} | given))


def test_steps_are_whole_microseconds() -> None:
    assert [whole_microseconds(dt) for dt in (1e-6, 1e-3, 0.0107, 1, 3.5)] == [1, 1000, 10_700, 10**6, 3_500_000]
    with pytest.raises(DataError, match="not a whole number"):
        whole_microseconds(1 / 3000)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda f: None, "no files of events found"),
        (lambda f: (f / "readme.md").write_text("x"), "no files of events found"),
        (lambda f: (f / "labels.csv").write_text("events/0.bin,3\n"), "line 1 is 'events/0.bin,3', not the head"),
        (lambda f: (f / "labels.csv").write_text("file,label\n"), "lists no recordings"),
        (lambda f: (f / "labels.csv").write_text("file,label\n0.bin\n"), "line 2 is '0.bin'"),
        (
            lambda f: (f / "labels.csv").write_text("file,label\n../0.bin,1\n"),
            "line 2 names '../0.bin', which is outside",
        ),
        (lambda f: (f / "labels.csv").write_text("file,label\n0.bin,1\n"), "cannot be read"),
        (
            lambda f: write_classes(f) and (f / "x.bin").write_bytes(b"1"),
            "also files of events beside them, such as 'x.bin'",
        ),
        (
            lambda f: [(f / n).write_bytes(event_bytes(recording(1))) for n in ("a.bin", "b.npy")],
            r"several formats \(.bin, .npy\)",
        ),
    ],
)
def test_wrong_folders_are_refused(tmp_path: Path, prepare: Any, words: str) -> None:
    prepare(tmp_path)
    with pytest.raises(DataError, match=words):
        load_labelled(tmp_path, SHAPE, dt=1e-3)


def test_a_damaged_table_is_a_clear_error_or_a_right_answer(tmp_path: Path) -> None:
    folder = write_table(tmp_path)
    content, n_errors = (folder / "labels.csv").read_bytes(), 0
    rng = np.random.default_rng(1)
    for trial in range(300):
        changed = bytearray(content)
        if trial % 3 == 0:
            changed = changed[: rng.integers(0, len(content))]
        else:
            for at in rng.integers(0, len(content), 1 + trial % 4):
                changed[at] = rng.choice([0, 10, 13, 34, 44, 46, 47, 255, rng.integers(0, 256)])
        (folder / "labels.csv").write_bytes(bytes(changed))
        try:
            found = load_labelled(folder, SHAPE, dt=1e-3, n_steps=3)
        except DataError:
            n_errors += 1
            continue
        assert found.events.n_samples == len(found.known_labels()) <= N
    assert n_errors > 100
    (folder / "labels.csv").write_text("file,label\n" + "a" * 200_000 + ",1\n")
    with pytest.raises(DataError, match="not a table with columns file and label|cannot be read"):
        load_labelled(folder, SHAPE, dt=1e-3)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", ""])
def test_names_that_no_file_can_have_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="no such file or folder, and no task"):
        load_labelled(name, (8, 8), dt=1e-3)


def test_formats_that_a_table_mixes_are_refused(tmp_path: Path) -> None:
    folder = write_table(tmp_path)
    np.save(folder / "events/9.npy", np.array([(5, 1, 0, 1)], EVENT))
    with (folder / "labels.csv").open("a") as file:
        file.write("events/9.npy,1\n")
    with pytest.raises(DataError, match="is of format npy, others are atis; keep one format"):
        load_labelled(folder, SHAPE, dt=1e-3)


def test_a_task_is_not_hidden_by_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert load_labelled("digits", (8, 8), dt=1e-3, limit=1).name == "digits"
    assert load_labelled("./digits", SHAPE, dt=1e-3).events.n_samples == N
    assert isinstance(load_labelled(Path("digits"), SHAPE, dt=1e-3), Labelled)


def test_memory_is_that_of_the_spikes(tmp_path: Path) -> None:
    """What is measured here for 60 recordings holds for any number: nothing dense is made."""
    import tracemalloc

    folder = tmp_path
    (folder / "events").mkdir()
    rng = np.random.default_rng(0)
    lines = ["file,label"]
    for i in range(60):
        events = [(*rng.integers(0, 34, 2).tolist(), k % 2, 300 * k) for k in range(1000)]
        (folder / f"events/{i}.bin").write_bytes(event_bytes(events))
        lines.append(f"events/{i}.bin,0")
    (folder / "labels.csv").write_text("\n".join(lines))
    tracemalloc.start()
    data = load_labelled(folder, SHAPE, dt=1e-3, n_steps=300)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data.events.neuron) > 50_000
    assert peak < 4 << 20 < 60 * 300 * 2312 // 8  # a dense array of bits would take 5.2 MB, of bytes 42 MB


def test_the_real_recordings() -> None:
    folder = real_folder(NMNIST)
    data = load_labelled(folder, SHAPE, dt=1e-3, limit=90)
    check_events(data.events, 2312)
    assert np.bincount(data.known_labels(), minlength=10).min() >= 4
    assert data.events.n_steps in range(300, 330)
    assert (data.n_late, data.n_malformed, labelled.US_PER_S) == (0, 0, 1_000_000)
