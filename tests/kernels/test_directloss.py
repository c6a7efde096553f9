"""Cross-entropy: the kernel against its twin, and its gradient against differences."""

import numpy as np
import pytest

from neurosim.kernels import directloss as kernels
from neurosim.reference import directloss as reference


def compute(logits: np.ndarray, target: np.ndarray, smoothing: float, factor: float) -> tuple[np.ndarray, float, int]:
    gradient, found = np.empty_like(logits), np.empty(2)
    kernels.cross_entropy(logits, target, smoothing, factor, gradient, found)
    return gradient, found[0], int(found[1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("n", "n_classes", "size"), [(1, 1, 1.0), (7, 2, 30.0), (64, 10, 3.0), (5, 35, 200.0)])
def test_kernel_equals_its_twin(n: int, n_classes: int, size: float, smoothing: float) -> None:
    rng = np.random.default_rng(n)
    logits, target = (size * rng.standard_normal((n, n_classes))).astype(np.float32), rng.integers(0, n_classes, n)
    found, expected = (each(logits, target, smoothing, 0.25) for each in (compute, reference.cross_entropy))
    np.testing.assert_allclose(found[0], expected[0], rtol=3e-7, atol=1e-9)  # exp differs in its last bit
    assert found[1] == pytest.approx(expected[1], rel=1e-12, abs=1e-12) and found[2] == expected[2]


def test_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(1)
    logits, target = rng.standard_normal((3, 4)).astype(np.float32), np.array([0, 3, 1])
    gradient = compute(logits, target, 0.2, 1.0)[0]
    for at in np.ndindex(3, 4):
        ends = []
        for step in (-1 / 64, 1 / 64):
            moved = logits.copy()
            moved[at] += np.float32(step)
            ends.append(compute(moved, target, 0.2, 1.0)[1])
        assert (ends[1] - ends[0]) * 32 == pytest.approx(gradient[at], abs=1e-4)


def test_the_first_of_equal_logits_is_the_answer() -> None:
    logits = np.float32([[2, 5, 5], [1, 1, 0]])
    assert compute(logits, np.array([1, 0]), 0.0, 1.0)[2] == 2
    assert compute(logits, np.array([2, 1]), 0.0, 1.0)[2] == 0
