"""What a learner loads beside the program: the plan of a learning rule and its calibrated powers of two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
    KIND_BIAS,
    KIND_KERNEL,
    KIND_ROWS,
    KIND_SYNAPSES,
    KIND_THRESHOLD,
    NEURON_FIRST,
    NEURON_GROUP,
    NEURON_KIND,
    NEURON_RESIDUAL,
    TRACE_LIMIT,
    UPDATE_ROUNDING,
    UPDATE_SIGNIFICANCE,
)
from neurosim.errors import ConfigError
from neurosim.fixedpoint import INPUT_SHIFT, RANGES, lost_weight_bits
from neurosim.goals import DEFAULT_WANTED, Goal, Wanted, make_goal
from neurosim.network import LIF, Connection, Conv, CubaLIF, Dense, Input, IntegerConnection
from neurosim.neurons import ATRLIF, Neurons, ProdNeuron, Sigma, SigmaDelta, TernaryLIF
from neurosim.program import Program

FORMS = {"response": FORM_RESPONSE, "scalar": FORM_SCALAR}
FACTORS = {
    "trace": FACTOR_TRACE, "random": FACTOR_RANDOM, "gaussian": FACTOR_GAUSSIAN, "full": FACTOR_FULL,
    "full-gaussian": FACTOR_FULL_GAUSSIAN,
}  # fmt: skip
UPDATES = {"rounding": UPDATE_ROUNDING, "significance": UPDATE_SIGNIFICANCE}
NEURON_RESIDUAL_BITS = 13  # at most, so that a threshold of 17 bits and its residual stay in 32 bits
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
    skip: int  # samples whose likelihood (1/256 bit) is above this have no pairs; 0: never
    one_group: int  # 1: a pair perturbs one group, the next pair the next; 0: all groups at once
    gate: int  # 1: scalar votes only for neurons that came near their threshold
    n_steps: int
    readout: int  # group
    n_classes: int
    error_bits: int  # errors are in units of 2**-error_bits
    residual_bits: int  # low bits kept beside each weight
    goal: Goal  # what is wanted of a run
    #: (P + 1, 7) CONNECTION, FIRST_VOTE, FIRST_FACTOR, WEIGHT_BITS, KIND, VALUES (where weights are multiplied with messages:
    #: the limit of their sum in a trace; else 0), SHARED (most links that share a weight); last row: totals
    plastic: npt.NDArray[np.int64]
    group: npt.NDArray[
        np.int64
    ]  # (G, 3) PERTURBED (by members), LEARNS (has plastic inputs), SIZE (`perturbation_size`)
    update: int  # how votes become changes, UPDATE_*
    momentum: int  # weights follow the sign of an average over 2**momentum generations; 0: each generation's votes
    neuron: npt.NDArray[
        np.int64
    ]  # (Q + 1, 4) NEURON_*: biases and thresholds that learn, of a group each; last row: totals
    #: (F + 1,) first weight of each row, which is measured and rounded for itself: what starts at one presynaptic neuron. The
    #: weights of a kernel, which all its sources share, are one row, the first source's.
    row_start: npt.NDArray[np.int64]

    @property
    def connections(self) -> npt.NDArray[np.int64]:
        """(P,) the plastic connections."""
        return self.plastic[:-1, CONNECTION]

    @property
    def n_weights(self) -> int:
        """W, the number of plastic weights."""
        return int(self.plastic[-1, FIRST_VOTE])

    @property
    def n_learned(self) -> int:
        """All numbers that learn: W weights, then biases and thresholds."""
        return int(self.neuron[-1, NEURON_FIRST])

    @property
    def moves_by_sign(self) -> bool:
        """Whether all weights that move in a generation move equally far."""
        return self.update != UPDATE_ROUNDING or self.momentum > 0

    def votes_of(self, c: int) -> slice:
        """Return where the votes of the c-th plastic connection lie, in the order of `stored_weights`."""
        return slice(int(self.plastic[c, FIRST_VOTE]), int(self.plastic[c + 1, FIRST_VOTE]))

    def votes_of_neurons(self, q: int) -> slice:
        """Return where the votes of the q-th row of `neuron` lie."""
        return slice(int(self.neuron[q, NEURON_FIRST]), int(self.neuron[q + 1, NEURON_FIRST]))


class Scales(NamedTuple):
    """Powers of two calibrated from measured activity; exponents, so that every scaling is a shift."""

    group: npt.NDArray[np.int64]  # (G, 2) NOISE_EXP (perturbation = drive * 2**exp), CREDIT_SHIFT
    step_shift: npt.NDArray[np.int64]  # (P + Q,) change = vote * step >> shift; with momentum vote >> shift is averaged
    temperature: int  # 2**temperature units of the readout are 1/256 bit
    fitness_shift: int  # fitness difference >> shift
    balance_shift: int = 0  # 2**shift units of the imbalance are 1/256 of what is typical


class Squares(NamedTuple):
    """How large votes would be by chance: sums of squares of what they are made of (full rank has none)."""

    rows: npt.NDArray[np.int64]  # (F,) of the pre factors
    columns: npt.NDArray[np.int64]  # (N,) of the local votes
    n_terms: int  # summed in each, ranks included
    neurons: npt.NDArray[np.int64]  # (n_learned - W,) of the votes of biases and thresholds, term by term


def make_plan(
    program: Program, readout: str, *, form: str, factor: str, rank: int, n_pairs: int, n_steps: int,
    error_bits: int, residual_bits: int, pair_every: int = 1, one_group: bool = False, gate: bool = False,
    update: str = "rounding", momentum: int = 0, biases: bool = False, thresholds: bool = False,
    skip: int = 0, wanted: Wanted = DEFAULT_WANTED,
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
    _check_choice("update", update, UPDATES)
    if update == "significance" and momentum:
        raise ConfigError(
            f"rule: momentum {momentum} averages votes that update 'significance' judges one by one; set one of them"
        )
    if update == "significance" and factor.startswith("full"):
        raise ConfigError(
            f"rule: update 'significance' knows the size of chance from factors, which factor {factor!r} has not; "
            "choose trace, random or gaussian, or update 'rounding'"
        )
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
        ("residual_bits", residual_bits, 0, 16), ("momentum", momentum, 0, 12),
    ):  # fmt: skip
        if not low <= value <= high:
            raise ConfigError(f"rule: {name} {value} is outside {low}..{high}; choose a value in between")
    if readout not in names:
        raise ConfigError(f"rule: unknown readout group {readout!r}; groups are {', '.join(names)}")
    answering = program.network.group(readout)
    if not isinstance(answering, LIF):
        raise ConfigError(f"rule: readout {readout!r} is an input; choose a group of neurons")
    plastic = [i for i, c in enumerate(program.network.connections) if c.plastic]
    if not plastic:
        raise ConfigError(f"network {program.network.name!r}: no plastic connection; set plastic=True on one to learn")
    connections = [c for i in plastic if not isinstance(c := program.network.connections[i], Connection)]
    _check_connections(program, connections, factor, update)
    _check_neurons(program, biases, thresholds)
    goal = make_goal(answering, FORMS[form], rank, n_steps, error_bits, _n_hidden(program, readout), wanted)
    if program.models is not None and goal != Goal():
        raise ConfigError(
            f"rule: in network {program.network.name!r}, which has other neurons than plain LIF, delays, values of spikes or "
            "convolutions, the answer is the readout's last voltage; set rule.fitness to 'likelihood' without labels by window "
            "or costs"
        )
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
        skip=skip,
        one_group=int(one_group),
        gate=int(gate),
        n_steps=n_steps,
        readout=names.index(readout),
        n_classes=program.network.group(readout).n,
        error_bits=error_bits,
        residual_bits=residual_bits,
        goal=goal,
        plastic=np.stack(
            [[*plastic, -1], weights, factors, [*bits, 0], [*kinds, 0], [*values, 0], [*shared, 1]], axis=1
        ).astype(np.int64),
        group=np.stack([perturbed, learns, sizes], axis=1).astype(np.int64),
        update=UPDATES[update],
        momentum=momentum,
        neuron=_neuron_rows(program, readout, learns, int(weights[-1]), residual_bits, biases, thresholds),
        row_start=np.concatenate(
            [*(w + _row_starts(c) for w, c in zip(weights, connections, strict=False)), weights[-1:]]
        ),
    )


def _check_connections(program: Program, connections: list[IntegerConnection], factor: str, update: str) -> None:
    """Refuse plastic connections that the rule cannot teach."""
    for connection in connections:
        owner = f"connection {connection.name!r}"
        if factor.startswith("full") and kind_of(connection) != KIND_ROWS:
            raise ConfigError(
                f"rule: factor {factor!r} needs dense connections, {connection.name!r} is {type(connection).__name__}; "
                "choose another factor"
            )
        if update == "significance" and kind_of(connection) != KIND_ROWS:
            raise ConfigError(
                f"rule: update 'significance' needs dense connections, {connection.name!r} is {type(connection).__name__}; "
                "choose update 'rounding'"
            )
        ports = program.network.group(connection.target).ports
        if connection.port and connection.port != ports[0]:
            raise ConfigError(
                f"{owner}: learning perturbs port {ports[0]!r} of {connection.target!r}, not {connection.port!r}; "
                "set plastic=False on it"
            )


def _check_neurons(program: Program, biases: bool, thresholds: bool) -> None:
    """Refuse biases and thresholds that learn where not all is plain."""
    if program.models is not None and (biases or thresholds):
        what = "biases" if biases else "thresholds"
        raise ConfigError(
            f"rule: {what} learn in plain LIF neurons (one du, dv and vth per group) with binary spikes, dense or sparse, and no "
            f"delays; network {program.network.name!r} has others, turn rule.{what} off"
        )


def kind_of(connection: IntegerConnection) -> int:
    """Return how the weights of a connection are laid out: KIND_ROWS, KIND_SYNAPSES or KIND_KERNEL."""
    if isinstance(connection, Conv):
        return KIND_KERNEL
    return KIND_ROWS if isinstance(connection, Dense) else KIND_SYNAPSES


def _row_starts(connection: IntegerConnection) -> npt.NDArray[np.int64]:
    """Return the first weight of each presynaptic neuron's row, in the order of `stored_weights`."""
    n_post, n_pre = connection.shape
    if isinstance(connection, Dense):
        return np.arange(n_pre, dtype=np.int64) * n_post
    if isinstance(connection, Conv):
        return np.where(np.arange(n_pre) == 0, 0, np.size(connection.weights)).astype(np.int64)
    return connection.as_sparse().start[:-1]


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

    Over those that can fire, if any can. 64 weight units stand for it where a model has no threshold, or none on its input.
    """
    if isinstance(group, TernaryLIF):
        high, low = np.broadcast_arrays(group.vth_hi, group.vth_lo)
        apart = _firing(np.abs(high - low), (high == RANGES["vth_hi"][1]) & (low == RANGES["vth_lo"][0]))
        size = int(apart.sum()) // (2 * apart.size)
    elif isinstance(group, SigmaDelta):
        size = group.vth << (group.spike_exp + group.state_exp)
    elif isinstance(group, ATRLIF):
        size = group.theta_0
    elif isinstance(group, (Sigma, ProdNeuron)):
        size = 0
    else:
        vth = _firing(np.atleast_1d(group.vth), np.atleast_1d(group.vth) == RANGES["vth"][1])
        size = int(vth.sum()) // vth.size
    return (size or NO_THRESHOLD) << INPUT_SHIFT


def _firing(sizes: npt.NDArray[np.int64], never: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the numbers of neurons that can fire; of all if none can."""
    return sizes if never.all() else sizes[~never]


