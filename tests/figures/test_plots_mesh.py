"""Cores on the mesh: every core has a square of its own, and many cores stay readable."""

from math import ceil

import numpy as np
import pytest
from matplotlib.text import Text

from neurosim.chip import chip_names, load_chip
from neurosim.figures.chip import MAX_LABELLED_CORES, MAX_PANELS, utilisation_figure
from neurosim.figures.mesh import Mesh, mesh_of, squares
from neurosim.figures.run import FIGURES, draw
from neurosim.figures.style import DARK, LIGHT


def metrics_of(
    n: int, width: int, height: int, per_tile: int, shares: list[float] | None = None, site: bool = True
) -> dict:
    """So many cores in use, tile by tile."""
    cores = []
    for i in range(n):
        share = 0.5 if shares is None else shares[i]
        tile = i // per_tile
        core = {"core": i, "tile": [tile % width, tile // width], "groups": ["a"], "resources": {
            "compartments": {"used": int(1000 * share), "limit": 1000, "share": share},
            "axons_in": {"used": 1, "limit": None, "share": None},
        }}  # fmt: skip
        cores.append(core | ({"site": i} if site else {}))
    mesh = {"width": width, "height": height, "cores_per_tile": per_tile, "cores": width * height * per_tile}
    return {"mesh": mesh, "utilisation": cores, "chip": "made-up"}


@pytest.mark.parametrize("name", chip_names())
def test_every_core_of_a_chip_has_a_square_of_its_own(name):
    chip = load_chip(name)
    found = metrics_of(chip.n_cores, *chip.mesh, chip.cores_per_tile)
    mesh = mesh_of(found)
    at = squares(found["utilisation"], mesh)
    assert len(set(at)) == chip.n_cores
    assert max(x for x, _ in at) < mesh.width * mesh.columns and max(y for _, y in at) < mesh.height * mesh.rows


def test_squares_follow_tile_and_site():
    mesh = Mesh(2, 2, 2, 2, 4)
    cores = [
        {"tile": [0, 0], "site": 0},
        {"tile": [0, 0], "site": 3},
        {"tile": [1, 0], "site": 4},
        {"tile": [1, 1], "site": 14},
    ]
    assert squares(cores, mesh) == [(0, 0), (1, 1), (2, 0), (2, 3)]
    assert squares([{"tile": [1, 1]}, {"tile": [1, 1]}], mesh) == [(2, 2), (3, 2)], "of an older file: in their order"


def test_the_mesh_of_older_metrics_is_that_of_the_tiles_in_use():
    found = metrics_of(10, 4, 2, 4, site=False)
    del found["mesh"]
    assert mesh_of(found) == Mesh(3, 1, 2, 2, 4)
    assert mesh_of({}) is None


@pytest.mark.parametrize(("n", "size"), [(128, (8, 4, 4)), (1000, (16, 16, 4)), (4096, (64, 64, 1))])
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_many_cores_stay_readable(n, size, theme):
    """A picture of at most 20 inches, some words, and a pixel colour for each share."""
    shares = np.linspace(0.01, 1.0, n).tolist()
    figure = utilisation_figure(metrics_of(n, *size, shares), theme)
    assert figure.get_size_inches()[1] < 20
    words = [text.get_text() for text in figure.findobj(Text) if text.get_text()]
    assert len(words) < 80
    assert f"compartments: up to 100 % (core {n - 1})" in words
    image = figure.axes[0].get_images()[0].get_array()
    assert np.count_nonzero(~np.ma.getmaskarray(image)) == n
    assert draw(FIGURES["utilisation"], metrics_of(n, *size, shares), theme, "png", "test")


def test_few_cores_are_bars_with_names():
    figure = utilisation_figure(metrics_of(MAX_LABELLED_CORES, 8, 4, 4), LIGHT)
    words = [text.get_text() for text in figure.findobj(Text)]
    assert f"core {MAX_LABELLED_CORES - 1}" in words and "50 %" in words


def test_the_fullest_resources_have_panels():
    found = metrics_of(64, 8, 4, 4)
    for core in found["utilisation"]:
        core["resources"] = {f"r{i}": {"used": i, "limit": 100, "share": i / 100} for i in range(8)}
    words = {text.get_text().split(":")[0] for text in utilisation_figure(found, LIGHT).findobj(Text)}
    shown = {word for word in words if word.startswith("r") and word[1:].isdecimal()}
    assert shown == {f"r{i}" for i in range(8 - MAX_PANELS, 8)}
    assert ceil((1 + MAX_PANELS) / 2) == 3
