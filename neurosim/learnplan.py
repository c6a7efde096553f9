"""What a learner loads beside the program: the plan of a learning rule and its calibrated powers of two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.errors import ConfigError
from neurosim.fixedpoint import lost_weight_bits
from neurosim.network import Dense
from neurosim.program import Program

FORM_RESPONSE = 0  # pairs measure how readouts respond; errors become local votes
FORM_SCALAR = 1  # each pair's fitness difference is one scalar, broadcast
FORMS = {"response": FORM_RESPONSE, "scalar": FORM_SCALAR}

FACTOR_TRACE = 0  # presynaptic spike counts of the unperturbed run, one window of time per rank
FACTOR_RANDOM = 1  # +1 / -1, zero where the presynaptic neuron was silent
FACTORS = {"trace": FACTOR_TRACE, "random": FACTOR_RANDOM}

FITNESS_LIMIT = 127  # the fitness difference of a pair is clipped to 8 bits
CREDIT_LIMIT = 4095  # local votes are clipped to 13 bits


class LearnPlan(NamedTuple):
    """A learning rule on a program, in integers; fixed during training.

    P plastic connections with W weights in all, G groups, N neurons, C classes (readout neurons), rank R.
    """

    form: int
    factor: int
    rank: int
    n_pairs: int
    n_steps: int
    readout: int  # group
    n_classes: int
    error_bits: int  # errors are in units of 2**-error_bits
    plastic: npt.NDArray[np.int32]  # (P,) connection
    vote_start: npt.NDArray[np.int64]  # (P + 1,) first vote of each; rows by presynaptic neuron
    factor_start: npt.NDArray[np.int64]  # (P + 1,) first pre factor of each
    weight_bits: npt.NDArray[np.int32]  # (P,)
    residual_bits: int  # low bits kept beside each weight
    perturbed: npt.NDArray[np.uint8]  # (G,) members perturb this group
    learns: npt.NDArray[np.uint8]  # (G,) this group has plastic inputs
    half: npt.NDArray[np.int32]  # (G,) half of the threshold: what counts as near


class Scales(NamedTuple):
    """Powers of two calibrated from measured activity; exponents, so that every scaling is a shift."""

    noise_exp: npt.NDArray[np.int64]  # (G,) perturbation = factor * 2**noise_exp, in units of u
    response_shift: npt.NDArray[np.int64]  # (G,) response used = accumulated >> shift
    credit_shift: npt.NDArray[np.int64]  # (G,) local vote >> shift
    step_shift: npt.NDArray[np.int64]  # (P,) weight change = vote * step >> shift
    temperature: npt.NDArray[np.int64]  # (1,) 2**temperature units of the readout are 1/256 bit
    fitness_shift: npt.NDArray[np.int64]  # (1,) fitness difference >> shift


def make_plan(
    program: Program, readout: str, *, form: str, factor: str, rank: int, n_pairs: int, n_steps: int,
    error_bits: int, residual_bits: int,
) -> LearnPlan:  # fmt: skip
    """Lay a rule out over the plastic connections of a program.

    Raises
    ------
    ConfigError
        If nothing is plastic, a name is unknown, a number is out of range, or the form and factor do not go together.
    """
    names = program.group_names
    _check_choice("form", form, FORMS)
    _check_choice("factor", factor, FACTORS)
    if form == "response" and factor != "trace":
        raise ConfigError(f"rule: form 'response' needs factor 'trace', found {factor!r}; or choose form 'scalar'")
    for name, value, low, high in (
        ("rank", rank, 1, 64), ("pairs", n_pairs, 1, 4096), ("n_steps", n_steps, 1, 1 << 15),
        ("error_bits", error_bits, 2, 12), ("residual_bits", residual_bits, 0, 16),
    ):  # fmt: skip
        if not low <= value <= high:
            raise ConfigError(f"rule: {name} {value} is outside {low}..{high}; choose a value in between")
    if readout not in names:
        raise ConfigError(f"rule: unknown readout group {readout!r}; groups are {', '.join(names)}")
    plastic = [i for i, c in enumerate(program.network.connections) if c.plastic]
    if not plastic:
        raise ConfigError(f"network {program.network.name!r}: no plastic connection; set plastic=True on one to learn")
    connections = [program.network.connections[i] for i in plastic]
    learns = np.array([any(c.target == name for c in connections) for name in names], np.uint8)
    perturbed = learns.copy()
    if form == "response":
        perturbed[names.index(readout)] = 0  # its error is known: no need to measure
    return LearnPlan(
        form=FORMS[form],
        factor=FACTORS[factor],
        rank=rank,
        n_pairs=n_pairs,
        n_steps=n_steps,
        readout=names.index(readout),
        n_classes=program.network.group(readout).n,
        error_bits=error_bits,
        plastic=np.array(plastic, np.int32),
        vote_start=np.cumsum([0] + [c.shape[0] * c.shape[1] for c in connections]).astype(np.int64),
        factor_start=np.cumsum([0] + [c.shape[1] for c in connections]).astype(np.int64),
        weight_bits=np.array([c.num_weight_bits for c in connections], np.int32),
        residual_bits=residual_bits,
        perturbed=perturbed,
        learns=learns,
        half=(program.arrays.threshold // 2).astype(np.int32),
    )


def _check_choice(what: str, value: str, table: dict[str, int]) -> None:
    if value not in table:
        raise ConfigError(f"rule: unknown {what} {value!r}; choose one of {', '.join(table)}")


def initial_weights(program: Program, plan: LearnPlan) -> npt.NDArray[np.int32]:
    """Return the plastic weights with their residual bits, (W,) int32: mantissa << residual_bits, the middle of a step.

    Starting in the middle makes the first changes up and down equally likely to reach the next mantissa.
    """
    rows = []
    for index in plan.plastic:
        connection = program.network.connections[index]
        assert isinstance(connection, Dense)
        mantissa = np.asarray(connection.weights) >> lost_weight_bits(connection.num_weight_bits, "mixed")
        rows.append(mantissa.T.ravel())
    middle = (1 << plan.residual_bits) >> 1
    return ((np.concatenate(rows) << plan.residual_bits) + middle).astype(np.int32)


