"""Scales chosen on samples: what is tried, what is taken, and that it helps where it should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.errors import ConfigError, DataError
from neurosim.events import Events, events_from_dense
from neurosim.floatsim import simulate
from neurosim.network import Connection, ConvConnection, CubaLIF, Input, Network, Probe, SparseConnection
from neurosim.quantize import quantize
from neurosim.studies.quanterror import quantisation_report
from neurosim.studies.scalesearch import search_scales


def outliers(bits: int, conv: bool = False) -> Network:
    """Weights of which one is far larger than the others, which low bits therefore cannot tell apart."""
    rng = np.random.default_rng(3)
    first: Connection
    if conv:
        kernel = rng.normal(0.1, 0.25, (10, 2, 2, 1))
        kernel[0, 0, 0, 0] = -2.5
        first = ConvConnection("in", "mid", kernel, input_shape=(4, 4, 1), num_weight_bits=bits)
    else:
        weights = rng.normal(0.05, 0.15, (20, 16))
        weights[0, 0] = -2.5
        first = Connection("in", "mid", weights, bits)
    n = first.shape[0]
    row, col = np.nonzero(rng.random((6, n)) < 0.7)
    more = SparseConnection("mid", "more", (6, n), row, col, rng.normal(0.2, 0.4, len(row)), num_weight_bits=bits)
    groups = [
        Input("in", 16),
        CubaLIF("mid", n, 0.02),
        CubaLIF("more", 6, 0.02),
        CubaLIF("out", 3, 0.05, None, math.inf),
    ]
    loop = Connection("more", "more", rng.normal(0, 0.2, (6, 6)), bits)
    return Network(groups, [first, more, loop, Connection("more", "out", rng.normal(0, 0.4, (3, 6)), bits)])


def spikes(seed: int, n_samples: int = 10) -> Events:
    return events_from_dense(np.random.default_rng(seed).random((n_samples, 50, 16)) < 0.25)


@pytest.mark.parametrize("conv", [False, True])
def test_clipping_an_outlier_helps_weights_of_few_bits(conv: bool) -> None:
    network = outliers(3, conv)
    found = search_scales(network, spikes(1))
    taken = found.chosen("mid")
    assert taken.factor > 1 and taken.n_clipped >= 1
    before = found.to_dict()["groups"]["mid"]
    assert taken.error < 0.5 * before["error_before"]
    # on other samples, in the whole network
    reports = [
        quantisation_report(network, quantized, spikes(2, 20), decay="exact")
        for quantized in (quantize(network), quantize(found.network, scales=found.scales))
    ]
    shared = [report["layers"][0]["rates"]["shared"] for report in reports]
    assert shared[1] > shared[0] + 0.1


def test_every_candidate_is_told_with_its_error() -> None:
    network = outliers(8)
    base = quantize(network)
    found = search_scales(network, spikes(1), halves=(-1, 0, 1, 2))
    mid = [c for c in found.tried if c.group == "mid"]
    tried = [(c.factor, c.clips) for c in mid]
    root = 2**0.5
    assert tried == [(1.0, False), (2**-0.5, False), (root, False), (root, True), (2.0, False), (2.0, True)]
    for candidate in mid:
        assert (
            candidate.scale == pytest.approx(base.scales["group/mid"] * candidate.factor)
            and candidate.error is not None
        )
    assert found.chosen("mid").error == min(c.error for c in mid if c.error is not None)
    assert list(found.scales) == ["mid", "more", "out"]
    for name, scale in found.scales.items():
        assert scale == found.chosen(name).scale
        assert quantize(found.network, scales=found.scales).scales[f"group/{name}"] == scale


def test_the_error_is_that_of_the_network_at_the_scales_taken() -> None:
    network, events = outliers(4), spikes(1, 4)
    found = search_scales(network, events)
    floats = simulate(network, events, record=[("out", "v")])
    quantized = quantize(found.network, scales=found.scales)
    probes = [Probe("mid"), Probe("more"), Probe("out", "v")]
    with get_backend().open(compile_network(quantized.network.with_probes(probes), "unlimited")) as runner:
        result = runner.run(events)
    edges = [0, 6, 12, 18, 25, 31, 37, 43, 50]  # eight windows of 50 steps
    for name in ("mid", "more"):
        raster = np.zeros(floats.spikes[name].shape)
        raster[result.spikes[name].sample, result.spikes[name].step, result.spikes[name].neuron] = 1
        error = size = 0.0
        for a, b in zip(edges, edges[1:], strict=False):
            wanted, got = (x[:, a:b].sum(axis=1, dtype=float) for x in (floats.spikes[name], raster))
            error, size = error + ((wanted - got) ** 2).sum(), size + (wanted**2).sum()
        assert found.chosen(name).error == pytest.approx(error / size)
    wanted, got = floats.states["out", "v"][:, -1], result.states["out", "v"][:, -1] / (64 * found.scales["out"])
    wanted, got = (v - v.mean(axis=1, keepdims=True) for v in (wanted, got))
    assert found.chosen("out").error == pytest.approx(((wanted - got) ** 2).sum() / (wanted**2).sum())


def test_scales_that_a_register_cannot_hold_have_no_error() -> None:
    network = Network(
        [Input("in", 16), CubaLIF("out", 2, v_threshold=1.0)], [Connection("in", "out", np.full((2, 16), 0.3))]
    )
    found = search_scales(network, spikes(1), halves=(0, 30))
    assert [c.error is None for c in found.tried] == [False, True, True]
    assert found.scales == {"out": quantize(network).scales["group/out"]}
    assert found.to_dict()["groups"]["out"]["tried"][1]["error"] is None


def test_powers_of_two_stay_powers_of_two() -> None:
    found = search_scales(outliers(4), spikes(1), scale="power-of-two")
    for candidate in found.tried:
        assert math.log2(candidate.scale) == int(math.log2(candidate.scale))


def test_exact_weights_keep_the_scale_of_quantize() -> None:
    weights = np.random.default_rng(0).integers(-100, 128, (3, 16)) / 128
    weights[0, 0] = 127 / 128
    network = Network([Input("in", 16), CubaLIF("out", 3)], [Connection("in", "out", weights)])
    found = search_scales(network, spikes(4))
    assert found.chosen("out").factor == 1.0 and found.chosen("out").error == 0.0
    assert found.network.connections[0].weights is network.connections[0].weights


def test_the_same_samples_give_the_same_scales() -> None:
    one, other = (search_scales(outliers(3), spikes(1)) for _ in range(2))
    assert one.to_dict() == other.to_dict()


def test_progress_counts_candidates() -> None:
    seen: list[tuple[str, int, int]] = []
    found = search_scales(outliers(8), spikes(1, 2), halves=(0, 2), on_progress=lambda *told: seen.append(told))
    assert [done for _, done, _ in seen] == list(range(len(found.tried))) and {of for *_, of in seen} == {
        len(found.tried)
    }
    assert [name for name, *_ in seen] == [c.group for c in found.tried]


def test_messages_with_values_and_groups_without_input() -> None:
    rng = np.random.default_rng(5)
    groups = [
        Input("in", 16), CubaLIF("mid", 4, model="multispike", v_threshold=0.4), CubaLIF("alone", 2, bias=0.3),
        CubaLIF("out", 2, v_threshold=math.inf),
    ]  # fmt: skip
    connections = [
        Connection("in", "mid", rng.normal(0.1, 0.2, (4, 16))), Connection("mid", "out", rng.normal(0, 1, (2, 4)), num_message_bits=4),
        Connection("alone", "out", rng.normal(0, 1, (2, 2))),
    ]  # fmt: skip
    found = search_scales(Network(groups, connections), spikes(6, 3), halves=(0, 2))
    assert sorted(found.scales) == ["alone", "mid", "out"]
    assert all(c.error is not None and c.error < 0.5 for c in found.tried if c.factor == 1)


def test_refuses_no_samples_too_many_and_bad_factors() -> None:
    network = outliers(8)
    with pytest.raises(DataError, match="no sample to search scales on"):
        search_scales(network, spikes(1).take([]))
    with pytest.raises(DataError, match=r"would take \d+ MiB, the limit is 1024"):
        search_scales(network, spikes(1), n_steps=10**7)
    with pytest.raises(ConfigError, match="are not integers in -40..40"):
        search_scales(network, spikes(1), halves=(0.5,))
