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
    KIND_KERNEL,
    KIND_ROWS,
    KIND_SYNAPSES,
    TRACE_LIMIT,
)
from neurosim.errors import ConfigError
from neurosim.fixedpoint import INPUT_SHIFT, lost_weight_bits
from neurosim.network import LIF, Connection, Conv, CubaLIF, Dense, Input, IntegerConnection
from neurosim.neurons import ATRLIF, Neurons, ProdNeuron, Sigma, SigmaDelta, TernaryLIF
from neurosim.program import Program

FORMS = {"response": FORM_RESPONSE, "scalar": FORM_SCALAR}
FACTORS = {
    "trace": FACTOR_TRACE, "random": FACTOR_RANDOM, "gaussian": FACTOR_GAUSSIAN, "full": FACTOR_FULL,
    "full-gaussian": FACTOR_FULL_GAUSSIAN,
}  # fmt: skip
NO_THRESHOLD = 64  # weight units that stand for the threshold of models without one


class LearnPlan(NamedTuple):
    """A learning rule on a program, in integers; fixed during training.

    P plastic connections with W weights in all, G groups, N neurons, C classes (readout neurons), rank R.
    """

    form: int
    factor: int
    rank: int
    n_pairs: int
    pair_every: int  # one of so many samples has pairs; the others learn from the known response
    one_group: int  # 1: a pair perturbs one group, the next pair the next; 0: all groups at once
    gate: int  # 1: scalar votes only for neurons that came near their threshold
    n_steps: int
    readout: int  # group
    n_classes: int
    error_bits: int  # errors are in units of 2**-error_bits
    residual_bits: int  # low bits kept beside each weight
    #: (P + 1, 7) CONNECTION, FIRST_VOTE, FIRST_FACTOR, WEIGHT_BITS, KIND, VALUES (where weights are multiplied with messages:
    #: the limit of their sum in a trace; else 0), SHARED (most links that share a weight); last row: totals
    plastic: npt.NDArray[np.int64]
    group: npt.NDArray[
        np.int64
    ]  # (G, 3) PERTURBED (by members), LEARNS (has plastic inputs), SIZE (`perturbation_size`)

    @property
    def connections(self) -> npt.NDArray[np.int64]:
        """(P,) the plastic connections."""
        return self.plastic[:-1, CONNECTION]

    @property
    def n_weights(self) -> int:
        """W, the number of plastic weights."""
        return int(self.plastic[-1, FIRST_VOTE])

    def votes_of(self, c: int) -> slice:
        """Return where the votes of the c-th plastic connection lie, in the order of `stored_weights`."""
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
        ("rank", rank, 1, 64), ("pairs", n_pairs, 1, 4096), ("pair_every", pair_every, 1, 1 << 16), ("n_steps", n_steps, 1, 1 << 15),
        ("error_bits", error_bits, 2, 12), ("residual_bits", residual_bits, 0, 16),
    ):  # fmt: skip
        if not low <= value <= high:
            raise ConfigError(f"rule: {name} {value} is outside {low}..{high}; choose a value in between")
    if readout not in names:
        raise ConfigError(f"rule: unknown readout group {readout!r}; groups are {', '.join(names)}")
    if not isinstance(program.network.group(readout), LIF):
        raise ConfigError(f"rule: readout {readout!r} is an input; choose a group of neurons")
    plastic = [i for i, c in enumerate(program.network.connections) if c.plastic]
    if not plastic:
        raise ConfigError(f"network {program.network.name!r}: no plastic connection; set plastic=True on one to learn")
    connections = [c for i in plastic if not isinstance(c := program.network.connections[i], Connection)]
    _check_connections(program, connections, factor)
    learns = np.array([any(c.target == name for c in connections) for name in names], np.int64)
    perturbed = learns.copy()
    if form == "response":
        perturbed[names.index(readout)] = 0  # its error is known: no need to measure
    weights = np.cumsum([0] + [stored_weights(c).size for c in connections])
    factors = np.cumsum([0] + [c.shape[1] for c in connections])
    bits = [c.num_weight_bits for c in connections]
    kinds = [kind_of(c) for c in connections]
    values = [min(TRACE_LIMIT, n_steps * ((1 << c.num_message_bits) - 1)) for c in connections]
    shared = [c.output_shape[0] * c.output_shape[1] if isinstance(c, Conv) else 1 for c in connections]
    sizes = [0 if isinstance(g, (Input, CubaLIF)) else perturbation_size(g) for g in program.network.ordered_groups]
    return LearnPlan(
        form=FORMS[form],
        factor=FACTORS[factor],
        rank=rank,
        n_pairs=n_pairs,
        pair_every=pair_every,
        one_group=int(one_group),
        gate=int(gate),
        n_steps=n_steps,
        readout=names.index(readout),
        n_classes=program.network.group(readout).n,
        error_bits=error_bits,
        residual_bits=residual_bits,
        plastic=np.stack(
            [[*plastic, -1], weights, factors, [*bits, 0], [*kinds, 0], [*values, 0], [*shared, 1]], axis=1
        ).astype(np.int64),
        group=np.stack([perturbed, learns, sizes], axis=1).astype(np.int64),
    )


