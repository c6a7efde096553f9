"""SLAYER's folders: descriptions, weights, and the recorded chip trace and accuracy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from realdata import INTERPRETED, PART, READ_OUT, chip_trace, data_file

from neurosim.backend import get_backend
from neurosim.compile_network import compile
from neurosim.data.nmnist import parse_events
from neurosim.errors import ModelFileError
from neurosim.events import events_from_dense
from neurosim.exchange.imported import Imported
from neurosim.exchange.slayer import network_of_matrices, read_slayer
from neurosim.exchange.slayeryaml import read_yaml
from neurosim.network import LIF, Conv, Dense, Probe
from neurosim.neurons import LIFRefractory

DESCRIPTION = """\
simulation:
    Ts: 0.5
    tSample: 50
neuron:
    type:     LOIHI
    vThMant:  80 # 5
    vDecay:   128
    iDecay:   1024
    refDelay: 1
    wgtExp:   0
layer:
    # wScale = 1 by default
    - {dim: 3}
    - {dim: 2}
training:
    error:
        type: NumSpikes #ProbSpikes
        tgtSpikeRegion: {start: 0, stop: 3.5e2}
    path:
        in:      NMNISTsmall/
"""


def folder(path: Path, description: str = DESCRIPTION, **files: str) -> Path:
    """Write a folder of SLAYER's."""
    (path / "network.yaml").write_text(description)
    for name, text in files.items():
        (path / f"{name}.txt").write_text(text)
    return path


def weights_of(model: Imported, i: int = 0) -> list[list[int]]:
    """Return the weights of a dense connection."""
    link = model.network.connections[i]
    assert isinstance(link, Dense)
    return np.asarray(link.weights).tolist()  # type: ignore[no-any-return]


def test_description_is_read() -> None:
    found = read_yaml(DESCRIPTION, "here")
    assert found["simulation"] == {"Ts": 0.5, "tSample": 50}
    assert found["neuron"]["type"] == "LOIHI" and found["neuron"]["vThMant"] == 80
    assert found["layer"] == [{"dim": 3}, {"dim": 2}]
    error = found["training"]["error"]
    assert error == {"type": "NumSpikes", "tgtSpikeRegion": {"start": 0, "stop": 350.0}}
    assert found["training"]["path"] == {"in": "NMNISTsmall/"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\n   b: 2", "line 2: 'b: 2' is not 'key: value'"),
        ("- 3", "list item without a key"),
        ("a: 1\na: 2", "line 2: 'a' is given twice"),
        ("a:\na:\n", "given twice"),
        ("a: !!python/object:os.system x", "YAML that is not read"),
        ("a: &b 3", "YAML that is not read"),
        ("a: {b: {c: 1}}", "not a map on one line"),
        ("a: {b}", "not made of"),
        ("words", "is not 'key: value'"),
        ("\n".join(" " * i + "k:" for i in range(20)) + "\n" + " " * 20 + "k: 1", "is not 'key: value'"),
        ("a: 1\n" * 20_000, "no description"),
    ],
)
def test_other_yaml_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ModelFileError, match=f"here.*{told}"):
        read_yaml(text, "here")


def test_folder_becomes_a_network(tmp_path: Path) -> None:
    model = read_slayer(folder(tmp_path, w1learned="2 -4 6\n-0 8 10\n"))
    group = model.network.group("fc1")
    assert isinstance(group, LIF) and (group.du, group.dv, group.vth) == (1023, 128, 80)
    assert weights_of(model) == [[2, -4, 6], [0, 8, 10]]
    assert model.network.dt == 5e-4 and model.format == "slayer" and model.source["files"] == ["w1learned.txt"]
    assert model.inputs.shape == (3,) and model.outputs.shape == (2,)
    assert read_slayer(tmp_path, name="mine", arithmetic="loihi1").arithmetic == "loihi1"


def test_weights_before_rounding(tmp_path: Path) -> None:
    """2 round(4 w / 2): even numbers, ties to the even half."""
    path = folder(tmp_path, w1="0.24 0.26 -1 0.25 0.75 31")
    assert weights_of(read_slayer(path, weight_scale=4)) == [[0, 2, -4], [0, 4, 124]]
    with pytest.raises(ModelFileError, match=r"w1\.txt': weights does not hold integers"):
        read_slayer(path)


