"""A picture of a recording of events: where they are, and when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neurosim.atomic import write_atomically
from neurosim.errors import ConfigError
from neurosim.figures.run import draw
from neurosim.figures.style import LIGHT, WIDTH, Theme, make_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = Mapping[str, Any]

RATE_HEIGHT = 1.7  # inches
MAP_HEIGHTS = (1.3, 3.8)
MAX_ASPECT = 2.5  # of a sensor whose pixels are drawn as squares; longer ones fill the space
MOST_BINS = 160  # drawn of the rate
FORMS = (".png", ".svg")
BRIGHTEST = (
    99.5  # percentile of the pixels with events that gets the full colour: one broken pixel shall not darken the rest
)
UNITS = ((1e6, "s"), (1e3, "ms"), (1.0, "µs"))


def events_figure(picture: Picture, theme: Theme = LIGHT) -> Figure | None:
    """Events by pixel, ON and OFF, and over time; None without events.

    Parameters
    ----------
    picture : mapping
        "pixels" (2, height, width) or None, "rate" (2, n), "bin_us": as `neurosim.data.eventstats.EventStats` has them.
    theme : Theme
    """
    pixels, rate = picture["pixels"], picture["rate"]
    if not rate.sum():
        return None
    if pixels is None:
        figure, (chart,) = make_figure(RATE_HEIGHT + 0.6, 1, None)
        _draw_rate(chart, rate, picture["bin_us"], theme)
        return figure
    if pixels.shape[1] == 1:
        figure, charts = make_figure(2 * RATE_HEIGHT + 0.8, 2, None)
        _draw_channels(charts[0], pixels[:, 0], theme)
        _draw_rate(charts[1], rate, picture["bin_us"], theme)
        return figure
    low, high = MAP_HEIGHTS
    height = min(high, max(low, 0.46 * WIDTH * pixels.shape[1] / pixels.shape[2]))
    figure, charts = make_figure(height + RATE_HEIGHT + 0.8, 2, [height, RATE_HEIGHT], columns=2)
    grid = charts[2].get_gridspec()
    assert grid is not None
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 0.975))  # the maps keep their shape, their titles need room
    for chart in charts[2:]:
        chart.remove()
    _draw_maps(figure, charts[:2], pixels, theme)
    _draw_rate(figure.add_subplot(grid[1, :]), rate, picture["bin_us"], theme)
    return figure


def save_events_figure(picture: Picture, path: Path) -> None:
    """Write the figure as .png or .svg."""
    if path.suffix.lower() not in FORMS:
        raise ConfigError(
            f"--plot: {path.name!r} ends in {path.suffix!r}; pictures are written as {' or '.join(FORMS)}"
        )
    data = draw(events_figure, picture, LIGHT, path.suffix.lower()[1:], "events")
    if data is None:
        raise ConfigError(f"--plot: there are no events to draw, {str(path)!r} is not written; leave the option out")
    write_atomically(path, data)


def _draw_maps(figure: Figure, charts: list[Axes], pixels: Any, theme: Theme) -> None:
    """Draw ON and OFF events by pixel on one scale."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import MaxNLocator

    colors = LinearSegmentedColormap.from_list("events", (theme.track, theme.scale[1], theme.ink))
    top = max(1, round(float(np.percentile(pixels[pixels > 0], BRIGHTEST))))
    width_by_height = pixels.shape[2] / pixels.shape[1]
    aspect: Literal["equal", "auto"] = "equal" if 1 / MAX_ASPECT <= width_by_height <= MAX_ASPECT else "auto"
    image = None
    for chart, counts, name in zip(charts, (pixels[1], pixels[0]), ("ON", "OFF"), strict=True):
        image = chart.imshow(counts, cmap=colors, vmin=0, vmax=top, interpolation="nearest", aspect=aspect)
        chart.set_title(f"{name}: {int(counts.sum()):,} events", loc="left", color=theme.ink)
        chart.grid(visible=False)
        for axis in (chart.xaxis, chart.yaxis):
            axis.set_major_locator(MaxNLocator(5, integer=True))
        chart.tick_params(length=2)
        chart.set_xlabel("x")
    charts[0].set_ylabel("y")
    charts[1].tick_params(labelleft=False)
    assert image is not None
    bar = figure.colorbar(image, ax=charts, pad=0.01, aspect=25, extend="max" if int(pixels.max()) > top else "neither")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    bar.set_label("events of a pixel")


def _draw_channels(chart: Axes, counts: Any, theme: Theme) -> None:
    """Draw the events of the channels of a sensor in one dimension."""
    both = counts.sum(axis=0)
    chart.fill_between(np.arange(len(both) + 1) - 0.5, np.append(both, 0), step="post", color=theme.strong, linewidth=0)
    chart.set_xlim(-0.5, len(both) - 0.5)
    chart.set_ylim(bottom=0)
    chart.set_xlabel("channel")
    chart.set_ylabel("events")


def _draw_rate(chart: Axes, rate: Any, bin_us: int, theme: Theme) -> None:
    """Draw the events of each polarity over time."""
    from matplotlib.ticker import EngFormatter

    together = -(-rate.shape[1] // MOST_BINS)
    rate = np.pad(rate, ((0, 0), (0, -rate.shape[1] % together))).reshape(2, -1, together).sum(axis=2)
    n, bin_us = rate.shape[1], bin_us * together
    scale, unit = next(((us, name) for us, name in UNITS if n * bin_us >= 2 * us), UNITS[-1])
    edges = np.arange(n + 1) * bin_us / scale
    for counts, name, color in ((rate[1], "ON", theme.strong), (rate[0], "OFF", theme.warm)):
        if counts.sum():
            chart.stairs(counts * (1e6 / bin_us), edges, baseline=None, color=color, linewidth=1.2, label=name)
    chart.set_xlim(0, edges[-1])
    chart.set_ylim(bottom=0)
    chart.yaxis.set_major_formatter(EngFormatter(sep=""))
    chart.set_xlabel(f"time since the first event ({unit}), in bins of {bin_us / 1000:,.0f} ms")
    chart.set_ylabel("events per second")
    chart.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0.2)
