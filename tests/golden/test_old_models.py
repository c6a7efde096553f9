"""Model files of earlier versions load, run to the same spikes and are not written anew in other bytes."""

import json
from pathlib import Path

import numpy as np
import pytest

from neurosim.compile_network import compile
from neurosim.events import events_from_dense
from neurosim.modelfile import load_model, pack_model, unpack_model
from neurosim.simulator import ReferenceBackend, SimulatorBackend

FOLDER = Path(__file__).parent
STORED = sorted(FOLDER.glob("model-*.npz"))


@pytest.mark.parametrize("backend", [ReferenceBackend, SimulatorBackend], ids=lambda backend: backend.name)
@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_an_old_model_runs_to_the_spikes_of_its_time(path: Path, backend: type) -> None:
    expected = json.loads(path.with_suffix(".json").read_text())
    model = load_model(path)
    events = events_from_dense(np.array(expected["input"], bool).reshape(expected["shape"]))
    with backend().open(compile(model.network, model.chip, model.arithmetic)) as runner:
        result = runner.run(events)
    assert {
        name: [np.asarray(part).tolist() for part in train[:3]] for name, train in result.spikes.items()
    } == expected["spikes"]
    assert {"/".join(key): states.tolist() for key, states in result.states.items()} == expected["states"]
    assert any(train[0] for train in expected["spikes"].values())


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_an_old_model_keeps_what_it_says_when_it_is_saved_again(path: Path) -> None:
    model = load_model(path)
    again = unpack_model(pack_model(model))
    assert (again.scales, again.metadata, again.version, again.chip) == (
        model.scales,
        model.metadata,
        model.version,
        model.chip,
    )
    assert compile(again.network, "unlimited").fingerprint == compile(model.network, "unlimited").fingerprint


def test_every_version_of_the_format_has_stored_files() -> None:
    assert {path.stem.split("-")[1] for path in STORED} >= {"0c65c39", "a631d0a", "6065305", "ed4d6c7", "f03a7b4"}
    assert all(path.with_suffix(".json").is_file() for path in STORED)


def test_the_newest_stored_file_is_written_again_byte_by_byte() -> None:
    """So every version of Python and numpy that the tests run with writes the same bytes."""
    path = FOLDER / "model-f03a7b4-models.npz"
    assert pack_model(load_model(path)) == path.read_bytes()
