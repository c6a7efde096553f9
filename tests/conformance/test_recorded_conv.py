"""The convolutions that Lava keeps as references, with all their settings, are what `Conv` computes."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from realdata import CONV_CASES, INTERPRETED, TINY_LIF, ConvCase, conv_case, tiny_net

from neurosim.backend import Backend, Runner, needed_features
from neurosim.compile_network import compile
from neurosim.connections import Conv
from neurosim.events import events_from_dense
from neurosim.network import Input, Network, Probe
from neurosim.neurons import GradedVec, LIFReset

IMAGE_BITS = 24  # of a value in 0..1
FLOAT32 = 2.0**-24  # rounding of the framework that computed the results
CROP = 5  # pixels of output, each way, that are compared where a whole image is too much


def open_or_skip(backend: Backend, network: Network) -> Runner:
    program = compile(network, "unlimited")
    if missing := needed_features(program) - backend.features:
        pytest.skip(f"backend {backend.name!r} lacks {', '.join(sorted(missing))}")
    return backend.open(program)


class Part(NamedTuple):
    """A corner of a case: its image, and the part of the result that sees nothing else."""

    image: npt.NDArray[np.float64]
    result: npt.NDArray[np.float32]


def corner(case: ConvCase, size: int | None) -> Part:
    """Return the corner at the origin of which `size` outputs each way are complete; None for all of it."""
    if size is None:
        return Part(case.image, case.result)
    result = case.result[:size, :size]
    ends = []
    for axis in (0, 1):
        stride, padding, dilation = (case.settings[key][axis] for key in ("stride", "padding", "dilation"))
        kernel = case.weights.shape[1 + axis]
        ends.append((result.shape[axis] - 1) * stride - padding + dilation * (kernel - 1) + 1)
    return Part(case.image[: ends[0], : ends[1]], result)


@pytest.mark.parametrize("message_bits", [0, 8])
@pytest.mark.parametrize("name", CONV_CASES)
def test_convolution_of_lava(backend: Backend, name: str, message_bits: int) -> None:
    """The image is sent in slices of its bits, one in each step, and the sums are put together again.

    With slices of one bit the messages are spikes. What remains is the rounding of the other side, in 32-bit floats,
    for which there is a bound.
    """
    case = conv_case(name)
    # The reference writes a connection out as a matrix, and kernels may be plain Python: too much for whole images.
    slow = backend.name == "reference" or INTERPRETED
    part = corner(case, CROP if slow else None)
    conv = Conv("image", "sums", case.weights, part.image.shape, num_message_bits=message_bits, **case.settings)
    network = Network(
        [Input("image", part.image.size), GradedVec("sums", conv.shape[0], vth=0)], [conv], [Probe("sums")]
    )
    bits = message_bits or 1
    whole = np.rint(part.image * (1 << IMAGE_BITS)).astype(np.int64).ravel()
    shifts = np.arange(0, IMAGE_BITS + bits, bits)  # one slice more: a value may round up to 1
    slices = whole >> shifts[:, None] & (1 << bits) - 1
    with open_or_skip(backend, network) as runner:
        train = runner.run(events_from_dense(slices[None], graded=True), len(shifts) + 1).spikes["sums"]
    sums = np.zeros((len(shifts), conv.shape[0]), np.int64)
    sums[train.step - 1, train.neuron] = train.value
    found = (sums << shifts[:, None]).sum(axis=0).reshape(conv.output_shape) / (1 << IMAGE_BITS)
    shape = part.result.shape
    assert found.shape[:2] >= shape[:2]
    n = case.weights[0].size
    bound = 2 * n * FLOAT32 * float(np.abs(case.weights).sum(axis=(1, 2, 3)).max())
    difference = np.abs(found[: shape[0], : shape[1]] - part.result)
    assert difference.max() < bound
    assert bound < 1
    assert np.abs(part.result).max() > 100


def test_convolutional_network_of_slayer(backend: Backend) -> None:
    """Two layers, 16x16x3 to 6x6x24 to 36: all currents of the first, all spikes of both.

    SLAYER adds no bias in the first step of a recording, so the neurons start from rest in the second. A layer's step t of
    the recording is our step t + 1, and t + 2 for the second layer: one step for each connection.
    """
    net = tiny_net()
    shapes = [net.spikes_in.shape[1:], *(spikes.shape[1:] for spikes in net.spikes)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    connections = [Conv(str(i), str(i + 1), net.kernels[i], shapes[i], stride=2) for i in (0, 1)]
    assert [conv.output_shape for conv in connections] == shapes[1:]
    layers = [
        LIFReset(
            str(i + 1), sizes[i + 1], **TINY_LIF, bias_mant=np.tile(net.biases[i], sizes[i + 1] // len(net.biases[i])),
            bias_exp=6, reset_interval=1000, reset_offset=i + 3,
        )
        for i in (0, 1)
    ]  # fmt: skip
    network = Network([Input("0", sizes[0]), *layers], connections, [Probe("1", "u"), Probe("1"), Probe("2")])
    n_steps = len(net.spikes_in)
    with open_or_skip(backend, network) as runner:
        result = runner.run(events_from_dense(net.spikes_in.reshape(1, n_steps, -1)), n_steps + 2)
    current = result.states["1", "u"][0, 1 : n_steps + 1]
    np.testing.assert_array_equal(current, net.current.reshape(n_steps, -1) << 6)
    for i in (0, 1):
        train, found = result.spikes[str(i + 1)], np.zeros((n_steps + 2, sizes[i + 1]), np.bool_)
        found[train.step, train.neuron] = True
        expected = net.spikes[i].reshape(n_steps, -1)
        np.testing.assert_array_equal(found[i + 2 : i + 1 + n_steps], expected[1:], err_msg=f"layer {i + 1}")
        assert not expected[0].any()
        assert expected.sum() == (1633, 92)[i]
