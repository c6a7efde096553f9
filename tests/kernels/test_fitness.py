"""The integer log-softmax: its tables, its twin, and how far it may lie from the real one."""

import math

import numpy as np
import pytest

from neurosim.codes import ERROR, POWERS
from neurosim.kernels import fitness as kernel
from neurosim.logtables import EXP2_ONE_BITS, N_FRACTIONS, log_tables
from neurosim.reference import fitness as twin

N_CLASSES = (1, 2, 3, 10, 40)


def run_kernel(z: np.ndarray, label: int, temperature: int, error_bits: int) -> tuple[int, np.ndarray]:
    classes, tables = np.zeros((3, len(z)), np.int64), log_tables()
    found = kernel.log_likelihood(z.astype(np.int32), label, temperature, tables.exp2, tables.log2, classes)
    kernel.readout_errors(label, error_bits, classes)
    return int(found), classes[ERROR]


def readouts(seed: int) -> list[tuple[np.ndarray, int, int, int]]:
    """Return readouts with labels, temperatures and error bits, extremes of 32 bits among them."""
    rng = np.random.default_rng(seed)
    cases = []
    for n in N_CLASSES:
        for size in (1, 300, 2**15, 2**23, 2**31 - 1):
            z = rng.integers(-size, size + 1, n)
            cases.append((z, int(rng.integers(n)), int(rng.integers(0, 16)), int(rng.integers(2, 13))))
        cases.append((np.zeros(n, np.int64), n - 1, 8, 7))
        cases.append((np.where(np.arange(n) % 2, -(2**31), 2**31 - 1), 0, 0, 7))
    return cases


@pytest.mark.parametrize("seed", range(4))
def test_likelihood_and_errors_equal_twin(seed: int) -> None:
    for z, label, temperature, error_bits in readouts(seed):
        found, error = run_kernel(z, label, temperature, error_bits)
        expected, expected_error = twin.log_softmax(z, label, temperature, error_bits)
        assert found == expected
        np.testing.assert_array_equal(error, expected_error)


def test_powers_are_the_exact_floors() -> None:
    """floor(2**(16 - f/256)) = e means e**256 <= 2**(4096 - f) < (e + 1)**256."""
    for f, e in enumerate(log_tables().exp2.tolist()):
        power = 1 << (EXP2_ONE_BITS * N_FRACTIONS - f)
        assert e**N_FRACTIONS <= power < (e + 1) ** N_FRACTIONS


def test_logarithms_are_the_exact_floors() -> None:
    """floor(256 log2(m / 256)) = k means 2**k * 256**256 <= m**256 < 2**(k + 1) * 256**256."""
    for f, k in enumerate(log_tables().log2.tolist()):
        power = (N_FRACTIONS + f) ** N_FRACTIONS
        assert 2**k * N_FRACTIONS**N_FRACTIONS <= power < 2 ** (k + 1) * N_FRACTIONS**N_FRACTIONS


def test_log2_equals_twin_and_lies_within_one_step_below() -> None:
    values = [*range(1, 2000), *(2**k + d for k in range(11, 40) for d in (-1, 0, 1))]
    for x in values:
        found = int(kernel.log2_fixed(np.int64(x), log_tables().log2))
        assert found == twin.log2_fixed(x)
        # one unit for the floor, and 256 log2(1 + 1/256) < 1.5 for the mantissa cut to 8 bits
        assert -2.5 < found - 256 * math.log2(x) <= 1e-9


def test_errors_sum_to_about_zero() -> None:
    for z, label, temperature, error_bits in readouts(9):
        _, error = run_kernel(z, label, temperature, error_bits)
        assert abs(int(error.sum())) <= (len(z) + 1) // 2
        assert -(1 << error_bits) <= error[label] <= 0
        assert (np.delete(error, label) >= 0).all()


def test_raising_a_class_raises_its_likelihood_and_lowers_the_others() -> None:
    rng = np.random.default_rng(4)
    z = rng.integers(-3000, 3000, 6)
    own, other = [], []
    for raised in range(-6000, 6000, 97):
        z[2] = raised
        own.append(run_kernel(z, 2, 3, 7)[0])
        other.append(run_kernel(z, 4, 3, 7)[0])
    assert (np.diff(own) >= -2).all()  # the logarithm's cut mantissa may step back by its own error
    assert own[-1] - own[0] > 500
    assert (np.diff(other) <= 2).all()


def test_likelihood_does_not_depend_on_a_common_shift() -> None:
    z = np.random.default_rng(5).integers(-3000, 3000, 6)
    assert run_kernel(z, 1, 2, 8)[0] == run_kernel(z + 12345, 1, 2, 8)[0]
    np.testing.assert_array_equal(run_kernel(z, 1, 2, 8)[1], run_kernel(z - 777, 1, 2, 8)[1])


def test_likelihood_and_errors_are_near_the_real_softmax() -> None:
    """The one comparison with floats: within 4/256 bit, and within two units of the error."""
    rng = np.random.default_rng(6)
    for _ in range(300):
        z, label, temperature = rng.integers(-2500, 2500, 10), int(rng.integers(10)), int(rng.integers(0, 5))
        found, error = run_kernel(z, label, temperature, 8)
        octaves = z / (256.0 * 2**temperature)
        probability = np.exp2(octaves - octaves.max())
        probability /= probability.sum()
        # 1/256 for the shift by the temperature, the rest for tables that round down
        assert abs(found / 256 - math.log2(probability[label])) < 4 / 256
        assert np.abs((error + 256 * (np.arange(10) == label)) - 256 * probability).max() < 2


def test_powers_end_at_sixteen_octaves() -> None:
    z, classes, tables = np.array([0, -(16 << 8), -(16 << 8) - 1, -(17 << 8)]), np.zeros((3, 4), np.int64), log_tables()
    found = kernel.log_likelihood(z.astype(np.int32), 0, 0, tables.exp2, tables.log2, classes)
    kernel.readout_errors(0, 7, classes)
    assert classes[POWERS].tolist() == [1 << 16, 1, 0, 0]
    assert classes[ERROR].tolist() == [0, 0, 0, 0]
    assert found == 0


@pytest.mark.parametrize("z", [[3], [1, 1], [1, 2, 2], [-5, -9, -5], [-(2**31), 2**31 - 1]])
def test_prediction_is_the_first_largest(z: list[int]) -> None:
    assert kernel.predict(np.array(z, np.int32)) == twin.predict(np.array(z)) == z.index(max(z))
    assert kernel.spread(np.array(z, np.int32)) == max(z) - min(z)
