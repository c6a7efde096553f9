"""Lava's own examples of LIF, ternary LIF, Dense and delays, rebuilt here, give the numbers that Lava publishes.

The numbers are those that Lava's unit tests of its fixed-point models state (``tests/lava/proc/lif/test_models.py`` and
``tests/lava/proc/dense/test_models.py`` of lava-nc, the methods named below), and the run of its tutorial "tour through
Lava" that `record_lava` recorded on Lava 0.10.0. On the backend "lava" the same examples run on Lava itself.

Lava's tests feed neurons and connections directly. Here inputs stand before a connection, which takes a step: what Lava
sees in step t is seen in step t + 1.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from neurosim.backend import Backend, needed_features
from neurosim.compile_network import compile
from neurosim.errors import NetworkError
from neurosim.events import events_from_dense
from neurosim.network import LIF, AnyConnection, Dense, Group, Input, Network, Probe
from neurosim.neurons import TernaryLIF

GOLDEN = Path(__file__).parent.parent / "golden"


class Example(NamedTuple):
    """A network, the step in which all its inputs fire, and the numbers from the step in which they arrive."""

    lif: LIF
    connections: list[AnyConnection]
    n_inputs: int
    fire: int | None
    what: str
    expected: list[Any]  # (n_steps,) or (n_steps, n) from step `first`
    first: int


def one_neuron(what: str, expected: list[int], **parameters: int) -> Example:
    """An impulse of 128 into one neuron that does not fire."""
    return Example(LIF("lif", 1, vth=256, **parameters), [Dense("in", "lif", [[128]])], 1, 0, what, expected, 1)


def negative_impulse(what: str, expected: list[int], **parameters: int) -> Example:
    """The same of -128 into a ternary neuron."""
    ternary = TernaryLIF("lif", 1, vth_lo=-256, vth_hi=2, **parameters)
    return Example(ternary, [Dense("in", "lif", [[-128]])], 1, 0, what, expected, 1)


def from_third_input(weights: list[int], sums: list[int], delays: list[int] | None = None, **options: Any) -> Example:
    """A 3 x 4 connection whose third input alone has weights; the sums are read as currents without memory.

    Lava's test shows them in its steps 5, 6 and 7 for delays of 0, 1 and 2.
    """
    matrix, later = np.zeros((3, 4), np.int64), np.zeros((3, 4), np.int64)
    matrix[:, 2], later[:, 2] = weights, delays or 0
    dense = Dense("in", "lif", matrix, delays=later if delays else None, **options)
    silent = LIF("lif", 3, du=4095, dv=4095, vth=131071)
    expected = np.zeros((8, 3), np.int64)
    expected[4 + later[:, 2], np.arange(3)] = np.array(sums) << 6
    return Example(silent, [dense], 4, 3, "u", expected.tolist(), 0)


#: By the names of Lava's tests. Weights of 300 and 0.5, which Lava clips and cuts, are given here as what becomes of them.
PUBLISHED = {
    "bitacc_pm_no_decay": Example(
        LIF("lif", 10, du=0, dv=0, vth=8, bias_mant=2, bias_exp=6),
        [], 1, None, "spikes", [[int(t % 5 == 4)] * 10 for t in range(10)], 0,
    ),
    "bitacc_pm_impulse_du": one_neuron("u", [1 << (13 - t) for t in range(8)], du=2047, dv=0),
    "bitacc_pm_impulse_dv": one_neuron(
        "v", [8192, 12286, 14331, 15351, 15859, 16111, 16235, 16295], du=0, dv=2048
    ),
    "bitacc_pm_fan_out_excitatory": from_third_input([0, 255, 40], [0, 255, 40], sign_mode="excitatory"),
    "bitacc_pm_fan_out_mixed_sign": from_third_input([255, -256, 39], [254, -256, 38], sign_mode="mixed"),
    "bitacc_pm_fan_out_weight_exp": from_third_input([255, -256, 39], [508, -512, 76], weight_exp=1),
    "bitacc_pm_fan_out_weight_precision": from_third_input([255, -256, 39], [252, -256, 36], num_weight_bits=7),
    "bitacc_pm_fan_in_mixed_sign": Example(
        LIF("lif", 3, du=4095, dv=4095, vth=131071),
        [Dense("in", "lif", [[0] * 4, [0] * 4, [255, -256, 39, 0]], sign_mode="mixed")],
        4, 3, "u", [[0, 0, 0], [0, 0, 36 << 6], [0, 0, 0]], 3,
    ),
    "bitacc_pm_fan_out_excitatory_delay": from_third_input(
        [0, 255, 40], [0, 255, 40], [0, 1, 2], sign_mode="excitatory"
    ),
    "bitacc_pm_fan_out_mixed_sign_delay": from_third_input(
        [255, -256, 39], [254, -256, 38], [2, 2, 2], sign_mode="mixed"
    ),
    "bitacc_pm_fan_out_weight_exp_delay": from_third_input(
        [255, -256, 39], [508, -512, 76], [0, 1, 2], weight_exp=1
    ),
    "bitacc_pm_fan_out_weight_precision_delay": from_third_input(
        [255, -256, 39], [252, -256, 36], [2, 2, 2], num_weight_bits=7
    ),
    "fixed_pm_neg_no_decay_1": Example(
        TernaryLIF("lif", 5, du=0, dv=0, bias_mant=-2, bias_exp=6, vth_lo=-8, vth_hi=2),
        [], 1, None, "spikes", [[-int(t % 5 == 4)] * 5 for t in range(10)], 0,
    ),
    "fixed_pm_neg_impulse_du": negative_impulse("u", [-1 << (13 - t) for t in range(8)], du=2047, dv=0),
    "fixed_pm_neg_impulse_dv": negative_impulse(
        "v", [-8192, -12286, -14331, -15351, -15859, -16111, -16235, -16295], du=0, dv=2048
    ),
}  # fmt: skip


def network_of(example: Example) -> Network:
    return Network([Input("in", example.n_inputs), example.lif], example.connections, [Probe("lif", example.what)])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(backend: Backend, name: str) -> None:
    example = PUBLISHED[name]
    n_steps = example.first + len(example.expected)
    spikes = np.zeros((1, n_steps, example.n_inputs), np.int8)
    if example.fire is not None:
        spikes[0, example.fire] = 1
    program = compile(network_of(example), "unlimited")
    if missing := needed_features(program) - backend.features:
        pytest.skip(f"backend {backend.name!r} lacks {', '.join(sorted(missing))}")
    with backend.open(program) as runner:
        result = runner.run(events_from_dense(spikes))
    if example.what == "spikes":
        found = np.zeros((n_steps, example.lif.n), np.int64)
        train = result.spikes["lif"]
        found[train.step, train.neuron] = 1 if train.value is None else train.value
    else:
        found = result.states["lif", example.what][0].astype(np.int64)
    expected = np.reshape(example.expected, (len(example.expected), -1))
    np.testing.assert_array_equal(found[example.first :], expected)
    assert not found[: example.first].any(), "nothing before the input arrives"


@pytest.mark.parametrize("weight", [300, -300, 0.5])
def test_weights_that_lava_changes_without_a_word_are_refused(weight: float) -> None:
    with pytest.raises(NetworkError, match="outside -256..255|integers|outside -255..0|outside 0..255"):
        Dense("in", "lif", np.array([[weight, 1], [0, -1]] if weight != 0.5 else [[weight]]))


def tour_parameters() -> Any:
    """Return what `record_lava.tour` gives, the script that recorded the numbers."""
    spec = importlib.util.spec_from_file_location("record_lava", GOLDEN / "record_lava.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tour()


def tour_network() -> Network:
    """Lava's tour: three neurons driven by biases, a Dense, two more neurons."""
    given = tour_parameters()
    groups: list[Group] = [
        LIF("lif1", 3, **given["lif"], bias_mant=given["bias_mant"]),
        LIF("lif2", 2, **given["lif"]),
    ]
    probes = [Probe(name, what) for name in ("lif1", "lif2") for what in ("spikes", "v")]
    return Network(groups, [Dense("lif1", "lif2", given["weights"])], probes)


def test_tour_through_lava_as_recorded_on_lava(backend: Backend) -> None:
    recorded = json.loads((GOLDEN / "lava-tour.json").read_text())
    assert recorded["made_by"].startswith("lava-nc 0.10.0")
    with backend.open(compile(tour_network())) as runner:
        result = runner.run(events_from_dense(np.zeros((1, 100, 0), np.int8)))
    for name in ("lif1", "lif2"):
        np.testing.assert_array_equal(result.states[name, "v"][0], recorded["result"][f"{name}/v"])
        spikes = np.argwhere(recorded["result"][f"{name}/spikes"])
        np.testing.assert_array_equal(np.stack(result.spikes[name][1:3], axis=1), spikes)
    assert np.sum(recorded["result"]["lif1/spikes"]) == 16
    assert np.any(recorded["result"]["lif2/v"])
