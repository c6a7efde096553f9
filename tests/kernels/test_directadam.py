"""Adam: kernels against the twin, and one step against the paper's formula."""

import numpy as np
import pytest

from neurosim.kernels import directadam as kernels
from neurosim.reference import directadam as reference

BETAS, TINY = (0.9, 0.999), 1e-8


def drawn(n: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    mean, gradient, parameter = (rng.standard_normal(n).astype(np.float32) for _ in range(3))
    return [mean, rng.random(n).astype(np.float32), gradient, parameter]


@pytest.mark.parametrize("n", [1, 7, 16, 1000])
def test_kernels_and_twin_take_the_same_step(n: int) -> None:
    mean, square, gradient, parameter = drawn(n, seed=n)
    expected = reference.take_gradient(mean, square, gradient, *BETAS)
    found = mean.copy(), square.copy()
    kernels.take_gradient(*found, gradient, *BETAS)
    for one, other in zip(found, expected, strict=True):  # a machine without a fused product rounds twice
        np.testing.assert_array_max_ulp(one, other, maxulp=1)
    root = np.sqrt(found[1])
    moved = parameter.copy()
    kernels.move(moved, found[0], root, np.float32(0.01), np.float32(TINY))
    np.testing.assert_array_equal(moved, reference.move(parameter, found[0], root, 0.01, TINY))


def test_first_step_is_the_rate_against_the_sign_of_the_gradient() -> None:
    gradient = np.array([3.0, -0.01, 1e-6, -200.0], np.float32)
    mean, square, parameter = (np.zeros(4, np.float32) for _ in range(3))
    kernels.take_gradient(mean, square, gradient, *BETAS)
    size = 0.05 * np.sqrt(1 - BETAS[1]) / (1 - BETAS[0])
    kernels.move(parameter, mean, np.sqrt(square), np.float32(size), np.float32(TINY))
    np.testing.assert_allclose(parameter[[0, 1, 3]], -0.05 * np.sign(gradient[[0, 1, 3]]), rtol=1e-4)
    assert -0.05 < parameter[2] < 0
