"""Pictures of what a network lost in integers: rates of both runs by neuron, weights before and after rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.figures.run import save_figures
from neurosim.figures.style import LIGHT, Theme, make_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Report = Mapping[str, Any]

MAX_PANELS = 12
COLUMNS = (4, 3, 5)  # tried in this order
LETTERS = 110  # above all charts of a row


def rates_figure(report: Report, theme: Theme = LIGHT) -> Figure | None:
    """Firing rate of each neuron in floats and in integers, a chart for each layer; None where nothing fired."""
    layers = [layer for layer in report.get("layers") or () if layer.get("rates") and layer["rates"]["float"]]
    if not layers:
        return None
    layers = layers[:MAX_PANELS]
    figure, charts, columns = _panels(len(layers), 2.4)
    per = report["samples"] * report["n_steps"]
    for i, (chart, layer) in enumerate(zip(charts, layers, strict=False)):
        rates = layer["rates"]
        x, y = ([count / per for count in rates["neurons"][key]] for key in ("float", "integer"))
        top = 1.08 * max(*x, *y)
        chart.plot([0, top], [0, top], color=theme.muted, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        size = max(6.0, min(40.0, 1600 / len(x)))
        chart.scatter(x, y, s=size, color=theme.strong, alpha=0.55, linewidths=0, zorder=2)
        chart.set_xlim(-0.03 * top, top)
        chart.set_ylim(-0.03 * top, top)
        _ticks(chart, columns, both=True)
        ratio, correlation = rates["ratio"], rates["correlation"]
        facts = [f"ratio {ratio:.3f}"] + ([] if correlation is None else [f"r {correlation:.3f}"])
        _title(chart, layer["group"], facts, columns, theme)
        if i % columns == 0:
            chart.set_ylabel("integers")
        if i + columns >= len(layers):
            chart.set_xlabel("floats")
    figure.suptitle("spikes of a neuron in a step", x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def weights_figure(report: Report, theme: Theme = LIGHT) -> Figure | None:
    """Weights before and after rounding, a chart for each connection; None where all are 0."""
    found = [w for layer in report.get("layers") or () for w in layer["weights"] if w["histogram"]][:MAX_PANELS]
    if not found:
        return None
    from matplotlib.patches import Patch

    figure, charts, columns = _panels(len(found), 2.1)
    for i, (chart, weights) in enumerate(zip(charts, found, strict=False)):
        histogram = weights["histogram"]
        edges = [histogram["first"] + k * histogram["width"] for k in range(len(histogram["wanted"]) + 1)]
        chart.stairs(histogram["wanted"], edges, fill=True, color=theme.pale, zorder=1)
        chart.stairs(histogram["held"], edges, color=theme.strong, linewidth=1.3, zorder=2)
        chart.set_yscale("symlog", linthresh=1)
        chart.set_ylim(0, 1.6 * max(*histogram["wanted"], *histogram["held"]))
        chart.set_xlim(edges[0], edges[-1])
        _ticks(chart, columns, both=False)
        facts = ["exact" if weights["sqnr_db"] is None else f"{weights['sqnr_db']:.1f} dB"]
        for key, words in (("clipped", "clipped"), ("rounded_to_zero", "to zero")):
            facts += [f"{weights[key]:,} {words}"] if weights[key] else []
        _title(chart, weights["connection"].replace("->", " → "), facts, columns, theme)
        if i % columns == 0:
            chart.set_ylabel("weights")
        if i + columns >= len(found):
            chart.set_xlabel("weight, float units")
    figure.suptitle("weights before and after rounding", x=0.01, ha="left", weight="bold", fontsize=10)
    handles = [Patch(color=theme.pale), Patch(facecolor="none", edgecolor=theme.strong, linewidth=1.3)]
    figure.legend(handles, ["wanted", "held"], loc="outside upper right", ncols=2, frameon=False)
    return figure


QUANT_FIGURES: dict[str, Callable[[Report, Theme], Figure | None]] = {
    "quant-rates": rates_figure,
    "quant-weights": weights_figure,
}


def save_quant_plots(report: Report, folder: Path) -> list[Path]:
    """Write both pictures of a report as PNG into an existing folder and return the paths."""
    return save_figures(QUANT_FIGURES, report, folder)


def _panels(n: int, height: float) -> tuple[Figure, list[Axes], int]:
    """Return a figure of n charts in rows, as few places as possible left over, and the number of columns."""
    columns = n if n <= max(COLUMNS) else min(COLUMNS, key=lambda c: -n % c)
    rows = ceil(n / columns)
    figure, charts = make_figure(rows * height + 0.35, rows, None, columns=columns)
    for chart in charts[n:]:
        chart.set_visible(False)
    return figure, charts, columns


def _title(chart: Axes, name: str, facts: list[str], columns: int, theme: Theme) -> None:
    """Write the name above a chart, and as many facts below the name as there is room for."""
    room = LETTERS // columns
    words = facts[0]
    for fact in facts[1:]:
        words += f", {fact}" if len(words) + len(fact) + 2 <= room else ""
    short = name if len(name) <= room else f"{name[: room // 2 - 1]}…{name[-(room // 2) :]}"
    chart.set_title(short, loc="left", weight="bold", fontsize=9, pad=16)
    beside = chart.annotate(words, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8)
    beside.set_color(theme.muted)
    beside.set_in_layout(False)  # its width must not move charts


def _ticks(chart: Axes, columns: int, both: bool) -> None:
    """Leave as many numbers below a chart as it has room for, without trailing zeros."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis, most in ((chart.xaxis, 2 if columns > 3 else 5), (chart.yaxis, 4))[: 1 + both]:
        axis.set_major_locator(MaxNLocator(most, min_n_ticks=2))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
