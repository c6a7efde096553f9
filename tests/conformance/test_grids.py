"""Every neuron model and connection, over grids of its parameters, gives the same integers on every backend."""

from functools import cache

import numpy as np
import pytest
from conformance_grid import Grid, differences
from conformance_links import LINK_GRIDS
from conformance_neurons import NEURON_GRIDS

from neurosim.backend import MODEL_FEATURES, Backend, RunResult, get_backend
from neurosim.compile_network import compile

GRIDS = NEURON_GRIDS | LINK_GRIDS
AT_LEAST = 500  # cases, so that their number cannot fall unnoticed


@cache
def grid_of(name: str) -> Grid:
    return GRIDS[name]()


@cache
def result_of(backend_name: str, name: str) -> RunResult:
    grid = grid_of(name)
    with get_backend(backend_name).open(compile(grid.network, "unlimited")) as runner:
        return runner.run(grid.events)


@pytest.mark.parametrize("name", GRIDS)
def test_integers_equal_the_reference(backend: Backend, name: str) -> None:
    other = "simulator" if backend.name == "reference" else "reference"
    found, expected = result_of(backend.name, name), result_of(other, name)
    wrong = differences(grid_of(name), found, expected)
    listed = "\n".join(f"  {case}: {text}" for case, text in wrong.items())
    assert not wrong, f"{len(wrong)} of {len(grid_of(name).cases)} cases differ from {other!r}:\n{listed}"


def test_there_are_at_least_500_cases() -> None:
    assert sum(len(grid_of(name).cases) for name in GRIDS) >= AT_LEAST


@pytest.mark.parametrize("name", GRIDS)
def test_cases_do_something(name: str) -> None:
    """A state or a spike other than 0 in most cases, so that agreement means something."""
    grid, result = grid_of(name), result_of("reference", name)
    idle = [
        case
        for case, (group, *_) in grid.cases.items()
        if not len(result.spikes[group].step)
        and not any(np.any(s) for key, s in result.states.items() if key[0] == group)
    ]
    assert len(idle) * 2 < len(grid.cases), idle


def test_every_model_that_lava_runs_is_in_a_grid() -> None:
    ours_alone = {"LIFRefractory"}
    found = {type(group).__name__ for name in GRIDS for group in grid_of(name).groups}
    assert found == {model.__name__ for model in MODEL_FEATURES} - ours_alone
