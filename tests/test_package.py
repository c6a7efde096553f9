"""The package as installed: public names, cheap import, data files, and the README's example."""

import importlib
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

import neurosim
from neurosim.version import VERSION

ROOT = Path(__file__).parent.parent
PUBLIC = [name for name in neurosim.__all__ if name != "__version__"]


def run_python(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_those_of_their_modules(name: str) -> None:
    module, attribute = neurosim._PUBLIC[name]
    assert getattr(neurosim, name) is getattr(importlib.import_module(f"neurosim.{module}"), attribute)
    assert name in dir(neurosim)


def test_type_checkers_see_the_same_names() -> None:
    text = Path(neurosim.__file__).read_text(encoding="utf-8")
    imports = re.findall(r"^    from neurosim\.([\w.]+) import (\w+) as (\w+)$", text, re.MULTILINE)
    assert {name: (module, attribute) for module, attribute, name in imports} == neurosim._PUBLIC


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Netwerk'; public names are ATRLIF, ArrayLayer, Connection"):
        neurosim.Netwerk  # noqa: B018


def test_functions_stay_visible_when_modules_of_their_name_are_loaded() -> None:
    names = "neurosim.energy, neurosim.quantize"
    script = f"import neurosim, {names}; print(*map(callable, ({names})))"
    assert run_python(script) == "True True\n"


def test_import_loads_nothing() -> None:
    script = "import sys; before = set(sys.modules); import neurosim; print(*sorted(set(sys.modules) - before))"
    loaded = set(run_python(script).split())
    assert {name for name in loaded if name.startswith("neurosim")} == {"neurosim", "neurosim.version"}
    assert not {"numpy", "numba", "matplotlib", "rich", "typer"} & loaded


def test_python_m_neurosim_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "neurosim", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout == f"neurosim {VERSION}\n"


def test_version_is_given() -> None:
    assert neurosim.__version__ == VERSION


def test_distribution_carries_version_command_and_backend() -> None:
    try:
        found = distribution("neurosim-hal")
    except PackageNotFoundError:
        pytest.skip("neurosim-hal is not installed, this is the source tree")
    assert found.version == VERSION
    entries = {(entry.group, entry.name): entry.value for entry in found.entry_points}
    assert entries["console_scripts", "neurosim"] == "neurosim.cli:main"
    assert entries["neurosim.backends", "lava"] == "neurosim_lava:LavaBackend"


def test_data_files_lie_beside_the_modules() -> None:
    folder = Path(neurosim.__file__).parent
    names = ["chips/loihi1.toml", "energy/loihi1-davies2018.toml", "digits.csv.gz", "report.html.j2", "ATTRIBUTION.md"]
    assert all((folder / "data" / name).is_file() for name in names)
    assert (folder / "py.typed").is_file()


def test_the_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out == "spikes in steps [2, 4]\n4 synaptic operations, at least 477 pJ\n"


def test_the_readme_names_commands_that_exist() -> None:
    from neurosim.cli import app

    commands = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    commands |= {str(info.name) for info in app.registered_groups}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`neurosim ([a-z]+)", text)) == commands
