"""The convolutions that Lava keeps as references, with all their settings, are what `Conv` computes."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from realdata import CONV_CASES, ConvCase, conv_case

from neurosim.backend import Backend, needed_features
from neurosim.compile_network import compile
from neurosim.connections import Conv
from neurosim.events import events_from_dense
from neurosim.network import Input, Network, Probe
from neurosim.neurons import GradedVec

IMAGE_BITS = 24  # of a value in 0..1
FLOAT32 = 2.0**-24  # rounding of the framework that computed the results
CROP = 5  # pixels of output, each way, that are compared where a whole image is too much


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
    # The reference writes a connection out as a matrix: too large for whole images.
    part = corner(case, CROP if backend.name == "reference" else None)
    conv = Conv("image", "sums", case.weights, part.image.shape, num_message_bits=message_bits, **case.settings)
    network = Network(
        [Input("image", part.image.size), GradedVec("sums", conv.shape[0], vth=0)], [conv], [Probe("sums")]
    )
    bits = message_bits or 1
    whole = np.rint(part.image * (1 << IMAGE_BITS)).astype(np.int64).ravel()
    shifts = np.arange(0, IMAGE_BITS + bits, bits)  # one slice more: a value may round up to 1
    slices = whole >> shifts[:, None] & (1 << bits) - 1
    program = compile(network, "unlimited")
    if missing := needed_features(program) - backend.features:
        pytest.skip(f"backend {backend.name!r} lacks {', '.join(sorted(missing))}")
    with backend.open(program) as runner:
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
