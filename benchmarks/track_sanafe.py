"""Does SANA-FE find the same spikes, operations and energy for the same networks, and what explains each difference?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Cell, Options, Table
from benchmarks.peers import VARIABLES, SanafeRun, interpreter, read_sanafe_yaml, run_sanafe, run_sanafe_file
from benchmarks.sanafe_cases import Case, architecture, cases
from benchmarks.sanafe_convert import Converted, convert
from benchmarks.sanafe_terms import Ran, all_trains, from_inputs, sorted_rows, unread, updates
from neurosim.backend import get_backend
from neurosim.chip import Chip, load_chip
from neurosim.costs.latency import latency, load_time_table
from neurosim.costs.percore import count_per_core
from neurosim.counters import OpCounts
from neurosim.energy import energy
from neurosim.energytable import EnergyTable, load_energy_table
from neurosim.errors import DataError

TABLE = "loihi1-sanafe2026"
NJ, PJ = 1e9, 1e12  # in a J
US = 1e6  # in a second
TOLERANCE = 0.01
COUNTS = ("network", "steps", "spikes", "synapses read", "active updates", "packets", "links crossed")
ENERGY = ("network", "component", "SANA-FE, nJ", "neurosim, nJ", "ratio", "explained, nJ", "left", "what explains it")
TIME = (
    "network",
    "SANA-FE simple, us a step",
    "neurosim, us a step",
    "largest difference of a step",
    "SANA-FE detailed, us a step",
)
WAYS = ("east", "west", "north", "south")
#: Component of SANA-FE's dictionary, and our operations that mean the same.
COMPONENTS = {
    "synapse": ("synaptic_operations", "synaptic_operations_sparse", "synaptic_operations_conv"),
    "dendrite": (),
    "soma": ("neuron_updates_active", "neuron_updates_idle", "spikes"),
    "network": ("messages", "messages_local", *(f"hops_{way}" for way in WAYS)),
}


def tables(options: Options) -> list[Table]:
    """Compare spikes, counts, energy and time on every network; other spikes or an unexplained difference end the benchmark."""
    python = interpreter("sanafe")
    if python is None:
        return [_not_measured(f"{VARIABLES['sanafe']} does not name a Python that has sanafe and PyYAML")]
    try:
        chip_file = architecture()
    except DataError as error:
        return [_not_measured(str(error))]
    table, chip = load_energy_table(TABLE), load_chip("loihi1")
    check_prices(table, read_sanafe_yaml(python, chip_file))
    counts, energies, times = [], [], []
    notes: list[str] = []
    for case in cases(python, options.quick, options.seed):
        if isinstance(case, str):
            notes.append(f"- not comparable: {case}")
            continue
        ran, theirs = run_both(python, case, chip, chip_file)
        told = [case.note, *ran.converted.changes, _reads_alike(python, case, chip_file), _accuracy(case, ran)]
        notes.append(f"- {case.name}: {'; '.join(filter(None, told)) or 'as in the file'}")
        counts.append(count_row(case, ran, theirs))
        energies += energy_rows(case, ran, theirs, table)
        times.append(time_row(case, ran, theirs))
    return [
        Table("Beside SANA-FE: counts (SANA-FE / neurosim)", COUNTS, counts, "\n".join(notes)),
        Table("Beside SANA-FE: energy", ENERGY, energies, f"SANA-FE's `arch/loihi.yaml`, our table `{TABLE}`; all steps and samples. Dendrites cost nothing in either."),
        Table("Beside SANA-FE: time", TIME, times, "Mean over steps, barrier included; our critical path is SANA-FE's simple model in our counts (`neurosim.costs.latency`)."),
    ]  # fmt: skip


def _not_measured(why: str) -> Table:
    return Table("Beside SANA-FE: energy", ENERGY, [], f"Not measured: {why}.")


def check_prices(table: EnergyTable, architecture_file: dict[str, Any]) -> None:
    """Raise AssertionError where a price of our table is not the one of SANA-FE's file."""
    tile = architecture_file["architecture"]["tile"][0]
    core = tile["core"][0]
    units = {unit["name"]: unit["attributes"] for kind in ("synapse", "soma", "axon_out") for unit in core[kind]}
    soma = {key: float(units["loihi_lif"][f"energy_{key}"]) for key in ("access_neuron", "update_neuron", "spike_out")}
    sent = float(units["loihi_out"]["energy_message_out"])
    theirs = {
        "synaptic_operations": float(units["loihi_dense_synapse"]["energy_process_spike"]),
        "synaptic_operations_sparse": float(units["loihi_sparse_synapse"]["energy_process_spike"]),
        "synaptic_operations_conv": float(units["loihi_conv_synapse"]["energy_process_spike"]),
        "neuron_updates_active": soma["access_neuron"] + soma["update_neuron"],
        "neuron_updates_idle": soma["access_neuron"],
        "spikes": soma["spike_out"],
        "messages": sent,
        "messages_local": sent,
        **{f"hops_{way}": float(tile["attributes"][f"energy_{way}_hop"]) for way in WAYS},
    }
    for name, joule in theirs.items():
        value = table.prices[name].value
        if not isinstance(value, float) or not np.isclose(value, joule * PJ, rtol=1e-9, atol=0):
            raise AssertionError(
                f"energy table {table.name}: {name} costs {value} pJ, SANA-FE's file says {joule * PJ}"
            )


def run_both(python: str, case: Case, chip: Chip, chip_file: Path) -> tuple[Ran, SanafeRun]:
    """Run a case on both sides and compare all spikes."""
    converted = convert(case.described, chip)
    shape = case.n_samples, case.n_steps
    with tempfile.TemporaryDirectory() as folder:
        theirs = run_sanafe(python, converted.described, case.spikes, shape, chip_file, Path(folder))
    ran = run_ours(case, converted)
    if not np.array_equal(ran.trains, sorted_rows(theirs.trains)):
        raise AssertionError(
            f"{case.name}: SANA-FE and neurosim have other spikes ({len(theirs.trains)} and {len(ran.trains)})"
        )
    return ran, theirs


