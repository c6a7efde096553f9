"""The benchmarks: they compare programs that compute the same, and their report is written where it belongs."""

import json
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from benchmarks import (
    measure,
    peakmem,
    peers,
    time_ceiling_population,
    time_direct,
    time_formats,
    time_kernels,
    time_network,
    time_peers,
    track_mnist_time,
)
from benchmarks.ceiling import POPULATION, Ceiling, find_compiler, load_ceiling
from benchmarks.networks import layered, recurrent
from benchmarks.plain_numpy import NumpyNetwork
from benchmarks.run import BENCHMARKS, DOCUMENT, main
from benchmarks.tables import BEGIN, END, in_markdown, shown, write_between_marks
from benchmarks.time_population import demo_problem, large_problem
from neurosim.backend import get_backend
from neurosim.codes import TARGET_MASK
from neurosim.config import TrainConfig, override
from neurosim.experiment import prepare_program
from neurosim.learning.build import build_network
from neurosim.network import Probe
from neurosim.program import Program
from neurosim.reference.deliver import connection_matrices
from neurosim.tasks import Task, load_task

QUICK = measure.Options(quick=True)
RESULTS = {
    "machine": {"processor": "none"},
    "options": QUICK._asdict(),
    "benchmarks": {
        "time_kernels": [measure.Table("Kernels", ("kernel", "1/s"), [["CSR", 1.5e9]], "A note.")._asdict()]
    },
}


