"""Pictures of a study of energy: by component and table, by core, and beside an artificial network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.figures.chip import MAX_LABELLED_CORES, utilisation_figure
from neurosim.figures.mesh import draw_links, draw_mesh, mesh_of, squares
from neurosim.figures.run import save_figures
from neurosim.figures.style import LIGHT, Theme, hide_scale, label_end, make_figure, patch
from neurosim.report import UNITS, counter_name
from neurosim.report_energy import CORE_PARTS, bounded, core_parts
from neurosim.tables import format_cell, format_energy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Study = Mapping[str, Any]

SMALL = 0.01  # of a total: components below are drawn together


def components_figure(study: Study, theme: Theme = LIGHT) -> Figure | None:
    """Share of each component by each table, with the total beside; None where nothing has a price."""
    charts = {
        words: priced
        for per, words in UNITS.items()
        if (priced := [e for e in study["energies"].get(per) or () if e["total_pj"]])
    }
    if not charts:
        return None
    shares = {words: [_shares(energy) for energy in priced] for words, priced in charts.items()}
    names = list(dict.fromkeys(name for parts in shares.values() for part in parts for name in part))
    names.sort(key=lambda name: -max(part.get(name, 0.0) for parts in shares.values() for part in parts))
    if "others" in names:
        names.append(names.pop(names.index("others")))
    colors = {
        name: theme.muted if name == "others" else theme.cycle[i % len(theme.cycle)] for i, name in enumerate(names)
    }
    heights = [0.35 + 0.42 * len(priced) for priced in charts.values()]
    figure, axes = make_figure(
        sum(heights) + 0.35 * len(heights) + 0.25 * ((len(names) + 2) // 3) + 0.3, len(heights), heights
    )
    for chart, (words, priced) in zip(axes, charts.items(), strict=True):
        rows = range(len(priced))
        left = [0.0] * len(priced)
        for name in names:
            widths = [100 * part.get(name, 0.0) for part in shares[words]]
            if any(widths):
                chart.barh(
                    rows,
                    widths,
                    left=left,
                    height=0.62,
                    color=colors[name],
                    label=name,
                    edgecolor=theme.card,
                    linewidth=0.6,
                )
                left = [a + b for a, b in zip(left, widths, strict=True)]
        for row, energy in enumerate(priced):
            chart.annotate(bounded(energy), (100, row), (6, 0), textcoords="offset points", va="center", fontsize=8.5,
                           weight="bold", color=theme.ink)  # fmt: skip
        chart.set_yticks(rows, [energy["table"] for energy in priced])
        chart.set_ylim(len(priced) - 0.5, -0.5)
        chart.set_xlim(0, 128)
        chart.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
        chart.set_title(f"energy per {words}, by component", loc="left", weight="bold", fontsize=10)
        chart.grid(visible=False)
        chart.spines[["left", "bottom"]].set_visible(False)
        chart.tick_params(length=0)
    handles = {
        label: handle for chart in axes for handle, label in zip(*chart.get_legend_handles_labels(), strict=True)
    }
    figure.legend([handles[name] for name in names], names, loc="outside lower left", ncols=3, frameon=False)
    return figure


def ann_figure(study: Study, theme: Theme = LIGHT) -> Figure | None:
    """The artificial and the spiking network side by side: arithmetic in each format, and memory; None without them."""
    found = study.get("ann")
    if not found:
        return None
    arithmetic: list[_Bar] = []
    for row in found["arithmetic"]:
        sides = {
            "artificial": {"multiply-accumulates": row["ann_macs_pj"], "neurons": row["ann_activations_pj"]},
            "spiking": {"accumulates": row["snn_accumulates_pj"], "neurons": row["snn_neurons_pj"]},
        }
        arithmetic += [(f"{row['format']}, {side}", parts) for side, parts in sides.items()]
    charts = {"arithmetic": arithmetic}
    if found["memory"] is not None:
        price = found["memory"]["price"]["value"]
        words = {
            side: {"memory": found["memory"][f"{key}_pj"]} for key, side in (("ann", "artificial"), ("snn", "spiking"))
        }
        charts[f"words of 64 bits from a memory of {price:g} pJ a word"] = list(words.items())
    names = ("multiply-accumulates", "accumulates", "neurons", "memory")
    colors = dict(zip(names, (theme.warm, theme.strong, theme.cycle[1], theme.muted), strict=True))
    heights = [0.2 + 0.3 * len(bars) for bars in charts.values()]
    figure, axes = make_figure(sum(heights) + 0.45 * len(charts), len(charts), heights)
    for chart, (title, bars) in zip(axes, charts.items(), strict=True):
        _draw_pairs(chart, bars, colors, theme)
        chart.set_title(f"{title}, per inference", loc="left", weight="bold", fontsize=10)
    used = [name for name in names[:3] if any(name in parts for _, parts in arithmetic)]
    axes[0].legend([patch(colors[name]) for name in used], used, loc="upper right", frameon=False)
    return figure


_Bar = tuple[str, dict[str, float]]  # name, and pJ of each part


def _draw_pairs(chart: Axes, bars: list[_Bar], colors: dict[str, str], theme: Theme) -> None:
    """Draw stacked bars in pairs, with their sums."""
    at = [i + 0.45 * (i // 2) for i in range(len(bars))]
    for y, (_, parts) in zip(at, bars, strict=True):
        left = 0.0
        for name, pj in parts.items():
            chart.barh(y, pj, left=left, height=0.72, color=colors[name])
            left += pj
        label_end(chart, left, y, format_energy(left), theme)
    chart.set_yticks(at, [name for name, _ in bars])
    chart.set_ylim(at[-1] + 0.6, -0.6)
    chart.set_xlim(0, 1.16 * max(sum(parts.values()) for _, parts in bars) or 1)
    hide_scale(chart)


def cores_figure(study: Study, theme: Theme = LIGHT) -> Figure | None:
    """Energy of each core: bars of its parts, or the mesh where there are many; None where nothing has a price."""
    energies = [e for e in study["energies"].get("per_inference") or () if e["total_pj"] and e["by_core_pj"]]
    mesh = mesh_of(study)
    if not energies or mesh is None:
        return None
    energy, cores = energies[0], list(study["utilisation"])
    parts = [core_parts(energy["by_core_pj"].get(str(core["core"])) or {}) for core in cores]
    title = f"energy of each core per inference, prices of {energy['table']}"
    if len(cores) <= MAX_LABELLED_CORES:
        figure, (chart,) = make_figure(1.0 + 0.3 * len(cores), 1, None)
        _draw_core_bars(chart, [f"core {core['core']}" for core in cores], parts, theme)
    else:
        values = [sum(part.values()) for part in parts]
        figure, (chart,) = make_figure(1.2 + 7.2 * mesh.height * mesh.rows / (mesh.width * mesh.columns), 1, None)
        picture = draw_mesh(chart, mesh, squares(cores, mesh), values, theme, max(values) or 1.0)
        _draw_energy_scale(figure, chart, picture, max(values))
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def links_figure(study: Study, theme: Theme = LIGHT) -> Figure | None:
    """Packets over each link of the mesh per inference; None where no packet leaves its tile."""
    links, mesh = study.get("links") or [], mesh_of(study)
    if not links or mesh is None:
        return None
    from matplotlib.ticker import FuncFormatter

    values = [link["packets"] for link in links]
    figure, (chart,) = make_figure(1.2 + 7.2 * mesh.height / mesh.width, 1, None)
    drawn = draw_links(chart, mesh, links, values, theme, max(values))
    busiest = links[values.index(max(values))]
    where = f"({busiest['x']}, {busiest['y']}) {busiest['direction']}"
    title = f"packets over each link per inference; most: {format_cell(round(max(values)))} at {where}"
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    bar = figure.colorbar(drawn, ax=chart, orientation="horizontal", fraction=0.04, aspect=60, pad=0.03)
    bar.formatter = FuncFormatter(lambda packets, _: format_cell(packets))
    bar.set_label("packets per inference; squares are tiles, spikes of inputs enter at (0, 0)")
    bar.outline.set_visible(False)
    return figure


def _draw_core_bars(chart: Axes, names: list[str], parts: list[dict[str, float]], theme: Theme) -> None:
    """Draw a bar for each core in its parts."""
    rows, left = range(len(names)), [0.0] * len(names)
    for i, part in enumerate(CORE_PARTS):
        widths = [found[part] for found in parts]
        chart.barh(rows, widths, left=left, height=0.66, color=theme.cycle[i], label=part)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, sum_pj in zip(rows, left, strict=True):
        label_end(chart, sum_pj, row, format_energy(sum_pj), theme)
    chart.set_yticks(rows, names)
    chart.set_ylim(len(names) - 0.4, -0.6)
    chart.set_xlim(0, 1.16 * max(left) or 1.0)
    hide_scale(chart)
    chart.legend(loc="lower right", frameon=False, ncols=3, bbox_to_anchor=(1, 1), borderaxespad=0)


def _draw_energy_scale(figure: Figure, chart: Axes, picture: ScalarMappable, most: float) -> None:
    """Add a scale of energies below a mesh."""
    bar = figure.colorbar(picture, ax=chart, orientation="horizontal", fraction=0.04, aspect=60, pad=0.03)
    ticks = [most * share / 4 for share in range(5)]
    bar.set_ticks(ticks, labels=[format_energy(pj) for pj in ticks])
    bar.set_label("priced operations of a core; empty squares are free; numbers count tiles")
    bar.outline.set_visible(False)


STUDY_FIGURES: dict[str, Callable[[Study, Theme], Figure | None]] = {
    "energy-components": components_figure,
    "energy-ann": ann_figure,
    "energy-cores": cores_figure,
    "links": links_figure,
    "utilisation": utilisation_figure,
}


def save_study_plots(study: Study, folder: Path) -> list[Path]:
    """Write every picture that a study allows as PNG into an existing folder and return the paths."""
    return save_figures(STUDY_FIGURES, study, folder)


def _shares(energy: Study) -> dict[str, float]:
    """Return the share of each component by name; small ones become one."""
    found: dict[str, float] = {}
    for name, pj in energy["components_pj"].items():
        if pj:
            share = pj / energy["total_pj"]
            key = counter_name(name) if share >= SMALL else "others"
            found[key] = found.get(key, 0.0) + share
    return found
