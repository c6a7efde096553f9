"""SANA-FE's networks: read from both forms, put into chip integers on SANA-FE's cores, and what the two simulators count differently."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import track_sanafe
from benchmarks.measure import Options
from benchmarks.peers import VARIABLES, interpreter, run_sanafe
from benchmarks.sanafe_cases import Case, architecture, blob, rate_coded
from benchmarks.sanafe_convert import convert, orders, with_integers
from benchmarks.sanafe_networks import Described, Group, Link, read_netlist, read_yaml
from benchmarks.sanafe_terms import Ran, from_inputs, sorted_rows, unread, updates
from neurosim.chip import load_chip
from neurosim.energytable import load_energy_table
from neurosim.errors import DataError
from neurosim.network import LIF

CHIP = load_chip("loihi1")
TABLE = load_energy_table("loihi1-sanafe2026")
QUICK = Options(quick=True)
NO_PAIRS = np.zeros((0, 2), np.int64)

NETLIST = """
# two groups, the second on another tile
g 2 threshold=1.0 log_spikes=1
g 2 threshold=3.0 leak_decay=0.5 soma_hw_name=any
n 0.0 bias=1.5 connections_out=2
n 0.1 { bias: 0.25 }
e 0.0->1.0 weight=4.0
e 0.0->1.1 weight=2
e 0.1->1.1 w=-2
& 0.0@0.0
& 0.1@0.1
& 1.0@5.0
& 1.1@5.10
"""
YAML: dict[str, Any] = {  # as loaded with every scalar left as text
    "network": {
        "name": "n",
        "groups": [
            {"name": "0", "attributes": {"threshold": "1.0", "log_potential": "true"},
             "neurons": [{"0": [{"bias": "1.5"}]}, {"1": {"soma": {"bias": "0.25"}}}]},
            {"name": "1", "attributes": [{"threshold": "3.0"}, {"leak_decay": "0.5"}], "neurons": ["0..1"]},
        ],
        "edges": [
            {"0 -> 1": {"type": "sparse", "source_target_pairs": [["0", "0"], ["0", "1"], ["1", "1"]],
                        "weight": ["4", "2", "-2"], "dendrite": {"delay": ["0", "0", "0"]}}},
        ],
    },
    "mappings": [{"0.0": {"core": "0.0"}}, {"0.1": [{"core": "0.1"}]}, {"1.0": {"core": "5.0"}}, {"1.1": {"core": "5.10"}}],
}  # fmt: skip


def same(a: Described, b: Described) -> None:
    for one, other in ((a.groups, b.groups), (a.links, b.links)):
        assert len(one) == len(other)
        for x, y in zip(one, other, strict=True):
            for key in x._fields:
                np.testing.assert_array_equal(getattr(x, key), getattr(y, key))


def test_both_forms_of_a_file_give_the_same_network() -> None:
    read = read_netlist(NETLIST, "n")
    same(read, read_yaml(YAML))
    assert read.group("0").bias.tolist() == [1.5, 0.25]
    assert read.group("1").leak_decay.tolist() == [0.5, 0.5]
    assert read.links[0].pairs.tolist() == [[0, 0], [0, 1], [1, 1]]
    assert read.links[0].weights.tolist() == [4, 2, -2]


def test_a_core_number_is_text_not_a_fraction() -> None:
    assert read_netlist(NETLIST, "n").group("1").place.tolist() == [[5, 0], [5, 10]]


def test_inputs_are_known_by_their_spikes_or_their_unit() -> None:
    network = {
        "name": "n",
        "groups": [
            {"name": "in", "neurons": [{"0": {"spikes": ["1", "0", "1"]}}, {"1": {}}]},
            {"name": "out", "neurons": ["0"]},
        ],
        "edges": [{"in -> out": {"type": "dense", "weight": ["3", "5"]}}],
    }
    mappings = [{"in.0..1": {"core": "0.0", "soma": "some_input"}}, {"out": {"core": "0.1"}}]
    read = read_yaml({"network": network, "mappings": mappings})
    assert [group.is_input for group in read.groups] == [True, False]
    assert read.spikes["in"].tolist() == [[True, False], [False, False], [True, False]]
    assert read.links[0].weights.tolist() == [[3], [5]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("n 0.0 taps=3", "attribute 'taps'"),
        ("n 0.0 reset=1", "reset 1 is not 0"),
        ("n 0.0 input_decay=0.5", "input_decay 0.5 is not 0"),
        ("n 0.0 spikes=1", "inputs and other neurons"),
        ("e 0.0->1.0 weight=1 tap=2", "only weights are understood"),
        ("g 1 threshold=1", "neuron 0 has no core"),
        ("x 0.0", "none of g, n, e, &"),
    ],
)
def test_what_our_neurons_are_not_is_refused(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_netlist(f"{NETLIST}\n{line}\n", "n")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"type": "dense", "weight": ["1"] * 4, "delay": ["0", "1"]}, "delays are not understood"),
        ({"type": "ring", "weight": ["1"] * 4}, "'ring' is none of"),
        ({"type": "dense", "weight": ["1"] * 4, "colour": "red"}, "colour are not understood"),
    ],
)
def test_edges_that_are_not_understood_are_refused(settings: dict[str, Any], words: str) -> None:
    network = YAML["network"] | {"edges": [{"0 -> 1": settings}]}
    with pytest.raises(ValueError, match=words):
        read_yaml(YAML | {"network": network})


def lif(name: str, n: int, tile: int = 0, threshold: float = 1, bias: float = 0, leak: float = 1) -> Group:
    place = np.column_stack([np.full(n, tile), np.zeros(n, np.int64)])
    return Group(name, False, np.full(n, threshold, float), np.full(n, bias, float), np.full(n, leak), place)


def source(name: str, n: int, tile: int = 0) -> Group:
    return lif(name, n, tile)._replace(is_input=True)


def dense(weights: npt.ArrayLike, pre: str = "in", post: str = "out") -> Link:
    return Link(pre, post, "dense", np.array(weights, np.float64), NO_PAIRS)


def network(groups: list[Group], links: list[Link]) -> Described:
    return Described("n", tuple(groups), tuple(links), {})


def test_odd_mixed_weights_are_doubled_with_the_whole_network() -> None:
    described = network([source("in", 2), lif("out", 1, threshold=5, bias=0.5)], [dense([[-3], [4]])])
    changed, changes = with_integers(described)
    assert changed.links[0].weights.tolist() == [[-6], [8]]
    assert (changed.group("out").threshold[0], changed.group("out").bias[0]) == (10, 1)
    assert "doubled" in changes[0]


def test_odd_mixed_weights_too_large_to_be_doubled_are_cut() -> None:
    described = network([source("in", 3), lif("out", 1)], [dense([[-289], [131], [-3]])])
    changed, changes = with_integers(described)
    assert changed.links[0].weights.tolist() == [[-256], [130], [-4]]
    assert changes == ["in->out: 3 of 3 weights cut to even ones"]


def test_weights_of_one_sign_and_convolutions_stay_odd() -> None:
    kernel = np.array([[[[-261, 3]]]], np.float64)
    conv = Link("in", "image", "conv", kernel, NO_PAIRS, (2, 1, 1))
    described = network([source("in", 2), lif("out", 1), lif("image", 4)], [dense([[3], [5]]), conv])
    changed, changes = with_integers(described)
    assert changed.links[0].weights.tolist() == [[3], [5]]
    assert changed.links[1].weights.ravel().tolist() == [-256, 3]
    assert changes == ["in->image: 1 of 2 weights clipped into -256..255"]


def test_biases_and_leaks_go_to_the_nearest_that_both_sides_hold() -> None:
    changed, changes = with_integers(network([lif("out", 1, bias=0.2, leak=0.9)], []))
    assert changed.groups[0].bias[0] == 13 / 64
    assert changed.groups[0].leak_decay[0] == 3686 / 4096
    assert changes == ["bias 0.2 is 13/64", "leak_decay 0.9 is 3686/4096"]


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (network([lif("out", 1, threshold=0.5)], []), "threshold 0.5 is no integer"),
        (network([source("in", 1), lif("out", 1)], [dense([[0.5]])]), "weight 0.5 is no integer"),
        (network([lif("out", 1, bias=4096 + 1 / 64)], []), "more bits than a mantissa has"),
    ],
)
def test_what_has_no_integer_is_refused(described: Described, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convert(described, CHIP)


def test_an_image_of_two_shapes_is_refused() -> None:
    kernel = np.ones((1, 1, 1, 1))
    links = [Link("in", f"out{i}", "conv", kernel, NO_PAIRS, shape) for i, shape in enumerate([(4, 1, 1), (2, 2, 1)])]
    with pytest.raises(ValueError, match="give it one shape"):
        orders(network([source("in", 4), lif("out0", 4), lif("out1", 4)], links))


def doubles(described: Described, spikes: dict[str, npt.NDArray[np.bool_]], n_steps: int) -> npt.NDArray[np.int64]:
    """Simulate one sample in floats as SANA-FE documents its neurons, synapse by synapse."""
    v = {group.name: np.zeros(group.n) for group in described.groups}
    arriving = {group.name: np.zeros(group.n) for group in described.groups}
    rows = []
    for t in range(n_steps):
        fired, coming = {}, {name: np.zeros_like(sums) for name, sums in arriving.items()}
        for g, group in enumerate(described.groups):
            if group.is_input:
                fired[group.name] = spikes[group.name][t]
            else:
                kept = np.trunc(v[group.name] * group.leak_decay * 64) / 64
                v[group.name] = kept + group.bias + arriving[group.name]
                fired[group.name] = v[group.name] > group.threshold
                v[group.name][fired[group.name]] = 0
            rows += [(0, t, g, i) for i in np.flatnonzero(fired[group.name])]
        for link in described.links:
            for pre, post, weight in synapses(link, described):
                coming[link.target][post] += weight * fired[link.source][pre]
        arriving = coming
    return np.array(rows, np.int64).reshape(-1, 4)


def synapses(link: Link, described: Described) -> Iterator[tuple[int, int, float]]:
    if link.form == "sparse":
        yield from ((pre, post, w) for (pre, post), w in zip(link.pairs.tolist(), link.weights, strict=True))
    elif link.form == "dense":
        yield from ((pre, post, link.weights[pre, post]) for pre, post in np.ndindex(link.weights.shape))
    else:
        (width, height, _), (step_x, step_y) = link.image, link.stride
        k_y, k_x, _, _ = link.weights.shape
        out_w, out_h = (width - k_x) // step_x + 1, (height - k_y) // step_y + 1
        for y, x, c, o in np.ndindex(link.weights.shape):
            for out_y, out_x in np.ndindex(out_h, out_w):
                pre = (c * height + out_y * step_y + y) * width + out_x * step_x + x
                yield pre, (o * out_h + out_y) * out_w + out_x, link.weights[y, x, c, o]


@pytest.mark.parametrize("seed", range(4))
def test_spikes_are_those_of_the_rule_in_floats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.integers(-40, 60, (2, 3, 2, 3)).astype(np.float64)
    conv = Link("in", "image", "conv", kernel, NO_PAIRS, (6, 4, 2), (1, 2))  # 6 x 4 x 2 to 4 x 2 x 3
    pairs = np.unique(rng.integers(0, [24, 5], (30, 2)), axis=0)
    sparse = Link("image", "out", "sparse", rng.integers(-9, 20, len(pairs)).astype(np.float64), pairs)
    back = dense(rng.integers(-20, 9, (5, 24)), "out", "image")
    image = lif("image", 24, 3, 50, leak=4000 / 4096)
    image = image._replace(bias=rng.integers(0, 300, 24) / 64, threshold=rng.integers(30, 60, 24).astype(np.float64))
    described = network([source("in", 48), image, lif("out", 5, 6, 20, 0.5)], [conv, sparse, back])
    spikes = {"in": rng.random((1, 30, 48)) < 0.1}
    converted = convert(described, CHIP)
    ran = track_sanafe.run_ours(Case("n", described, spikes, 1, 30), converted)
    expected = doubles(converted.described, {"in": spikes["in"][0]}, 30)
    np.testing.assert_array_equal(ran.trains, sorted_rows(expected))
    assert {1, 2} <= set(ran.trains[:, 2].tolist())


def run(described: Described, spikes: dict[str, npt.NDArray[np.bool_]], n_steps: int) -> Ran:
    return track_sanafe.run_ours(Case("n", described, spikes, 1, n_steps), convert(described, CHIP))


def test_neurons_lie_on_their_cores_and_packets_cross_the_links_between() -> None:
    groups = [lif("a", 1, 9, 1, bias=2), lif("b", 2, 0), lif("c", 1, 9)]  # tile 9 lies at (2, 1): tiles go down first
    links = [dense([[1, 1]], "a", "b"), dense([[1]], "a", "c")]
    ran = run(network(groups, links), {}, 1)
    counts = track_sanafe.counts_of(ran)
    assert [use.tile for use in ran.converted.program.mapping.cores] == [(0, 0), (2, 1)]
    assert counts.of("a", "spikes") == 1
    assert (counts.of("a", "messages"), counts.of("a", "messages_local")) == (1, 1)
    assert [counts.of("a", f"hops_{way}") for way in track_sanafe.WAYS] == [0, 2, 0, 1]


def test_differences_are_found_without_the_counts() -> None:
    """In, on tile 4 at (1, 0), spikes in steps 0 and 3 of 4; out, on tile 1 at (0, 1), answers one step later to 0 only."""
    groups = [source("in", 2, 4), lif("out", 3, 1, 5)]
    weights = [[6, 0, 2], [0, 0, -2]]  # out 0 fires; out 1 gets weight 0, out 2 a sum of 0
    spikes = {"in": np.array([[[1, 1], [0, 0], [0, 0], [1, 1]]], np.bool_)}
    ran = run(network(groups, [dense(weights)]), spikes, 4)
    assert ran.trains.tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0], [0, 3, 0, 0], [0, 3, 0, 1]]
    late = unread(ran, TABLE)
    assert (late.n, late.energy_pj) == (6, pytest.approx(6 * 35.5))  # both inputs of step 3, three synapses each
    more, fewer = updates(ran, TABLE)
    assert (more.n, more.energy_pj) == (2, pytest.approx(2 * 21.6))  # out 1 and out 2 in step 1
    assert (fewer.n, fewer.energy_pj) == (-1, pytest.approx(-21.6))  # out 0 in step 2: v is 0 again, u is not
    assert track_sanafe.counts_of(ran).total("neuron_updates_active") == 1 + 1
    packets, links = from_inputs(ran, TABLE)
    assert (packets.n, packets.energy_pj) == (4, pytest.approx(4 * 111.0))
    assert (links.n, links.energy_pj) == (4, pytest.approx(4 * 3.0))  # |dx| + |dy| = 2 from (1, 0), 1 from (0, 0)


def test_a_clear_network_has_no_differences() -> None:
    ran = run(network([lif("a", 1, 0, 1, bias=1)], []), {}, 5)
    assert unread(ran, TABLE).n == 0
    assert [term.n for term in updates(ran, TABLE)] == [0, 0]
    assert [term.n for term in from_inputs(ran, TABLE)] == [0, 0]


def test_conv_neurons_are_numbered_the_other_way_round() -> None:
    conv = Link("in", "out", "conv", np.ones((1, 1, 2, 2)), NO_PAIRS, (3, 2, 2))
    order = orders(network([source("in", 12), lif("out", 12)], [conv]))
    # ours (x, y, c), theirs (c, y, x): our neuron 1 is channel 1 at (0, 0), our neuron 2 channel 0 at (0, 1)
    assert order["in"][:4].tolist() == [0, 6, 3, 9]
    assert sorted(order["out"].tolist()) == list(range(12))


def test_registers_are_those_of_a_current_without_memory() -> None:
    converted = convert(network([source("in", 1), lif("out", 2, 0, 7, 1.5, 0.75)], [dense([[1, 2]])]), CHIP)
    group = converted.program.network.group("out")
    assert isinstance(group, LIF)
    assert (group.du, group.dv, group.vth, group.bias.tolist()) == (4095, 1024, 7, [96, 96])


def architecture_file(**changes: float) -> dict[str, Any]:
    """A chip file, loaded as text, with the prices that SANA-FE's had on 2026-05-28."""
    pj = {"dense": 35.5, "sparse": 33.6, "conv": 24.0, "access": 51.2, "update": 21.6, "spike": 69.3, "out": 111.0}
    pj |= {"east": 3.0, "west": 3.0, "north": 4.2, "south": 4.2} | changes
    text = {key: f"{value}e-12" for key, value in pj.items()}
    synapse = [
        {"name": f"loihi_{form}_synapse", "attributes": {"energy_process_spike": text[form]}}
        for form in ("dense", "sparse", "conv")
    ]
    soma = {
        "energy_access_neuron": text["access"],
        "energy_update_neuron": text["update"],
        "energy_spike_out": text["spike"],
    }
    core = {
        "synapse": synapse,
        "soma": [{"name": "loihi_lif", "attributes": soma}],
        "axon_out": [{"name": "loihi_out", "attributes": {"energy_message_out": text["out"]}}],
    }
    tile = {"attributes": {f"energy_{way}_hop": text[way] for way in track_sanafe.WAYS}, "core": [core]}
    return {"architecture": {"tile": [tile]}}


