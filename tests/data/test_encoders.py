"""All encoders: integers only, the same bytes every time, samples that do not influence each other."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from neurosim.data.encoders import ENCODERS
from neurosim.errors import DataError
from neurosim.events import Events, check_events

RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 17, (4, 5))

#: What each encoder is given: the samples, and everything else.
GIVEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "rate": (VALUES, {"n_steps": 12, "levels": 16}),
    "latency": (VALUES, {"n_steps": 12, "levels": 16}),
    "poisson": (VALUES, {"n_steps": 12, "levels": 16}),
    "population": (VALUES, {"n_steps": 12, "levels": 16}),
    "delta": (RNG.integers(-50, 50, (4, 12, 3)), {"deltas": (5, 20)}),
    "cochlea": (RNG.integers(-9000, 9000, (4, 900)).astype(np.int16), {"n_steps": 9}),
    "camera": (RNG.integers(0, 256, (4, 3, 5, 6)).astype(np.uint8), {}),
}


def coded(name: str, samples: Any, **more: Any) -> list[npt.NDArray[Any]]:
    """Return what each sample becomes, as arrays."""
    found = ENCODERS[name].function(samples, **(GIVEN[name][1] | more))
    return list(check_events(found, found.n_inputs).to_dense()) if isinstance(found, Events) else found


def test_every_encoder_is_tested_here() -> None:
    assert GIVEN.keys() == ENCODERS.keys()
    assert all(encoding.takes and encoding.gives for encoding in ENCODERS.values())


@pytest.mark.parametrize("name", ENCODERS)
def test_samples_are_coded_alike_each_time_and_alone(name: str) -> None:
    samples = GIVEN[name][0]
    whole = coded(name, samples)
    assert len(whole) == 4 and all(
        len(one) and one[one.dtype.names[-1]].any() if one.dtype.names else one.any() for one in whole
    )
    for s in range(4):
        np.testing.assert_array_equal(coded(name, samples)[s], whole[s])
        first = {"first": s} if name == "poisson" else {}
        np.testing.assert_array_equal(coded(name, samples[s : s + 1], **first)[0], whole[s])


@pytest.mark.parametrize("name", ENCODERS)
def test_floats_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="float64"):
        coded(name, np.asarray(GIVEN[name][0], float))


@pytest.mark.parametrize("name", ENCODERS)
def test_no_sample_is_no_error(name: str) -> None:
    assert len(coded(name, GIVEN[name][0][:0])) == 0


@pytest.mark.parametrize("name", ENCODERS)
def test_the_source_has_no_float_and_no_random_generator(name: str) -> None:
    module = inspect.getmodule(ENCODERS[name].function)
    assert module is not None
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"line {node.lineno}: a float"
        assert not (isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div)), (
            f"line {node.lineno}: /"
        )
        assert not (isinstance(node, ast.Attribute) and node.attr == "random"), f"line {node.lineno}: random"