@pytest.fixture(scope="module")
def ceiling() -> Ceiling:
    if find_compiler() is None:
        pytest.skip("no C compiler on this machine")
    loaded = load_ceiling()
    assert loaded is not None
    return loaded


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_gives_tables(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").tables)


def test_c_updates_neurons_as_the_kernel_does(ceiling: Ceiling) -> None:
    case = time_kernels.neuron_case(ceiling, "test", 1_003, seed=3)
    twins = case.make(1)[0]
    for _ in range(10):
        time_kernels.check(case, twins)
    counts = twins.written[-1][0]
    assert counts[1] and counts[4], "nothing was active or fired"


@pytest.mark.parametrize("bits", [8, 16])
def test_c_delivers_dense_rows_as_the_kernel_does(ceiling: Ceiling, bits: int) -> None:
    case = time_kernels.dense_case(ceiling, "test", 40, bits, seed=3)
    twins = case.make(2)[1]
    time_kernels.check(case, twins)
    assert twins.written[0][0].any()


def test_c_sums_more_rows_than_16_bits_hold(ceiling: Ceiling) -> None:
    rows, sources, total = np.full(256, -128, np.int8), np.zeros(300, np.int32), np.zeros(256, np.int32)
    ceiling("sum_dense8", 1, rows, 256, sources, 1, 300, total)
    np.testing.assert_array_equal(total, -128 * 300)


def test_c_delivers_sparse_synapses_as_the_kernel_does(ceiling: Ceiling) -> None:
    case = time_kernels.csr_case(ceiling, 200, 2_000, seed=3)
    time_kernels.check(case, case.make(1)[0])


@pytest.fixture(scope="module")
def population_ceiling() -> Ceiling:
    if find_compiler() is None:
        pytest.skip("no C compiler on this machine")
    loaded = load_ceiling(POPULATION)
    assert loaded is not None
    return loaded


@pytest.mark.parametrize(("tau_syn", "noise_exp"), [(0.0, 3), (0.0, 14), (5e-3, 4)])
def test_c_evaluates_members_as_the_reference_does(population_ceiling: Ceiling, tau_syn: float, noise_exp: int) -> None:
    problem = time_ceiling_population.filtered_problem(seed=3, tau_syn=tau_syn)
    problem = problem._replace(events=problem.events.take(np.arange(2)))
    pairs = time_ceiling_population.make_pairs(problem.program, problem.events, noise_exp, n_dirs=3, seed=3)
    found = time_ceiling_population.check(population_ceiling, problem, pairs, [0, 1], 2)
    assert set(found) >= {time_ceiling_population.PLAIN}
    assert found[time_ceiling_population.PLAIN].n_fired > 0
    if time_ceiling_population.PROVEN in found:  # small perturbations need no wide products, strong or filtered ones do
        assert (found[time_ceiling_population.PROVEN].n_proven > 0) == (tau_syn == 0 and noise_exp == 3)


def test_a_member_that_differs_from_the_reference_ends_the_benchmark(population_ceiling: Ceiling) -> None:
    problem = time_ceiling_population.filtered_problem(seed=3, tau_syn=0.0)
    problem = problem._replace(events=problem.events.take(np.arange(1)))
    pairs = time_ceiling_population.make_pairs(problem.program, problem.events, 3, n_dirs=1, seed=3)
    pairs.rows2[:] += 1
    with pytest.raises(AssertionError, match="program 0"):
        time_ceiling_population.check(population_ceiling, problem, pairs, [0], 1)


def test_threads_share_the_samples_of_a_population(population_ceiling: Ceiling) -> None:
    problem = time_ceiling_population.filtered_problem(seed=3, tau_syn=0.0)
    problem = problem._replace(events=problem.events.take(np.arange(3)))
    pairs = time_ceiling_population.make_pairs(problem.program, problem.events, 3, n_dirs=2, seed=3)
    whole, last = (
        time_ceiling_population.c_work(population_ceiling, pairs, 0, samples, count=True)[1]
        for samples in (range(3), range(1, 3))
    )
    np.testing.assert_array_equal(whole.voltages[1:], last.voltages)
    assert 0 < last.n_fired < whole.n_fired


def test_check_finds_a_difference(ceiling: Ceiling) -> None:
    case = time_kernels.csr_case(ceiling, 200, 2_000, seed=3)
    twins = case.make(1)[0]
    with pytest.raises(AssertionError, match="CSR, 200 neurons"):
        time_kernels.check(case, twins._replace(written=[(np.zeros(1), np.ones(1))]))


@pytest.mark.parametrize("batch", [1, 3])
def test_numpy_program_computes_what_the_simulator_does(batch: int) -> None:
    workload = layered(batch, 15, seed=2)
    assert time_network.check(workload, NumpyNetwork(workload.program, batch)) > 0


def test_numpy_program_computes_sparse_networks_as_the_simulator_does() -> None:
    workload = recurrent(100, 1_000, 80, seed=2)
    assert time_network.check(workload, NumpyNetwork(workload.program, 1)) > 0


def test_workloads_follow_from_the_seed() -> None:
    first, again, other = (layered(1, 5, seed) for seed in (1, 1, 2))
    assert first.program.fingerprint == again.program.fingerprint != other.program.fingerprint
    np.testing.assert_array_equal(first.events.neuron, again.events.neuron)


def test_large_population_has_820_input_spikes_a_sample() -> None:
    events = large_problem(seed=1).events
    assert len(events.neuron) / events.n_samples == pytest.approx(820, rel=0.02)


def test_memory_of_perturbations_and_votes_grows_with_rank_and_weights_do_not() -> None:
    problem = demo_problem(seed=1)
    for low, high in zip(peakmem.learner_rows(problem, 1), peakmem.learner_rows(problem, 4), strict=True):
        assert low[2:5] == high[2:5]
        assert [4 * part for part in low[5:8]] == high[5:8]


def test_programs_are_timed_in_turn_by_every_thread() -> None:
    done: list[str] = []

    def work(name: str, times: int) -> None:
        done.append(name)
        sleep(0.001 * times)

    works = {"one": [partial(work, "one")], "two": 2 * [partial(work, "two")]}
    timings = measure.time_together(works, QUICK)
    assert all(0.001 <= timing.best_s <= timing.median_s for timing in timings.values())
    assert done[-3 * QUICK.repeats :] == ["one", "two", "two"] * QUICK.repeats


def test_a_failing_process_says_why() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        measure.run_python(["-c", "raise SystemExit('no such thing')"])


def test_cells_show_three_digits_of_what_was_measured() -> None:
    cells = (2_345_678_901.0, 999_600.0, 0.01234, 1.0, 123.4, 12_345, None, "as is")
    assert [shown(cell) for cell in cells] == ["2.35 G", "1.00 M", "0.0123", "1.00", "123", "12,345", "-", "as is"]


def test_markdown_has_every_row_and_says_quick() -> None:
    text = in_markdown(RESULTS)
    assert "| CSR | 1.50 G |" in text and "A note." in text and "Quick run" in text


def test_results_replace_only_what_lies_between_the_marks() -> None:
    once = write_between_marks(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new\n")
    assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("document", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{END}"])
def test_document_without_both_marks_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="need one"):
        write_between_marks(document, "text")


def test_document_of_the_report_has_its_marks() -> None:
    assert "text" in write_between_marks(DOCUMENT.read_text(encoding="utf-8"), "text")


def test_stored_results_are_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored, copy = tmp_path / "results.json", tmp_path / "copy.json"
    stored.write_text(json.dumps(RESULTS), encoding="utf-8")
    assert main(["--from", str(stored), "--out", str(copy)]) == 0
    assert capsys.readouterr().out.strip() == in_markdown(RESULTS).strip()
    assert json.loads(copy.read_text(encoding="utf-8")) == json.loads(stored.read_text(encoding="utf-8"))


def test_formats_are_compared_around_the_density_where_they_are_equal() -> None:
    assert time_formats._crossing([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]) == pytest.approx(2.0)
    assert time_formats._crossing([0.5, 0.5, 0.5, 0.5, 2.0, 2.0, 2.0]) == pytest.approx(32**0.5)
    assert time_formats._crossing([2.0] * 7) == time_formats.PERCENTS[0]
    assert time_formats._crossing([0.5] * 7) is None
    start, word = time_formats.random_words(50, 30, 20.0, np.random.default_rng(1))
    for i in range(30):
        targets = word[start[i] : start[i + 1]] & TARGET_MASK
        assert (np.diff(targets) > 0).all() and (targets < 50).all()


def test_description_for_peers_holds_the_whole_network(tmp_path: Path) -> None:
    workload = recurrent(40, 200, 10, seed=2)
    peers.describe(workload, workload.events, tmp_path / "network.npz")
    with np.load(tmp_path / "network.npz") as found:
        header = json.loads(str(found["header"]))
        assert [(group["name"], group["n"], group["input"]) for group in header["groups"]] == [
            ("input", 1, True), ("neurons", 40, False),
        ]  # fmt: skip
        assert header["n_steps"] == 10
        weights = np.zeros((40, 40), np.int64)
        weights[found["row 1"], found["col 1"]] = found["data 1"]
        np.testing.assert_array_equal(weights, connection_matrices(workload.program.network.connections[1]).weights)
        np.testing.assert_array_equal(found["bias neurons"], workload.program.network.group("neurons").bias)
        assert found["weights 0"].shape == (40, 1)


def test_peers_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in peers.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    (table,) = time_peers.tables(QUICK)
    assert "Not here, so not measured: lava and brian2" in table.note
    lava, brian2 = table.columns.index("Lava"), table.columns.index("Brian2")
    assert [row[:3] for row in table.rows[:3]] == [["784-256-10", 1, 1], ["784-256-10", 256, 1], ["784-256-10", 256, 2]]
    assert all(row[lava] is None and row[brian2] is None and row[3] > 0 for row in table.rows)


def test_settings_of_every_target_are_valid() -> None:
    for form, settings in track_mnist_time.FORMS.items():
        assert set(settings) <= set(track_mnist_time.TARGETS) == set(track_mnist_time.TORCH)
        for epochs, lines in settings.values():
            assert epochs > 0
            config = override(TrainConfig(), [*track_mnist_time.COMMON, f"rule.form={form}", *lines])
            assert (config.network.hidden, config.network.n_steps, config.rule.form) == ((256,), 8, form)


def test_a_curve_ends_where_the_target_is_met() -> None:
    task = load_task("digits", n_steps=8, augment=False)
    config = override(TrainConfig(), ["network.hidden=[32]", "network.n_steps=8", "batch=64", "epochs=8"])
    curve = track_mnist_time.train_curve(config, task, 0.5, threads=1, epochs=float(config.epochs))
    assert curve[-1].accuracy >= 0.5 > max((point.accuracy for point in curve[:-1]), default=0.0)
    assert curve[-1].n_samples <= 8 * len(task.train_labels) and curve[-1].seconds > 0
    assert track_mnist_time.reached(curve, 0.5) == (curve[-1].seconds, curve[-1].n_samples, curve[-1].accuracy)


def test_a_target_that_one_seed_misses_is_missed() -> None:
    met, missed = (track_mnist_time.Reached(*numbers) for numbers in ((2.0, 100, 0.97), (None, None, 0.94)))
    times = {"torch": [met, met], "response": [met, missed], "scalar": [met, met._replace(seconds=6.0)]}
    assert track_mnist_time._row(0.95, "mean", times) == [
        "95%", "mean", 2.0, 100, "97.00%", None, None, "95.50%", 4.0, 100, "97.00%", None, 2.0,
    ]  # fmt: skip


def test_mnist_that_is_not_there_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    (table,) = track_mnist_time.tables(QUICK)
    assert not table.rows and "Not measured: data set 'mnist'" in table.note


def _small_task() -> tuple[Task, Program]:
    task = track_mnist_time.shortened(load_task("digits", n_steps=8, augment=False), 300)
    config = override(TrainConfig(), ["network.hidden=[256]", "network.n_steps=8"])
    return task, prepare_program(config, task)[0]


def test_data_for_torch_holds_every_spike(tmp_path: Path) -> None:
    task, program = _small_task()
    track_mnist_time.write_data(task, program, tmp_path / "data.npz")
    with np.load(tmp_path / "data.npz") as found:
        spikes = np.unpackbits(found["train"], axis=2, count=int(found["n_inputs"]))
        np.testing.assert_array_equal(spikes, task.train_events.to_dense())
        np.testing.assert_array_equal(found["test_labels"], task.test_labels)
        assert 4096 * (1 - float(found["keep"])) == program.network.group("hidden").dv


@pytest.mark.skipif(peers.interpreter("torch") is None, reason="NEUROSIM_BENCH_TORCH does not name a Python with torch")
@pytest.mark.parametrize("surrogate", ["fast sigmoid", "arctan", "rectangular"])
def test_torch_learns_and_stops_at_the_target(tmp_path: Path, surrogate: str) -> None:
    python = peers.interpreter("torch")
    assert python is not None
    task, program = _small_task()
    track_mnist_time.write_data(task, program, tmp_path / "data.npz")
    settings = {
        **track_mnist_time.TORCH_COMMON, **track_mnist_time.TORCH[0.95], "surrogate": surrogate, "seed": 1, "epochs": 40,
        "batch": 64, "test_every": 1, "test_from": 0, "stop_at": 0.8,
    }  # fmt: skip
    (curve,) = peers.run_torch(python, tmp_path / "data.npz", [settings], 1)
    assert curve[-1].accuracy >= 0.8 > curve[0].accuracy
    assert [point.n_samples for point in curve] == [64 * (i + 1) for i in range(len(curve))]


def test_states_and_spikes_that_differ_from_lavas_end_the_benchmark() -> None:
    workload = layered(1, 20, seed=2)
    network = workload.program.network
    probed = replace(workload.program, network=network.with_probes([Probe("hidden"), Probe("readout")]))
    with get_backend("simulator").open(probed, threads=1) as runner:
        result = runner.run(workload.events)
    states, spikes = {}, {}
    for name in ("hidden", "readout"):
        where = slice(network.offsets[name], network.offsets[name] + network.group(name).n)
        states |= {f"u {name}": result.final.u[0, where].copy(), f"v {name}": result.final.v[0, where].copy()}
        spikes[name] = np.zeros((network.group(name).n, 20), np.bool_)
        spikes[name][result.spikes[name].neuron, result.spikes[name].step] = True
    lava = peers.LavaRun(1.0, states, spikes)
    time_peers.check_spikes(workload, workload.events, lava)
    states["v hidden"][3] += 1
    with pytest.raises(AssertionError, match="hidden"):
        time_peers.check_states(workload, result, lava)
    states["v hidden"][3] -= 1
    spikes["readout"][0, 0] ^= True
    with pytest.raises(AssertionError, match="readout"):
        time_peers.check_spikes(workload, workload.events, lava)


@pytest.mark.skipif(peers.interpreter("lava") is None, reason="NEUROSIM_BENCH_LAVA does not name a Python with lava-nc")
def test_lava_runs_a_description_to_the_same_states_and_spikes(tmp_path: Path) -> None:
    python = peers.interpreter("lava")
    assert python is not None
    for workload in (layered(1, 12, seed=2), recurrent(60, 600, 12, seed=2)):
        peers.describe(workload, workload.events, tmp_path / "network.npz")
        time_peers.check_spikes(
            workload, workload.events, peers.run_lava(python, tmp_path / "network.npz", spikes=True)
        )


def test_learning_memory_grows_with_neurons_and_not_with_pairs_or_synapses():
    small, large, many, wide = (
        peakmem.beyond_weights(hidden, "response", "trace", rank, n_pairs)
        for hidden, rank, n_pairs in ((256, 1, 1), (2048, 1, 1), (256, 1, 64), (256, 4, 1))
    )
    assert many == small  # O(1) per pair
    n = 784 + 2 * 256 + 10, 784 + 2 * 2048 + 10
    assert sum(large[:2]) / sum(small[:2]) < n[1] / n[0]  # eight times the synapses
    assert sum(wide[:2]) < 4 * sum(small[:2])
    one, more = (peakmem.beyond_weights(256, "scalar", "random", 1, n_pairs) for n_pairs in (1, 8))
    assert more[1] == pytest.approx(8 * one[1], rel=0.01) and more[0] == one[0]  # a term for each pair
    assert peakmem.beyond_weights(256, "scalar", "full", 1, 1)[1] == 4 * (784 + 10) * 256


def test_training_by_gradients_without_its_interpreter_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(peers.VARIABLES["direct"], raising=False)
    (table,) = time_direct.tables(QUICK)
    assert not table.rows and "NEUROSIM_BENCH_DIRECT names no Python" in table.note


def test_other_spikes_or_losses_end_the_comparison_of_training_steps() -> None:
    looked = {"rates": [0.1, 0.2], "loss": 3.0}
    time_direct.check(looked, [looked, {"rates": [0.1, 0.20001], "loss": 3.0001}])
    for other in ({"rates": [0.1, 0.21], "loss": 3.0}, {"rates": [0.1, 0.2], "loss": 3.1}):
        with pytest.raises(AssertionError, match="of neurosim and a library"):
            time_direct.check(looked, [other])


@pytest.mark.skipif(
    peers.interpreter("direct") is None,
    reason="NEUROSIM_BENCH_DIRECT does not name a Python with torch, snntorch and spikingjelly",
)
@pytest.mark.parametrize("library", time_direct.LIBRARIES)
@pytest.mark.parametrize(
    "layers", [["network.hidden=[256]"], ["network.hidden=[]", 'network.convolutions=["16c3s2", "32c2"]']]
)
def test_library_begins_with_the_losses_of_neurosim(tmp_path: Path, library: str, layers: list[str]) -> None:
    python = peers.interpreter("direct")
    assert python is not None
    lines = [line.replace("task=mnist", "task=digits") for line in time_direct.COMMON]
    lines += layers
    config = override(TrainConfig(), lines)
    task = track_mnist_time.shortened(load_task("digits", n_steps=time_direct.N_STEPS, augment=False), 300)
    network = build_network(config.network, task.n_inputs, task.n_classes, config.seed, "network", task.input_shape)
    time_direct.write_data(task, network, config.seed, tmp_path / "data.npz")
    form = time_direct.Form(library, "eager", "channels-last" if config.network.convolutions else "plain")
    with time_direct.start_peer(python, tmp_path, form, network, threads=1) as peer:
        theirs = peer.look()
        assert peer.seconds(2) > 0
    settings = tmp_path / "neurosim.json"
    lines += ["direct.arithmetic=float"]
    settings.write_text(json.dumps({"threads": 1, "seed": 1, "n_samples": 300, "lines": lines}))
    command = [python, "-m", "benchmarks.direct_worker", str(settings)]
    with time_direct.Program(command, threads=1, neurosim=True) as ours:
        time_direct.check(ours.look(), [theirs])
        assert ours.seconds(2) > 0


def test_a_training_process_that_fails_says_why() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with pytest.raises(RuntimeError, match="no such thing"), time_direct.Program(command, threads=1, neurosim=False):
        pass
