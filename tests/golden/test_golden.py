"""Stored runs give the same integers on both built-in backends, whatever has changed since they were made."""

import json
from pathlib import Path
from typing import Any

import pytest
from make_golden import BACKENDS, RULES, run_learning, run_plain

FOLDER = Path(__file__).parent


def stored(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text())


def in_json(value: object) -> object:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("backend", BACKENDS)
def test_stored_run_is_repeated(backend: str) -> None:
    content = stored("run.json")
    assert in_json(run_plain(content, backend)) == content["result"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", RULES)
def test_stored_learning_is_repeated(rule: str, backend: str) -> None:
    content = stored(f"learn-{rule}.json")
    assert in_json(run_learning(content, backend)) == content["result"]


@pytest.mark.parametrize("name", ["run.json", *(f"learn-{rule}.json" for rule in RULES)])
def test_stored_files_say_how_they_were_made(name: str) -> None:
    content = stored(name)
    assert content["made_by"].startswith("neurosim ")
    assert "seed" in content["how"]


def test_stored_run_exercises_the_engine() -> None:
    result = stored("run.json")["result"]
    assert {"synaptic_operations", "spikes", "messages"} <= result["totals"].keys()
    assert all(len(train[0]) > 3 for name, train in result["spikes"].items() if name.startswith("g"))
