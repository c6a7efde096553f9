"""The report of floats against integers: parameters, weights, runs, and how it is shown."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from neurosim.answers import Answer
from neurosim.backend import get_backend
from neurosim.compile_network import compile as compile_network
from neurosim.errors import ConfigError, DataError, NetworkError
from neurosim.events import Events, events_from_dense
from neurosim.floatsim import simulate
from neurosim.network import LIF, Connection, ConvConnection, CubaLIF, Dense, Input, Network, Probe, SparseConnection
from neurosim.quantize import quantize
from neurosim.report_quant import quant_lines, quant_tables
from neurosim.studies.quanterror import quantisation_report
from neurosim.studies.quanterror import runs as runs_module
from neurosim.studies.quanterror.runs import default_answer

DT = 1e-3


def small(bits: int = 8, readout: bool = False) -> Network:
    """Three kinds of connections, numbers of each neuron, and a class for each of three outputs."""
    rng = np.random.default_rng(7)
    conv = ConvConnection("in", "mid", rng.normal(0.3, 0.3, (2, 2, 2, 1)), input_shape=(4, 4, 1), num_weight_bits=bits)
    n_mid = conv.shape[0]
    row, col = np.nonzero(rng.random((5, n_mid)) < 0.5)
    taus = np.repeat([[0.01, 0.02]], n_mid // 2, axis=0).ravel()
    groups = [
        Input("in", 16), CubaLIF("mid", n_mid, taus, 0.004, bias=0.01), CubaLIF("more", 5, 0.015, [0.002, 0.004, np.inf, 0.002, 0.01]),
        CubaLIF("out", 3, 0.03, None, math.inf if readout else 0.8),
    ]  # fmt: skip
    return Network(
        groups,
        [
            conv,
            SparseConnection("mid", "more", (5, n_mid), row, col, rng.normal(0.3, 0.3, len(row)), num_weight_bits=bits),
            Connection("more", "out", rng.normal(0.3, 0.5, (3, 5)), num_weight_bits=bits),
            Connection("more", "more", rng.normal(0, 0.2, (5, 5)), bits, delays=rng.integers(0, 4, (5, 5))),
        ],
        dt=DT,
    )


def spikes(n_samples: int = 12, n_steps: int = 40) -> Events:
    return events_from_dense(np.random.default_rng(8).random((n_samples, n_steps, 16)) < 0.3)


def integer_run(
    network: Network, events: Events
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, float]]:
    """Rasters and voltages (in float units) of the integers, by hand."""
    quantized = quantize(network)
    names = [g.name for g in network.groups if isinstance(g, CubaLIF)]
    probes = [Probe(name, what) for name in names for what in ("spikes", "v")]
    with get_backend().open(compile_network(quantized.network.with_probes(probes), "unlimited")) as runner:
        result = runner.run(events)
    rasters, volts = {}, {}
    for name in names:
        volts[name] = result.states[name, "v"] / (64 * quantized.scales[f"group/{name}"])
        rasters[name] = np.zeros(volts[name].shape, bool)
        train = result.spikes[name]
        rasters[name][train.sample, train.step, train.neuron] = True
    return rasters, volts, quantized.scales


@pytest.fixture(scope="module")
def report() -> dict:
    network = small(bits=4)
    labels = np.arange(12) % 3
    return quantisation_report(network, quantize(network), spikes(), labels, decay="exact")


def layer(report: dict, name: str) -> dict:
    return next(found for found in report["layers"] if found["group"] == name)


def test_it_is_json_with_finite_numbers(report: dict) -> None:
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_parameters_are_those_of_the_registers() -> None:
    network = small()
    quantized = quantize(network)
    found = layer(quantisation_report(network, quantized, decay="exact"), "mid")
    group = quantized.network.group("mid")
    held = -DT / np.log1p(-np.unique(group.dv) / 4096)
    assert found["tau_mem"]["wanted"][::2] == [0.01, 0.02]
    assert found["tau_mem"]["got"][::2] == pytest.approx([held.min(), held.max()], rel=1e-12)
    assert found["tau_syn"]["got"][0] == pytest.approx(-DT / math.log1p(-(group.du + 1) / 4096))
    worst = max(abs(tau / wanted - 1) for tau, wanted in zip(sorted(held), (0.01, 0.02), strict=True))
    assert found["tau_mem"]["worst_error"] == pytest.approx(worst, rel=1e-9)
    assert found["v_threshold"]["got"][0] == pytest.approx(group.vth / quantized.scales["group/mid"])
    off = abs(float(group.bias[0]) / (64 * quantized.scales["group/mid"]) - 0.01)
    assert found["bias"]["largest_error"] == pytest.approx(off) and found["bias"]["largest"] == 0.01


def test_neurons_without_a_time_constant_are_left_out() -> None:
    network = small()
    found = quantisation_report(network, quantize(network), decay="exact")
    assert layer(found, "more")["tau_syn"]["wanted"] == [0.002, 0.003, 0.01]
    assert layer(found, "out")["tau_syn"] is None


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_weights_are_compared_in_float_units(bits: int) -> None:
    network = small(bits)
    quantized = quantize(network)
    report = quantisation_report(network, quantized, decay="exact")
    found = {w["connection"]: w for part in report["layers"] for w in part["weights"]}
    assert sorted(found) == sorted(c.name for c in network.connections)
    dense, scale = quantized.network.connection("more->out"), quantized.scales["connection/more->out"]
    wanted = np.asarray(network.connection("more->out").weights)
    held = np.asarray(dense.weights) / scale
    assert found["more->out"]["largest_error"] == pytest.approx(np.abs(held - wanted).max())
    assert found["more->out"]["rounded_to_zero"] == np.count_nonzero(held == 0)
    noise = np.square(held - wanted).sum()
    assert found["more->out"]["sqnr_db"] == pytest.approx(10 * math.log10(np.square(wanted).sum() / noise))
    notes = {n.owner: n.value for n in quantized.notes if n.quantity == "weight_sqnr_db"}
    for name, weights in found.items():  # every form, currents of each neuron's own included
        if name != "mid->more" and name != "more->more":  # where the note weighs neurons by their currents
            assert weights["sqnr_db"] == pytest.approx(notes[f"connection/{name}"], abs=1e-6)
        assert weights["clipped"] == 0 and weights["largest_error"] <= weights["step"] / 2 * (1 + 1e-9)
        assert sum(weights["histogram"]["wanted"]) == sum(weights["histogram"]["held"]) == weights["n"]


def test_clipped_weights_are_counted() -> None:
    network = Network([Input("in", 3), CubaLIF("out", 1)], [Connection("in", "out", [[2.0, 0.5, 0.4]])])
    scales = quantize(network).scales
    half = Network([Input("in", 3), CubaLIF("out", 1)], [Connection("in", "out", [[1.0, 0.5, 0.4]])])
    clipped = quantize(half, scales={"out": 2 * scales["group/out"]})
    (weights,) = layer(quantisation_report(network, clipped, decay="exact"), "out")["weights"]
    assert weights["clipped"] == 1 and weights["largest_error"] == pytest.approx(1.0, abs=0.01)


def test_rates_spikes_in_common_and_the_first_difference(report: dict) -> None:
    network, events = small(bits=4), spikes()
    floats = simulate(network, events, record=[(n, "v") for n in ("mid", "more", "out")])
    rasters, volts, _ = integer_run(network, events)
    parted = 0
    for name in ("mid", "more", "out"):
        found, a, b = layer(report, name), floats.spikes[name], rasters[name]
        assert found["rates"]["float"] == pytest.approx(a.mean()) and found["rates"]["integer"] == pytest.approx(
            b.mean()
        )
        assert found["rates"]["shared"] == pytest.approx((a & b).sum() / (a | b).sum())
        assert found["rates"]["neurons"]["float"] == a.sum(axis=(0, 1)).tolist()
        correlation = np.corrcoef(a.sum(axis=(0, 1)), b.sum(axis=(0, 1)))[0, 1]
        assert found["rates"]["correlation"] == pytest.approx(correlation)
        different = [(t, s, n) for s, t, n in np.argwhere(a != b)]
        if not different:
            assert found["divergence"] is None
            continue
        parted += 1
        step, sample, neuron = min(different)
        first = found["divergence"]
        assert (first["step"], first["sample"], first["neuron"]) == (step, sample, neuron)
        assert (first["float"], first["integer"]) == (a[sample, step, neuron], b[sample, step, neuron])
        assert first["v_integer"] == pytest.approx(volts[name][sample, step, neuron])
        assert first["samples"] == np.count_nonzero((a != b).any(axis=(1, 2)))
    assert parted >= 2  # four bits are few


def test_voltages_are_compared_until_spikes_differ(report: dict) -> None:
    network, events = small(bits=4), spikes()
    floats = simulate(network, events, record=[("mid", "v")])
    rasters, volts, _ = integer_run(network, events)
    worst, steps = 0.0, 0
    for sample in range(events.n_samples):  # nothing but inputs leads to this group
        for step in range(events.n_steps):
            if (floats.spikes["mid"][sample, step] != rasters["mid"][sample, step]).any():
                break
            worst = max(worst, np.abs(floats.states["mid", "v"] - volts["mid"])[sample, step].max())
            steps += 1
    found = layer(report, "mid")["voltage"]
    assert found["largest_error"] == pytest.approx(worst) and found["steps"] == steps > 0


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("readout", [False, True])
def test_the_predicted_error_of_voltages_holds(bits: int, readout: bool) -> None:
    network = small(bits, readout)
    found = quantisation_report(network, quantize(network), spikes(), decay="exact")
    for name in ("mid", "more", "out"):
        voltage = layer(found, name)["voltage"]
        assert voltage["holds"] is True and voltage["bound"] > voltage["largest_error"] > 0


def test_accuracy_of_both_and_how_often_they_differ(report: dict) -> None:
    network, events, labels = small(bits=4), spikes(), np.arange(12) % 3
    floats = simulate(network, events).spikes["out"].sum(axis=1).argmax(axis=1)
    integers = integer_run(network, events)[0]["out"].sum(axis=1).argmax(axis=1)
    found = report["accuracy"]
    assert found["read"] == "most spikes" and found["readout"] == "out"
    assert found["predictions"] == {"float": floats.tolist(), "integer": integers.tolist()}
    assert found["differ"] == np.count_nonzero(floats != integers)
    assert found["float"] == pytest.approx(np.mean(floats == labels))
    assert found["integer"] == pytest.approx(np.mean(integers == labels))
    assert found["only_float_right"] == np.count_nonzero((floats == labels) & (integers != labels))


def test_labels_may_be_missing_for_some_or_all_samples() -> None:
    network, events = small(), spikes()
    none = quantisation_report(network, quantize(network), events, decay="exact")["accuracy"]
    assert none["float"] is None and none["n_labelled"] == 0 and none["n"] == 12
    some = quantisation_report(network, quantize(network), events, [-1] * 10 + [0, 1], decay="exact")["accuracy"]
    assert some["n_labelled"] == 2 and some["float"] in (0.0, 0.5, 1.0)


def test_a_readout_is_read_by_its_last_voltage() -> None:
    network, events = small(readout=True), spikes()
    assert default_answer(network) == Answer("out", "likelihood")
    found = quantisation_report(network, quantize(network), events, decay="exact")["accuracy"]
    last = simulate(network, events, record=[("out", "v")]).states["out", "v"][:, -1]
    assert found["read"] == "largest last voltage" and found["predictions"]["float"] == last.argmax(axis=1).tolist()


def test_the_first_spike_can_be_the_answer() -> None:
    network, events = small(), spikes()
    found = quantisation_report(network, quantize(network), events, decay="exact", answer=Answer("out", "first-spike"))[
        "accuracy"
    ]
    raster = simulate(network, events).spikes["out"]
    left = np.where(raster.any(axis=1), 40 - raster.argmax(axis=1), 0)
    assert found["predictions"]["float"] == left.argmax(axis=1).tolist()


def test_no_answer_where_it_is_not_clear_which_group_gives_it() -> None:
    groups = [Input("in", 1), CubaLIF("a", 2), CubaLIF("b", 2)]
    network = Network(groups, [Connection("in", "a", [[0.6], [0.3]]), Connection("in", "b", [[0.4], [0.5]])])
    events = events_from_dense(np.ones((1, 5, 1)))
    found = quantisation_report(network, quantize(network), events, decay="exact")
    assert found["accuracy"] is None and layer(found, "a")["rates"]["float"] > 0


def test_blocks_do_not_change_the_report(report: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small(bits=4)
    monkeypatch.setattr("neurosim.floatsim.run.MAX_BYTES", 1)  # one sample a block
    seen: list[tuple[int, int]] = []
    again = quantisation_report(
        network, quantize(network), spikes(), np.arange(12) % 3, decay="exact",
        on_progress=lambda done, of: seen.append((done, of)),
    )  # fmt: skip
    assert seen == [(i + 1, 12) for i in range(12)]
    for found, wanted in zip(again["layers"], report["layers"], strict=True):
        assert found["rates"] == wanted["rates"] and found["divergence"] == wanted["divergence"]
        assert found["overflows"] == wanted["overflows"]
    assert again["accuracy"] == report["accuracy"]


def test_messages_with_values_are_compared_by_value() -> None:
    groups = [
        Input("in", 4),
        CubaLIF("mid", 3, model="multispike", v_threshold=0.3),
        CubaLIF("out", 2, v_threshold=math.inf),
    ]
    rng = np.random.default_rng(2)
    connections = [
        Connection("in", "mid", rng.normal(0.3, 0.4, (3, 4))),
        Connection("mid", "out", rng.normal(0, 0.3, (2, 3)), num_message_bits=4),
    ]
    network = Network(groups, connections)
    events = events_from_dense(rng.random((2, 20, 4)) < 0.5)
    found = quantisation_report(network, quantize(network), events, decay="exact")
    assert layer(found, "mid")["voltage"]["bound"] is None  # no bound for this model
    assert layer(found, "mid")["rates"]["shared"] > 0.5


def test_stateless_groups_have_spikes_but_no_voltage() -> None:
    groups = [
        Input("in", 3),
        CubaLIF("gate", 2, v_threshold=0.45, model="threshold"),
        CubaLIF("out", 2, v_threshold=math.inf),
    ]
    weights = [[0.3, 0.2, -0.1], [0.5, 0.1, 0.1]]
    network = Network(groups, [Connection("in", "gate", weights), Connection("gate", "out", [[1.0, 0.2], [0.1, 0.7]])])
    events = events_from_dense(np.random.default_rng(1).random((3, 20, 3)) < 0.5)
    found = quantisation_report(network, quantize(network), events, decay="exact")
    gate = layer(found, "gate")
    assert gate["voltage"] is None and gate["rates"]["shared"] == 1.0 and gate["tau_mem"] is None
    assert gate["v_threshold"]["worst_error"] == 0.0


def test_refuses_what_does_not_belong_together() -> None:
    network, events = small(), spikes()
    quantized = quantize(network)
    with pytest.raises(DataError, match=r"labels: have shape \(3,\), need \(12,\)"):
        quantisation_report(network, quantized, events, [0, 1, 2], decay="exact")
    with pytest.raises(DataError, match="no sample to compare"):
        quantisation_report(network, quantized, events.take([]), decay="exact")
    with pytest.raises(NetworkError, match="group 'mid': the quantised network has no such group"):
        quantisation_report(network, quantize(Network([Input("in", 1), CubaLIF("mid", 1)], [])), events, decay="exact")
    with pytest.raises(ConfigError, match="answer: 'trace' in 1 windows has no float form"):
        quantisation_report(network, quantized, events, decay="exact", answer=Answer("out", "trace"))
    mixed = Network(
        [*network.groups, LIF("chip", 3)], [*network.connections, Dense("out", "chip", np.eye(3, dtype=int) * 2)]
    )
    with pytest.raises(NetworkError, match="group 'chip': LIF is in chip integers"):
        quantisation_report(mixed, quantize(mixed), events, decay="exact")


def test_fan_in_bounds_what_reaches_a_neuron() -> None:
    network = small()
    for connection in network.connections:
        largest = runs_module.largest_fan_in(connection)
        if isinstance(connection, SparseConnection):
            assert largest == np.bincount(np.asarray(connection.row)).max()
        else:
            assert largest == {"in->mid": 4, "more->out": 5, "more->more": 5}[connection.name]


def test_tables_and_lines_say_what_happened(report: dict) -> None:
    tables = {table.title.split(":")[0]: table for table in quant_tables(report)}
    assert list(tables) == ["Parameters", "Weights", "Overflow", "Firing rates", "Where the runs part"]
    assert ("mid", "tau_mem") in [row[:2] for row in tables["Parameters"].rows]
    assert [row[0] for row in tables["Weights"].rows] == ["in->mid", "mid->more", "more->more", "more->out"]
    for table in tables.values():
        assert all(len(row) == len(table.columns) for row in table.rows)
    words = "\n".join(quant_lines(report))
    accuracy = report["accuracy"]
    assert f"{12 - accuracy['differ']} of 12 agree" in words and "most spikes of out" in words
    assert f"{accuracy['integer']:.1%} in integers" in words
    first = next(row for row in tables["Where the runs part"].rows if row[1] != "never")
    assert "floats fired, integers did not fire (v " in first[-1] or "floats did not fire (v " in first[-1]


def test_tables_without_a_run_are_of_parameters_only() -> None:
    network = small()
    found = quantisation_report(network, quantize(network), decay="exact")
    assert [table.title.split(":")[0] for table in quant_tables(found)] == ["Parameters", "Weights", "Overflow"]
    assert any(line.startswith("weights ") for line in quant_lines(found)) and len(quant_lines(found)) == 1
