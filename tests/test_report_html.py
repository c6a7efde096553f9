import runpy
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from neurosim.figures.run import FIGURES
from neurosim.report_html import make_report, picture, write_report

full_metrics = runpy.run_path(str(Path(__file__).with_name("metrics_fixture.py")))["full_metrics"]
direct_metrics = runpy.run_path(str(Path(__file__).with_name("metrics_fixture.py")))["direct_metrics"]
VOID = {"meta", "img", "source", "br", "link", "input"}


class Page(HTMLParser):
    """Text, attributes and open tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def metrics():
    return full_metrics()


@pytest.fixture(scope="module")
def html(metrics):
    return make_report(metrics)


def test_the_page_is_well_formed_and_the_same_each_time(metrics, html):
    assert Page(html).open == []
    assert make_report(metrics) == html


def test_nothing_is_loaded_from_elsewhere(html):
    page = Page(html)
    for tag, name, value in page.attributes:
        if name in ("src", "srcset", "href", "data", "action", "poster"):
            assert value is not None and value.startswith("data:image/"), (tag, name)
    assert "<script" not in html and "@import" not in html and "url(" not in html


def test_headline_and_sections_say_what_was_found(html):
    text = Page(html).text
    for expected in (
        "Digits, learned in chip integers", "266 spiking neurons and 18,944 integer weights for chip loihi1",
        "96.9 % accuracy",
        "≥ 2.33 µJ energy per inference", "82,250 synaptic operations per inference", "2 cores", "8 taken for 1 3×",
        "How it learned", "What the network sees", "mistakes come first", "8 → 3", "The work, counted", "Davies 2018, Table 2",
        "simulated", "assumed",
        "Not in the sum", "our rule; no chip has published such an operation", "How far to trust it", "static power",
        "seed 1", "population 64", "neurosim run runs/digits-001", "CC BY 4.0",
    ):  # fmt: skip
        assert expected in text, expected


def test_every_figure_is_there_in_both_themes(html):
    for key in ("src", "srcset"):
        found = [value for tag, name, value in Page(html).attributes if name == key and "svg" in (value or "")]
        assert len(found) == len(FIGURES)


@pytest.mark.parametrize("missing", list(full_metrics()))
def test_any_part_may_be_missing(metrics, missing, monkeypatch):
    monkeypatch.setattr("neurosim.report_html.draw", lambda *rest: b"<svg/>")  # drawing has its own tests
    page = Page(make_report({key: value for key, value in metrics.items() if key != missing}))
    assert "Run it again" in page.text and page.open == []


@pytest.mark.parametrize("part", ["counts", "energy"])
@pytest.mark.parametrize("per", ["per_inference", "per_learning_step"])
def test_a_run_without_learning_or_without_test_has_a_report(metrics, part, per, monkeypatch):
    monkeypatch.setattr("neurosim.report_html.draw", lambda *rest: None)
    for value in ({}, {per: None}):  # absent, or known to be absent
        less = metrics | {part: {key: found for key, found in metrics[part].items() if key != per} | value}
        assert "The work, counted" in Page(make_report(less)).text


def test_empty_metrics_still_say_how_to_repeat():
    assert "Run it again" in Page(make_report({})).text


def test_examples_without_labels_show_the_answer_only(metrics):
    page = make_report({"examples": [{"image": [[0, 16]], "label": None, "prediction": 7}]})
    assert ">7</li>" in page and "mistakes come first" not in page


def test_names_from_outside_cannot_inject_html(metrics, monkeypatch):
    monkeypatch.setattr("neurosim.report_html.draw", lambda *rest: None)
    evil = "<script>alert(1)</script>"
    page = make_report(metrics | {"task": evil, "chip": evil, "next_steps": [evil], "data": {"name": evil}})
    assert "<script" not in page and "&lt;script&gt;" in page


def test_large_drawings_become_pictures(metrics, monkeypatch):
    monkeypatch.setattr("neurosim.report_html.MAX_SVG_BYTES", 10)
    values = [
        value for _, name, value in Page(make_report({"raster": metrics["raster"]})).attributes if name == "srcset"
    ]
    assert len(values) == 1 and values[0].startswith("data:image/png;")


def test_pictures_have_the_right_pixels():
    import io

    image = pytest.importorskip("matplotlib.image")
    pixels = image.imread(io.BytesIO(picture([[0, 16, 99], [8, -3, 0]])), format="png")
    assert pixels.shape[:2] == (2, 3)
    assert (pixels[0, 1, :3] * 255).round().tolist() == [255, 244, 214] == (pixels[0, 2, :3] * 255).round().tolist()
    assert (pixels[1, 1, :3] * 255).round().tolist() == [16, 21, 31]


def test_write_report_writes_one_file(metrics, tmp_path):
    write_report(metrics | {"training": None, "raster": None}, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_drawings_inside_the_page_are_valid(html):
    import base64

    for _, name, value in Page(html).attributes:
        if name == "srcset":
            ElementTree.fromstring(base64.b64decode(value.partition(",")[2]))


def test_a_run_by_gradients_has_its_own_section():
    page = Page(make_report(direct_metrics()))
    assert page.open == []
    for words in ("Digits, trained by gradients for the chip", "Trained by gradients, off the chip, for 1,000 generations",
                  "Surrogate gradients and membrane potentials", "whose width was learned", "a loss of weight 0.1",
                  "membrane time constant", "learn_width step"):  # fmt: skip
        assert words in page.text
    assert {
        "Surrogate gradient of each layer, at the start and after training",
        "Distribution of membrane potentials before and after training",
    } <= {v for _, name, v in page.attributes if name == "alt"}
    plain = Page(make_report(direct_metrics(learn_width="fixed") | {"chip_cost": None})).text
    assert "whose width was learned" not in plain and "What a chip would need to learn so" not in plain
    assert "Surrogate gradients" not in Page(make_report(full_metrics())).text
