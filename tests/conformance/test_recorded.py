"""What others recorded, on a Loihi chip, on Lava and with lava-dl, is reproduced spike by spike by every backend."""

import numpy as np
import numpy.typing as npt
import pytest
from realdata import CHIP_LIF, PART, READ_OUT, Layer, chip_trace, dense_layer, lava_trace, oxford

from neurosim.backend import BUILT_IN, Backend, RunResult, get_backend
from neurosim.compile_network import compile
from neurosim.events import events_from_dense
from neurosim.network import LIF, Dense, Group, Input, Network, Probe
from neurosim.program import Program


def run(backend: Backend, program: Program, spikes: npt.NDArray[np.bool_]) -> RunResult:
    """Run one sample of (n_steps, n_inputs) spikes."""
    with backend.open(program) as runner:
        return runner.run(events_from_dense(spikes[None]))


def raster_of(result: RunResult, group: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the spikes of the only sample as a (n_steps, n) array."""
    found = np.zeros(shape, np.bool_)
    found[result.spikes[group].step, result.spikes[group].neuron] = True
    return found


def layered(layers: list[Layer], *probes: Probe) -> Network:
    """Return the network of dense layers "1", "2" and so on behind the input "0"."""
    groups: list[Group] = [Input("0", layers[0].weights.shape[1])]
    connections = []
    for i, layer in enumerate(layers):
        groups.append(LIF(str(i + 1), len(layer.weights), layer.du, layer.dv, layer.vth))
        connections.append(Dense(str(i), str(i + 1), layer.weights, sign_mode="mixed"))
    return Network(groups, connections, probes)


def plain_layers(
    layers: list[Layer], spikes: npt.NDArray[np.bool_], threshold_offset: int = 0
) -> npt.NDArray[np.bool_]:
    """Compute the spikes of the last layer in a few lines of numpy; a spike where v > 64 vth + threshold_offset."""
    for layer in layers:
        v, out = np.zeros(len(layer.weights), np.int64), np.zeros((len(spikes), len(layer.weights)), np.bool_)
        assert layer.du == 4095, "currents without memory"
        for t in range(1, len(spikes)):
            v = np.sign(v) * (np.abs(v) * (4096 - layer.dv) >> 12) + (layer.weights @ spikes[t - 1] << 6)
            out[t] = v > (layer.vth << 6) + threshold_offset
            v[out[t]] = 0
        spikes = out
    return spikes


def test_input_spikes_of_the_chip_are_those_of_the_file() -> None:
    """The conversion of times is right: the chip's record is the file's spikes, one step (its axonal delay) later."""
    trace = chip_trace()
    np.testing.assert_array_equal(trace.spikes_in[:-1], trace.spikes_in_recorded[1:])


def test_loihi_chip_trace(backend: Backend) -> None:
    """All 639 spikes of 25 neurons on a real chip, and each voltage that the chip shows."""
    trace = chip_trace()
    network = Network(
        [Input("in", 250), LIF("hidden", 25, **CHIP_LIF)],
        [Dense("in", "hidden", trace.weights, sign_mode="mixed")],
        [Probe("hidden"), Probe("hidden", "v")],
    )
    result = run(backend, compile(network), trace.spikes_in)
    found = raster_of(result, "hidden", trace.spikes.shape)
    np.testing.assert_array_equal(found, trace.spikes)
    assert found.sum() == 639
    voltage = result.states["hidden", "v"][0, 1:, trace.probed]
    fired = found[1:, trace.probed]
    np.testing.assert_array_equal(np.where(fired, READ_OUT, voltage), trace.voltage)
    assert fired.sum() == 18


def test_lava_trace_of_the_nir_paper(backend: Backend) -> None:
    trace = lava_trace()
    network = Network(
        [Input("in", 1), LIF("lif", 1, du=4095, dv=163, vth=25)],
        [Dense("in", "lif", [[10]])],
        [Probe("lif"), Probe("lif", "v")],
    )
    result = run(backend, compile(network), trace.spikes_in[:, None])
    np.testing.assert_array_equal(raster_of(result, "lif", (1000, 1))[:, 0], trace.spikes_out)
    np.testing.assert_array_equal(result.states["lif", "v"][0, :, 0], trace.voltage)
    assert trace.spikes_out.sum() == 4


def test_dense_layer_of_lava_dl(backend: Backend) -> None:
    """Current and spikes of 256 neurons over 2,000 steps."""
    layer, constants = dense_layer(), oxford().layers[0]
    np.testing.assert_array_equal(layer.weights, constants.weights)
    result = run(backend, compile(layered([constants], Probe("1"), Probe("1", "u"))), layer.spikes_in[PART])
    expected = layer.spikes_out[PART]
    np.testing.assert_array_equal(raster_of(result, "1", expected.shape), expected)
    np.testing.assert_array_equal(result.states["1", "u"][0], layer.current[PART] << 6)
    assert layer.spikes_out.sum() == 1826


def test_oxford_network_as_the_chip_computes_it(backend: Backend) -> None:
    """The whole network, strict threshold, equals plain numpy."""
    network = oxford()
    spikes_in = network.spikes_in[PART]
    result = run(backend, compile(layered(network.layers, Probe("2"))), spikes_in)
    expected = plain_layers(network.layers, spikes_in)
    np.testing.assert_array_equal(raster_of(result, "2", expected.shape), expected)
    assert expected.any()


@pytest.mark.parametrize("name", BUILT_IN)
def test_oxford_ground_truth(name: str) -> None:
    """All 10,178 spikes that lava-dl computed: it fires where v reaches the threshold, chip and Lava where v exceeds it."""
    network = oxford()
    np.testing.assert_array_equal(plain_layers(network.layers, network.spikes_in, -1), network.spikes_out)
    program = compile(layered(network.layers, Probe("2")), arithmetic="lava-dl")
    result = run(get_backend(name), program, network.spikes_in[PART])
    expected = network.spikes_out[PART]
    np.testing.assert_array_equal(raster_of(result, "2", expected.shape), expected)
    assert network.spikes_out.sum() == 10178


def test_absent_data_are_a_skip_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    with pytest.raises(
        pytest.skip.Exception, match="recorded data are absent: nir-models/.* is not in .*NEUROSIM_DATA"
    ):
        lava_trace()
