"""Networks of lava-dl: what a file says, against arithmetic written here in a few lines, and against recorded traces."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from realdata import INTERPRETED, data_file, dense_layer, oxford

from neurosim.backend import RunResult, get_backend
from neurosim.compile_network import compile
from neurosim.errors import ModelFileError
from neurosim.events import Events, events_from_dense
from neurosim.exchange import lavadl
from neurosim.exchange.imported import Imported, chip_order, reorder_events
from neurosim.exchange.lavadl import read_net
from neurosim.exchange.lavainput import analogue_events
from neurosim.hdf5tree import read_tree
from neurosim.network import LIF, Conv, Dense, Probe, Sparse
from neurosim.neurons import RF, Delta, LIFRefractory, LIFReset, RFIzhikevich, Sigma, SigmaDelta

Ints = npt.NDArray[np.int64]
CUBA = {"type": "CUBA", "iDecay": 4096, "vDecay": 512, "vThMant": 20, "refDelay": 1, "gradedSpike": False}
SDNN = {"type": "SDNN", "vThMant": 0, "activation": "relu"}


def write(path: Path, *layers: dict[str, Any], simulation: dict[str, Any] | None = None) -> Path:
    """Write a file as lava-dl does: the type as an array of one byte string."""
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            group = file.create_group(f"layer/{i}")
            for key, value in layer.items():
                if key == "type":
                    group.create_dataset("type", (1,), "S10", [value.encode()])
                elif isinstance(value, dict):
                    for name, inner in value.items():
                        group.create_dataset(f"{key}/{name}", data=inner)
                else:
                    group.create_dataset(key, data=value)
        for key, value in (simulation or {}).items():
            file.create_dataset(f"simulation/{key}", data=value)
    return path


def dense(weights: npt.ArrayLike, neuron: dict[str, Any] = CUBA, **more: Any) -> dict[str, Any]:
    """Return a dense layer."""
    matrix = np.asarray(weights, np.float32)
    return {"type": "dense", "shape": np.array([len(matrix)]), "weight": matrix, "neuron": neuron, **more}


def image(kind: str, weights: npt.ArrayLike, shape: tuple[int, ...], **more: Any) -> dict[str, Any]:
    """Return a layer that keeps the form of an image."""
    return {"type": kind, "shape": np.array(shape), "weight": np.asarray(weights, np.float32), "neuron": CUBA, **more}


def entry(*shape: int, **more: Any) -> dict[str, Any]:
    """Return an input layer."""
    return {"type": "input", "shape": np.array(shape), **more}


def run(model: Imported, events: Events, *probes: tuple[str, str], n_steps: int | None = None) -> RunResult:
    """Run a model on the simulator, recording."""
    network = model.network.with_probes([Probe(*probe) for probe in probes])
    with get_backend("simulator").open(compile(network, "unlimited", model.arithmetic)) as runner:
        return runner.run(events, n_steps)


def spikes(result: RunResult, group: str, n_steps: int, n: int) -> Ints:
    """Return what a group sent for the only sample, (n_steps, n)."""
    found, train = np.zeros((n_steps, n), np.int64), result.spikes[group]
    found[train.step, train.neuron] = 1 if train.value is None else train.value
    return found


def sums(model: Imported, pulse: npt.NDArray[Any], group: str) -> Ints:
    """Return what one spike at each marked input brings to each neuron, in the order of lava-dl: (n,)."""
    events = reorder_events(events_from_dense(np.stack([pulse.ravel(), 0 * pulse.ravel()])[None] != 0), model.inputs)
    u = run(model, events, (group, "u")).states[group, "u"][0, 1]
    assert not np.any(u % 64)
    out = np.empty(len(u), np.int64)
    out[model.outputs.order] = u // 64
    return out


# --- dense -----------------------------------------------------------------------------------------------------------


def test_dense_layer_is_read_with_its_constants(tmp_path: Path) -> None:
    neuron = CUBA | {"iDecay": 1024, "vDecay": 128, "vThMant": 80}
    path = write(tmp_path / "a.net", dense([[2, -4, 6]], neuron, bias=np.array([3.0])), simulation={"Ts": 2})
    model = read_net(path)
    group, link = model.network.group("dense0"), model.network.connection("input->dense0")
    assert isinstance(group, LIF) and isinstance(link, Dense)
    assert (group.du, group.dv, group.vth) == (1023, 128, 80)
    assert group.bias.tolist() == [3 * 64], "a bias is in units of weights"
    assert np.asarray(link.weights).tolist() == [[2, -4, 6]] and link.sign_mode == "mixed"
    assert model.inputs.shape == (3,) and model.outputs.shape == (1,)
    assert model.network.dt == 2e-3 and model.network.name == "a" and model.format == "lava-dl"
    assert model.arithmetic == "lava-0.10" and model.lag == {}
    assert read_net(path, name="b", arithmetic="lava-dl").arithmetic == "lava-dl"


def test_layers_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 5, 13)
    layers = [dense(2 * rng.integers(-9, 9, (b, a))) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
    model = read_net(write(tmp_path / "a.net", *layers))
    assert [group.n for group in model.network.groups] == sizes.tolist()
    assert model.network.groups[-1].name == "dense11"
    assert len(read_net(tmp_path / "a.net", num_layers=3).network.groups) == 4


def test_a_row_of_weights_may_be_stored_flat(tmp_path: Path) -> None:
    layer = dense([[1, 2]]) | {"weight": np.array([4.0, -6.0]), "shape": np.array([1, 1, 1])}
    model = read_net(write(tmp_path / "a.net", layer))
    assert np.asarray(model.network.connection("input->dense0").weights).tolist() == [[4, -6]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("weights", "kind", "exponent"),
    [
        ([[130, -256]], Dense, 0),
        ([[255, 3]], Dense, 0),  # of one sign: 0..255 all fit
        ([[-255, -3]], Dense, 0),
        ([[7, -3]], Conv, 0),  # odd numbers of both signs: only a convolution uses weights as they are
        ([[-256, 3]], Conv, 0),
        ([[512, -1024]], Dense, 3),
        ([[300, -4]], Dense, 1),
    ],
)
def test_no_weight_is_lost_where_a_format_holds_it(
    tmp_path: Path, weights: list[list[int]], kind: type, exponent: int
) -> None:
    model = read_net(write(tmp_path / "a.net", dense(weights)))
    link = model.network.connections[0]
    assert isinstance(link, kind) and link.weight_exp <= exponent and not model.notes
    for i, expected in enumerate(weights[0]):
        assert sums(model, np.arange(len(weights[0])) == i, "dense0").tolist() == [expected]


def test_weights_that_no_format_holds_are_reported(tmp_path: Path) -> None:
    model = read_net(write(tmp_path / "a.net", dense([[301, -3, 5]])))
    assert [note.kind for note in model.notes] == ["warning"] and "1 weights of up to 301" in str(model.notes[0])
    assert sums(model, np.array([1, 0, 0]), "dense0").tolist() == [254], "as netx clips"
    delayed = read_net(write(tmp_path / "b.net", dense([[7, -3]], delay=np.array([1.0, 0.0]))))
    assert "2 odd weights lose their lowest bit" in str(delayed.notes[0])
    chip = read_net(write(tmp_path / "c.net", dense([[7, -3]])), arithmetic="loihi1")
    assert "2 odd weights" in str(chip.notes[0])


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (3.7, [[3, 3], [3, 3], [3, 3]]),
        ([0.0, 1.0, 2.9], [[0, 0], [1, 1], [2, 2]]),
        ([5.0, 4.0], [[5, 4], [5, 4], [5, 4]]),
        ([[1, 2], [3, 4], [5, 99]], [[1, 2], [3, 4], [5, 62]]),
    ],
)
def test_delays_of_neurons_inputs_and_synapses(tmp_path: Path, delay: Any, expected: list[list[int]]) -> None:
    model = read_net(write(tmp_path / "a.net", dense(2 * np.ones((3, 2)), delay=np.array(delay))))
    link = model.network.connections[0]
    assert isinstance(link, Dense) and np.asarray(link.delays).tolist() == expected
    assert any("1 delays above 62" in str(note) for note in model.notes) == (np.max(delay) > 62)


def test_a_delay_moves_the_spike(tmp_path: Path) -> None:
    neuron = CUBA | {"vThMant": 1}
    model = read_net(write(tmp_path / "a.net", dense([[2], [2]], neuron, delay=np.array([0.0, 3.0]))))
    result = run(model, events_from_dense(np.array([[[1]] + [[0]] * 5])), ("dense0", "spikes"))
    assert list(zip(result.spikes["dense0"].step, result.spikes["dense0"].neuron, strict=True)) == [(1, 0), (4, 1)]


def test_recurrent_layers_of_both_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    forward, back = 2 * rng.integers(-20, 20, (5, 4)), 2 * rng.integers(-20, 20, (5, 5))
    expected = np.zeros((30, 5), np.int64)
    given = rng.random((30, 4)) < 0.4
    v = np.zeros(5, np.int64)
    for t in range(1, 30):
        drive = forward @ given[t - 1] + back @ expected[t - 1]
        v = np.sign(v) * (np.abs(v) * (4096 - 512) >> 12) + (drive << 6)
        expected[t] = v > 20 << 6
        v[expected[t] != 0] = 0
    assert 10 < expected.sum() < 140
    for kind, key in (("recurrent", "recWeight"), ("dense_rec", "weight_rec")):
        layer = dense(forward) | {"type": kind, key: back.astype(np.float32), "shape": np.array([5, 1, 1])}
        model = read_net(write(tmp_path / f"{kind}.net", entry(1, 1, 4), {"type": "flatten"}, layer))
        found = run(model, events_from_dense(given[None]), (f"{kind}2", "spikes"))
        np.testing.assert_array_equal(spikes(found, f"{kind}2", 30, 5), expected)


# --- images ----------------------------------------------------------------------------------------------------------


def correlate(
    x: Ints, w: Ints, stride: tuple[int, int], pad: tuple[int, int], step: tuple[int, int], groups: int
) -> Ints:
    """Torch's conv2d in loops: x (channels, height, width), w (out, in / groups, ky, kx), settings (y, x)."""
    wide = np.pad(x, ((0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    size = [(wide.shape[1 + i] - step[i] * (w.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    out = np.zeros((len(w), *size), np.int64)
    for o, y, x_ in np.ndindex(*out.shape):
        first = o // (len(w) // groups) * w.shape[1]
        for c, j, i in np.ndindex(*w.shape[1:]):
            out[o, y, x_] += w[o, c, j, i] * wide[first + c, y * stride[0] + j * step[0], x_ * stride[1] + i * step[1]]
    return out


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_is_torchs(tmp_path: Path, groups: int) -> None:
    rng = np.random.default_rng(groups)
    x = rng.integers(0, 2, (2, 7, 6))
    w = 2 * rng.integers(-20, 20, (4, 2 // groups, 3, 2))
    stride, pad, step = (2, 1), (1, 2), (1, 2)
    expected = correlate(x, w, stride, pad, step, groups)
    settings = {"stride": stride, "padding": pad, "dilation": step, "groups": groups}
    for weights in (w, w[..., None]):  # SLAYER keeps an axis of time
        path = write(tmp_path / "a.net", entry(2, 7, 6), image("conv", weights, expected.shape, **settings))
        model = read_net(path)
        assert model.outputs.shape == expected.shape
        np.testing.assert_array_equal(sums(model, x, "conv1"), expected.ravel())


def test_flatten_numbers_channel_then_height_then_width(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.integers(0, 2, (3, 2, 4)), 2 * rng.integers(-20, 20, (5, 24))
    model = read_net(write(tmp_path / "a.net", entry(3, 2, 4), {"type": "flatten"}, dense(w)))
    np.testing.assert_array_equal(sums(model, x, "dense2"), w @ x.ravel())


def test_bias_of_channels_and_of_neurons(tmp_path: Path) -> None:
    w = np.ones((2, 1, 1, 1)) * 2
    layer = image("conv", w, (2, 2, 3), bias=np.array([5.0, -7.0]))
    group = read_net(write(tmp_path / "a.net", entry(1, 2, 3), layer)).network.group("conv1")
    assert isinstance(group, LIF)
    np.testing.assert_array_equal(group.bias.reshape(3, 2, 2), np.broadcast_to([5 * 64, -7 * 64], (3, 2, 2)))
    each = np.arange(12.0)
    group = read_net(write(tmp_path / "b.net", entry(1, 2, 3), layer | {"bias": each})).network.group("conv1")
    assert isinstance(group, LIF)
    np.testing.assert_array_equal(group.bias, 64 * each[chip_order((2, 2, 3))])


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3)])
def test_pool_adds_up_tiles(tmp_path: Path, height: int, width: int) -> None:
    x = np.random.default_rng(2).integers(0, 2, (3, height, width))
    padded = np.pad(x, ((0, 0), (0, height % 2), (0, width % 2)))
    expected = padded.reshape(3, padded.shape[1] // 2, 2, padded.shape[2] // 2, 2)
    for weights in (np.full((1, 1, 2, 2), 70.0), np.array([[[[2.0, 4.0], [6.0, 9.0]]]])):
        layer = image("pool", weights, (3, *expected.shape[1:4:2]), kernelSize=(2, 2), stride=(2, 2), padding=(0, 0))
        model = read_net(write(tmp_path / "a.net", entry(3, height, width), layer))
        tile = weights.astype(np.int64).reshape(1, 1, 2, 1, 2)
        np.testing.assert_array_equal(sums(model, x, "pool1"), (expected * tile).sum(axis=(2, 4)).ravel())


def test_unpool_fills_tiles(tmp_path: Path) -> None:
    x = np.random.default_rng(4).integers(0, 2, (2, 3, 2))
    weights = np.arange(1, 7).reshape(1, 1, 2, 3) * 3
    layer = image("unpool", weights, (2, 6, 6), kernelSize=(2, 3), stride=(2, 3))
    model = read_net(write(tmp_path / "a.net", entry(2, 3, 2), layer))
    np.testing.assert_array_equal(sums(model, x, "unpool1"), np.kron(x, weights[0]).ravel())


def test_transposed_convolution_is_torchs(tmp_path: Path) -> None:
    """Each input adds its kernel, at its place times the stride, to an output that then loses the padding."""
    rng = np.random.default_rng(5)
    x, w = rng.integers(0, 2, (4, 3, 2)), 2 * rng.integers(-20, 20, (4, 3, 3, 2))
    stride, pad, step, groups = (2, 1), (1, 0), (1, 2), 2
    full = np.zeros((6, (3 - 1) * 2 + 3, (2 - 1) * 1 + 3), np.int64)
    for c, o, j, i, y, x_ in np.ndindex(*w.shape, 3, 2):
        full[c // 2 * 3 + o, y * stride[0] + j * step[0], x_ * stride[1] + i * step[1]] += w[c, o, j, i] * x[c, y, x_]
    expected = full[:, 1:-1]
    layer = image("convT", w, expected.shape, stride=stride, padding=pad, dilation=step, groups=groups)
    model = read_net(write(tmp_path / "a.net", entry(4, 3, 2), layer))
    np.testing.assert_array_equal(sums(model, x, "convT1"), expected.ravel())


def test_convolution_with_delays_keeps_them(tmp_path: Path) -> None:
    w = np.array([[[[4]]], [[[6]]]])
    layer = image("conv", w, (2, 1, 2), delay=np.array([0.0, 2.0]))
    model = read_net(write(tmp_path / "a.net", entry(1, 1, 2), layer))
    assert isinstance(model.network.connections[0], Sparse) and "netx leaves out" in str(model.notes[0])
    events = events_from_dense(np.array([[[1, 0], [0, 0], [0, 0], [0, 0]]]))
    u = run(model, events, ("conv1", "u")).states["conv1", "u"][0] // 64
    assert u[1].tolist() == [4, 0, 0, 0] and u[3].tolist() == [0, 6, 0, 0] and u.sum() == 10


# --- neurons ---------------------------------------------------------------------------------------------------------


def test_refractory_neurons(tmp_path: Path) -> None:
    group = read_net(write(tmp_path / "a.net", dense([[2]], CUBA | {"refDelay": 3}))).network.group("dense0")
    assert isinstance(group, LIFRefractory) and group.refractory_period == 2


def test_constants_of_channels(tmp_path: Path) -> None:
    neuron = CUBA | {"iDecay": np.array([4096, 100]), "vDecay": np.array([[7, 8, 9]] * 2)}
    layer = image("conv", 2 * np.ones((2, 1, 1, 1)), (2, 1, 3)) | {"neuron": neuron}
    group = read_net(write(tmp_path / "a.net", entry(1, 1, 3), layer)).network.group("conv1")
    assert isinstance(group, LIF)
    assert np.asarray(group.du).tolist() == [4095, 99] * 3
    assert np.asarray(group.dv).tolist() == [7, 7, 8, 8, 9, 9]


def test_sigma_delta_layers(tmp_path: Path) -> None:
    layers = (
        entry(2, neuron=SDNN, weight=np.array([64.0])),
        dense([[4, -2], [6, 8]], SDNN, bias=np.array([1.0, -3.0])),
        dense([[2, 2]], SDNN | {"sigma_output": True}),
    )
    path = write(tmp_path / "a.net", *layers)
    on_chip, on_host = read_net(path, input_layer="chip"), read_net(path)
    assert [type(group) for group in on_chip.network.groups[1:]] == [Delta, SigmaDelta, Sigma]
    middle = on_chip.network.group("dense1")
    assert isinstance(middle, SigmaDelta) and (middle.vth, middle.spike_exp, middle.state_exp) == (0, 6, 6)
    values = np.array([[50, -7]])
    hidden = np.maximum((np.array([[4, -2], [6, 8]]) @ (values[0] << 6)) + (np.array([1, -3]) << 12), 0)
    expected = 2 * (hidden >> 6).sum()
    for model, last in ((on_host, 3), (on_chip, 4)):
        events = reorder_events(analogue_events(model, values, 8), model.inputs)
        sigma = run(model, events, ("dense2", "sigma")).states["dense2", "sigma"][0, :, 0]
        assert sigma[last] == expected and sigma[-1] == expected


def test_resonating_neurons_take_complex_weights(tmp_path: Path) -> None:
    for kind, model in (("RF_PHASE", RF), ("RF_IZHIKEVICH", RFIzhikevich)):
        neuron = {"type": kind, "sinDecay": 2239, "cosDecay": 3081, "vThMant": 30}
        layer = dense([[2, 4]], neuron) | {"weight": {"real": np.array([[2.0, 4.0]]), "imag": np.array([[-6.0, 8.0]])}}
        network = read_net(write(tmp_path / f"{kind}.net", layer)).network
        group = network.group("dense0")
        assert type(group) is model and (group.sin_decay, group.cos_decay, group.vth) == (2239, 3081, 30)
        ports = {c.port: np.asarray(c.weights).tolist() for c in network.connections}  # type: ignore[union-attr]
        assert ports == {"a_real_in": [[2, 4]], "a_imag_in": [[-6, 8]]}


def test_input_on_the_host_and_on_the_chip_agree(tmp_path: Path) -> None:
    """Without biases behind it, a layer on the chip does the same one step later."""
    neuron = CUBA | {"vDecay": 1024}
    path = write(
        tmp_path / "a.net",
        entry(2, 2, 3, neuron=neuron, weight=np.array([40.0]), bias=np.array([5.0])),
        image("conv", 10 * np.ones((1, 2, 2, 2)), (1, 1, 2)),
    )
    x = np.random.default_rng(8).random((3, 2, 2, 3))
    host, chip = read_net(path), read_net(path, input_layer="chip")
    assert host.lag == {} and chip.lag == {"input0": 1, "conv1": 1}
    assert host.source["input"]["weight"] == 40 and host.source["input"]["bias"] == 5
    first, second = (
        run(model, reorder_events(analogue_events(model, x, 12), model.inputs), ("conv1", "spikes")).spikes["conv1"]
        for model in (host, chip)
    )
    assert len(first.step)
    kept = second.step < 12
    inside = first.step < 11
    np.testing.assert_array_equal(first.step[inside] + 1, second.step[kept])
    np.testing.assert_array_equal(first.neuron[inside], second.neuron[kept])
    numbers = analogue_events(chip, x, 1).to_values()
    np.testing.assert_array_equal(numbers.reshape(x.shape), np.trunc(40 * x + 5))
    exact = analogue_events(chip, np.trunc(40 * x + 5).astype(int), 1)
    np.testing.assert_array_equal(exact.to_values(), numbers)


def test_resets_follow_the_layers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", dense([[2]], bias=np.array([1.0])), dense([[2]]))
    assert "biases act from the first step" in str(read_net(path).notes[0])
    model = read_net(path, reset_interval=32, reset_offset=1)
    groups = model.network.groups[1:]
    assert all(isinstance(group, LIFReset) and group.reset_interval == 32 for group in groups)
    assert [group.reset_offset for group in groups if isinstance(group, LIFReset)] == [2, 3] and not model.notes


# --- what is refused -------------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no layers": ([], "has no group 'layer'"),
    "no neurons": ([entry(3)], "no layer of neurons"),
    "unknown layer": ([{"type": "magic"}], "layer 0: layers of type 'magic'.*known are"),
    "concat": (
        [dense([[2]]), {"type": "concat"}],
        "layer 1: layers of type 'concat' cannot be read: its file does not say",
    ),
    "affine": ([{"type": "affine"}], "have no spikes"),
    "no type": ([{"shape": np.array([1])}], "layer 0: has no type"),
    "two inputs": ([entry(3), entry(3)], "layer 1: a second input"),
    "no neuron": ([{k: v for k, v in dense([[2]]).items() if k != "neuron"}], "layer 0: has no group 'neuron'"),
    "ALIF": ([dense([[2]], {"type": "ALIF"})], "neurons of type 'ALIF' have no exact counterpart"),
    "ADRF": ([dense([[2]], {"type": "ADRF_PHASE"})], "'ADRF_PHASE' have no exact"),
    "graded": ([dense([[2]], CUBA | {"gradedSpike": True})], "send their voltage"),
    "iDecay": ([dense([[2]], CUBA | {"iDecay": 0})], "iDecay 0 is a current that never decays"),
    "vDecay": ([dense([[2]], CUBA | {"vDecay": 4096})], "layer 0: .*dv 4096 is outside 0..4095"),
    "vThMant": ([dense([[2]], CUBA | {"vThMant": 1 << 17})], "vth 131072 is outside"),
    "no vDecay": ([dense([[2]], {"type": "CUBA", "iDecay": 4, "vThMant": 3})], "have no vDecay"),
    "fraction": ([dense([[0.5]])], "layer 0: weight does not hold integers"),
    "nan": ([dense([[np.nan]])], "does not hold integers"),
    "large": ([dense([[2.0**40]])], "weight reaches 1.09951e.12"),
    "shape": ([dense([[2]]) | {"shape": np.array([1 << 23])}], "together at most 4194304 neurons"),
    "shape of weights": ([dense([[2, 2]]), dense([[2, 2]])], r"weight has shape \(1, 2\), \(1, 1\)"),
    "conv without image": ([image("conv", np.ones((1, 1, 1, 1)), (1, 1, 1))], "does not say how large its input is"),
    "conv of a row": ([dense([[2]]), image("conv", np.ones((1, 1, 1, 1)), (1, 1, 1))], "after a flatten"),
    "conv shape": (
        [entry(1, 3, 3), image("conv", np.ones((1, 1, 2, 2)), (1, 3, 3))],
        r"says shape \(1, 3, 3\), its weights give \(1, 2, 2\)",
    ),
    "conv channels": (
        [entry(2, 3, 3), image("conv", np.ones((1, 1, 2, 2)), (1, 2, 2))],
        "layer 1: .*do not fit 2 input",
    ),
    "pool overlaps": (
        [entry(1, 4, 4), image("pool", np.ones((1, 1, 2, 2)), (1, 3, 3), kernelSize=(2, 2), stride=(1, 1))],
        "layer 1: tiles of .*mixes channels",
    ),
    "pool rest": (
        [entry(2, 5, 5), image("pool", np.ones((1, 1, 3, 3)), (2, 2, 2), kernelSize=(3, 3), stride=(3, 3))],
        "pooling of 5 pixels by 3",
    ),
    "delay shape": ([dense(np.ones((3, 2)), delay=np.ones(4))], r"delay has shape \(4,\)"),
    "negative delay": ([dense([[2]], delay=np.array([-1.0]))], "steps of at least 0"),
    "recurrent delay": (
        [dense([[2]]) | {"type": "dense_rec", "weight_rec": np.array([[2.0]]), "delay": np.array([2.0])}],
        "recurrent layer with delays",
    ),
    "no recurrent weights": ([dense([[2]]) | {"type": "dense_rec"}], "weight_rec has shape"),
    "real into RF": (
        [dense([[2]], {"type": "RF_PHASE", "sinDecay": 1, "cosDecay": 1, "vThMant": 1})],
        "complex weights",
    ),
    "sdnn alone": ([dense([[2]], SDNN)], "sigma-delta neurons without an input layer"),
    "activation": ([entry(1, neuron=SDNN), dense([[2]], SDNN | {"activation": "tanh"})], "activation 'tanh'"),
    "after average": ([dense([[2]]), {"type": "average", "shape": np.array([1])}, dense([[2]])], "give num_layers=1"),
    "wgtExp": ([dense([[2]], CUBA | {"wgtExp": 9})], "wgtExp 9 is outside"),
    "bias": ([dense([[2]], bias=np.array([5000.0]))], "bias_mant 5000 is outside"),
    "biases": ([dense([[2]], bias=np.array([1.0, 2.0]))], "bias has 2 elements for 1 neurons"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_read_is_said_with_its_layer(tmp_path: Path, what: str) -> None:
    layers, told = WRONG[what]
    with pytest.raises(ModelFileError, match=rf"(?s)a\.net'.*{told}"):
        read_net(write(tmp_path / "a.net", *layers, simulation={"Ts": 1}))


def test_missing_numbers_and_other_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.net", "w") as file:
        file.create_group("layer/0")
        file.create_group("layer/2")
    with pytest.raises(ModelFileError, match=r"numbered \[0, 2\]"):
        read_net(tmp_path / "a.net")
    with h5py.File(tmp_path / "b.net", "w") as file:
        file.create_group("layer/zero")
    with pytest.raises(ModelFileError, match="'zero' is not a numbered group"):
        read_net(tmp_path / "b.net")
    path = write(tmp_path / "c.net", dense([[2]], CUBA | {"refDelay": 2}))
    with pytest.raises(ModelFileError, match="refDelay 2 cannot be reset"):
        read_net(path, reset_interval=8)
    with pytest.raises(ModelFileError, match="unknown input_layer"):
        read_net(path, input_layer="moon")
    with pytest.raises(ModelFileError, match="at least 1"):
        read_net(path, num_layers=0)
    with pytest.raises(ModelFileError, match="Ts 0"):
        read_net(write(tmp_path / "d.net", dense([[2]]), simulation={"Ts": 0}))
    with pytest.raises(ModelFileError, match="sigma-delta neurons have arithmetic"):
        read_net(write(tmp_path / "e.net", entry(1, neuron=SDNN), dense([[2]], SDNN)), arithmetic="lava-dl")


def test_average_at_the_end_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", dense(2 * np.ones((6, 2))), {"type": "average", "shape": np.array([3, 1, 1])})
    model = read_net(path)
    assert model.outputs.shape == (6,) and model.source["averaged"] == 3 and "3 blocks" in str(model.notes[0])


def test_numbers_for_a_network_of_spikes_are_refused(tmp_path: Path) -> None:
    spiking = read_net(write(tmp_path / "a.net", dense([[2]])))
    with pytest.raises(ModelFileError, match="takes spikes, not numbers"):
        analogue_events(spiking, np.ones((1, 1)), 3)
    analogue = read_net(write(tmp_path / "b.net", entry(2, neuron=CUBA), dense([[2, 2]])))
    with pytest.raises(ModelFileError, match=r"shape \(1, 3\) for 4 steps"):
        analogue_events(analogue, np.ones((1, 3)), 4)
    with pytest.raises(ModelFileError, match="more than"):
        analogue_events(analogue, np.ones((1, 2)), 1 << 28)


# --- recorded traces -------------------------------------------------------------------------------------------------


def test_oxford_is_met_exactly() -> None:
    recorded = oxford()
    model = read_net(data_file("lava-models", "oxford", "network.net"), arithmetic="lava-dl")
    n_steps = 60 if INTERPRETED else len(recorded.spikes_in)
    result = run(model, events_from_dense(recorded.spikes_in[None, :n_steps]), ("dense1", "spikes"))
    np.testing.assert_array_equal(spikes(result, "dense1", n_steps, 200), recorded.spikes_out[:n_steps])


def test_dense_trace_is_met_exactly() -> None:
    """Netx's own record of a layer: it fires where v exceeds the threshold, the default of `read_net`."""
    recorded = dense_layer()
    model = read_net(data_file("lava-models", "oxford", "network.net"), num_layers=1)
    n_steps = 60 if INTERPRETED else len(recorded.spikes_in)
    events = events_from_dense(recorded.spikes_in[None, :n_steps])
    result = run(model, events, ("dense0", "spikes"), ("dense0", "u"))
    np.testing.assert_array_equal(spikes(result, "dense0", n_steps, 256), recorded.spikes_out[:n_steps])
    np.testing.assert_array_equal(result.states["dense0", "u"][0], recorded.current[:n_steps] << 6)


@pytest.mark.parametrize("where", ["host", "chip"])
def test_tinynet_is_met_exactly(where: str) -> None:
    """Input layer and both convolutions; the recording has no step of delay between layers, and nothing in its step 0."""
    folder = data_file("lava-models", "tinynet", "tiny.net").parent
    model = read_net(folder / "tiny.net", reset_interval=1000, input_layer=where)
    bias = np.load(folder / "input_bias.npy").astype(np.int64).transpose(2, 1, 0)
    recorded = [np.load(folder / f"{name}.npy")[0] for name in ("input", "layer1", "output")]
    n_steps, late = 20, 1 if where == "chip" else 0
    events = analogue_events(model, bias[None], n_steps)
    groups = [group.name for group in model.network.groups[1:]]
    result = run(model, reorder_events(events, model.inputs), *((group, "spikes") for group in groups))
    if where == "host":
        np.testing.assert_array_equal(events.to_dense()[0][:15], recorded[0][..., 1:].reshape(768, 15).T != 0)
    for group, expected, first in zip(groups[-2:], recorded[1:], (1, 2), strict=True):
        n = expected[..., 0].size
        found = spikes(result, group, n_steps, n)[first + late : first + late + 15]
        np.testing.assert_array_equal(found, expected[..., 1:].reshape(n, 15)[chip_order(expected.shape[:3])].T)
    assert recorded[1].sum() == 1633 and recorded[2].sum() == 92


@pytest.mark.parametrize(
    "parts",
    [
        ("lava-models", "mnist", "trained_mnist_network.net"),
        ("loihi-nets", "braille", "netLoihi_rec_th1.net"),
        ("loihi-nets", "braille", "netLoihi_rec_th5.net"),
    ],
)
def test_networks_without_recordings_run(parts: tuple[str, ...]) -> None:
    """Random input, since the data are not there; all weights are kept as the file has them."""
    path = data_file(*parts)
    model = read_net(path)
    assert not model.notes
    with h5py.File(path) as file:
        stored = [file[f"layer/{i}/weight"][()] for i in range(len(file["layer"])) if "weight" in file[f"layer/{i}"]]
    kept = [np.asarray(c.weights) for c in model.network.connections if isinstance(c, Dense) and c.source != c.target]
    for expected, found in zip(stored, kept, strict=True):
        np.testing.assert_array_equal(found, expected)
    given = np.random.default_rng(1).random((1, 5 if INTERPRETED else 60, model.network.n_inputs)) < 0.2
    names = [group.name for group in model.network.groups[1:]]
    result = run(model, events_from_dense(given), *((name, "spikes") for name in names))
    assert INTERPRETED or sum(len(result.spikes[name].step) for name in names) > 100


# --- hostile contents ------------------------------------------------------------------------------------------------


def _places(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return where something stands in a file."""
    found = []
    for key, value in tree.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += _places(value, (*path, key))
    return found


def test_anything_in_place_of_anything_is_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid HDF5 with wrong contents: other types, shapes, numbers and layers, or parts missing."""
    rng = np.random.default_rng(11)
    conv = image("conv", 2 * rng.integers(-9, 9, (4, 2, 3, 3)), (4, 5, 4), stride=(1, 1), groups=1, bias=np.arange(4.0))
    pool = image("pool", np.ones((1, 1, 2, 2)), (4, 3, 2), kernelSize=(2, 2), stride=(2, 2))
    back = dense(2 * rng.integers(-9, 9, (3, 5))) | {"type": "dense_rec", "weight_rec": np.eye(3)}
    numbers = entry(2, 7, 6, neuron=CUBA, weight=np.array([36.0]), bias=np.array([3.0]))
    rows = dense(2 * rng.integers(-9, 9, (5, 24)), delay=np.arange(5.0))
    files = (
        (numbers, conv, pool, {"type": "flatten"}, rows, back),
        (
            entry(2, neuron=SDNN),
            dense([[4, -2]], SDNN, bias=np.array([1.0])),
            dense([[2]], SDNN | {"sigma_output": True}),
        ),
    )
    trees = [read_tree(write(tmp_path / f"{i}.net", *file, simulation={"Ts": 1})) for i, file in enumerate(files)]
    odd: tuple[Any, ...] = (
        "x", "pool", ["conv"], ["conv", "dense"], [], [["a"]], {}, np.array(0), np.array(-1), np.array(4096),
        np.array(np.nan), np.array(1e300), np.array(1 << 40), np.array(np.uint64(2**64 - 1)), np.array([True]),
        np.zeros((0, 3)), np.array([2, 3]), np.array([65536, 65536]), np.array([1 << 20] * 3), np.ones((2, 3, 1, 2)),
    )  # fmt: skip
    answers = refused = 0
    for i in range(1500):
        tree = copy.deepcopy(trees[i % 2])
        for _ in range(int(rng.integers(1, 3))):
            places = _places(tree)
            *path, last = places[int(rng.integers(len(places)))]
            group = tree
            for key in path:
                group = group[key]
            if rng.random() < 0.15:
                del group[last]
            else:
                group[last] = odd[int(rng.integers(len(odd)))]
        monkeypatch.setattr(lavadl, "read_tree", lambda path, max_bytes, tree=tree: tree)
        try:
            read_net("m.net", input_layer="chip" if i % 3 else "host", reset_interval=8 if i % 5 else None)
            answers += 1
        except ModelFileError as error:
            assert "m.net" in str(error)
            refused += 1
    assert answers > 50 and refused > 500


def test_networks_of_too_many_numbers_are_refused(tmp_path: Path) -> None:
    """A file of a few kilobytes may hold them: compressed, or never written."""
    with h5py.File(tmp_path / "a.net", "w") as file:
        file.create_dataset("layer/0/weight", (1 << 13, 1 << 13), dtype="i1", chunks=(1 << 10, 1 << 10))
    with pytest.raises(ModelFileError, match="67108864 numbers, networks of up to 33554432"):
        read_net(tmp_path / "a.net")
