"""A study of energy: parts that add up, tables that go with chips, and what cannot be known."""

import json

import numpy as np
import pytest

from neurosim.chip import load_chip
from neurosim.corestudy import time_tables_of, why_no_cores
from neurosim.energystudy import (
    ARITHMETIC_TABLE,
    Counted,
    cores_of,
    count_events,
    counts_from_metrics,
    neurobench_of,
    on_chip,
    study,
    tables_of,
)
from neurosim.errors import ConfigError, ModelFileError
from neurosim.events import events_from_dense
from neurosim.metrics import counts_metrics
from neurosim.modelfile import Model
from neurosim.network import LIF, Dense, Input, Network

LOIHI = ("loihi1-davies2018", "loihi1-sanafe2026", ARITHMETIC_TABLE)
MS = 1e-3


def two_core_model(chip: str = "loihi1") -> Model:
    """Return a network that Loihi 1 spreads over more than one tile: 6,000 neurons behind 8 inputs."""
    rng = np.random.default_rng(4)
    network = Network(
        [
            Input("in", 8), LIF("hidden", 3000, 800, 300, vth=40), LIF("more", 3000, 800, 300, vth=40),
            LIF("out", 4, 4095, 0, vth=90),
        ],
        [
            Dense("in", "hidden", rng.integers(-60, 90, (3000, 8))), Dense("in", "more", rng.integers(-60, 90, (3000, 8))),
            Dense("hidden", "out", rng.integers(-40, 60, (4, 3000))),
        ],
    )  # fmt: skip
    return Model(network, load_chip(chip), metadata={"config": {"energy_table": "loihi1-davies2018", "chip": chip}})


def run(model: Model, samples: int = 3) -> Counted:
    spikes = np.random.default_rng(5).random((samples, 9, 8)) < 0.3
    return count_events(model, events_from_dense(spikes))


@pytest.fixture(scope="module")
def counted() -> Counted:
    return run(two_core_model())


@pytest.fixture(scope="module")
def found(counted):
    return study(counted, LOIHI, None, cores_of(counted, LOIHI, None, 1))


def test_groups_add_up_to_the_total_but_for_barriers(found):
    for energy in found["energies"]["per_inference"]:
        parts = [group["total_pj"] for group in energy["by_group_pj"].values()]
        assert sum(part for part in parts if part is not None) == pytest.approx(energy["total_pj"])


def test_cores_add_up_to_the_total(found):
    assert len(found["utilisation"]) > 1
    for energy in found["energies"]["per_inference"]:
        spent = [pj for parts in energy["by_core_pj"].values() for pj in parts.values() if pj is not None]
        assert sum(spent) == pytest.approx(energy["total_pj"])


def test_static_energy_is_the_table_s_power_for_the_time_of_the_critical_path(found):
    time = next(t for t in found["times"] if (t["table"], t["model"]) == ("loihi1-sanafe2026", "critical-path"))
    energy = found["energies"]["per_inference"][1]
    assert energy["table"] == energy["time_table"] == "loihi1-sanafe2026"
    assert energy["seconds"] == pytest.approx(time["per_inference_s"])
    assert energy["static_pj"] == pytest.approx(104 * MS * time["per_inference_s"] * 1e12)
    assert found["energies"]["per_inference"][2]["static_pj"] is None, "no power is known of bare arithmetic"


def test_single_steps_add_up_to_the_counts(found, counted):
    totals = counted.counts.totals()
    for name in ("spikes", "synaptic_operations", "neuron_updates_active", "messages"):
        assert sum(row[name] for row in found["per_step"]) * 3 == pytest.approx(totals[name])


def test_links_carry_all_hops(found, counted):
    hops = sum(counted.counts.total(f"hops_{way}") for way in ("east", "west", "north", "south"))
    assert hops > 0 and sum(link["packets"] for link in found["links"]) * 3 == pytest.approx(hops)


