"""Calibrations find the powers of two that give the documented sizes."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.codes import (
    CREDIT_SHIFT,
    FITNESS_SIZE,
    FORM_RESPONSE,
    N_STATISTICS,
    NOISE_EXP,
    PERTURBED,
    SPREAD,
    START,
    STAT_DRIVE,
    STAT_DRIVE_STEPS,
    STAT_TOTALS,
    STOP,
    THRESHOLD,
)
from neurosim.compile_network import compile as compile_network
from neurosim.config import NetworkConfig
from neurosim.goals import RESPONSE_BITS
from neurosim.learning.build import READOUT, build_network
from neurosim.learning.calibrate import (
    calibrate_fitness,
    calibrate_noise,
    calibrate_steps,
    calibrate_temperature,
    floor_log2_ratio,
    initial_scales,
    row_step_size,
    row_steps,
)
from neurosim.learnplan import FACTORS, LearnPlan, Scales, make_plan
from neurosim.program import Program
from neurosim.quantize import quantize
from neurosim.reference.response import quantize_response
from neurosim.reference.weights import update_weights


class Case(NamedTuple):
    program: Program
    plan: LearnPlan
    scales: Scales


def make_case(
    form: str, rank: int = 1, residual_bits: int = 8, error_bits: int = 7, weight_bits: int = 8, factor: str = "trace"
) -> Case:
    network = build_network(NetworkConfig(hidden=(9, 6), n_steps=4, weight_bits=weight_bits), 8, 3, 1, "net")
    program = compile_network(quantize(network).network, "loihi1")
    plan = make_plan(
        program, READOUT, form=form, factor=factor, rank=rank, n_pairs=1, n_steps=7,
        error_bits=error_bits, residual_bits=residual_bits,
    )  # fmt: skip
    return Case(program, plan, initial_scales(plan))


@pytest.fixture(params=["response", "scalar"])
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(request.param)


def statistics(case: Case, **values: int) -> npt.NDArray[np.int64]:
    found = np.zeros((N_STATISTICS, max(len(case.program.group_names), 5)), np.int64)
    for name, value in values.items():
        if name == "spread":
            found[STAT_TOTALS, SPREAD] = value
        elif name == "fitness":
            found[STAT_TOTALS, FITNESS_SIZE] = value
        elif name == "drive":
            found[STAT_DRIVE] = value
        elif name == "drive_steps":
            found[STAT_DRIVE_STEPS] = value
    return found


@settings(derandomize=True)
@given(st.integers(-3, 1 << 70), st.integers(-3, 1 << 70))
def test_floor_log2_ratio_is_exact(numerator: int, denominator: int) -> None:
    exponent = floor_log2_ratio(numerator, denominator)
    ratio = Fraction(max(1, numerator), max(1, denominator))
    assert Fraction(2) ** exponent <= ratio < Fraction(2) ** (exponent + 1)


def test_floor_log2_ratio_is_exact_on_a_grid_around_powers_of_two() -> None:
    near = sorted({max(0, (1 << k) + d) for k in range(0, 40, 3) for d in (-1, 0, 1)})
    for numerator in near:
        for denominator in near:
            exponent = floor_log2_ratio(numerator, denominator)
            ratio = Fraction(max(1, numerator), max(1, denominator))
            assert Fraction(2) ** exponent <= ratio < Fraction(2) ** (exponent + 1)


@pytest.mark.parametrize("spread", [768, 769, 1535, 1536, 5000, 123_456, (1 << 23) - 1])
def test_temperature_spreads_the_readout_over_three_to_six_octaves(case: Case, spread: int) -> None:
    scales = calibrate_temperature(case.scales, statistics(case, spread=spread * 64), 64)
    assert 3 * 256 <= spread >> scales.temperature < 6 * 256


@pytest.mark.parametrize("spread", [0, 1, 767])
def test_temperature_is_not_below_one_for_flat_readouts(case: Case, spread: int) -> None:
    assert calibrate_temperature(case.scales, statistics(case, spread=spread), 1).temperature == 0


@pytest.mark.parametrize("size", [16, 17, 31, 32, 1000, 1 << 20])
def test_fitness_shift_brings_a_typical_difference_to_16_to_31(case: Case, size: int) -> None:
    scales = calibrate_fitness(case.scales, statistics(case, fitness=size * 10 + 3), 10)
    assert 16 <= size >> scales.fitness_shift < 32


@pytest.mark.parametrize("size", [0, 1, 15])
def test_small_fitness_differences_are_not_shifted(case: Case, size: int) -> None:
    assert calibrate_fitness(case.scales, statistics(case, fitness=size * 10), 10).fitness_shift == 0


@pytest.mark.parametrize("perturbation_256", [16, 64, 181, 256, 1024])
@pytest.mark.parametrize("drive", [1, 2, 3, 5, 11, 100, 1000])
def test_noise_is_within_a_factor_of_sqrt_2_of_what_was_asked(case: Case, drive: int, perturbation_256: int) -> None:
    n_steps = 50
    measured = statistics(case, drive=drive * n_steps, drive_steps=n_steps)
    scales = calibrate_noise(
        case.scales._replace(temperature=6), case.plan, case.program.arrays, measured, perturbation_256, 8
    )
    perturbed = np.nonzero(case.plan.group[:, PERTURBED])[0]
    assert len(perturbed) == (2 if case.plan.form == FORM_RESPONSE else 3)
    for g in perturbed:
        asked = Fraction(int(case.program.arrays.group[g, THRESHOLD]) * perturbation_256, 256)
        if g == case.plan.readout:  # 8/256 of an octave, in units of 256 * 2**temperature
            asked = Fraction(8 * 2**6)
        given_ = drive * Fraction(2) ** int(scales.group[g, NOISE_EXP])
        # asked is cut to an integer and 362 / 256 is below sqrt(2): both weigh less than 1 %
        assert Fraction(99, 200) < (given_ / asked) ** 2 < Fraction(202, 100), (g, given_, asked)


@pytest.mark.parametrize("factor", FACTORS)
def test_noise_has_the_size_that_was_asked_for_whatever_the_draws_are(factor: str) -> None:
    """The noise of a neuron is drive times post factor: one, or a number of normal shape with a deviation of 16."""
    post = {"gaussian": 16}.get(factor, 1)  # a drive of full rank is the noise itself
    case = make_case("scalar", factor=factor)
    for drive in (1, 7, 300, 5000):
        measured = statistics(case, drive=drive * 50, drive_steps=50)
        scales = calibrate_noise(case.scales, case.plan, case.program.arrays, measured, 64, 8)
        hidden = next(g for g in np.nonzero(case.plan.group[:, PERTURBED])[0] if g != case.plan.readout)
        asked = Fraction(int(case.program.arrays.group[hidden, THRESHOLD]) * 64, 256)
        given_ = drive * post * Fraction(2) ** int(scales.group[hidden, NOISE_EXP])
        assert Fraction(99, 200) < (given_ / asked) ** 2 < Fraction(202, 100), (factor, drive)


def test_noise_exponents_of_groups_without_perturbation_are_untouched(case: Case) -> None:
    scales = calibrate_noise(
        case.scales, case.plan, case.program.arrays, statistics(case, drive=50, drive_steps=5), 64, 8
    )
    still = case.plan.group[:, PERTURBED] == 0
    np.testing.assert_array_equal(scales.group[still], case.scales.group[still])
    np.testing.assert_array_equal(scales.group[:, CREDIT_SHIFT], case.scales.group[:, CREDIT_SHIFT])


def test_response_of_each_group_uses_seven_bits() -> None:
    case = make_case("response", rank=2)
    rng = np.random.default_rng(1)
    for size in (64, 100, 127, 128, 10_000, 1 << 40):
        accumulated = rng.integers(-size, size + 1, (2, case.plan.n_classes, case.program.network.n_neurons))
        for g in range(len(case.plan.group)):
            start = int(case.program.arrays.group[g, START])
            accumulated[0, 0, start] = size if g % 2 else -size
        response = np.zeros(accumulated.shape, np.int32)
        quantize_response(case.program.arrays, case.plan, accumulated, response)
        for g, (perturbed, *_) in enumerate(case.plan.group):
            part = slice(int(case.program.arrays.group[g, START]), int(case.program.arrays.group[g, STOP]))
            if not perturbed:
                assert not response[:, :, part].any()
                continue
            shift = max(0, size.bit_length() - RESPONSE_BITS)
            assert 64 <= np.abs(response[:, :, part]).max() < 1 << RESPONSE_BITS
            exact = [[[int(x) // 2**shift if x >= 0 else -(-int(x) // 2**shift) for x in row] for row in plane]
                     for plane in accumulated[:, :, part].tolist()]  # fmt: skip
            np.testing.assert_array_equal(response[:, :, part], exact)
        negative = np.zeros_like(response)
        quantize_response(case.program.arrays, case.plan, -accumulated, negative)
        np.testing.assert_array_equal(negative, -response)


def test_small_responses_keep_every_bit() -> None:
    case = make_case("response")
    accumulated = np.full((1, case.plan.n_classes, case.program.network.n_neurons), -127, np.int64)
    response = np.zeros(accumulated.shape, np.int32)
    quantize_response(case.program.arrays, case.plan, accumulated, response)
    assert set(np.unique(response)) == {-127, 0}


@pytest.mark.parametrize("residual_bits", [0, 4, 8, 16])
@pytest.mark.parametrize("size", [1, 3, 40, 5000, 1 << 20])
def test_step_shift_gives_the_wanted_mean_change_within_a_factor_of_two(residual_bits: int, size: int) -> None:
    case = make_case("response", residual_bits=residual_bits)
    rng = np.random.default_rng(size)
    votes = rng.integers(-size, size + 1, case.plan.n_weights)
    votes[:4] = size
    for step_256 in (16, 128, 512):
        scales = calibrate_steps(case.scales, case.plan, votes, step_256, 256)
        wanted = max(Fraction(1), Fraction((step_256 << residual_bits) >> 8))
        for c in range(len(case.plan.connections)):
            part = np.abs(votes[case.plan.votes_of(c)])
            mean = Fraction(int(part.sum()) // max(1, int(np.count_nonzero(part))))
            change = mean * 256 / Fraction(2) ** int(scales.step_shift[c])
            assert wanted <= change < 2 * wanted


@pytest.mark.parametrize("weight_bits", [2, 4, 7])
def test_coarse_weights_move_as_far_as_weights_of_8_bits(weight_bits: int) -> None:
    fine, coarse = make_case("response"), make_case("response", weight_bits=weight_bits)
    votes = np.random.default_rng(4).integers(-2000, 2001, fine.plan.n_weights)
    shifts = [calibrate_steps(c.scales, c.plan, votes, 128, 256).step_shift for c in (fine, coarse)]
    np.testing.assert_array_equal(shifts[1] - shifts[0], 8 - weight_bits)  # a step of theirs is so many times larger


def test_the_first_update_moves_weights_by_the_wanted_mean() -> None:
    case = make_case("response")
    votes = np.random.default_rng(3).integers(-2000, 2001, case.plan.n_weights)
    scales = calibrate_steps(case.scales, case.plan, votes, 128, 256)
    full = np.zeros(case.plan.n_weights, np.int64)
    moved = np.abs(update_weights(case.plan, full, votes, 256, scales.step_shift, 5).full)
    for c in range(len(case.plan.connections)):
        mean = moved[case.plan.votes_of(c)].mean() / 256  # in weight steps
        assert 0.5 * 0.97 < mean < 1.0 * 1.03


def test_every_connection_gets_a_shift_of_its_own() -> None:
    case = make_case("response")
    votes = np.ones(case.plan.n_weights, np.int64)
    votes[case.plan.votes_of(1)] = -1024
    shifts = calibrate_steps(case.scales, case.plan, votes, 128, 256).step_shift
    assert shifts[1] - shifts[0] == 10 and shifts[2] == shifts[0]


def test_statistics_of_a_silent_network_do_not_crash(case: Case) -> None:
    nothing = statistics(case)
    scales = calibrate_temperature(case.scales, nothing, 64)
    scales = calibrate_noise(scales, case.plan, case.program.arrays, nothing, 64, 8)
    scales = calibrate_fitness(scales, nothing, 64)
    scales = calibrate_steps(scales, case.plan, np.zeros(case.plan.n_weights, np.int64), 128, 256)
    assert (scales.temperature, scales.fitness_shift) == (0, 0)
    assert (scales.group[:, CREDIT_SHIFT] == case.scales.group[:, CREDIT_SHIFT]).all()
    assert np.abs(scales.group).max() < 40 and np.abs(scales.step_shift).max() < 40


def test_calibration_returns_new_scales_and_leaves_the_old_ones() -> None:
    case = make_case("scalar")
    before = case.scales.group.copy(), case.scales.step_shift.copy()
    measured = statistics(case, drive=900, drive_steps=3)
    calibrate_noise(case.scales, case.plan, case.program.arrays, measured, 64, 8)
    calibrate_steps(case.scales, case.plan, np.full(case.plan.n_weights, 99), 128, 256)
    np.testing.assert_array_equal(case.scales.group, before[0])
    np.testing.assert_array_equal(case.scales.step_shift, before[1])


@pytest.mark.parametrize("error_bits", [2, 7, 12])
def test_local_votes_start_with_a_shift_that_is_not_negative(error_bits: int) -> None:
    assert (make_case("response", error_bits=error_bits).scales.group[:, CREDIT_SHIFT] >= 0).all()


@pytest.mark.parametrize("full_step", [256])
def test_row_step_sizes_make_up_for_powers_of_two_exactly(full_step: int) -> None:
    """The size is 256..511 times what is left of the full step; with the exponent in the shift it is the wanted step."""
    case = make_case("response")
    for step_256 in [*range(1, 1025), 4096, 16384]:
        shift = row_steps(case.plan, case.scales, step_256, full_step).step_shift
        size = row_step_size(full_step, step_256)
        assert full_step <= size < 2 * full_step
        unit = Fraction(1 << case.plan.residual_bits)  # an 8-bit weight step
        for c in range(len(case.plan.connections)):
            moved = Fraction(size) / Fraction(2) ** int(shift[c]) / unit  # by a vote of 1 whose root mean square is 1
            wanted = Fraction(step_256, 256)
            if step_256 <= 511:
                assert moved == wanted
            assert wanted * Fraction(511, 512) < moved <= wanted


@pytest.mark.parametrize("weight_bits", [2, 5, 8])
@pytest.mark.parametrize("residual_bits", [6, 8, 16])
def test_row_steps_are_in_8_bit_weight_steps_whatever_the_format(weight_bits: int, residual_bits: int) -> None:
    case = make_case("scalar", residual_bits=residual_bits, weight_bits=weight_bits)
    shift = row_steps(case.plan, case.scales, 128, 256).step_shift
    for c in range(len(case.plan.connections)):
        weight_step = Fraction(1 << residual_bits, 1 << (8 - weight_bits))  # an 8-bit one, in units of the weights
        assert Fraction(row_step_size(256, 128)) / Fraction(2) ** int(shift[c]) == weight_step / 2


@given(st.integers(1, 256), st.integers(1, 16384))
def test_row_steps_fall_with_what_remains(remaining: int, step_256: int) -> None:
    assert row_step_size(remaining, step_256) == max(1, remaining * row_step_size(256, step_256) // 256)
    assert row_step_size(0, step_256) == 1
