import io
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from neurosim.errors import RunFolderError
from neurosim.figures.run import DARK, FIGURES, LIGHT, PNG_DPI, render, save_plots

full_metrics = runpy.run_path(str(Path(__file__).parents[1] / "metrics_fixture.py"))["full_metrics"]
SHOWS = {
    "accuracy": ("training", "test"), "raster": ("raster",), "confusion": ("test",), "weights": ("weight_images",),
    "utilisation": ("utilisation",), "energy": ("energy",),
}  # fmt: skip


@pytest.fixture(scope="module")
def metrics():
    return full_metrics()


def pixels(data: bytes) -> np.ndarray:
    image = pytest.importorskip("matplotlib.image")
    return image.imread(io.BytesIO(data), format="png")


def texts(name: str, metrics: dict, theme=LIGHT) -> str:
    """All words of a figure."""
    from matplotlib.text import Text

    figure = FIGURES[name](metrics, theme)
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_every_figure_is_saved_as_png_at_twice_the_resolution(metrics, tmp_path):
    paths = save_plots(metrics, tmp_path)
    assert [path.name for path in paths] == [f"{name}.png" for name in FIGURES]
    assert pixels(paths[0].read_bytes()).shape[1] == 8 * PNG_DPI


@pytest.mark.parametrize("name", list(FIGURES))
def test_drawings_are_valid_and_load_nothing(metrics, name):
    drawing = render(name, metrics, DARK, "svg")
    assert ElementTree.fromstring(drawing).tag.endswith("svg")
    assert b"<script" not in drawing and b'href="http' not in drawing


def test_same_metrics_give_the_same_drawing_each_time(metrics):
    # The layout solver's last digits vary from call to call; the raster showed it first.
    assert len({render("raster", metrics, LIGHT, "svg") for _ in range(8)}) == 1


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_figure_is_left_out_when_its_metrics_are_missing(metrics, name):
    assert render(name, {}, LIGHT, "png") is None
    assert render(name, dict.fromkeys(metrics), LIGHT, "png") is None
    less = {key: value for key, value in metrics.items() if key not in SHOWS[name]}
    assert render(name, less, LIGHT, "png") is None


def test_drawing_leaves_no_global_state(metrics):
    import matplotlib

    before = dict(matplotlib.rcParams)
    render("accuracy", metrics, DARK, "png")
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_accuracy_shows_both_curves_chance_and_the_last_value(metrics):
    words = texts("accuracy", metrics)
    for expected in ("accuracy (%)", "generation", "mean fitness", "training batch", "chance", "95.4 %"):
        assert expected in words


def test_accuracy_works_without_test_values_or_without_fitness(metrics):
    history = [{"generation": g, "train_accuracy": 0.5, "test_accuracy": None} for g in (1, 2)]
    assert "50.0 %" in texts("accuracy", {"training": {"history": history}})
    history = [{"generation": g, "fitness": -1.0} for g in (1, 2)]
    assert "accuracy" not in texts("accuracy", {"training": {"history": history}})


def test_raster_draws_every_spike(metrics):
    from matplotlib.collections import PathCollection

    figure = FIGURES["raster"](metrics, LIGHT)
    drawn = [len(found.get_offsets()) for found in figure.findobj(PathCollection)]
    assert drawn == [len(group["step"]) for group in metrics["raster"]["groups"] if group["step"]]
    assert "338 spikes of 64 neurons" in texts("raster", metrics)
    assert "answer: 3" in texts("raster", metrics)


def test_raster_of_an_error_names_answer_and_true_class(metrics):
    raster = metrics["raster"] | {"prediction": 8}
    words = texts("raster", metrics | {"raster": raster})
    assert "answer: 8" in words and "true class: 3" in words


def test_raster_works_without_labels_and_without_readout(metrics):
    raster = {key: metrics["raster"][key] for key in ("n_steps", "groups")}
    assert "time step" in texts("raster", {"raster": raster})
    assert FIGURES["raster"]({"raster": {"n_steps": 3, "groups": []}}, LIGHT) is None


def test_confusion_shows_every_count(metrics):
    words = texts("confusion", metrics).split("\n")
    assert words.count("36") == 4 and words.count("33") == 1 and words.count("34") == 3


def test_many_classes_and_cores_stay_drawable(metrics):
    n = 60
    assert render("confusion", {"test": {"confusion": np.eye(n, dtype=int).tolist()}}, LIGHT, "png")
    first = metrics["utilisation"][0]
    cores = [first | {"core": i} for i in range(128)]
    assert render("utilisation", {"utilisation": cores}, LIGHT, "png")


def test_utilisation_leaves_out_resources_without_a_limit(metrics):
    words = texts("utilisation", metrics)
    assert "synapse memory bits" in words and "axons out" not in words
    assert (
        FIGURES["utilisation"](
            {"utilisation": [{"core": 0, "resources": {"a": {"used": 1, "limit": None, "share": None}}}]}, LIGHT
        )
        is None
    )


def test_full_and_overfull_cores_are_labelled():
    uses = {name: {"used": 1, "limit": 1, "share": share} for name, share in (("a", 0.8), ("b", 1.25), ("c", None))}
    words = texts("utilisation", {"utilisation": [{"core": 0, "resources": uses}]}).split("\n")
    assert "80 %" in words and "125 %" in words


def test_energy_names_what_has_no_price_and_joins_small_parts(metrics):
    words = texts("energy", metrics)
    assert "one inference: 2.33 µJ" in words and "4 others" in words
    assert "counted, but without a price: spikes" in words and "votes" in words


def test_energy_without_any_price_is_left_out(metrics):
    energy = metrics["energy"]["per_inference"] | {"total_pj": None}
    assert FIGURES["energy"]({"energy": {"per_inference": energy, "per_learning_step": None}}, LIGHT) is None


def test_plots_into_a_missing_folder_say_so(metrics, tmp_path):
    with pytest.raises(RunFolderError, match="make the folder first"):
        save_plots(metrics, tmp_path / "none")
