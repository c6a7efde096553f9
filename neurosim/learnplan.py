"""What a learner loads beside the program: the plan of a learning rule and its calibrated powers of two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.codes import (
    CONNECTION,
    FACTOR_FULL,
    FACTOR_FULL_GAUSSIAN,
    FACTOR_GAUSSIAN,
    FACTOR_RANDOM,
    FACTOR_TRACE,
    FIRST_VOTE,
    FORM_RESPONSE,
    FORM_SCALAR,
)
from neurosim.errors import ConfigError
from neurosim.fixedpoint import lost_weight_bits
from neurosim.network import LIF, Dense
from neurosim.program import Program

FORMS = {"response": FORM_RESPONSE, "scalar": FORM_SCALAR}
FACTORS = {
    "trace": FACTOR_TRACE, "random": FACTOR_RANDOM, "gaussian": FACTOR_GAUSSIAN, "full": FACTOR_FULL,
    "full-gaussian": FACTOR_FULL_GAUSSIAN,
}  # fmt: skip


class LearnPlan(NamedTuple):
    """A learning rule on a program, in integers; fixed during training.

    P plastic connections with W weights in all, G groups, N neurons, C classes (readout neurons), rank R.
    """

    form: int
    factor: int
    rank: int
    n_pairs: int
    pair_every: int  # one of so many samples has pairs; the others learn from the known response
    skip: int  # samples whose likelihood (1/256 bit) is above this have no pairs; 0: never
    one_group: int  # 1: a pair perturbs one group, the next pair the next; 0: all groups at once
    gate: int  # 1: scalar votes only for neurons that came near their threshold
    n_steps: int
    readout: int  # group
    n_classes: int
    error_bits: int  # errors are in units of 2**-error_bits
    residual_bits: int  # low bits kept beside each weight
    plastic: npt.NDArray[np.int64]  # (P + 1, 4) CONNECTION, FIRST_VOTE, FIRST_FACTOR, WEIGHT_BITS; last row: totals
    group: npt.NDArray[np.int64]  # (G, 2) PERTURBED (by members), LEARNS (has plastic inputs)

    @property
    def connections(self) -> npt.NDArray[np.int64]:
        """(P,) the plastic connections."""
        return self.plastic[:-1, CONNECTION]

    @property
    def n_weights(self) -> int:
        """W, the number of plastic weights."""
        return int(self.plastic[-1, FIRST_VOTE])

    def votes_of(self, c: int) -> slice:
        """Return where the votes of the c-th plastic connection lie; rows by presynaptic neuron."""
        return slice(int(self.plastic[c, FIRST_VOTE]), int(self.plastic[c + 1, FIRST_VOTE]))


class Scales(NamedTuple):
    """Powers of two calibrated from measured activity; exponents, so that every scaling is a shift."""

    group: npt.NDArray[np.int64]  # (G, 3) NOISE_EXP (perturbation = drive * 2**exp), RESPONSE_SHIFT, CREDIT_SHIFT
    step_shift: npt.NDArray[np.int64]  # (P,) weight change = vote * step >> shift
    temperature: int  # 2**temperature units of the readout are 1/256 bit
    fitness_shift: int  # fitness difference >> shift


def make_plan(
    program: Program, readout: str, *, form: str, factor: str, rank: int, n_pairs: int, n_steps: int,
    error_bits: int, residual_bits: int, pair_every: int = 1, one_group: bool = False, gate: bool = False,
    skip: int = 0,
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
    if factor.startswith("full") and rank != 1:
        raise ConfigError(f"rule: rank {rank} with factor {factor!r}, whose draws have full rank already; set rank 1")
    if form != "response" and pair_every != 1:
        raise ConfigError(
            f"rule: pair_every {pair_every} needs form 'response'; without a pair form {form!r} learns nothing"
        )
    if form == "response" and factor != "trace":
        raise ConfigError(f"rule: form 'response' needs factor 'trace', found {factor!r}; or choose form 'scalar'")
    for name, value, low, high in (
        ("rank", rank, 1, 64), ("pairs", n_pairs, 1, 4096), ("pair_every", pair_every, 1, 1 << 16),
        ("n_steps", n_steps, 1, 1 << 15), ("error_bits", error_bits, 2, 12), ("skip", skip, -(1 << 12), 0),
        ("residual_bits", residual_bits, 0, 16),
    ):  # fmt: skip
        if not low <= value <= high:
            raise ConfigError(f"rule: {name} {value} is outside {low}..{high}; choose a value in between")
    if readout not in names:
        raise ConfigError(f"rule: unknown readout group {readout!r}; groups are {', '.join(names)}")
    if not isinstance(program.network.group(readout), LIF):
        raise ConfigError(f"rule: readout {readout!r} is an input; choose a group of neurons")
    if program.models is not None:
        raise ConfigError(
            f"network {program.network.name!r}: learning knows plain LIF neurons (one du, dv and vth per group) with binary "
            "spikes and no delays; run it without learning, or describe it so"
        )
    plastic = [i for i, c in enumerate(program.network.connections) if c.plastic]
    if not plastic:
        raise ConfigError(f"network {program.network.name!r}: no plastic connection; set plastic=True on one to learn")
    connections = [program.network.connections[i] for i in plastic]
    learns = np.array([any(c.target == name for c in connections) for name in names], np.int64)
    perturbed = learns.copy()
    if form == "response":
        perturbed[names.index(readout)] = 0  # its error is known: no need to measure
    weights = np.cumsum([0] + [c.shape[0] * c.shape[1] for c in connections])
    factors = np.cumsum([0] + [c.shape[1] for c in connections])
    bits = [c.num_weight_bits for c in connections]
    return LearnPlan(
        form=FORMS[form],
        factor=FACTORS[factor],
        rank=rank,
        n_pairs=n_pairs,
        pair_every=pair_every,
        skip=skip,
        one_group=int(one_group),
        gate=int(gate),
        n_steps=n_steps,
        readout=names.index(readout),
        n_classes=program.network.group(readout).n,
        error_bits=error_bits,
        residual_bits=residual_bits,
        plastic=np.stack([[*plastic, -1], weights, factors, [*bits, 0]], axis=1).astype(np.int64),
        group=np.stack([perturbed, learns], axis=1).astype(np.int64),
    )


def _check_choice(what: str, value: str, table: dict[str, int]) -> None:
    if value not in table:
        raise ConfigError(f"rule: unknown {what} {value!r}; choose one of {', '.join(table)}")


def initial_weights(program: Program, plan: LearnPlan) -> npt.NDArray[np.int32]:
    """Return the plastic weights with their residual bits, (W,) int32: mantissa << residual_bits, the middle of a step.

    Starting in the middle makes the first changes up and down equally likely to reach the next mantissa.
    """
    rows = []
    for index in plan.connections:
        connection = program.network.connections[index]
        assert isinstance(connection, Dense)
        mantissa = np.asarray(connection.weights) >> lost_weight_bits(connection.num_weight_bits, "mixed")
        rows.append(mantissa.T.ravel())
    middle = (1 << plan.residual_bits) >> 1
    return ((np.concatenate(rows) << plan.residual_bits) + middle).astype(np.int32)
