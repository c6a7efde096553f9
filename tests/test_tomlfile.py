from pathlib import Path

import pytest

from neurosim.chip import load_chip
from neurosim.config import load_config
from neurosim.costs.timetable import load_time_table
from neurosim.energytable import load_energy_table
from neurosim.errors import ChipError, ConfigError
from neurosim.studies.benchconfig import load_suite
from neurosim.tomlfile import MAX_BYTES, read_toml_file

READERS = [
    (load_chip, ChipError),
    (load_energy_table, ChipError),
    (load_time_table, ChipError),
    (load_config, ConfigError),
    (load_suite, ConfigError),
]
HOSTILE = {
    "nested": (b"x = " + b"[" * 100_000, "nested too deep"),
    "dots": (b"a." * 100_000 + b"a = 1", "a line has 100000 dots, the limit is 1000"),
    "table of dots": (b"[" + b"a." * 100_000 + b"a]", "a line has 100000 dots"),
    "number": (b"x = " + b"1" * 5000, "not a TOML file"),
    "bytes": (b"\xff\xfe", "not a TOML file"),
    "large": (b"#" * (MAX_BYTES + 1), "exceeds the limit of 1048576 bytes"),
    "cut off": (b'x = "', "not a TOML file"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize(("load", "kind"), READERS)
def test_hostile_toml_is_refused_by_every_reader(load, kind, what: str, tmp_path: Path) -> None:
    content, words = HOSTILE[what]
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(kind, match=words):
        load(path)


@pytest.mark.parametrize(("load", "kind"), READERS)
def test_errors_do_not_quote_whole_files(load, kind, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('"' + "x" * 100_000 + '" = 1\n')
    with pytest.raises(kind) as caught:
        load(path)
    assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)


def test_content_comes_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"a = 1\r\n[b]\r\nc = 'x'\r\n")
    assert read_toml_file(path) == {"a": 1, "b": {"c": "x"}}