def test_sizes_may_be_given(tmp_path: Path) -> None:
    text = DESCRIPTION.replace("layer:", "other:")
    path = folder(tmp_path, text, NetFc1="1\n2\n3\n4\n5\n6\n", NetFc2="7 8")
    with pytest.raises(ModelFileError, match="give sizes"):
        read_slayer(path)
    model = read_slayer(path, sizes=(3, 2, 1))
    assert [group.name for group in model.network.groups] == ["input", "fc1", "fc2"]
    assert weights_of(model) == [[1, 2, 3], [4, 5, 6]] and weights_of(model, 1) == [[7, 8]]
    for sizes, told in (
        ((3, 2), "2 sizes for 2 files"),
        ((2, 2, 1), "more than 4 weights, 2 x 2"),
        ((3, 0, 1), "not whole numbers"),
    ):
        with pytest.raises(ModelFileError, match=told):
            read_slayer(path, sizes=sizes)


def test_matrices_of_an_own_network() -> None:
    """Odd weights of both signs and layers with recurrence, as in three matrices without constants of neurons."""
    rng = np.random.default_rng(0)
    into, within, out = (rng.integers(-254, 256, shape) for shape in ((6, 4), (6, 6), (2, 6)))
    constants = [
        {"vThMant": 90, "vDecay": 100, "iDecay": 4096, "refDelay": 2},
        {"vThMant": 50, "vDecay": 9, "iDecay": 7},
    ]
    model = network_of_matrices("lsnn", [into, out], constants, recurrent={0: within})
    assert isinstance(model.network.group("fc1"), LIFRefractory) and not model.notes
    links = {link.name: link for link in model.network.connections}
    for name, matrix in (("input->fc1", into), ("fc1->fc1", within), ("fc1->fc2", out)):
        link = links[name]
        assert isinstance(link, Conv)
        np.testing.assert_array_equal(np.asarray(link.weights).reshape(matrix.shape), matrix)
    chip = network_of_matrices("lsnn", [into, out], constants, arithmetic="loihi1")
    assert all(isinstance(link, Dense) for link in chip.network.connections)
    assert "odd weights lose" in str(chip.notes[0])


