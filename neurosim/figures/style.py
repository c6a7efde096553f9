"""The look of figures, light and dark, and figures of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

WIDTH = 8.0  # inches; the report shows figures at about this width, so that 9 points stay 9 points


class Theme(NamedTuple):
    """Colours of a figure; `cycle` is the palette of Okabe and Ito (2008), lighter for dark pages."""

    ink: str
    muted: str
    grid: str
    track: str  # what is not used of a bar
    paper: str | None  # None is transparent
    card: str  # what lies behind a transparent figure
    strong: str
    warm: str
    cycle: tuple[str, ...]
    scale: tuple[str, str]  # from nothing to much
    pale: str  # little of something, where nothing is `track`


LIGHT = Theme("#1c2430", "#667085", "#e4e7ec", "#eef1f5", "#ffffff", "#ffffff", "#0072b2", "#d55e00",
              ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#d55e00"), ("#f3f6fa", "#0072b2"), "#c9e0f0")  # fmt: skip
DARK = Theme("#e6e9ef", "#98a2b3", "#2c3442", "#252d3a", None, "#171d27", "#56b4e9", "#ff8f4d",
             ("#56b4e9", "#2cc295", "#e39bc5", "#f2b632", "#8ecdf2", "#ff8f4d"), ("#1f2733", "#56b4e9"), "#2b4a60")  # fmt: skip


def style(theme: Theme, salt: str) -> Any:
    """Return matplotlib's settings for a theme; `salt` makes the names inside an SVG file repeatable."""
    paper = theme.paper or "none"
    return {
        "font.family": "DejaVu Sans", "font.size": 9, "text.color": theme.ink, "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.grid, "axes.facecolor": paper, "figure.facecolor": paper, "savefig.facecolor": paper,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "axes.titlesize": 9, "grid.color": theme.grid, "grid.linewidth": 0.7, "xtick.color": theme.muted,
        "ytick.color": theme.muted, "legend.fontsize": 8.5, "svg.fonttype": "path", "svg.hashsalt": salt,
    }  # fmt: skip


def make_figure(
    height: float,
    rows: int,
    heights: list[float] | None,
    columns: int = 1,
    share_x: bool = False,
    share_y: bool = False,
    width: float = WIDTH,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with its own canvas and its charts, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    charts = figure.subplots(rows, columns, sharex=share_x, sharey=share_y, squeeze=False, height_ratios=heights)
    return figure, list(charts.ravel())


def patch(color: str) -> Patch:
    """Return a patch of colour for a legend."""
    from matplotlib.patches import Patch

    return Patch(color=color)


def settle(figure: Figure) -> None:
    """Lay the figure out and round the result: the solver's last digits differ from run to run."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for chart in figure.axes:
        left, bottom, width, height = (round(float(edge), 5) for edge in chart.get_position(original=True).bounds)
        chart.set_position((left, bottom, width, height))


def label_end(chart: Axes, x: float, y: float, text: str, theme: Theme) -> None:
    """Write a text behind the end of a bar."""
    chart.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=8.5, color=theme.ink)


def hide_scale(chart: Axes) -> None:
    """Leave out the scale of bars that carry their values."""
    chart.set_xticks([])
    chart.grid(visible=False)
    chart.spines["bottom"].set_visible(False)
    chart.tick_params(length=0)
