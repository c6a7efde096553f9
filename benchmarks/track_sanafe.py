"""Does SANA-FE find the same spikes, operations and energy for the same networks, and what explains each difference?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import Cell, Options, Table
from benchmarks.peers import VARIABLES, SanafeRun, interpreter, run_sanafe, run_sanafe_file
from benchmarks.sanafe_cases import Case, architecture, cases
from benchmarks.sanafe_convert import Converted, convert
from benchmarks.sanafe_terms import Ran, Term, all_trains, from_inputs, sorted_rows, unread, updates
from neurosim.backend import get_backend
from neurosim.chip import load_chip
from neurosim.energy import energy
from neurosim.energytable import EnergyTable, load_energy_table
from neurosim.errors import DataError

TABLE = "loihi1-sanafe2026"
PJ = 1e12  # in a J
TOLERANCE = 0.01
ENERGY = ("network", "component", "SANA-FE, pJ", "neurosim, pJ", "ratio", "explained, pJ", "rest", "what explains it")
COUNTS = ("network", "steps", "spikes", "synapses read", "active updates", "packets", "links crossed")
TIME = ("network", "SANA-FE simple, us a step", "SANA-FE detailed, us a step", "slowest step detailed, us", "neurosim, us a step")


def tables(options: Options) -> list[Table]:
    """Compare spikes, counts, energy and time on every network; different spikes end the benchmark."""
    python, note = interpreter("sanafe"), ""
    counts: list[list[Cell]] = []
    energies: list[list[Cell]] = []
    times: list[list[Cell]] = []
    notes: list[str] = []
    if python is None:
        note = f"Not measured: {VARIABLES['sanafe']} does not name a Python that has sanafe and PyYAML."
    else:
        try:
            chip_file = architecture()
        except DataError as error:
            note = f"Not measured: {error}."
    if note:
        return [Table("Beside SANA-FE: energy", ENERGY, [], note)]
    assert python is not None
    table, chip = load_energy_table(TABLE), load_chip("loihi1")
    for case in cases(python, options.quick, options.seed):
        if isinstance(case, str):
            notes.append(f"not comparable: {case}")
            continue
        converted = convert(case.described, chip)
        with tempfile.TemporaryDirectory() as folder:
            theirs = run_sanafe(
                python, converted.described, case.spikes, (case.n_samples, case.n_steps), chip_file, Path(folder)
            )
            read_alike = _reads_alike(python, case, chip_file, Path(folder))
        ran = run_ours(case, converted)
        if not np.array_equal(ran.trains, sorted_rows(theirs.trains)):
            raise AssertionError(f"{case.name}: SANA-FE has {len(theirs.trains)} spikes, neurosim {len(ran.trains)}, or others")
        counts += count_rows(case, ran, theirs)
        energies += energy_rows(case, ran, theirs, table)
        times.append(time_row(case, ran, theirs))
        told = [case.note, *converted.changes, read_alike]
        notes.append(f"{case.name}: {'; '.join(filter(None, told))}")
    text = "Networks: " + ". ".join(filter(None, notes)) + "."
    return [
        Table("Beside SANA-FE: the same spikes, and what was counted (SANA-FE / neurosim)", COUNTS, counts, text),
        Table("Beside SANA-FE: energy", ENERGY, energies, f"SANA-FE's `arch/loihi.yaml`, our table `{TABLE}`; all steps and samples."),
        Table("Beside SANA-FE: time of a step", TIME, times, "Mean over steps; barrier included."),
    ]


def run_ours(case: Case, converted: Converted) -> Ran:
    """Run a case on the simulator."""
    events = converted.events(case.spikes, case.n_samples, case.n_steps)
    with get_backend("simulator").open(converted.program, strict=True) as runner:
        result = runner.run(events)
    trains = all_trains(converted, result, events)
    return Ran(converted, result, trains, case.n_samples, case.n_steps)


def count_rows(case: Case, ran: Ran, theirs: SanafeRun) -> list[list[Cell]]:
    """Return one row: theirs and ours side by side."""
    counts = ran.result.counts
    assert counts is not None
    fired_inputs = _fired_inputs(ran)
    hops = sum(counts.total(f"hops_{way}") for way in ("east", "west", "north", "south"))
    pairs = (
        (theirs.steps["fired"].sum(), len(ran.trains)),
        (theirs.steps["spikes"].sum(), counts.total("synaptic_operations")),
        (theirs.steps["updated"].sum() - fired_inputs, counts.total("neuron_updates_active")),
        (theirs.packets, counts.total("messages") + counts.total("messages_local")),
        (theirs.steps["hops"].sum(), hops),
    )
    return [[case.name, case.n_samples * case.n_steps, *(f"{int(a):,} / {b:,}" for a, b in pairs)]]


def energy_rows(case: Case, ran: Ran, theirs: SanafeRun, table: EnergyTable) -> list[list[Cell]]:
    """Return one row for each component of SANA-FE's dictionary."""
    counts = ran.result.counts
    assert counts is not None
    priced = energy(counts, table).components
    step = table.prices["neuron_updates_active"].value, table.prices["neuron_updates_idle"].value
    assert isinstance(step[0], float) and isinstance(step[1], float)
    late, active, (sent, links) = unread(ran, table), updates(ran, table), from_inputs(ran, table)
    more = active.count - counts.total("neuron_updates_active")
    soma = Term(more, more * (step[0] - step[1]))
    parts = {
        "synapse": (("synaptic_operations",), [(late, "spikes of the last step are read in it, ours in the next")]),
        "dendrite": ((), []),
        "soma": (("neuron_updates_", "spikes"), [(soma, "active updates: a spike that arrives with weight 0 counts, a current left over does not")]),
        "network": (("messages", "hops_"), [(sent, "packets sent by input neurons of cores"), (links, "links from their tiles")]),
    }  # fmt: skip
    rows: list[list[Cell]] = []
    for component, (names, terms) in parts.items():
        ours = sum(pj or 0.0 for name, pj in priced.items() if name.startswith(names or ("-",)))
        found = float(theirs.steps[f"{component}_energy"].sum()) * PJ
        explained = sum(term.energy_pj for term, _ in terms)
        why = ", ".join(f"{term.count:+,} {text}" for term, text in terms if term.count)
        rest = abs(found - ours - explained)
        share = 0.0 if rest < 1e-6 * max(found, 1.0) else rest / found
        if share > TOLERANCE:
            why = f"NOT EXPLAINED; {why}"
        ratio = ours / found if found else None
        rows.append([case.name, component, found, ours, ratio and f"{ratio:.4f}", explained, f"{100 * share:.3g} %", why or "equal"])
    return rows