def _neuron_rows(
    program: Program, readout: str, learns: npt.NDArray[np.int64], first: int, residual_bits: int, biases: bool,
    thresholds: bool,
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Lay out the biases and thresholds of the groups that learn; a readout that only integrates has no threshold."""
    rows, bits = [], min(residual_bits, NEURON_RESIDUAL_BITS)
    if thresholds:
        _check_threshold_configs(
            program, [g.name for i, g in enumerate(program.network.ordered_groups) if learns[i]], readout
        )
    for i, group in enumerate(program.network.ordered_groups):
        for kind, wanted in ((KIND_BIAS, biases), (KIND_THRESHOLD, thresholds and group.name != readout)):
            if wanted and learns[i]:
                rows.append((i, kind, first, bits))
                first += group.n
    return np.array([*rows, (-1, 0, first, 0)], np.int64)


def _check_threshold_configs(program: Program, learning: list[str], readout: str) -> None:
    """Refuse thresholds of their own for more neurons than a core has thresholds for: training would end in a network that fits no chip."""
    limit, network = program.chip.threshold_configs_per_core, program.network
    for use in program.mapping.cores if limit is not None else ():
        names = [name for name in use.groups if name in learning and name != readout]
        n = sum(
            int((program.mapping.core[network.offsets[name] :][: network.group(name).n] == use.core).sum())
            for name in names
        )
        others = len(use.groups) - len(names)
        if n + others > (limit or 0):
            raise ConfigError(
                f"rule: thresholds of {n} neurons of {', '.join(names)} on core {use.core}, where chip {program.chip.name!r} holds "
                f"{limit} different ones; turn rule.thresholds off, or choose a chip without that limit, such as 'unlimited'"
            )


def neuron_range(kind: int) -> tuple[int, int]:
    """Return the smallest and largest mantissa of a learned bias or threshold; its register holds mantissa << 6."""
    low, high = RANGES["bias_mant" if kind == KIND_BIAS else "vth"]
    return (low if kind == KIND_BIAS else max(1, low)), high


def _n_hidden(program: Program, readout: str) -> int:
    groups = program.network.ordered_groups
    return sum(group.n for group in groups if isinstance(group, LIF) and group.name != readout)


def _check_choice(what: str, value: str, table: dict[str, int]) -> None:
    if value not in table:
        raise ConfigError(f"rule: unknown {what} {value!r}; choose one of {', '.join(table)}")


def initial_weights(program: Program, plan: LearnPlan) -> npt.NDArray[np.int32]:
    """Return all that learns with its residual bits, (n_learned,) int32: mantissa << residual_bits, the middle of a step.

    Starting in the middle makes the first changes up and down equally likely to reach the next mantissa. Weights come first,
    then the rows of `LearnPlan.neuron`. A bias becomes the nearest multiple of 64 that its register can hold.
    """
    rows = []
    for index in plan.connections:
        connection = program.network.connections[index]
        assert not isinstance(connection, Connection)
        rows.append(stored_weights(connection) >> lost_weight_bits(connection.num_weight_bits, "mixed"))
    middle = (1 << plan.residual_bits) >> 1
    weights = (np.concatenate(rows) << plan.residual_bits) + middle
    neurons = [_initial_neurons(program, row) for row in plan.neuron[:-1]]
    return np.concatenate([weights, *neurons]).astype(np.int32)


def _initial_neurons(program: Program, row: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    group, bits = program.network.ordered_groups[int(row[NEURON_GROUP])], int(row[NEURON_RESIDUAL])
    assert isinstance(group, LIF)
    low, high = neuron_range(int(row[NEURON_KIND]))
    mantissa = np.broadcast_to(np.asarray(group.vth, np.int64), (group.n,))
    if row[NEURON_KIND] == KIND_BIAS:
        mantissa = (group.bias + (1 << INPUT_SHIFT >> 1)) >> INPUT_SHIFT
        if int(mantissa.min()) < low or int(mantissa.max()) > high:
            raise ConfigError(
                f"group {group.name!r}: bias {int(group.bias[np.abs(mantissa).argmax()])} is beyond what a bias that learns "
                f"can hold, {low << INPUT_SHIFT}..{high << INPUT_SHIFT}; lower it or turn rule.biases off"
            )
    return np.asarray((np.clip(mantissa, low, high) << bits) + (1 << bits >> 1))


def learned_neurons(
    program: Program, plan: LearnPlan, full: npt.NDArray[np.int32], actual: Mapping[str, LIF] | None = None
) -> dict[str, LIF]:
    """Return the groups whose biases or thresholds learn, with what they learned; and those that are others on the chip."""
    groups: dict[str, LIF] = dict(actual or {})
    for q, row in enumerate(plan.neuron[:-1]):
        group = program.network.ordered_groups[int(row[NEURON_GROUP])]
        assert isinstance(group, LIF)
        mantissa = full[plan.votes_of_neurons(q)].astype(np.int64) >> int(row[NEURON_RESIDUAL])
        group = groups.get(group.name, group)
        if row[NEURON_KIND] == KIND_BIAS:
            groups[group.name] = replace(group, bias_mant=mantissa, bias_exp=np.full(group.n, INPUT_SHIFT))
        else:
            groups[group.name] = replace(group, vth=mantissa)
    return groups