@pytest.mark.parametrize(
    ("matrices", "constants", "told"),
    [
        ([], {}, "do not follow each other"),
        ([[[1, 2]], [[1, 2]]], {}, "do not follow each other"),
        ([[1, 2]], {}, "not \\(after, before\\)"),
        ([[[1]]], [{}, {}], "constants of 2 layers for 1"),
        ([[[1]]], {"iDecay": 1, "vThMant": 1}, "layer 1: its neurons have no vDecay"),
        ([[[1]]], {"iDecay": 1, "vThMant": -1, "vDecay": 1}, "layer 1: .*vth -1 is outside"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(matrices: Any, constants: Any, told: str) -> None:
    with pytest.raises(ModelFileError, match=f"network 'x'.*{told}"):
        network_of_matrices("x", matrices, constants)


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is not a folder"):
        read_slayer(tmp_path / "absent")
    with pytest.raises(ModelFileError, match="has 0 .yaml files"):
        read_slayer(tmp_path)
    folder(tmp_path)
    with pytest.raises(ModelFileError, match=r"numbered \[\]"):
        read_slayer(tmp_path)
    (tmp_path / "w2.txt").write_text("1")
    with pytest.raises(ModelFileError, match=r"numbered \[2\]"):
        read_slayer(tmp_path)
    for text, told in (
        ("1 2 x", "something else than numbers"),
        ("1 nan 3 4 5 6", "not finite"),
        ("1 2", "holds 2 weights"),
    ):
        (tmp_path / "w2.txt").unlink(missing_ok=True)
        (tmp_path / "w1.txt").write_text(text)
        with pytest.raises(ModelFileError, match=told):
            read_slayer(tmp_path)
    (tmp_path / "w1.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_slayer(tmp_path)
    (tmp_path / "aFc1.txt").write_text("1")
    with pytest.raises(ModelFileError, match="are both layer 1"):
        read_slayer(tmp_path)
    (tmp_path / "aFc1.txt").unlink()
    (tmp_path / "w1.txt").write_text("1 2 3 4 5 6")
    for old, new, told in (
        ("neuron:", "nothing:", "has no neuron"),
        ("{dim: 2}", "{dim: 34x34}", "not whole numbers"),
        ("Ts: 0.5", "Ts: -1", "no length of a step"),
        ("LOIHI", "SRMALPHA", "neurons of type 'SRMALPHA'"),
        ("refDelay: 1", "refDelay: 1.5", "refDelay does not hold integers"),
        ("vThMant:  80", "vThMant:  word", "vThMant does not hold integers"),
    ):
        folder(tmp_path, DESCRIPTION.replace(old, new))
        with pytest.raises(ModelFileError, match=told):
            read_slayer(tmp_path)


@pytest.mark.parametrize("arithmetic", ["lava-0.10", "loihi1"])
def test_chip_trace_is_met_exactly(arithmetic: str) -> None:
    """All 639 spikes and each voltage shown of neurons on a real chip."""
    trace = chip_trace()
    path = data_file("slayer-loihi", "chip_trace", "network.yaml").parent
    model = read_slayer(path, weight_scale=4, arithmetic=arithmetic)
    network = model.network.with_probes([Probe("fc1"), Probe("fc1", "v")])
    given, expected = trace.spikes_in[PART], trace.spikes[PART]
    with get_backend("simulator").open(compile(network, arithmetic=arithmetic)) as runner:
        result = runner.run(events_from_dense(given[None]))
    found = np.zeros(expected.shape, np.bool_)
    found[result.spikes["fc1"].step, result.spikes["fc1"].neuron] = True
    np.testing.assert_array_equal(found, expected)
    shown = np.where(found[1:, trace.probed], READ_OUT, result.states["fc1", "v"][0, 1:, trace.probed])
    np.testing.assert_array_equal(shown, trace.voltage[: len(shown)])


def test_nmnist_network_answers_as_its_log_says() -> None:
    """The log ends at 1.0 on the training samples; here are the first of them. One spike per pixel, polarity and step."""
    path = data_file("slayer-loihi", "nmnist_1k", "network.yaml").parent
    labels = data_file("nmnist", "labels.csv")
    logged = np.loadtxt(path / "accuracy.txt", comments="#")
    with labels.open(newline="") as stream:
        rows = list(csv.DictReader(stream))[: 1 if INTERPRETED else 60]
    spikes = np.zeros((len(rows), 350, 2312), np.bool_)
    for i, row in enumerate(rows):
        recording = parse_events((labels.parent / row["file"]).read_bytes(), row["file"])
        line = recording.polarity * 1156 + recording.y * 34 + recording.x
        spikes[i, recording.time // 1000, line] = True
    model = read_slayer(path, sizes=(2312, 512, 10))
    assert not model.notes
    with get_backend("simulator").open(compile(model.network.with_probes([Probe("fc2")]))) as runner:
        train = runner.run(events_from_dense(spikes)).spikes["fc2"]
    counts = np.zeros((len(rows), 10), np.int64)
    np.add.at(counts, (train.sample, train.neuron), 1)
    assert counts.argmax(axis=1).tolist() == [int(row["label"]) for row in rows]
    assert logged[-1, 0] == 1.0


def test_matrices_of_sequential_mnist_run() -> None:
    """Three matrices (before, after) with odd weights of both signs; constants of neurons are not in the files, so these are ours."""
    into, within, out = (
        np.load(data_file("loihi-nets", "seqmnist_lsnn", f"w_{name}.npy")).T for name in ("in", "rec", "out")
    )
    model = network_of_matrices(
        "seqmnist", [into, out], {"vThMant": 100, "vDecay": 200, "iDecay": 4096}, recurrent={0: within}
    )
    assert not model.notes and model.inputs.shape == (80,) and model.outputs.shape == (10,)
    given = np.random.default_rng(1).random((1, 3 if INTERPRETED else 30, 80)) < 0.2
    network = model.network.with_probes([Probe("fc1"), Probe("fc1", "u")])
    with get_backend("simulator").open(compile(network, "unlimited")) as runner:
        result = runner.run(events_from_dense(given))
    fired = np.zeros((given.shape[1], 240), np.bool_)
    fired[result.spikes["fc1"].step, result.spikes["fc1"].neuron] = True
    expected = (given[0, :-1].astype(np.int64) @ into.T.astype(np.int64)) + fired[:-1] @ within.T.astype(np.int64)
    np.testing.assert_array_equal(result.states["fc1", "u"][0, 1:], expected << 6)
    assert INTERPRETED or fired.sum() > 100


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ModelFileError, match="is a number of 5000 signs, 40 are read"):
        read_yaml("neuron: {vThMant: " + 5000 * "9" + "}\n", "file 'x.yaml'")
