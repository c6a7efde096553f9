"""Adam: the kernel against the twin, and one step against the paper's formula."""

import numpy as np
import pytest

from neurosim.kernels import directadam as kernels
from neurosim.reference import directadam as reference

BETAS, TINY = (0.9, 0.999), 1e-8


def drawn(n: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    parameter, mean, gradient = (rng.standard_normal(n).astype(np.float32) for _ in range(3))
    return [parameter, mean, rng.random(n).astype(np.float32), gradient]


def advance(arrays: list[np.ndarray], numbers: tuple[float, ...], size: float) -> int:
    return kernels.advance(*arrays, *(np.float32(x) for x in numbers), *BETAS, np.float32(size), np.float32(TINY))


@pytest.mark.parametrize("numbers", [(1.0, 1.0, 1.0), (137.5, 0.3, 0.999)])
@pytest.mark.parametrize("n", [1, 7, 16, 1000, kernels.BLOCK + 3])
def test_kernel_and_twin_take_the_same_step(n: int, numbers: tuple[float, float, float]) -> None:
    arrays = drawn(n, seed=n)
    expected = reference.advance(*arrays, *numbers, *BETAS, 0.01, TINY)
    assert advance(arrays, numbers, 0.01) == 0
    for found, wanted in zip(arrays[1:3], expected[1:], strict=True):  # a machine without a fused product rounds twice
        np.testing.assert_array_max_ulp(found, wanted, maxulp=1)
    np.testing.assert_allclose(arrays[0], expected[0], rtol=3e-7, atol=1e-9)


def test_first_step_is_the_rate_against_the_sign_of_the_gradient() -> None:
    gradient = np.array([3.0, -0.01, 1e-6, -200.0], np.float32)
    parameter, mean, square = (np.zeros(4, np.float32) for _ in range(3))
    size = 0.05 * np.sqrt(1 - BETAS[1]) / (1 - BETAS[0])
    advance([parameter, mean, square, gradient], (1.0, 1.0, 1.0), size)
    np.testing.assert_allclose(parameter[[0, 1, 3]], -0.05 * np.sign(gradient[[0, 1, 3]]), rtol=1e-4)
    assert -0.05 < parameter[2] < 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_no_longer_finite_are_told(bad: float) -> None:
    arrays = drawn(kernels.BLOCK + 3, seed=1)
    arrays[0][kernels.BLOCK + 1] = bad
    assert advance(arrays, (1.0, 1.0, 1.0), 0.01) != 0
