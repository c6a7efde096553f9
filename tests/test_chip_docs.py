"""docs/chips.md: its example is a chip that works, and its tables say what the code says."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurosim.chip import CHIP_KINDS, chip_names, load_chip
from neurosim.chipfields import FIELDS
from neurosim.cli import app
from neurosim.mapping.recipe import map_network
from neurosim.network import LIF, Dense, Input, Network

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "chips.md").read_text(encoding="utf-8")


@pytest.fixture
def path(tmp_path):
    """Return the example of the page as a file."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    found = tmp_path / "mychip.toml"
    found.write_text(example, encoding="utf-8")
    return found


def keys(heading: str) -> list[str]:
    """Return the keys of the table below a line of the page."""
    part = PAGE[PAGE.index(heading) :]
    rows = re.search(r"\n\|.*?\n\n", part, re.DOTALL)
    assert rows is not None
    first = [row.split("|")[1] for row in rows[0].strip().splitlines()[2:]]
    return re.findall(r"`(\w+)`", " ".join(first))


def test_the_example_of_the_page_is_a_chip_that_works(path):
    chip = load_chip(path)
    assert (chip.name, chip.n_cores, chip.mesh) == ("mychip", 16, (4, 2))
    assert chip.axons_in_per_core is None and chip.weight_formats == (2, 4) and chip.target_cores_max == 8
    network = Network([Input("in", 3), LIF("a", 150)], [Dense("in", "a", [[2] * 3] * 150, num_weight_bits=3)])
    mapping = map_network(network, chip)
    # 100 and 50 neurons: chunks of 64 and 36, and of 50, weights of 4 bits, in words of 32 bits
    assert [core.used["synapse_memory_bits"] for core in mapping.cores] == [3 * (256 + 160), 3 * 224]


def test_the_example_is_shown_by_the_command_line(path):
    result = CliRunner().invoke(app, ["chips", str(path)])
    assert result.exit_code == 0 and "Chip mychip: Sixteen small cores" in result.stdout


def test_the_page_lists_every_preset_with_its_tables():
    for name in chip_names():
        (row, *_) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
        chip, columns = load_chip(name), row.split("|")
        assert all(f"`{table}`" in row for table in chip.energy_tables)
        assert f"{chip.n_cores:,}" in columns[2]
        expected = {"xylo-audio-2": "1,000 hidden + 8 output", "speck": "16, 32 or 64 Ki"}
        known = "unknown" if chip.provenance["compartments_per_core"].kind == "unknown" else "no limit"
        per_core = known if chip.compartments_per_core is None else f"{chip.compartments_per_core:,}"
        assert expected.get(name, per_core) in columns[3]


def test_the_page_explains_every_key_where_it_belongs():
    assert set(keys("Must be there:")) == {name for name, rule in FIELDS.items() if not rule.later}
    later = {name for name, rule in FIELDS.items() if rule.later}
    assert set(keys("May be left out")) == later | {"cannot", "energy_tables"}


def test_the_page_names_every_kind():
    line = PAGE[PAGE.index("Kinds: ") :].split("\n\n")[0]
    assert all(f"`{kind}`" in line for kind in CHIP_KINDS)
