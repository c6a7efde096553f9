"""Figures of training by gradients: what surrogate gradients became, and where membrane potentials lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.direct.surrogates import gradient
from neurosim.directconfig import SURROGATES
from neurosim.figures.run import MARKED_POINTS, save_figures
from neurosim.figures.style import LIGHT, Theme, make_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

#: How far a chart reaches to either side of the threshold, in widths: shapes that end, and shapes with tails.
ENDS, TAILS = 1.4, 5.0
SHAPES_THAT_END = ("rectangle", "triangle")
MAX_SHOWN = 6.0  # thresholds to either side
TALL = 2.0  # a bin so many times higher than its neighbours is cut off
POINTS = 241  # of a curve
LABELLED_STEPS = 6  # more curves than that get a scale of colours instead of names
MAX_COLUMNS = 3
TAIL = 0.002  # share of the potentials that may lie outside a chart, on either side
OVERLAID = ("before", "after")


def surrogates_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """The surrogate gradient of each layer after training, a curve for each time step; None for other trainings."""
    training = metrics.get("training") or {}
    widths, direct = training.get("widths") or {}, training.get("direct") or {}
    if not widths or not direct:
        return None
    kind = direct["surrogate"]
    first = direct["width"] or SURROGATES[kind]
    learned = direct["learn_width"] != "fixed"
    widths = widths if learned else {"all hidden layers": [first]}
    widest = max(first, *(max(found) for found in widths.values()))
    reach = min((ENDS if kind in SHAPES_THAT_END else TAILS) * widest, MAX_SHOWN)
    top = 1.06 * max(float(gradient(kind, 0.0, width)) for found in (*widths.values(), [first]) for width in found)
    x = np.linspace(-reach, reach, POINTS)
    figure, charts, columns = _panels(len(widths), 2.7)
    n_steps = max(len(found) for found in widths.values())
    for i, (chart, (name, found)) in enumerate(zip(charts, widths.items(), strict=False)):
        colors = _step_colors(len(found), theme)
        for t, (width, color) in enumerate(zip(found, colors, strict=True)):
            only = "after training" if learned else f"{kind}, fixed"
            label = only if len(found) == 1 else f"step {t}" if len(found) <= LABELLED_STEPS else None
            chart.plot(x, gradient(kind, x, width), color=color, linewidth=1.5, label=label)
        if learned:
            y = gradient(kind, x, first)
            chart.plot(x, y, color=theme.warm, linewidth=1.3, linestyle=(0, (4, 3)), label="at the start")
        chart.set_title(name, loc="left", weight="bold")
        chart.set_ylim(0, top)
        chart.set_xlim(-reach, reach)
        if i % columns == 0:
            chart.set_ylabel("taken for the derivative of a spike")
        if i + columns >= len(widths):
            chart.set_xlabel(_label("distance to", "the threshold (thresholds)", columns))
        if i == 0:
            chart.legend(frameon=False, loc="upper right", fontsize=8)
    if n_steps > LABELLED_STEPS:
        _color_scale(figure, charts[: len(widths)], n_steps, theme)
    return figure


def widths_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """The width of each surrogate over the training; None where none was learned."""
    training = metrics.get("training") or {}
    points = [entry for entry in training.get("history") or () if entry.get("widths")]
    learned = (training.get("direct") or {}).get("learn_width", "fixed") != "fixed"
    if not points or not learned:
        return None
    names = list(points[0]["widths"])
    x = [entry["generation"] for entry in points]
    marker = "o" if len(x) < MARKED_POINTS else None
    n_steps = max(len(found) for found in points[0]["widths"].values())
    if n_steps == 1:  # one line a layer: a chart has room for all
        figure, charts = make_figure(3.0, 1, None)
        for name, color in zip(names, _cycle(theme, len(names)), strict=True):
            y = [entry["widths"][name][0] for entry in points]
            charts[0].plot(x, y, color=color, linewidth=1.6, marker=marker, markersize=3, label=name)
        charts[0].legend(frameon=False)
        columns, shown = 1, charts
    else:
        figure, charts, columns = _panels(len(names), 2.7)
        shown = charts[: len(names)]
        for chart, name in zip(shown, names, strict=True):
            series = np.array([entry["widths"][name] for entry in points])
            for t, color in enumerate(_step_colors(series.shape[1], theme)):
                label = f"step {t}" if n_steps <= LABELLED_STEPS else None
                chart.plot(x, series[:, t], color=color, linewidth=1.3, label=label)
            chart.set_title(name, loc="left", weight="bold")
        if n_steps <= LABELLED_STEPS:
            charts[0].legend(frameon=False, fontsize=8)
        else:
            _color_scale(figure, shown, n_steps, theme)
    _generations(shown, columns)
    for i, chart in enumerate(shown):
        if i % columns == 0:
            chart.set_ylabel("width (thresholds)")
    return figure


def potentials_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """The membrane potentials of each hidden layer before and after training; None for other trainings."""
    found = (metrics.get("training") or {}).get("potentials") or {}
    shown = {f"{name} training": found[name] for name in OVERLAID if found.get(name)}
    return overlay_figure(shown, theme) if shown else None


def overlay_figure(runs: Mapping[str, Metrics], theme: Theme = LIGHT) -> Figure | None:
    """Distributions of membrane potentials, a chart for each group and a curve for each run; None without any.

    Parameters
    ----------
    runs : mapping
        Name in the legend -> histograms, group -> {"edges", "counts"}, as ``metrics["training"]["potentials"]["after"]`` of a run.
    theme : Theme
    """
    names = list(dict.fromkeys(name for found in runs.values() for name in found))
    if not names:
        return None
    figure, charts, columns = _panels(len(names), 2.7)
    for i, (chart, name) in enumerate(zip(charts, names, strict=False)):
        low, high, top, highest = 0.0, 1.0, 0.0, 0.0
        for j, (run, color) in enumerate(zip(runs, _cycle(theme, len(runs)), strict=True)):
            if name not in runs[run]:
                continue
            edges, density = _density(runs[run][name])
            fill = j == 0 and len(runs) > 1
            if fill:  # the first one is what the others are held against
                chart.stairs(density, edges, fill=True, color=theme.pale, label=run)
            else:
                chart.stairs(density, edges, color=color, linewidth=1.5, label=run)
            inner = _inner(runs[run][name])
            low, high, top = min(low, inner[0]), max(high, inner[1]), max(top, _top(density))
            highest = max(highest, float(density.max()))
        chart.axvline(0, color=theme.muted, linewidth=0.8)
        chart.axvline(1, color=theme.warm, linewidth=1.0, linestyle=(0, (4, 3)))
        chart.set_ylim(0, top)
        if highest > top:  # neurons that nothing reached
            chart.annotate(f"up to {highest:.2g}", (0, 1), (-4, -9), xycoords=("data", "axes fraction"), ha="right",
                           textcoords="offset points", color=theme.muted, fontsize=8)  # fmt: skip
        margin = 0.05 * (high - low)
        chart.set_xlim(low - margin, high + margin)
        chart.set_title(name, loc="left", weight="bold")
        chart.annotate("threshold", (1, 1), (2, -3), xycoords=("data", "axes fraction"), textcoords="offset points",
                       rotation=90, va="top", color=theme.warm, fontsize=8)  # fmt: skip
        if i % columns == 0:
            chart.set_ylabel("share per threshold")
        if i + columns >= len(names):
            chart.set_xlabel(_label("membrane potential", "before firing (thresholds)", columns))
    named = {
        label: handle for chart in charts for handle, label in zip(*chart.get_legend_handles_labels(), strict=True)
    }
    figure.legend(named.values(), named.keys(), loc="outside upper right", ncols=min(4, len(named)), frameon=False)
    return figure


DIRECT_FIGURES: dict[str, Callable[[Metrics, Theme], Figure | None]] = {
    "surrogates": surrogates_figure,
    "widths": widths_figure,
    "potentials": potentials_figure,
}


def save_direct_plots(metrics: Metrics, folder: Path) -> list[Path]:
    """Write every figure that the metrics allow as PNG into an existing folder and return the paths."""
    return save_figures(DIRECT_FIGURES, metrics, folder)


def _density(histogram: Metrics) -> tuple[Any, Any]:
    """Return the edges of bins and the share of all values per threshold in each, without the outermost: they hold all beyond."""
    edges, counts = np.asarray(histogram["edges"], float), np.asarray(histogram["counts"], float)
    return edges[1:-1], (counts / max(1.0, counts.sum()) / np.diff(edges))[1:-1]


def _top(density: Any) -> float:
    """Return where a chart ends: above the highest bin, or above the others if it stands out."""
    ordered = np.sort(density)
    fourth, highest = float(ordered[-4]), float(ordered[-1])
    return 1.1 * (highest if highest <= TALL * fourth or fourth == 0 else 1.15 * fourth)


def _inner(histogram: Metrics) -> tuple[float, float]:
    """Return the edges between which nearly all values lie."""
    edges, counts = np.asarray(histogram["edges"], float), np.asarray(histogram["counts"], float)
    if not counts.any():
        return 0.0, 1.0
    share = np.cumsum(counts) / counts.sum()
    first, last = (int(np.clip(np.searchsorted(share, part), 1, len(counts) - 2)) for part in (TAIL, 1 - TAIL))
    return float(edges[first]), float(edges[last + 1])


def _panels(n: int, height: float) -> tuple[Figure, list[Axes], int]:
    """Return a figure of n charts in rows, and the number of columns."""
    columns = min(n, MAX_COLUMNS)
    rows = ceil(n / columns)
    figure, charts = make_figure(rows * height + 0.35, rows, None, columns=columns)
    for chart in charts[n:]:
        chart.set_visible(False)
    return figure, charts, columns


def _label(first: str, rest: str, columns: int) -> str:
    """Return what stands below a chart, in two lines where charts are narrow."""
    return f"{first}\n{rest}" if columns == MAX_COLUMNS else f"{first} {rest}"


def _cycle(theme: Theme, n: int) -> list[str]:
    return [theme.cycle[i % len(theme.cycle)] for i in range(n)]


def _step_colors(n: int, theme: Theme) -> list[Any]:
    """Return a colour for each time step, from pale to strong."""
    if n == 1:
        return [theme.strong]
    scale = _step_scale(theme)
    return [scale(t / (n - 1)) for t in range(n)]


def _step_scale(theme: Theme) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("steps", (theme.pale, theme.strong, theme.ink))


def _color_scale(figure: Figure, charts: list[Axes], n_steps: int, theme: Theme) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(0, n_steps - 1), _step_scale(theme))
    figure.colorbar(scale, ax=charts, label="time step", fraction=0.03, aspect=25, pad=0.01)


def _generations(charts: list[Axes], columns: int) -> None:
    """Number the generations below the lowest charts."""
    from matplotlib.ticker import MaxNLocator

    for i, chart in enumerate(charts):
        chart.xaxis.set_major_locator(MaxNLocator(8 if columns == 1 else 4, integer=True, min_n_ticks=1))
        chart.margins(x=0.02)
        if i + columns >= len(charts):
            chart.set_xlabel("generation")