def run_ours(case: Case, converted: Converted) -> Ran:
    """Run a case on the simulator."""
    events = converted.events(case.spikes, case.n_samples, case.n_steps)
    with get_backend("simulator").open(converted.program, strict=True) as runner:
        result = runner.run(events)
    return Ran(converted, result, all_trains(converted, result, events), case.n_samples, case.n_steps)


def counts_of(ran: Ran) -> OpCounts:
    """Return what the simulator counted."""
    assert ran.result.counts is not None
    return ran.result.counts


def count_row(case: Case, ran: Ran, theirs: SanafeRun) -> list[Cell]:
    """Return theirs and ours side by side."""
    counts = counts_of(ran)
    inputs = [i for i, group in enumerate(ran.converted.described.groups) if group.is_input]
    fired_inputs = int(np.isin(ran.trains[:, 2], inputs).sum())  # SANA-FE calls each an updated neuron, at no cost
    pairs = (
        (theirs.steps["fired"].sum(), len(ran.trains)),
        (theirs.steps["spikes"].sum(), counts.total("synaptic_operations")),
        (theirs.steps["updated"].sum() - fired_inputs, counts.total("neuron_updates_active")),
        (theirs.packets, counts.total("messages") + counts.total("messages_local")),
        (theirs.steps["hops"].sum(), sum(counts.total(f"hops_{way}") for way in WAYS)),
    )
    return [case.name, case.n_samples * case.n_steps, *(f"{int(a):,} / {b:,}" for a, b in pairs)]


def energy_rows(case: Case, ran: Ran, theirs: SanafeRun, table: EnergyTable) -> list[list[Cell]]:
    """Return a row for each component of SANA-FE's dictionary."""
    priced = energy(counts_of(ran), table).components
    more, fewer = updates(ran, table)
    sent, links = from_inputs(ran, table)
    terms = {
        "synapse": [(unread(ran, table), "synapses read by spikes of the last step")],
        "dendrite": [],
        "soma": [(more, "active updates by spikes that sum to 0"), (fewer, "by a current left over")],
        "network": [(sent, "packets of input neurons"), (links, "links that they cross")],
    }
    rows: list[list[Cell]] = []
    for component, names in COMPONENTS.items():
        ours = sum(priced.get(name) or 0.0 for name in names) / PJ
        found = float(theirs.steps[f"{component}_energy"].sum())
        explained = sum(term.energy_pj for term, _ in terms[component]) / PJ
        left = abs(found - ours - explained)
        if left > TOLERANCE * found:
            raise AssertionError(
                f"{case.name}: {component} takes {found} J on SANA-FE and {ours} J here; {explained} J of the difference are explained"
            )
        why = ", ".join(f"{term.n:+,} {text}" for term, text in terms[component] if term.n)
        if found:  # dendrites cost nothing
            ratio, share = f"{ours / found:.4f}", f"{100 * left / found:.4f} %"
            rows.append([case.name, component, found * NJ, ours * NJ, ratio, explained * NJ, share, why or "equal"])
    return rows


def time_row(case: Case, ran: Ran, theirs: SanafeRun) -> list[Cell]:
    """Return the time of a step by SANA-FE's simple model, by our critical path, and by SANA-FE's detailed model."""
    events = ran.converted.events(case.spikes, case.n_samples, case.n_steps)
    ours = latency(count_per_core(ran.converted.program, events), load_time_table(TABLE)).seconds
    assert ours is not None
    simple, detailed = theirs.steps["simple"], theirs.steps["detailed"]
    apart = float(np.abs(ours.ravel() / simple - 1).max())
    means = (float(seconds.mean()) * US for seconds in (simple, ours, detailed))
    return [case.name, next(means), next(means), f"{100 * apart:.4f} %", next(means)]


def _accuracy(case: Case, ran: Ran) -> str:
    """Say how many labels the last group finds, if there are any."""
    if case.labels is None:
        return ""
    groups = ran.converted.described.groups
    last = ran.trains[ran.trains[:, 2] == len(groups) - 1]
    spikes = np.zeros((case.n_samples, groups[-1].n), np.int64)
    np.add.at(spikes, (last[:, 0], last[:, 3]), 1)
    return f"{int((spikes.argmax(axis=1) == case.labels).sum())} of {case.n_samples} labels found"


def _reads_alike(python: str, case: Case, chip_file: Path) -> str:
    """Check that SANA-FE's own loader makes the spikes of the network that our reader made of the file, before any change.

    On the chip that is compared it must find the same energy as well.
    """
    if case.file is None or case.made_for is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        own = run_sanafe_file(python, case.file, case.made_for, case.n_steps, Path(folder))
        read = run_sanafe(python, case.described, case.spikes, (1, case.n_steps), chip_file, Path(folder))
    trains = read.trains.copy()
    trains[:, 2] = np.array([own.names.index(name) for name in read.names])[trains[:, 2]]
    same = np.array_equal(sorted_rows(trains), sorted_rows(own.trains))
    keys = [f"{component}_energy" for component in COMPONENTS] if case.made_for == chip_file else []
    if not same or not all(np.allclose(own.steps[key], read.steps[key], rtol=1e-9, atol=0) for key in keys):
        raise AssertionError(f"{case.name}: SANA-FE's loader and our reader make different networks of the file")
    return f"read as by SANA-FE's own loader ({len(trains):,} spikes{', same energy' if keys else ''})"