def _check_connections(program: Program, connections: list[IntegerConnection], factor: str) -> None:
    """Refuse plastic connections that the rule cannot teach."""
    for connection in connections:
        owner = f"connection {connection.name!r}"
        if factor.startswith("full") and kind_of(connection) != KIND_ROWS:
            raise ConfigError(
                f"rule: factor {factor!r} needs dense connections, {connection.name!r} is {type(connection).__name__}; "
                "choose another factor"
            )
        ports = program.network.group(connection.target).ports
        if connection.port and connection.port != ports[0]:
            raise ConfigError(
                f"{owner}: learning perturbs port {ports[0]!r} of {connection.target!r}, not {connection.port!r}; "
                "set plastic=False on it"
            )


def kind_of(connection: IntegerConnection) -> int:
    """Return how the weights of a connection are laid out: KIND_ROWS, KIND_SYNAPSES or KIND_KERNEL."""
    if isinstance(connection, Conv):
        return KIND_KERNEL
    return KIND_ROWS if isinstance(connection, Dense) else KIND_SYNAPSES


def stored_weights(connection: IntegerConnection) -> npt.NDArray[np.int64]:
    """Return the weights of a connection in the order of votes, one-dimensional.

    By presynaptic, then by postsynaptic neuron; a convolution's kernel as it is described.
    """
    if isinstance(connection, Dense):
        return np.asarray(connection.weights, np.int64).T.ravel()
    return np.asarray(
        connection.weights if isinstance(connection, Conv) else connection.as_sparse().data, np.int64
    ).ravel()


def described_weights(connection: IntegerConnection, stored: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return weights in the shape of a connection's description; the inverse of `stored_weights`."""
    if isinstance(connection, Dense):
        n_post, n_pre = connection.shape
        return np.ascontiguousarray(stored.reshape(n_pre, n_post).T)
    return stored.reshape(np.shape(connection.weights)) if isinstance(connection, Conv) else stored


def perturbation_size(group: Neurons) -> int:
    """Return what a perturbation of a group is measured in: its threshold in 1/64 weight units, the mean over neurons.

    64 weight units stand for it where a model has no threshold, or none on its input.
    """
    if isinstance(group, TernaryLIF):
        apart = np.abs(np.subtract(group.vth_hi, group.vth_lo))
        size = int(apart.sum()) // (2 * apart.size)
    elif isinstance(group, SigmaDelta):
        size = group.vth << (group.spike_exp + group.state_exp)
    elif isinstance(group, ATRLIF):
        size = group.theta_0
    elif isinstance(group, (Sigma, ProdNeuron)):
        size = 0
    else:
        size = int(np.sum(group.vth)) // np.size(group.vth)
    return (size or NO_THRESHOLD) << INPUT_SHIFT


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
        assert not isinstance(connection, Connection)
        rows.append(stored_weights(connection) >> lost_weight_bits(connection.num_weight_bits, "mixed"))
    middle = (1 << plan.residual_bits) >> 1
    return ((np.concatenate(rows) << plan.residual_bits) + middle).astype(np.int32)
