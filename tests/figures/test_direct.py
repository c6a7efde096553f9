"""Figures of training by gradients show every layer, every step and every run, and nothing for other trainings."""

from __future__ import annotations

import runpy
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from neurosim.figures.direct import DIRECT_FIGURES, overlay_figure, potentials_figure, save_direct_plots, widths_figure
from neurosim.figures.run import DARK, LIGHT, accuracy_figure, draw

FIXTURE = runpy.run_path(str(Path(__file__).parents[1] / "metrics_fixture.py"))
direct_metrics, full_metrics = FIXTURE["direct_metrics"], FIXTURE["full_metrics"]


@pytest.fixture(scope="module")
def metrics() -> dict[str, Any]:
    return direct_metrics()


def texts(figure: Any) -> list[str]:
    """All words of a figure."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text)]


def test_every_figure_is_saved(metrics: dict[str, Any], tmp_path: Path) -> None:
    paths = save_direct_plots(metrics, tmp_path)
    assert [path.name for path in paths] == ["surrogates.png", "widths.png", "potentials.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


@pytest.mark.parametrize("name", DIRECT_FIGURES)
def test_drawings_are_valid_and_the_same_each_time(metrics: dict[str, Any], name: str) -> None:
    drawings = [draw(DIRECT_FIGURES[name], metrics, DARK, "svg", name) for _ in range(2)]
    assert drawings[0] is not None and drawings[0] == drawings[1]
    assert ElementTree.fromstring(drawings[0]).tag.endswith("svg")


@pytest.mark.parametrize("name", DIRECT_FIGURES)
def test_learning_on_the_chip_has_none_of_them(name: str, tmp_path: Path) -> None:
    for other in (full_metrics(), {}, {"training": None}):
        assert DIRECT_FIGURES[name](other, LIGHT) is None
    assert save_direct_plots(full_metrics(), tmp_path) == []


@pytest.mark.parametrize(("n_steps", "named"), [(4, True), (16, False)])
@pytest.mark.parametrize("name", ["surrogates", "widths"])
def test_few_steps_are_named_and_many_get_a_scale_of_colours(name: str, n_steps: int, named: bool) -> None:
    figure = DIRECT_FIGURES[name](direct_metrics(n_steps), LIGHT)
    assert figure is not None
    words = texts(figure)
    assert {"hidden1", "hidden2"} <= set(words)
    assert ("step 3" in words) == named and ("time step" in words) == (not named)
    assert [len(chart.lines) for chart in figure.axes[:2]] == 2 * [n_steps + (name == "surrogates")]


def test_surrogates_of_layers_show_the_shape_before_and_after(metrics: dict[str, Any]) -> None:
    figure = DIRECT_FIGURES["surrogates"](direct_metrics(learn_width="layer"), LIGHT)
    assert figure is not None
    after, start = figure.axes[0].lines
    assert (after.get_label(), start.get_label()) == ("after training", "at the start")
    assert max(start.get_ydata()) == pytest.approx(1.0)  # a triangle of width 1
    assert max(after.get_ydata()) == pytest.approx(
        1 / direct_metrics(learn_width="layer")["training"]["widths"]["hidden1"][0]
    )


def test_a_fixed_surrogate_is_one_curve() -> None:
    figure = DIRECT_FIGURES["surrogates"](direct_metrics(learn_width="fixed"), LIGHT)
    assert figure is not None
    (chart,) = figure.axes
    assert [line.get_label() for line in chart.lines] == ["triangle, fixed"] and "all hidden layers" in texts(figure)


def test_widths_are_one_line_a_layer_or_not_there_at_all() -> None:
    figure = widths_figure(direct_metrics(learn_width="layer"))
    assert figure is not None and [line.get_label() for line in figure.axes[0].lines] == ["hidden1", "hidden2"]
    assert widths_figure(direct_metrics(learn_width="fixed")) is None


def test_potentials_are_shares_and_a_bin_that_stands_out_is_cut(metrics: dict[str, Any]) -> None:
    figure = potentials_figure(metrics)
    assert figure is not None
    words = texts(figure)
    assert {"before training", "after training", "threshold"} <= set(words)
    first, second = figure.axes[:2]
    before = first.patches[0].get_data()
    widths = before.edges[1:] - before.edges[:-1]
    assert float((before.values * widths).sum()) == pytest.approx(1.0, abs=1e-3)
    highest = max(patch.get_data().values.max() for patch in second.patches)
    assert highest > 10 > second.get_ylim()[1]
    assert f"up to {highest:.2g}" in words
    assert max(patch.get_data().values.max() for patch in first.patches) < first.get_ylim()[1]


def test_potentials_of_several_runs_lie_over_each_other(metrics: dict[str, Any]) -> None:
    found = metrics["training"]["potentials"]
    runs = {
        "with balance": found["before"],
        "without": found["after"],
        "deeper": {"hidden3": found["after"]["hidden2"]},
    }
    figure = overlay_figure(runs)
    assert figure is not None
    words = texts(figure)
    assert {"with balance", "without", "deeper", "hidden1", "hidden2", "hidden3"} <= set(words)
    assert [len(chart.patches) for chart in figure.axes[:3]] == [2, 2, 1]
    assert overlay_figure({}) is None and overlay_figure({"empty": {}}) is None


def test_the_learning_curve_has_the_loss_below(metrics: dict[str, Any]) -> None:
    figure = accuracy_figure(metrics)
    assert figure is not None
    words = texts(figure)
    assert "loss (bits)" in words and "mean fitness" not in words
