"""Pictures and page of what a network lost in integers."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.text import Text

from neurosim.events import events_from_dense
from neurosim.figures.quant import QUANT_FIGURES, save_quant_plots
from neurosim.figures.run import draw
from neurosim.figures.style import DARK, LIGHT
from neurosim.network import Connection, CubaLIF, Input, Network
from neurosim.quantize import quantize
from neurosim.report_html import make_report
from neurosim.report_quant import import_lines, search_table
from neurosim.studies.quanterror import quantisation_report


def make_quant(n_layers: int, run: bool = True, name: str = "layer") -> dict:
    rng = np.random.default_rng(n_layers)
    groups = [Input("in", 12)] + [CubaLIF(f"{name}{i}", 10, 0.01, v_threshold=0.5) for i in range(n_layers)]
    connections = [
        Connection(a.name, b.name, rng.normal(0.2, 0.3, (b.n, a.n)), num_weight_bits=3)
        for a, b in zip(groups, groups[1:], strict=False)
    ]
    network = Network(groups, connections)
    events = events_from_dense(rng.random((3, 30, 12)) < 0.4) if run else None
    return quantisation_report(network, quantize(network), events, [0, 1, 2] if run else None, decay="exact")


@pytest.fixture(scope="module")
def quant() -> dict:
    return make_quant(3)


def words(name: str, quant: dict, theme=LIGHT) -> str:
    figure = QUANT_FIGURES[name](quant, theme)
    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", list(QUANT_FIGURES))
@pytest.mark.parametrize("n_layers", [1, 5, 7, 14])
def test_any_number_of_layers_is_drawn_in_both_themes(name: str, n_layers: int) -> None:
    found = make_quant(n_layers, name="a group with a rather long name ")
    for theme in (LIGHT, DARK):
        drawing = draw(QUANT_FIGURES[name], found, theme, "svg", name)
        assert ElementTree.fromstring(drawing).tag.endswith("svg")


def test_the_same_report_gives_the_same_drawing(quant: dict) -> None:
    assert len({draw(QUANT_FIGURES["quant-rates"], quant, DARK, "svg", "x") for _ in range(2)}) == 1


def test_rates_show_each_layer_with_its_ratio(quant: dict) -> None:
    text = words("quant-rates", quant)
    for layer in quant["layers"]:
        assert layer["group"] in text and f"ratio {layer['rates']['ratio']:.3f}" in text


def test_weights_show_each_connection_with_its_noise(quant: dict) -> None:
    text = words("quant-weights", quant)
    for layer in quant["layers"]:
        (weights,) = layer["weights"]
        assert weights["connection"].replace("->", " → ") in text and f"{weights['sqnr_db']:.1f} dB" in text
        assert f"{weights['rounded_to_zero']} to zero" in text
    assert "wanted" in text and "held" in text


def test_pictures_are_left_out_where_nothing_ran(tmp_path) -> None:
    found = make_quant(2, run=False)
    assert draw(QUANT_FIGURES["quant-rates"], found, LIGHT, "png", "x") is None
    assert draw(QUANT_FIGURES["quant-weights"], {"layers": []}, LIGHT, "png", "x") is None
    assert [path.name for path in save_quant_plots(found, tmp_path)] == ["quant-weights.png"]


def test_the_page_has_a_section_of_it(quant: dict) -> None:
    search = {
        "samples": 5,
        "groups": {"layer0": {"scale": 12.5, "factor": 2.0, "clipped": 3, "error_before": 0.2, "error": 0.1}},
    }
    imported = {"format": "nir", "source": {"dt": 0.001, "spike": "unit"},
                "notes": [{"owner": "lif<1>", "kind": "warning", "text": "a delay is rounded"}]}  # fmt: skip
    page = make_report({"quant_error": quant, "scale_search": search, "import": imported, "network": {
        "groups": [{"name": "in", "kind": "input", "n": 12}], "connections": []}})  # fmt: skip
    for expected in ("Floats against integers", "Firing rates", "Where the runs part", "Scales chosen on 5 samples",
                     "nir (dt 0.001, spike unit)", "lif&lt;1&gt;: a delay is rounded"):  # fmt: skip
        assert expected in page
    assert page.count("Firing rate of each neuron in floats and in integers") == 1
    without = make_report({})
    assert "Floats against integers" not in without and "Imported:" not in without


def test_search_and_import_in_words() -> None:
    found = {
        "samples": 1,
        "groups": {"a": {"scale": 1.0, "factor": 2**0.5, "clipped": 0, "error_before": 0.5, "error": 0.25}},
    }
    assert search_table(found).rows == (("a", 1.0, "1.41", 0, 0.5, 0.25),)
    assert import_lines({"format": "slayer", "source": {}, "notes": []}) == ["format         slayer"]
