"""Pictures of a chip's mesh: a square for each core, where it lies, coloured by a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from neurosim.figures.style import Theme
from neurosim.mapping.route import WAYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

MAX_LINED_TILES = 40  # a side: beyond, lines between tiles would hide the cores
MAX_LINED_CORES = 64  # a side
MAX_TICKS = 8
ASIDE = 0.1  # of a tile: how far a link lies from the middle
NEARLY = 0.9  # of the full colour: above, cores have warm colours


class Mesh(NamedTuple):
    """Tiles of a chip, and squares that a tile is drawn with."""

    width: int
    height: int
    columns: int  # squares of a tile
    rows: int
    per_tile: int  # cores


def mesh_of(metrics: Mapping[str, Any]) -> Mesh | None:
    """Return the mesh that metrics describe; that of the tiles in use where they do not; None without cores."""
    cores = metrics.get("utilisation") or ()
    if not cores:
        return None
    known = metrics.get("mesh")
    if known:
        width, height, per_tile = known["width"], known["height"], known["cores_per_tile"]
    else:
        width, height = (1 + max(core["tile"][axis] for core in cores) for axis in (0, 1))
        tiles = [tuple(core["tile"]) for core in cores]
        per_tile = max(tiles.count(tile) for tile in set(tiles))
    columns = isqrt(per_tile - 1) + 1
    return Mesh(width, height, columns, ceil(per_tile / columns), per_tile)


def squares(cores: Sequence[Mapping[str, Any]], mesh: Mesh) -> list[tuple[int, int]]:
    """Return column and row of the square of each core: its site in its tile, or the next free one where that is not known."""
    placed: dict[tuple[int, int], int] = {}
    found = []
    for core in cores:
        x, y = core["tile"]
        i = placed.get((x, y), 0)
        placed[x, y] = i + 1
        if core.get("site") is not None:
            i = core["site"] % mesh.per_tile
        found.append((x * mesh.columns + i % mesh.columns, y * mesh.rows + i // mesh.columns))
    return found


def draw_mesh(
    chart: Axes,
    mesh: Mesh,
    at: Sequence[tuple[int, int]],
    values: Sequence[float | None],
    theme: Theme,
    limit: float,
    warn: bool = False,
) -> ScalarMappable:
    """Draw a number for each core, those that are not in use or not known in the colour of an empty track.

    Parameters
    ----------
    chart : Axes
    mesh : Mesh
    at : sequence of (int, int)
        From `squares`.
    values : sequence of float or None
        0..limit, one for each square.
    theme : Theme
    limit : float
        Full colour.
    warn : bool
        Use warm colours near the limit.
    """
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    steps = [(0.0, theme.pale), (1.0, theme.strong)]
    if warn:
        steps = [(0.0, theme.pale), (NEARLY, theme.strong), (NEARLY, theme.cycle[3]), (1.0, theme.warm)]
    colors = LinearSegmentedColormap.from_list("use", steps, N=512).with_extremes(bad=theme.track)
    pixels = np.full((mesh.height * mesh.rows, mesh.width * mesh.columns), np.nan)
    for (column, row), value in zip(at, values, strict=True):
        pixels[row, column] = np.nan if value is None else value
    picture = chart.imshow(
        pixels, cmap=colors, vmin=0, vmax=limit, origin="lower", interpolation="nearest", aspect="equal"
    )
    chart.grid(visible=False)
    chart.spines[:].set_visible(False)
    chart.tick_params(length=0, labelsize=7)
    for axis, tiles, size in ((chart.xaxis, mesh.width, mesh.columns), (chart.yaxis, mesh.height, mesh.rows)):
        every = max(1, ceil(tiles / MAX_TICKS))
        shown = range(0, tiles, every)
        axis.set_ticks([tile * size + (size - 1) / 2 for tile in shown], [str(tile) for tile in shown])
    if max(mesh.width, mesh.height) <= MAX_LINED_TILES:
        _draw_lines(chart, mesh, theme, mesh.columns, mesh.rows, 2.0 if mesh.width * mesh.columns <= 40 else 0.8)
        if mesh.width * mesh.columns <= MAX_LINED_CORES:
            _draw_lines(chart, mesh, theme, 1, 1, 0.6)
    return picture


def draw_links(
    chart: Axes, mesh: Mesh, links: Sequence[Mapping[str, Any]], values: Sequence[float], theme: Theme, limit: float
) -> ScalarMappable:
    """Draw a number for each link between tiles, in its colour and width; the two directions lie beside each other."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    lines, widths = [], []
    for link, value in zip(links, values, strict=True):
        dx, dy = WAYS[link["direction"]]
        x, y = link["x"] - dy * ASIDE, link["y"] + dx * ASIDE
        lines.append([(x + 0.16 * dx, y + 0.16 * dy), (x + 0.84 * dx, y + 0.84 * dy)])
        widths.append(0.8 + 3.2 * value / limit)
    colors = LinearSegmentedColormap.from_list("load", [(0.0, theme.pale), (1.0, theme.strong)])
    drawn = LineCollection(lines, linewidths=widths, cmap=colors, norm=Normalize(0, limit))
    drawn.set_array(list(values))
    chart.add_collection(drawn)
    for x in range(mesh.width):
        chart.plot(
            [x] * mesh.height,
            range(mesh.height),
            "s",
            color=theme.track,
            markersize=3 if mesh.width > 16 else 7,
            zorder=0,
        )
    chart.set_xlim(-0.6, mesh.width - 0.4)
    chart.set_ylim(-0.6, mesh.height - 0.4)
    chart.set_aspect("equal")
    chart.grid(visible=False)
    chart.spines[:].set_visible(False)
    chart.tick_params(length=0, labelsize=7)
    chart.set_xticks(range(0, mesh.width, max(1, ceil(mesh.width / MAX_TICKS))))
    chart.set_yticks(range(0, mesh.height, max(1, ceil(mesh.height / MAX_TICKS))))
    return drawn


def _draw_lines(chart: Axes, mesh: Mesh, theme: Theme, columns: int, rows: int, width: float) -> None:
    """Draw a line after every so many squares."""
    for column in range(columns, mesh.width * mesh.columns, columns):
        chart.axvline(column - 0.5, color=theme.card, linewidth=width)
    for row in range(rows, mesh.height * mesh.rows, rows):
        chart.axhline(row - 0.5, color=theme.card, linewidth=width)
