"""The picture of a recording shows each event once, where and when it was."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import rc_context

from neurosim.figures.events import MOST_BINS, events_figure
from neurosim.figures.style import DARK, LIGHT, settle, style


def picture(width: int = 40, height: int = 30, n_bins: int = 500) -> dict[str, object]:
    rng = np.random.default_rng(2)
    return {"pixels": rng.integers(0, 9, (2, height, width)), "rate": rng.integers(0, 50, (2, n_bins)), "bin_us": 1000}


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("size", [(34, 34), (1280, 720), (30, 400)])
def test_maps_and_rate_of_a_camera(size: tuple[int, int], theme: object) -> None:
    given = picture(*size)
    with rc_context(style(theme, "test")):
        figure = events_figure(given, theme)
        assert figure is not None
        settle(figure)
        on, off, bar, rate = figure.axes[0], figure.axes[1], figure.axes[2], figure.axes[3]
        if bar.get_ylabel() != "events of a pixel":
            bar, rate = rate, bar
        for chart, counts, name in ((on, given["pixels"][1], "ON"), (off, given["pixels"][0], "OFF")):
            np.testing.assert_array_equal(chart.images[0].get_array(), counts)
            assert chart.get_title(loc="left") == f"{name}: {counts.sum():,} events"
            box = chart.get_tightbbox().transformed(figure.transFigure.inverted())
            assert box.y1 <= 1 and box.x0 >= 0, "nothing is cut off"
        assert rate.get_ylabel() == "events per second" and "in bins of 4 ms" in rate.get_xlabel()
        for steps, counts in zip(rate.patches, given["rate"][::-1], strict=True):
            values, edges, _ = steps.get_data()
            assert len(values) <= MOST_BINS
            assert float((values * np.diff(edges)).sum()) == pytest.approx(counts.sum() * 1000), "times are in ms"


def test_channels_of_a_cochlea_and_too_many_pixels() -> None:
    given = picture(700, 1)
    with rc_context(style(LIGHT, "test")):
        figure = events_figure(given)
        assert figure is not None and [chart.get_xlabel() for chart in figure.axes][0] == "channel"
        figure = events_figure(given | {"pixels": None})
        assert figure is not None and len(figure.axes) == 1
        assert (
            events_figure({"pixels": np.zeros((2, 0, 0), int), "rate": np.zeros((2, 1), int), "bin_us": 1000}) is None
        )
