"""Figures of a run, made from its metrics."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.atomic import write_atomically
from neurosim.figures.chip import energy_figure, utilisation_figure
from neurosim.figures.style import DARK as DARK
from neurosim.figures.style import LIGHT as LIGHT
from neurosim.figures.style import WIDTH, Theme, make_figure, settle, style
from neurosim.report import class_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]

PNG_DPI = 200
MARKED_POINTS = 30  # a line of fewer points shows each of them
#: What training raises or lowers, below the accuracy.
BELOW = {"fitness": "mean fitness", "loss": "loss (bits)"}


def accuracy_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """Accuracy, and fitness or loss, over the generations; None without a history."""
    history = (metrics.get("training") or {}).get("history") or []
    shown = [name for name in ("train_accuracy", "test_accuracy") if _series(history, name)[0]]
    below = next((name for name in BELOW if _series(history, name)[0]), None)
    if not shown and below is None:
        return None
    from matplotlib.ticker import MaxNLocator

    heights = [3.0] * bool(shown) + [1.3] * (below is not None)
    figure, axes = make_figure(sum(heights) + 0.7, len(heights), heights, share_x=True)
    if shown:
        chart = axes[0]
        styles = {
            "train_accuracy": (theme.muted, 1.3, "training batch"),
            "test_accuracy": (theme.strong, 2.0, "test"),
        }
        for name in shown:
            x, y = _series(history, name)
            color, width, label = styles[name]
            chart.plot(
                x,
                [100 * value for value in y],
                color=color,
                linewidth=width,
                marker="o" if len(x) < MARKED_POINTS else None,
                markersize=3.5,
                label=label,
            )
            if name == shown[-1]:
                chart.annotate(
                    f"{100 * y[-1]:.1f} %",
                    (x[-1], 100 * y[-1]),
                    (6, 0),
                    textcoords="offset points",
                    va="center",
                    color=color,
                    weight="bold",
                )
        n_classes = len(class_names(metrics))
        if n_classes > 1:
            chart.axhline(100 / n_classes, color=theme.muted, linewidth=0.9, linestyle=(0, (4, 3)))
            chart.annotate(
                "chance",
                (1, 100 / n_classes),
                (-4, 4),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                color=theme.muted,
            )
        chart.set_ylim(0, 101)
        chart.set_ylabel("accuracy (%)")
        chart.legend(loc="lower right", bbox_to_anchor=(1, 0.12 if n_classes > 1 else 0), frameon=False)
    if below is not None:
        x, y = _series(history, below)
        marker = "o" if len(x) < MARKED_POINTS else None
        axes[-1].plot(x, y, color=theme.cycle[1], linewidth=1.3, marker=marker, markersize=3.5)
        axes[-1].set_ylabel(BELOW[below])
        if below == "loss":
            axes[-1].set_ylim(bottom=0)
    axes[-1].xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes[-1].set_xlabel("generation")
    axes[-1].margins(x=0.02)
    return figure


def raster_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """The spikes of one sample, group by group, and the voltages of the readout; None without them."""
    raster = metrics.get("raster")
    if not raster:
        return None
    groups = [group for group in raster["groups"] if group["step"]]
    voltages = (raster.get("readout") or {}).get("v") or []
    heights = [min(3.8, 0.5 + 0.11 * sqrt(group["n"])) for group in groups] + [2.2] * bool(voltages)
    if not heights:
        return None
    figure, axes = make_figure(sum(heights) + 0.9, len(heights), heights, share_x=True)
    for i, (group, chart) in enumerate(zip(groups, axes, strict=False)):
        side = max(2.6, min(7.0, 0.8 * 72 * heights[i] / group["n"]))  # points
        color = theme.cycle[i % len(theme.cycle)]
        chart.scatter(group["step"], group["neuron"], s=side**2, marker="s", linewidths=0, color=color)
        chart.set_ylim(-1, group["n"])
        chart.set_yticks([0, group["n"] - 1] if group["n"] > 1 else [0])
        chart.set_ylabel(group["name"])
        chart.set_title(
            f"{len(group['step']):,} spikes of {group['n']:,} neurons", loc="right", color=theme.muted, fontsize=8
        )
    if voltages:
        _draw_readout(axes[-1], voltages, raster, metrics, theme)
    axes[-1].set_xlim(-0.5, raster["n_steps"] - 0.5 + (0.09 * raster["n_steps"] if voltages else 0))
    axes[-1].set_xticks(_step_ticks(raster["n_steps"]))
    axes[-1].set_xlabel("time step")
    return figure


def confusion_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """Answers by true class; None without labels."""
    matrix = (metrics.get("test") or {}).get("confusion")
    if not matrix:
        return None
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    names, n = class_names(metrics), len(matrix)
    right = LinearSegmentedColormap.from_list("right", theme.scale)
    wrong = LinearSegmentedColormap.from_list("wrong", (theme.scale[0], theme.warm))
    worst = max([count for i, row in enumerate(matrix) for j, count in enumerate(row) if i != j], default=0) or 1
    side = min(7.0, 1.5 + 0.42 * n)
    figure, (chart,) = make_figure(side, 1, None, width=side + 0.4)
    pixels = [
        [
            to_rgb(right(count / max(1, sum(row))) if i == j else wrong(0.85 * count / worst))
            for j, count in enumerate(row)
        ]
        for i, row in enumerate(matrix)
    ]
    chart.imshow(pixels, aspect="equal")
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            if count and n <= 30:
                dark = sum(w * c for w, c in zip((0.3, 0.59, 0.11), pixels[i][j], strict=True)) < 0.55
                chart.text(
                    j, i, str(count), ha="center", va="center", fontsize=8.5, color="#ffffff" if dark else "#10151f"
                )
    ticks = range(n) if n <= 30 else range(0, n, ceil(n / 15))
    for axis, label in ((chart.xaxis, "answer of the network"), (chart.yaxis, "true class")):
        axis.set_ticks(ticks, [names[i] for i in ticks])
        axis.set_label_text(label)
    chart.set_xticks([i - 0.5 for i in range(1, n)], minor=True)
    chart.set_yticks([i - 0.5 for i in range(1, n)], minor=True)
    chart.grid(visible=False)
    chart.grid(which="minor", color=theme.card, linewidth=1.5)
    chart.tick_params(which="both", length=0)
    chart.spines[:].set_visible(False)
    return figure


def weights_figure(metrics: Metrics, theme: Theme = LIGHT) -> Figure | None:
    """The weights that arrive at single neurons, as pictures; None without them."""
    found = metrics.get("weight_images") or {}
    images = found.get("images") or []
    if not images:
        return None
    columns = min(8, len(images))
    rows = ceil(len(images) / columns)
    limit = max(1, max(abs(value) for image in images for line in image for value in line))
    figure, charts = make_figure(0.6 + rows * WIDTH / columns / 1.08, rows, None, columns=columns)
    picture = None
    for chart in charts:
        chart.axis("off")
    for chart, image in zip(charts, images, strict=False):
        picture = chart.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    assert picture is not None
    figure.colorbar(
        picture,
        ax=charts,
        orientation="horizontal",
        fraction=0.04,
        aspect=50,
        pad=0.02,
        label=f"weight of {found.get('connection', 'the first layer')}",
    )
    return figure


FIGURES: dict[str, Callable[[Metrics, Theme], Figure | None]] = {
    "accuracy": accuracy_figure,
    "raster": raster_figure,
    "confusion": confusion_figure,
    "weights": weights_figure,
    "utilisation": utilisation_figure,
    "energy": energy_figure,
}


def save_plots(metrics: Metrics, folder: Path) -> list[Path]:
    """Write every figure that the metrics allow as PNG into an existing folder and return the paths."""
    return save_figures(FIGURES, metrics, folder)


def save_figures(
    figures: Mapping[str, Callable[[Metrics, Theme], Figure | None]], metrics: Metrics, folder: Path
) -> list[Path]:
    """Write every figure, by name, that some metrics allow as PNG into an existing folder and return the paths."""
    paths = []
    for name, make in figures.items():
        data = draw(make, metrics, LIGHT, "png", name)
        if data is not None:
            write_atomically(folder / f"{name}.png", data)
            paths.append(folder / f"{name}.png")
    return paths


def render(name: str, metrics: Metrics, theme: Theme, form: str) -> bytes | None:
    """Return one figure of `FIGURES` as "png" or "svg"; None if the metrics lack what it shows."""
    return draw(FIGURES[name], metrics, theme, form, name)


def draw(
    make: Callable[[Metrics, Theme], Figure | None], metrics: Metrics, theme: Theme, form: str, salt: str
) -> bytes | None:
    """Return a figure as "png" or "svg", the same bytes each time; None if there is none."""
    from matplotlib import rc_context

    # Text and lines look up their style when they are drawn as well as when they are made.
    with rc_context(style(theme, salt)):
        figure = make(metrics, theme)
        if figure is None:
            return None
        settle(figure)
        buffer = io.BytesIO()
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(buffer, format=form, dpi=PNG_DPI, metadata=metadata)
    return buffer.getvalue()


def _series(history: Iterable[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    """Generations and values of those entries that have one."""
    points = [(entry["generation"], entry[name]) for entry in history if entry.get(name) is not None]
    return [x for x, _ in points], [y for _, y in points]


def _draw_readout(chart: Axes, voltages: list[list[float]], raster: Metrics, metrics: Metrics, theme: Theme) -> None:
    names = class_names(metrics) or tuple(str(i) for i in range(len(voltages)))
    label, prediction = raster.get("label"), raster.get("prediction")
    for i, voltage in enumerate(voltages):
        color, width = theme.muted, 0.8
        if i == label:
            color, width = theme.strong, 2.2
        elif i == prediction:
            color, width = theme.warm, 2.2
        chart.plot(
            range(len(voltage)), voltage, color=color, linewidth=width, zorder=2 + width, alpha=0.65 if width < 1 else 1
        )
        if i in (label, prediction):
            words = "answer" if i == prediction else "true class"
            chart.annotate(
                f"{words}: {names[i]}",
                (len(voltage) - 1, voltage[-1]),
                (5, 0),
                textcoords="offset points",
                va="center",
                color=color,
                weight="bold",
                fontsize=8.5,
            )
    chart.set_ylabel(f"{raster['readout'].get('name', 'readout')}: v\n(chip units)")
    chart.ticklabel_format(axis="y", style="sci", scilimits=(-4, 5), useMathText=True)


def _step_ticks(n_steps: int) -> list[int]:
    every = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if n_steps / size <= 20)
    return list(range(0, n_steps, every))
