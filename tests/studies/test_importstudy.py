"""Imported models on a chip: integers, report, model file, metrics."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

import numpy as np
import pytest

from neurosim.errors import ConfigError, DataError
from neurosim.events import Events, events_from_dense
from neurosim.exchange.imported import Imported, ImportNote, Port, chip_order, reorder_events
from neurosim.floatsim import simulate
from neurosim.modelfile import pack_model, unpack_model
from neurosim.network import LIF, Connection, ConvConnection, CubaLIF, Dense, Input, Network
from neurosim.quantize import quantize
from neurosim.report_html import make_report
from neurosim.studies.importstudy import Wanted, study_import


class Samples(NamedTuple):
    events: Events
    labels: np.ndarray | None
    name: str = "spikes"


def imported(readout: bool = False) -> Imported:
    """Pictures of two channels, four high and three wide, in floats."""
    rng = np.random.default_rng(11)
    conv = ConvConnection("in", "mid", rng.normal(0.2, 0.4, (3, 2, 2, 2)), input_shape=(3, 4, 2))
    n = conv.shape[0]
    groups = [Input("in", 24), CubaLIF("mid", n, 0.01), CubaLIF("out", 3, 0.02, None, math.inf if readout else 0.7)]
    network = Network(groups, [conv, Connection("mid", "out", rng.normal(0.1, 0.5, (3, n)))], dt=1e-3, name="tiny")
    notes = (ImportNote("mid", "info", "told for the test"),)
    return Imported(
        network, Port("in", (2, 4, 3), chip_order((2, 4, 3))), Port("out", (3,), np.arange(3)), "nir",
        {"dt": 1e-3, "decay": "euler"}, notes, {"in": 0, "mid": 1, "out": 2},
    )  # fmt: skip


def samples(n: int = 12) -> Samples:
    rng = np.random.default_rng(12)
    return Samples(events_from_dense(rng.random((n, 25, 24)) < 0.3), rng.integers(0, 3, n))


def test_the_model_runs_as_the_report_says_and_survives_its_file() -> None:
    model, metrics = study_import(imported(), Wanted(chip="unlimited"), calibrate=samples())
    again = unpack_model(pack_model(model))
    metadata = again.metadata
    assert metadata["import"]["format"] == "nir" and metadata["import"]["quantised_decay"] == "euler"
    assert metadata["import"]["notes"] == [{"owner": "mid", "kind": "info", "text": "told for the test"}]
    assert Port.from_dict(metadata["inputs"]).order.tolist() == chip_order((2, 4, 3)).tolist()
    assert (again.readout, metadata["answer"]["fitness"], metadata["latency"]) == ("out", "count", 2)
    assert (metadata["n_steps"], metadata["n_steps_input"]) == (27, 25)
    assert again.network.is_quantized and model.scales == quantize(imported().network, decay="euler").scales
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    accuracy = metrics["quant_error"]["accuracy"]
    assert metrics["test"]["accuracy"] == accuracy["integer"] and metrics["test"]["n"] == 12
    assert np.sum(metrics["test"]["confusion"]) == 12
    assert metrics["counts"]["per_inference"]["samples"] == 12 and metrics["energy"]["per_inference"]["total_pj"] > 0


def test_inputs_are_numbered_as_in_the_framework() -> None:
    source, given = imported(), samples()
    _, metrics = study_import(source, calibrate=given)
    lines = reorder_events(given.events, source.inputs)
    wanted = simulate(source.network, lines, 27, decay="euler").spikes["out"].sum(axis=1).argmax(axis=1)
    assert metrics["quant_error"]["accuracy"]["predictions"]["float"] == wanted.tolist()


def test_decay_scale_and_bits_are_the_caller_s() -> None:
    model, _ = study_import(imported(), Wanted(decay="exact", scale="power-of-two", bits=3))
    assert model.network.group("mid").dv == quantize(imported().network, decay="exact").network.group("mid").dv
    assert all(math.log2(s) == int(math.log2(s)) for name, s in model.scales.items() if name.startswith("group/"))
    assert model.network.connection("mid->out").num_weight_bits == 3
    assert model.metadata["import"]["quantised_decay"] == "exact" and "n_steps" not in model.metadata


def test_without_samples_nothing_runs() -> None:
    _, metrics = study_import(imported())
    assert metrics["quant_error"]["samples"] == 0 and "test" not in metrics and "counts" not in metrics
    assert metrics["utilisation"] and metrics["quantization"]
    assert "Floats against integers" in make_report(metrics)


def test_a_search_takes_some_samples_and_is_judged_on_the_others() -> None:
    told: list[str] = []
    model, metrics = study_import(
        imported(), Wanted(search=True, bits=3), calibrate=samples(13), on_progress=lambda what, *_: told.append(what)
    )
    assert metrics["scale_search"]["samples"] == 7 and metrics["quant_error"]["samples"] == 6
    for name, found in metrics["scale_search"]["groups"].items():
        assert model.scales[f"group/{name}"] == found["scale"] and found["error"] <= found["error_before"]
    assert {"scale of mid", "scale of out", "floats and integers"} == set(told)


def test_a_readout_answers_by_its_last_voltage() -> None:
    model, metrics = study_import(imported(readout=True), calibrate=samples())
    assert model.metadata["answer"]["fitness"] == "likelihood"
    assert metrics["quant_error"]["accuracy"]["read"] == "largest last voltage"


def test_integers_pass_unchanged_and_have_nothing_to_be_compared_with() -> None:
    weights = np.arange(-6, 6).reshape(3, 4) * 2
    network = Network([Input("in", 4), LIF("out", 3, 1000, 200, 5)], [Dense("in", "out", weights)])
    given = Imported(network, Port("in", (4,), np.arange(4)), Port("out", (3,), np.arange(3)), "slayer", {})
    events = events_from_dense(np.random.default_rng(1).random((2, 9, 4)) < 0.5)
    model, metrics = study_import(given, calibrate=Samples(events, None))
    assert model.network.connection("in->out").weights.tolist() == weights.tolist()
    assert "quant_error" not in metrics and "test" not in metrics and metrics["counts"]["per_inference"]["samples"] == 2
    with pytest.raises(ConfigError, match="search of scales: network 'network' is in chip integers"):
        study_import(given, Wanted(search=True), calibrate=Samples(events, None))


def test_refuses_samples_that_do_not_fit() -> None:
    given = samples()
    with pytest.raises(DataError, match=r"data 'spikes': has 24 input lines, the model has 4 \(4,\)"):
        network = Network([Input("in", 4), CubaLIF("out", 2)], [Connection("in", "out", np.ones((2, 4)))])
        study_import(Imported(network, Port("in", (4,), np.arange(4)), Port("out", (2,), np.arange(2)), "arrays", {}),
                     calibrate=given)  # fmt: skip
    with pytest.raises(DataError, match="class 7 is not among the 3"):
        study_import(imported(), calibrate=given._replace(labels=np.full(12, 7)))
    with pytest.raises(DataError, match="has no sample"):
        study_import(imported(), calibrate=Samples(given.events.take([]), None))
    with pytest.raises(ConfigError, match="samples are needed"):
        study_import(imported(), Wanted(search=True))