def test_our_prices_are_those_of_the_file() -> None:
    track_sanafe.check_prices(TABLE, architecture_file())


@pytest.mark.parametrize(
    ("changed", "name"),
    [("conv", "synaptic_operations_conv"), ("north", "hops_north"), ("update", "neuron_updates_active")],
)
def test_another_price_ends_the_benchmark(changed: str, name: str) -> None:
    with pytest.raises(AssertionError, match=f"{name} costs"):
        track_sanafe.check_prices(TABLE, architecture_file(**{changed: 1.0}))


def test_drawn_inputs_are_plausible() -> None:
    events = blob(16, 32, seed=1)
    assert events.shape == (16, 1024)
    assert 0.01 < events.mean() < 0.05
    np.testing.assert_array_equal(events, blob(16, 32, seed=1))
    coded = rate_coded(np.array([[0, 64, 128, 255]], np.uint8), 64)
    assert coded.sum(axis=1).tolist() == [[0, 16, 32, 32]]


def test_without_sanafe_or_its_files_the_benchmark_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLES["sanafe"], raising=False)
    (table,) = track_sanafe.tables(QUICK)
    assert not table.rows
    assert VARIABLES["sanafe"] in table.note
    monkeypatch.setenv(VARIABLES["sanafe"], "python")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    (table,) = track_sanafe.tables(QUICK)
    assert "Not measured" in table.note
    assert "arch/loihi.yaml" in table.note or "sanafe" in table.note


def test_sanafe_finds_the_same_energy(tmp_path: Path) -> None:
    python = interpreter("sanafe")
    if python is None:
        pytest.skip(f"{VARIABLES['sanafe']} does not name a Python that has sanafe")
    try:
        chip_file = architecture()
    except DataError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(7)
    groups = [source("in", 20, 0), lif("a", 8, 5, 20, leak=3900 / 4096), lif("b", 3, 30, 30, 0.75)]
    links = [dense(2 * rng.integers(-9, 20, (20, 8)), "in", "a"), dense(rng.integers(0, 20, (8, 3)), "a", "b")]
    spikes = {"in": rng.random((3, 25, 20)) < 0.3}
    case = Case("n", network(groups, links), spikes, 3, 25)
    ran, theirs = track_sanafe.run_both(python, case, CHIP, chip_file)
    assert len(ran.trains) > 100
    rows = track_sanafe.energy_rows(case, ran, theirs, TABLE)  # raises where a difference is not explained
    assert [row[1] for row in rows] == ["synapse", "soma", "network"]
    shape = (case.n_samples, case.n_steps)
    again = run_sanafe(python, ran.converted.described, spikes, shape, chip_file, tmp_path)
    np.testing.assert_array_equal(again.trains, theirs.trains)
