"""Pictures of a suite of benchmarks: accuracy against energy, energy against activity, operations against size."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.figures.run import save_figures
from neurosim.figures.style import LIGHT, Theme, make_figure
from neurosim.report_bench import own_energy
from neurosim.tables import format_energy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Results = Mapping[str, Any]

MARKERS = "osD^vPX*"
PJ = 1e-12


def accuracy_figure(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Accuracy against energy per inference, each network on each chip that has prices; None without any."""
    points: dict[tuple[str, str], list[tuple[float, Results]]] = {}
    for row in _once(results["rows"]):
        energy = own_energy(row)
        if energy is not None and energy["total_pj"] and row["accuracy_low"] is not None:
            points.setdefault((row["chip"], energy["table"]), []).append((energy["total_pj"] * PJ, row))
    if not points:
        return None
    names = list(dict.fromkeys(row["network"] for found in points.values() for _, row in found))
    figure, (chart,) = make_figure(4.4, 1, None)
    for i, ((chip, table), found) in enumerate(points.items()):
        for joules, row in found:
            color = theme.cycle[names.index(row["network"]) % len(theme.cycle)]
            distances = (row["accuracy"] - row["accuracy_low"], row["accuracy_high"] - row["accuracy"])
            spread = [[max(0.0, 100 * distance)] for distance in distances]  # rounding may leave less than nothing
            chart.errorbar(joules, 100 * row["accuracy"], yerr=spread, marker=MARKERS[i % len(MARKERS)], markersize=6.5, color=color,
                           elinewidth=0.8, linestyle="none")  # fmt: skip
        chart.plot([], [], marker=MARKERS[i % len(MARKERS)], color=theme.muted, linestyle="none",
                   label=chip if chip == table else f"{chip}, prices of {table}")  # fmt: skip
    for name in names:
        chart.plot(
            [], [], color=theme.cycle[names.index(name) % len(theme.cycle)], linewidth=5, label=f"network {name}"
        )
    _energy_axis(chart, "x")
    chart.set_ylabel("accuracy (%), 95 % interval")
    chart.set_title("accuracy against energy", loc="left", weight="bold", fontsize=10)
    figure.legend(loc="outside right center", frameon=False)
    unpriced = dict.fromkeys(row["chip"] for row in _once(results["rows"]) if own_energy(row) is None)
    note = "energies are of priced operations only: lower bounds; static energy is not in them"
    _note(figure, note + "".join(f"; no prices are published for {chip}" for chip in unpriced), theme)
    return figure


def activity_figure(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Energy per inference against activity: the same network with parts of its input; None without any."""
    lines: dict[str, list[tuple[float, float]]] = {}
    table = chip = ""
    for row in results["drives"]:
        energy = own_energy(row) if row["state"] == "ok" else None
        if energy is not None:
            table, chip = energy["table"], row["chip"]
            lines.setdefault(row["network"], []).append((row["activity"], energy["total_pj"] * PJ))
    if not lines:
        return None
    figure, (chart,) = make_figure(3.8, 1, None)
    for i, (name, points) in enumerate(lines.items()):
        points = sorted(points)
        chart.plot(*zip(*points, strict=True), marker=MARKERS[i % len(MARKERS)], markersize=5, color=theme.cycle[i % len(theme.cycle)],
                   linewidth=1.4, clip_on=False, label=f"network {name}")  # fmt: skip
    chart.set_xlim(left=0)
    chart.set_xlabel("activity: spikes per input or neuron, and step")
    _energy_axis(chart, "y")
    chart.set_title("energy against activity", loc="left", weight="bold", fontsize=10)
    figure.legend(loc="outside right center", frameon=False)
    _note(
        figure,
        f"on {chip}, prices of {table}; parts of the input spikes are kept by chance; at 0 nothing comes in",
        theme,
    )
    return figure


def size_figure(results: Results, theme: Theme = LIGHT) -> Figure | None:
    """Synaptic operations against synapses, beside the multiply-accumulates of an artificial network; None without any."""
    points = {row["network"]: row for row in _once(results["rows"]) if row["counts"] is not None}
    if not points:
        return None
    figure, (chart,) = make_figure(3.8, 1, None)
    sizes = sorted(row["synapses"] for row in points.values())
    ends = [sizes[0] / 1.6, sizes[-1] * 1.6]
    chart.plot(ends, ends, color=theme.muted, linewidth=1, linestyle=(0, (4, 3)), label="artificial: one MAC a synapse")
    for i, (name, row) in enumerate(points.items()):
        color = theme.cycle[i % len(theme.cycle)]
        chart.plot(row["synapses"], row["counts"]["synaptic_operations"], marker=MARKERS[i % len(MARKERS)], markersize=7, color=color,
                   linestyle="none", label=f"network {name}")  # fmt: skip
    chart.set_xscale("log")
    chart.set_yscale("log")
    chart.set_xlim(*ends)
    chart.set_xlabel("synapses stored")
    chart.set_ylabel("synaptic operations per inference")
    chart.set_title("operations against size", loc="left", weight="bold", fontsize=10)
    figure.legend(loc="outside right center", frameon=False)
    return figure


BENCH_FIGURES: dict[str, Callable[[Results, Theme], Figure | None]] = {
    "accuracy-energy": accuracy_figure,
    "energy-activity": activity_figure,
    "operations-size": size_figure,
}


def save_bench_plots(results: Results, folder: Path) -> list[Path]:
    """Write every picture that the results allow as PNG into an existing folder and return the paths."""
    return save_figures(BENCH_FIGURES, results, folder)


def _once(rows: Iterable[Results]) -> list[Results]:
    """Return the first row of each network and chip that could run: backends give the same numbers."""
    found: dict[tuple[str, str], Results] = {}
    for row in rows:
        if row["state"] == "ok":
            found.setdefault((row["network"], row["chip"]), row)
    return list(found.values())


def _note(figure: Figure, text: str, theme: Theme) -> None:
    """Write what a picture rests on below it."""
    figure.supxlabel("\n".join(textwrap.wrap(text, 125)), fontsize=8, color=theme.muted, x=0.01, ha="left")


def _energy_axis(chart: Axes, which: str) -> None:
    """Make an axis of energies logarithmic, with units that suit each."""
    axis = chart.xaxis if which == "x" else chart.yaxis
    (chart.set_xscale if which == "x" else chart.set_yscale)("log")
    axis.set_major_formatter(lambda joules, _: format_energy(joules / PJ))
    axis.set_label_text("energy per inference")
