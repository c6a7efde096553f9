"""The remembered response: kernel equals twin; it leaks toward zero, and keeps the upper bits of each group."""

import numpy as np
import pytest
from random_networks import LAYOUTS, LearningCase, learning_case

from neurosim.codes import PERTURBED
from neurosim.kernels.response import remember
from neurosim.reference.response import remember as twin

BITS = 7


def remembered(
    case: LearningCase, measured: np.ndarray, accumulated: np.ndarray, memory: int, bits: int = BITS
) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and response of the kernel, after comparing them with the twin's."""
    before = np.full(accumulated.shape, 99, np.int32)  # what is not perturbed keeps it
    ends = []
    for call, owner in ((remember, case.program.arrays), (twin, case.program)):
        total, response = accumulated.copy(), before.copy()
        call(owner, case.plan, measured, total, response, memory, bits)
        ends.append((total, response))
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    return ends[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("memory", [0, 1, 5, 30])
def test_kernel_equals_twin_and_the_formula(layout: str, rank: int, memory: int) -> None:
    case = learning_case(layout, "response", "trace", rank)
    rng = np.random.default_rng(memory + 40 * rank)
    for size in (1, 127, 128, 10**6, 1 << 40):
        measured = rng.integers(-size, size + 1, case.response.shape)
        accumulated = rng.integers(-64 * size, 64 * size + 1, case.response.shape)
        total, response = remembered(case, measured, accumulated, memory)
        touched = np.zeros(case.response.shape, bool)
        for g, group in enumerate(case.program.network.ordered_groups):
            where = slice(case.program.network.offsets[group.name], case.program.network.offsets[group.name] + group.n)
            touched[:, :, where] = case.plan.group[g, PERTURBED]
        kept = [int(old) - (abs(int(old)) >> memory) * (1 if old > 0 else -1) for old in accumulated.ravel()]
        expected = measured + np.array(kept).reshape(accumulated.shape)
        np.testing.assert_array_equal(total, np.where(touched, expected, accumulated))
        assert np.all(response[~touched] == 99)
        assert np.abs(response[touched]).max(initial=0) < 1 << BITS
        np.testing.assert_array_equal(np.sign(response[touched]) * np.sign(total[touched]) >= 0, True)


@pytest.mark.parametrize("largest", [1, 63, 64, 127, 128, 255, 256, 10**9])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sum_of_a_group_fills_the_bits(largest: int, sign: int) -> None:
    case = learning_case("one hidden", "response", "trace", 1)
    first = case.program.network.offsets["hidden"]
    measured = np.zeros(case.response.shape, np.int64)
    measured[0, 1, first], measured[0, 0, first + 1] = sign * largest, -sign
    total, response = remembered(case, measured, np.zeros_like(measured), 3)
    np.testing.assert_array_equal(total, measured)
    shift = max(0, largest.bit_length() - BITS)
    assert response[0, 1, first] == sign * (largest >> shift)
    assert largest < 1 << BITS or 1 << (BITS - 1) <= abs(response[0, 1, first]) < 1 << BITS
    assert response[0, 0, first + 1] == (-sign if shift == 0 else 0), "toward zero on both sides"


def test_each_group_has_bits_of_its_own() -> None:
    case = learning_case("two hidden", "response", "trace", 1)
    measured = np.zeros(case.response.shape, np.int64)
    offsets = case.program.network.offsets
    measured[0, 0, offsets["a"]], measured[0, 0, offsets["b"]] = 1 << 30, 5
    response = remembered(case, measured, np.zeros_like(measured), 3)[1]
    assert (response[0, 0, offsets["a"]], response[0, 0, offsets["b"]]) == (64, 5)


@pytest.mark.parametrize("memory", [1, 3, 5])
def test_what_is_measured_again_and_again_is_held_two_to_the_memory_times(memory: int) -> None:
    case = learning_case("one hidden", "response", "trace", 1)
    measured = np.full(case.response.shape, 1 << 12, np.int64)
    total = np.zeros_like(measured)
    for _ in range(30 << memory):
        total, response = remembered(case, measured, total, memory)
    first = case.program.network.offsets["hidden"]
    held = total[0, 0, first]
    assert (1 << (12 + memory)) <= held < (1 << (12 + memory)) + (1 << memory)
    for _ in range(30 << memory):
        total, response = remembered(case, np.zeros_like(measured), total, memory)
    assert 0 <= total[0, 0, first] < 1 << memory, "and it is forgotten, but for what is too small to leak"