def time_row(case: Case, ran: Ran, theirs: SanafeRun) -> list[Cell]:
    """Return the time of a step; ours waits for `neurosim.latency`."""
    simple, detailed = theirs.steps["simple"] * 1e6, theirs.steps["detailed"] * 1e6
    return [case.name, float(simple.mean()), float(detailed.mean()), float(detailed.max()), None]


def _fired_inputs(ran: Ran) -> int:
    """Spikes of inputs: SANA-FE counts each as an updated neuron, at no cost."""
    inputs = [i for i, group in enumerate(ran.converted.described.groups) if group.is_input]
    return int(np.isin(ran.trains[:, 2], inputs).sum())


def _reads_alike(python: str, case: Case, chip_file: Path, folder: Path) -> str:
    """Check that SANA-FE's own loader makes the spikes of the file from which our reader made this network, unchanged."""
    if case.file is None or case.made_for is None:
        return ""
    own = run_sanafe_file(python, case.file, case.made_for, case.n_steps, folder)
    read = run_sanafe(python, case.described, case.spikes, (1, case.n_steps), chip_file, folder)
    place = np.array([own.names.index(name) for name in read.names])
    trains = read.trains.copy()
    trains[:, 2] = place[trains[:, 2]]
    if not np.array_equal(sorted_rows(trains), sorted_rows(own.trains)):
        raise AssertionError(f"{case.name}: SANA-FE's loader and ours read different networks")
    return f"read as by SANA-FE's own loader ({len(trains):,} spikes unchanged)"
