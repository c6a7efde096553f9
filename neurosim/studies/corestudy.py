"""What each core of a run does, spends and how long steps take, in plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from neurosim.backend import get_backend
from neurosim.costs.corecounts import COUNTED, SYNAPTIC, CoreCounts
from neurosim.costs.latency import LatencyReport, latency, load_time_table, time_table_names
from neurosim.costs.percore import NEEDED, core_energy, count_per_core
from neurosim.energy import EnergyTable
from neurosim.events import Events
from neurosim.learning.percore import LearningByCore
from neurosim.program import Program

#: Counts of single steps that are held at once: a sample and step of a core take about 160 bytes.
MAX_CELLS = 1 << 20

#: What a table of single steps shows.
PER_STEP = (
    "spikes",
    SYNAPTIC,
    "neuron_updates_active",
    "neuron_updates_idle",
    "messages",
    "messages_local",
    "messages_in",
)


class CoreStudy(NamedTuple):
    """Counts by core of all samples, and by core and step of some of them."""

    whole: CoreCounts
    detailed: CoreCounts  # samples and steps apart: the first samples, as many as there is room for
    times: tuple[LatencyReport, ...]  # of `detailed`

    @property
    def scale(self) -> float:
        """Samples of the whole for each of those with single steps."""
        return self.whole.n_samples / self.detailed.n_samples


def why_no_cores(backend: str, events: Events | None) -> str | None:
    """Return why a run cannot be counted by core; None if it can."""
    if events is None:
        return "a controller's inputs depend on what it does; give a recording with --input"
    missing = sorted(NEEDED - get_backend(backend).features)
    return f"backend {backend!r} lacks {', '.join(missing)}; use --backend simulator" if missing else None


def time_tables_of(chip: str, energy_tables: Sequence[str]) -> tuple[str, ...]:
    """Return the tables of times for a chip: those named like its energy tables, else those that begin with its name.

    Examples
    --------
    >>> time_tables_of("loihi2", ["loihi2"])
    ('loihi2-derived',)
    """
    known = time_table_names()
    same = tuple(name for name in energy_tables if name in known)
    return same or tuple(name for name in known if name.startswith(f"{chip}-"))


def study_cores(
    program: Program, events: Events, n_steps: int, backend: str, threads: int, tables: Sequence[str]
) -> CoreStudy:
    """Count a run by core, and time its steps by each table and model.

    Parameters
    ----------
    program, events, n_steps, backend, threads
        As in `neurosim.costs.percore.count_per_core`.
    tables : sequence of str
        Names or paths of tables of times.
    """
    times = [load_time_table(name) for name in tables]
    cells = n_steps * (len(program.mapping.cores) + 1)
    n = max(1, min(events.n_samples, MAX_CELLS // cells))
    detailed = count_per_core(program, events.take(np.arange(n)), n_steps, backend=backend, threads=threads)
    whole = detailed
    if n < events.n_samples:
        whole = count_per_core(
            program, events, n_steps, backend=backend, threads=threads, per_sample=False, per_step=False
        )
    reports = tuple(latency(detailed, table, model) for table in times for model in ("critical-path", "max-affine"))
    return CoreStudy(whole, detailed, reports)


def seconds_of(cores: CoreStudy | None, table: str, chip: str) -> tuple[float, LatencyReport] | None:
    """Return how long the chip took for all samples, by the times that go with an energy table; None where unknown.

    The critical path is taken; it comes first of the reports of a table.
    """
    for name in time_tables_of(chip, [table]):
        for report in () if cores is None else cores.times:
            if report.table == name and report.model == "critical-path" and report.total_s is not None:
                assert cores is not None
                return report.total_s * cores.scale, report
    return None


def by_core(counts: CoreCounts | LearningByCore, table: EnergyTable) -> dict[str, dict[str, float | None]]:
    """Return the energy of each core by operation, per sample, in pJ; "outside" for inputs and "chip" for barriers."""
    n = counts.n_samples
    found = core_energy(counts, table)
    return {
        str(owner): {name: None if pj is None else pj / n for name, pj in parts.items()} for owner, parts in found.items()
    }  # fmt: skip


def times_of(cores: CoreStudy) -> list[dict[str, Any]]:
    """Return times as plain values, per sample and step."""
    n = cores.detailed.n_samples
    found = []
    for report in cores.times:
        per_sample = report.per_sample_s
        found.append(report.to_dict() | {
            "samples": n,
            "per_inference_s": None if report.total_s is None else report.total_s / n,
            "per_inference_range_s": None if report.range_s is None else [end / n for end in report.range_s],
            "slowest_sample_s": None if per_sample is None else float(per_sample.max()),
        })  # fmt: skip
    return found


def steps_of(cores: CoreStudy) -> list[dict[str, Any]]:
    """Return what happens in each step: means over samples, and the time by each table."""
    counts = cores.detailed
    n = counts.n_samples
    sums = {name: counts.operations[..., i].sum(axis=(0, 2)) for i, name in enumerate(COUNTED)}
    sums[SYNAPTIC] = counts.synaptic.sum(axis=(0, 2, 3))
    rows = []
    for step in range(counts.steps_per_sample):
        row: dict[str, Any] = {"step": step} | {name: int(sums[name][step]) / n for name in PER_STEP}
        for report in cores.times:
            if report.seconds is not None and report.model == "critical-path":
                row[f"{report.table}_mean_s"] = float(report.seconds[:, step].mean())
                row[f"{report.table}_max_s"] = float(report.seconds[:, step].max())
        rows.append(row)
    return rows


def traffic_of_links(cores: CoreStudy) -> list[dict[str, Any]]:
    """Return packets per sample over each link that carried any."""
    n = cores.whole.n_samples
    return [
        {"x": x, "y": y, "direction": way, "packets": packets / n}
        for (x, y, way), packets in cores.whole.by_link().items()
        if packets
    ]