def test_a_study_is_json_with_a_bottleneck_and_an_artificial_network(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["bottleneck"]["share"] == max(
        use["share"] for core in found["utilisation"] for use in core["resources"].values() if use["share"] is not None
    )
    assert found["ann"]["ann"]["macs"] == 2 * 8 * 3000 + 3000 * 4


def test_few_samples_are_timed_where_there_is_no_room_for_all(counted, monkeypatch):
    monkeypatch.setattr("neurosim.corestudy.MAX_CELLS", 1)
    cores = cores_of(counted, LOIHI, None, 1)
    assert (cores.detailed.n_samples, cores.whole.n_samples, cores.scale) == (1, 3, 3.0)
    less = study(counted, LOIHI, None, cores)
    whole = sum(
        pj for parts in less["energies"]["per_inference"][0]["by_core_pj"].values() for pj in parts.values() if pj
    )
    assert whole == pytest.approx(less["energies"]["per_inference"][0]["total_pj"])
    assert less["times"][0]["samples"] == 1


def test_a_chip_without_published_energies_has_counts_and_none():
    counted = run(two_core_model("loihi2"), 1)
    found = study(
        counted, tables_of(counted.program.chip), None, cores_of(counted, tables_of(counted.program.chip), None, 1)
    )
    energy = found["energies"]["per_inference"][0]
    assert energy["table"] == "loihi2" and energy["total_pj"] is None and energy["unpriced"]
    assert set(group["total_pj"] for group in energy["by_group_pj"].values()) == {None}
    assert found["counts"]["per_inference"]["totals"]["synaptic_operations"] > 0
    assert [t["table"] for t in found["times"]] == ["loihi2-derived"] * 2


def test_tables_go_with_chips():
    assert tables_of(load_chip("loihi1")) == LOIHI
    assert tables_of(load_chip("unlimited")) == (ARITHMETIC_TABLE,)
    old = Model(two_core_model().network, load_chip("loihi1")).chip.to_dict()
    old.pop("energy_tables")
    assert tables_of(type(load_chip("loihi1")).from_dict(old)) == LOIHI, (
        "a chip of an older file is priced as its preset"
    )
    assert time_tables_of("loihi1", LOIHI) == LOIHI[:2]
    assert time_tables_of("unlimited", [ARITHMETIC_TABLE]) == ()


def test_another_chip_brings_its_own_prices():
    model = on_chip(two_core_model(), load_chip("spinnaker2"))
    assert model.chip.name == "spinnaker2"
    assert model.metadata["config"] == {"energy_table": "spinnaker2", "chip": "spinnaker2"}
    assert on_chip(model, None) is model


def test_counts_come_back_from_metrics(counted):
    again = counts_from_metrics(counts_metrics(counted.counts), counted.program)
    np.testing.assert_array_equal(again.matrix, counted.counts.matrix)
    assert (again.n_samples, again.n_steps, again.kinds) == (3, 27, counted.counts.kinds)


def test_counts_of_something_else_are_refused(counted):
    metrics = counts_metrics(counted.counts)
    with pytest.raises(ModelFileError, match="counts of 'other', which the model does not have"):
        counts_from_metrics(metrics | {"by_row": {"other": {}}}, counted.program)
    with pytest.raises(ModelFileError, match="'hops_x' is of another version"):
        counts_from_metrics(metrics | {"by_row": {"in": {"hops_x": 3}}}, counted.program)
    with pytest.raises(ConfigError, match="no sample to run"):
        count_events(two_core_model(), events_from_dense(np.zeros((0, 3, 8))))


def test_why_cores_are_not_counted(counted):
    assert why_no_cores("simulator", counted.events) is None
    assert "a controller's inputs depend on what it does" in why_no_cores("simulator", None)
    alone = study(counted, LOIHI)
    assert alone["times"] == [] and alone["energies"]["per_inference"][0]["by_core_pj"] is None


def test_terms_of_neurobench_or_the_reason(counted):
    found = neurobench_of(counted, 1)["neurobench"]
    assert found["ParameterCount"] == 2 * 8 * 3000 + 3000 * 4
    delayed = Network([Input("in", 2), LIF("a", 1)], [Dense("in", "a", [[5, 5]], delays=3)])
    other = count_events(Model(delayed, load_chip("loihi1")), events_from_dense(np.ones((1, 4, 2), int)))
    assert "delays up to 3 steps" in neurobench_of(other, 1)["why_not"]


def test_the_bottleneck_is_that_of_the_mapping(counted, found):
    from neurosim.mapping.utilisation import bottleneck

    named = bottleneck(counted.program.mapping)
    assert found["bottleneck"] == {key: getattr(named, key) for key in ("resource", "core", "used", "limit", "share")}
