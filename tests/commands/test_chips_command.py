"""The command that shows chips and checks the file of a user's own."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import neurosim.chip
from neurosim.chip import Chip, chip_names, load_chip
from neurosim.cli import app
from neurosim.energytable import load_energy_table

PRESETS = Path(neurosim.chip.__file__).with_name("data") / "chips"


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "900")
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["chips", *arguments])


def shown(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def refused(*arguments: str) -> str:
    """Return the one line of an error, and make sure that there is nothing else."""
    result = call(*arguments)
    assert result.exit_code == 1 and result.stdout == "", result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return str(result.stderr)


def mine(old: str, new: str, preset: str = "loihi1") -> None:
    """Write my.toml: a preset with one text replaced."""
    text = (PRESETS / f"{preset}.toml").read_text(encoding="utf-8")
    assert text.count(old) == 1, text.count(old)
    Path("my.toml").write_text(text.replace(old, new), encoding="utf-8")


def entry(name: str, preset: str = "loihi1") -> str:
    """Return the lines of one quantity in the file of a preset."""
    text = (PRESETS / f"{preset}.toml").read_text(encoding="utf-8")
    return text[text.index(f"[{name}]") :].split("\n\n")[0].strip() + "\n"


@pytest.mark.parametrize("name", chip_names())
def test_a_chip_is_shown_with_what_it_cannot_do_and_its_tables(name: str) -> None:
    text, chip = shown(name), load_chip(name)
    assert chip.title in text and all(line in text for line in chip.cannot)
    assert all(f"{table}: {load_energy_table(table).title}" in text for table in chip.energy_tables)
    assert all(constant.source in text for constant in chip.provenance.values())
    assert f"{len(chip.provenance)} quantities" in text


@pytest.mark.parametrize("name", chip_names())
def test_json_is_the_whole_chip(name: str) -> None:
    assert Chip.from_dict(json.loads(shown(name, "--json"))) == load_chip(name)


def test_the_list_names_the_energy_tables() -> None:
    text = shown()
    assert all(name in text for name in chip_names()) and "truenorth-components" in text
    assert set(json.loads(shown("--json"))) == set(chip_names())


def test_a_file_of_ones_own_is_shown_like_a_preset() -> None:
    mine('name = "loihi1"', 'name = "mine"')
    assert "Chip mine: Intel Loihi, first generation" in shown("my.toml")
    assert json.loads(shown("my.toml", "--json"))["name"] == "mine"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (entry("axons_in_per_core"), "", "chip file 'my.toml': missing axons_in_per_core; add it"),
        (entry("delay_max"), entry("delay_max").replace("62", "-62"), "delay_max: value -62 is below 0; give a larger"),
        (entry("tag_bits"), entry("tag_bits").replace("9", "9.5"), "tag_bits: value 9.5 is not an integer; give one"),
        (entry("tag_bits"), entry("tag_bits").replace("9", "nan"), "tag_bits: value nan is not an integer"),
        ("value = [8, 4]", "value = [8]", "mesh: value [8] is not [width, height]; write it as a list of integers"),
        ("[1, 2, 3, 4, 5, 6, 8]", "[1, 8, 2]", "weight_formats: value [1, 8, 2] does not rise; list the widths in asc"),
        ("value = 128\n", "value = 129\n", "n_cores 129 exceeds 8 x 4 tiles of 4 cores; enlarge mesh or"),
        ("[n_cores]", "[n_core]", "unknown key 'n_core'; did you mean 'n_cores'?"),
        (
            'value = "shifted"',
            'value = "all"',
            "shared_synapses: value 'all' is not known; choose one of none, shifted",
        ),
        ("format = 1", "format = 7", "format 7 cannot be read, this version reads 1; update the file or neurosim"),
        (entry("state_bits"), "state_bits = 24\n", "missing state_bits"),  # TOML reads it as part of the table before
        (
            '"loihi1-sanafe2026"',
            '"loihi1-sanafe"',
            "chip 'loihi1': energy_tables: unknown energy table 'loihi1-sanafe'; known",
        ),
    ],
)
def test_a_wrong_file_gets_one_line_that_says_what_and_how(old: str, new: str, words: str) -> None:
    mine(old, new)
    assert words in refused("my.toml")


def test_a_value_without_source_is_refused() -> None:
    text = entry("tag_bits")
    source = next(line for line in text.splitlines() if line.startswith("source"))
    mine(text, text.replace(source, 'source = ""'))
    assert "tag_bits: source '' is not a text; say where the value comes from" in refused("my.toml")


def test_a_missing_file_and_a_misspelt_name_are_told() -> None:
    assert "chip file 'none.toml': cannot be read" in refused("none.toml")
    assert "unknown chip 'truenort'" in (text := refused("truenort")) and "did you mean 'truenorth'?" in text
