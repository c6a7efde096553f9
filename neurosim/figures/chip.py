"""Figures of what a chip holds and spends."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

from neurosim.figures.mesh import draw_mesh, mesh_of, squares
from neurosim.figures.style import LIGHT, Theme, hide_scale, label_end, make_figure
from neurosim.report import counter_name, format_energy, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

MAX_LABELLED_CORES = 24
MAX_PANELS = 5  # resources shown on the mesh, those closest to their limits


def utilisation_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """How full each core is: bars, or the mesh where there are many cores; None without a mapping or without limits."""
    cores = metrics.get("utilisation") or []
    known = [name for name in _resources(cores) if any(_share(core, name) is not None for core in cores)]
    if not known:
        return None
    return _mesh_figure(metrics, known, theme) if len(cores) > MAX_LABELLED_CORES else _bar_figure(cores, known, theme)


def _bar_figure(cores: list[Mapping[str, Any]], known: list[str], theme: Theme) -> Figure:
    """A bar for each core and resource."""
    figure, axes = make_figure(1.1 + 0.3 * len(cores), 1, None, columns=len(known), share_y=True)
    rows = range(len(cores))
    for chart, name in zip(axes, known, strict=True):
        shares = [100 * (_share(core, name) or 0.0) for core in cores]
        chart.barh(rows, [100] * len(cores), height=0.62, color=theme.track)
        chart.barh(rows, shares, height=0.62, color=[theme.warm if share > 100 else theme.strong for share in shares])
        for row, core in enumerate(cores):
            if _share(core, name) is not None:
                _label_bar(chart, row, shares[row], theme)
        chart.set_xlim(0, 100)
        chart.set_xticks([0, 50, 100], ["0", "50", "100 %"])
        first, _, last = chart.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
        chart.set_title(name.replace("_", " "), fontsize=9)
        chart.grid(visible=False)
        chart.spines[["left", "bottom"]].set_visible(False)
        chart.tick_params(length=0)
        chart.set_xlabel("of the limit")
    axes[0].set_ylim(len(cores) - 0.5, -0.5)
    axes[0].set_yticks(rows, [f"core {core['core']}" for core in cores])
    return figure


def _mesh_figure(metrics: Metrics, known: list[str], theme: Theme) -> Figure:
    """The mesh with a square for each core: the fullest resource, then each."""
    cores = list(metrics["utilisation"])
    mesh = mesh_of(metrics)
    assert mesh is not None
    at = squares(cores, mesh)
    every = {name: [_share(core, name) for core in cores] for name in known}
    largest = sorted(known, key=lambda name: -max(share for share in every[name] if share is not None))[:MAX_PANELS]
    shares = {name: every[name] for name in known if name in largest}
    fullest = [
        max((share for share in row if share is not None), default=None) for row in zip(*every.values(), strict=True)
    ]
    panels = {"fullest resource of each core": fullest} | {name.replace("_", " "): row for name, row in shares.items()}
    rows = ceil(len(panels) / 2)
    aspect = mesh.height * mesh.rows / (mesh.width * mesh.columns)
    height = 0.9 + rows * (0.45 + min(6.0, 3.7 * aspect))
    figure, axes = make_figure(height, rows, None, columns=2)
    for chart, (title, values) in zip(axes, panels.items(), strict=False):
        picture = draw_mesh(chart, mesh, at, values, theme, 1.0, warn=True)
        worst, core = max(
            (value, -core["core"]) for value, core in zip(values, cores, strict=True) if value is not None
        )
        chart.set_title(f"{title}: up to {format_share(worst)} (core {-core})", fontsize=8.5, color=theme.ink)
    for chart in axes[len(panels) :]:
        chart.axis("off")
    bar = figure.colorbar(picture, ax=axes, orientation="horizontal", fraction=0.03, aspect=60, pad=0.02)
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25", "50", "75", "100 %"])
    bar.set_label(f"of the limit; {len(cores):,} cores in use, empty squares are free; numbers count tiles")
    bar.outline.set_visible(False)
    return figure


def energy_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """Energy by operation, per inference and per training sample; None where nothing has a price."""
    energies = {title: (metrics.get("energy") or {}).get(key) for key, title in
                (("per_inference", "one inference"), ("per_learning_step", "one training sample"))}  # fmt: skip
    charts = {title: found for title, found in energies.items() if found and found.get("total_pj")}
    if not charts:
        return None
    bars = {title: _energy_bars(found) for title, found in charts.items()}
    heights = [0.5 + 0.27 * len(parts) for parts in bars.values()]
    figure, axes = make_figure(sum(heights) + 0.35 * len(bars) + 0.5, len(bars), heights)
    captions = []
    for chart, (title, parts) in zip(axes, bars.items(), strict=True):
        total = charts[title]["total_pj"]
        rows = range(len(parts))
        chart.barh(rows, [pj for pj, _ in parts], height=0.66, color=theme.strong)
        for row, (pj, _) in enumerate(parts):
            label_end(chart, pj, row, f"{format_energy(pj)}   {format_share(pj / total)}", theme)
        chart.set_yticks(rows, [name for _, name in parts])
        chart.set_ylim(len(parts) - 0.4, -0.6)
        chart.set_xlim(0, parts[0][0] * 1.22)
        chart.set_title(f"{title}: {format_energy(total)}", loc="left", weight="bold", fontsize=10)
        hide_scale(chart)
        captions += [counter_name(item["counter"]) for item in charts[title].get("unpriced") or ()]
    if captions:
        text = "counted, but without a price: " + ", ".join(dict.fromkeys(captions))
        figure.supxlabel("\n".join(textwrap.wrap(text, 125)), fontsize=8, color=theme.muted, x=0.01, ha="left")
    return figure


def _label_bar(chart: Axes, row: int, percent: float, theme: Theme) -> None:
    """Write the share beside a bar, or into a long one."""
    text = f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
    inside = percent > 75
    chart.annotate(
        text,
        (min(percent, 100.0), row),
        (-4 if inside else 4, 0),
        textcoords="offset points",
        ha="right" if inside else "left",
        va="center",
        fontsize=8,
        color=theme.card if inside else theme.ink,
    )


def _energy_bars(energy: Metrics) -> list[tuple[float, str]]:
    """Energies in pJ with names, the largest first; those below 1 in 1000 become one bar."""
    parts = sorted(((pj, counter_name(name)) for name, pj in energy["components_pj"].items() if pj), reverse=True)
    small = [part for part in parts if part[0] < energy["total_pj"] / 1000]
    if len(small) < 2:
        return parts
    return [*parts[: -len(small)], (sum(pj for pj, _ in small), f"{len(small)} others")]


def _resources(cores: list[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for core in cores for name in core["resources"]))


def _share(core: Mapping[str, Any], name: str) -> float | None:
    share = core["resources"].get(name, {}).get("share")
    return None if share is None else float(share)
