"""What a chip would need to learn by a rule: state, messages, operations, and whether a chip has it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.codes import (
    CREDIT_LIMIT,
    FACTOR_FULL,
    FACTOR_TRACE,
    FITNESS_LIMIT,
    FORM_RESPONSE,
    LEARNS,
    PERTURBED,
    WEIGHT_BITS,
)
from neurosim.counters import LEARNING, OpCounts
from neurosim.goals import RESPONSE_BITS
from neurosim.learning.trainer import Trainer, largest_vote
from neurosim.learnplan import LearnPlan
from neurosim.mapping.fit import used_with
from neurosim.mapping.learning import LearningNeeds
from neurosim.program import Program

VOLTAGE_BITS = 24  # of a readout, sign included; the difference of two has one more
POWER_BITS = 45  # of a row's mean square: votes count up to 2**22 in it (`kernels.weights`)
MOMENTUM_BITS = 16  # of the average of a weight's votes
KEY_BITS = 64  # on each core with neurons that learn: the key from which its noise is drawn again (`kernels.noise`)
#: What no limit here stands for.
NOT_MODELLED = (
    "drawing the same +1 and -1 again for both members of a pair (a hash of counters), and its time",
    "the length of the learning engine's program, and the order in which it reads its operands",
    "the time of the embedded processor for softmax and division, and the way to it",
    "adding up c(t) where the presynaptic neurons are, and the routing of values that are not spikes",
    "what the chip's compiler takes for itself",
)  # fmt: skip


class Part(NamedTuple):
    """Bits of state of one kind at each neuron, synapse or presynaptic row."""

    owner: str  # "neuron", "synapse" or "row"
    of: str  # group or connection
    what: str
    bits: int  # at each
    n: int  # how many neurons, synapses or rows


class Message(NamedTuple):
    """Values that are sent to all cores of a group, beside spikes."""

    group: str
    what: str
    per: str  # "pair" or "sample"
    n: int  # packets: values times cores
    bits: int  # of a value, sign included


class Need(NamedTuple):
    """A resource, what the rule needs of it, and what the chip has."""

    resource: str
    of: str  # what needs most
    need: int
    limit: int | None
    unit: str
    fits: bool | None  # None: the limit is not known
    source: str
    kind: str


class CoreState(NamedTuple):
    """What a core holds when it learns by a plan; the mapping may have counted with other bits beside a weight."""

    core: int
    synapse_memory_bits: int
    learning_bits: int  # all state beyond the weights, that in the synapse memory included


class ChipCost(NamedTuple):
    """What a chip would need to learn so."""

    chip: str
    state: tuple[Part, ...]
    messages: tuple[Message, ...]
    needs: tuple[Need, ...]
    per_sample: dict[str, float] | None  # extra operations per training sample, counted; None before training
    per_step: dict[str, float] | None  # the same per time step of a member
    accumulator_bits_used: int | None  # of the response's accumulators, measured
    cores: tuple[CoreState, ...] = ()

    @property
    def fits(self) -> bool | None:
        """Whether the chip has all of it; None where nothing known forbids it and a limit is unknown."""
        if any(need.fits is False for need in self.needs):
            return False
        return None if any(need.fits is None for need in self.needs) else True

    @property
    def verdict(self) -> str:
        """Whether it fits, and why: "yes: ...", "no, because: ..." or "not known: ..."."""
        if self.fits:
            return f"yes: every need that is modelled is within its limit; {len(NOT_MODELLED)} things are not modelled"
        if self.fits is None:
            open_ = "; ".join(
                f"{need.resource} ({need.of}) {need.need:,} {need.unit}" for need in self.needs if need.fits is None
            )
            return f"not known: no published limit forbids it, and these have none: {open_}"
        wrong = "; ".join(
            f"{need.resource} ({need.of}) {need.need:,} {need.unit}, limit {need.limit:,}"
            for need in self.needs
            if need.fits is False
        )
        return f"no, because: {wrong}"

    @property
    def learning_bits(self) -> int:
        """All state beyond the weights, in bits."""
        return sum(part.bits * part.n for part in self.state if part.what != "weight")

    def bits_per(self, owner: str) -> int:
        """Return the bits at the neuron, synapse or row that has most, weights included."""
        each: dict[str, int] = {}
        for part in self.state:
            if part.owner == owner:
                each[part.of] = each.get(part.of, 0) + part.bits
        return max(each.values(), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return the same in plain values, for the metrics of a run."""
        return {
            "chip": self.chip,
            "fits": {True: "yes", False: "no", None: "not known"}[self.fits],
            "verdict": self.verdict,
            "state": [part._asdict() for part in self.state],
            "bits_per_neuron": self.bits_per("neuron"),
            "bits_per_synapse": self.bits_per("synapse"),
            "bits_per_row": self.bits_per("row"),
            "learning_bits": self.learning_bits,
            "cores": [core._asdict() for core in self.cores],
            "messages": [message._asdict() for message in self.messages],
            "needs": [need._asdict() for need in self.needs],
            "extra_operations": {"per_sample": self.per_sample, "per_step": self.per_step},
            "accumulator_bits_used": self.accumulator_bits_used,
            "not_modelled": list(NOT_MODELLED),
        }


def chip_cost(
    program: Program, plan: LearnPlan, *, batch: int, memory: int, row_memory: int | None = None,
    counts: OpCounts | None = None, accumulated: npt.NDArray[np.int64] | None = None,
) -> ChipCost:  # fmt: skip
    """Return what a chip needs to do what the simulator does, number by number.

    Parameters
    ----------
    program : Program
        Its chip gives the limits, its mapping the cores.
    plan : LearnPlan
    batch : int
        Samples of a generation; with more than one, each neuron keeps its factor for each of them until the update.
    memory : int
        The response is averaged over 2**memory generations.
    row_memory : int, optional
        The mean square of a row's votes is averaged over 2**row_memory generations; None: rows have none.
    counts : OpCounts, optional
        Operations of a training run.
    accumulated : (R, C, N) int64, optional
        What a training run has accumulated of the response.
    """
    state = tuple(_state(program, plan, batch, memory, row_memory))
    used = used_with(program.network, program.chip, program.mapping, _as_needs(state))
    cores = tuple(CoreState(i, each["synapse_memory_bits"], each["learning_bits"]) for i, each in enumerate(used))
    messages = tuple(_messages(program, plan))
    per_sample = per_step = None
    if counts is not None and counts.n_samples:
        per_sample = {name: counts.total(name) / counts.n_samples for name in LEARNING}
        per_step = {name: counts.total(name) / counts.n_steps for name in LEARNING}
    widest = None
    if accumulated is not None and plan.form == FORM_RESPONSE:
        widest = int(np.abs(accumulated).max(initial=0)).bit_length() + 1
    needs = tuple(_needs(program, plan, state, messages, cores))
    return ChipCost(program.chip.name, state, messages, needs, per_sample, per_step, widest, cores)


def learning_needs(
    program: Program, plan: LearnPlan, *, batch: int, memory: int, row_memory: int | None = None
) -> LearningNeeds:
    """Return the state of learning as a mapping counts it; arguments as those of `chip_cost`.

    ``compile(network, chip, learning=learning_needs(program, plan, ...))`` makes room for it.
    """
    return _as_needs(tuple(_state(program, plan, batch, memory, row_memory)))


def _as_needs(state: tuple[Part, ...]) -> LearningNeeds:
    bits: dict[str, dict[str, int]] = {"synapse": {}, "row": {}, "neuron": {}}
    for part in state:
        if part.what != "weight":
            bits[part.owner][part.of] = bits[part.owner].get(part.of, 0) + part.bits
    return LearningNeeds(bits["synapse"], bits["row"], bits["neuron"], KEY_BITS)


def cost_of(trainer: Trainer) -> ChipCost:
    """Return what a chip needs for a training, with what was counted and measured so far."""
    counted = trainer.generation > 0
    return chip_cost(
        trainer.program, trainer.plan, batch=trainer.batch, memory=trainer.rule.memory,
        row_memory=trainer.row_memory if trainer.rule.row_step else None, counts=trainer.op_counts if counted else None,
        accumulated=trainer.accumulated if counted else None,
    )  # fmt: skip


def trace_counter_bits(plan: LearnPlan) -> int:
    """Return the bits of a presynaptic count in one window of time; 1, a flag, where only firing at all counts."""
    if plan.factor != FACTOR_TRACE:
        return 1
    return (-(-plan.n_steps // plan.rank)).bit_length()


def local_vote_bits(plan: LearnPlan, readout: bool) -> int:
    """Return the bits of the number that a neuron's votes share, sign included."""
    if plan.form == FORM_RESPONSE:
        return plan.error_bits + 1 if readout else CREDIT_LIMIT.bit_length() + 1
    pairs = plan.n_pairs if plan.factor == FACTOR_TRACE else 1  # otherwise each pair votes on its own
    return (FITNESS_LIMIT * pairs).bit_length() + 1


def accumulator_bits(plan: LearnPlan, batch: int, memory: int) -> int:
    """Return the bits of a response's accumulator in the worst case: differences of readouts, summed and averaged."""
    pairs = -(-batch // plan.pair_every) * plan.n_pairs
    return VOLTAGE_BITS + 1 + (pairs - 1).bit_length() + memory


def _state(program: Program, plan: LearnPlan, batch: int, memory: int, row_memory: int | None) -> list[Part]:
    groups, parts = program.network.ordered_groups, []
    copies = f", for each of {batch} samples" if batch > 1 else ""
    for i, group in enumerate(groups):
        if not plan.group[i].any():
            continue
        readout = i == plan.readout
        if not readout and (plan.form == FORM_RESPONSE or plan.gate):
            parts.append(Part("neuron", group.name, "near its threshold", _windows(plan), group.n))
        if plan.form == FORM_RESPONSE and plan.group[i, PERTURBED]:
            entries = plan.rank * plan.n_classes
            parts.append(
                Part("neuron", group.name, f"response, {entries} entries", entries * (RESPONSE_BITS + 1), group.n)
            )
            bits = entries * accumulator_bits(plan, batch, memory)
            parts.append(Part("neuron", group.name, "response, accumulators", bits, group.n))
        if plan.factor < FACTOR_FULL:
            terms = batch * (plan.n_pairs if plan.factor != FACTOR_TRACE else 1)
            bits = terms * _windows(plan) * local_vote_bits(plan, readout)
            parts.append(Part("neuron", group.name, f"local vote{copies}", bits, group.n))
    for c, index in enumerate(plan.connections):
        connection = program.network.connections[index]
        n_weights = int(plan.votes_of(c).stop - plan.votes_of(c).start)
        parts.append(Part("synapse", connection.name, "weight", int(plan.plastic[c, WEIGHT_BITS]), n_weights))
        parts.append(Part("synapse", connection.name, "residual", plan.residual_bits, n_weights))
        if plan.momentum:
            parts.append(Part("synapse", connection.name, "average vote", MOMENTUM_BITS, n_weights))
        if plan.factor >= FACTOR_FULL:
            bits = (FITNESS_LIMIT * plan.n_pairs * batch).bit_length() + 1
            parts.append(Part("synapse", connection.name, "sum of votes", bits, n_weights))
        n_rows = connection.shape[1]
        bits = _windows(plan) * trace_counter_bits(plan) * (batch if plan.factor < FACTOR_FULL else 1)
        what = "spike count" if plan.factor == FACTOR_TRACE else "whether it fired"
        parts.append(Part("row", connection.name, what + (copies if plan.factor < FACTOR_FULL else ""), bits, n_rows))
        if row_memory is not None:
            parts.append(Part("row", connection.name, "mean square of votes", POWER_BITS + row_memory, n_rows))
    return parts


def _windows(plan: LearnPlan) -> int:
    return plan.rank if plan.factor == FACTOR_TRACE else 1


def _messages(program: Program, plan: LearnPlan) -> list[Message]:
    messages = []
    for i, group in enumerate(program.network.ordered_groups):
        start = program.network.offsets[group.name]
        n_cores = len(np.unique(program.mapping.core[start : start + group.n]))
        if plan.group[i, PERTURBED]:
            heard = [c for c in (program.network.connections[k] for k in plan.connections) if c.target == group.name]
            if plan.factor >= FACTOR_FULL:
                pass  # every synapse has its own noise; nothing is sent
            elif plan.factor == FACTOR_TRACE:
                bits = (sum(c.shape[1] for c in heard) * -(-plan.n_steps // plan.rank)).bit_length() + 1
                messages.append(Message(group.name, "c(t)", "pair", 2 * plan.n_steps * n_cores, bits))
            else:
                bits = sum(c.shape[1] for c in heard).bit_length() + 1
                messages.append(Message(group.name, "c(t)", "pair", 2 * plan.n_steps * plan.rank * n_cores, bits))
            if plan.form == FORM_RESPONSE:
                messages.append(
                    Message(group.name, "readout differences", "pair", plan.n_classes * n_cores, VOLTAGE_BITS + 1)
                )
            else:
                bits = FITNESS_LIMIT.bit_length() + 1
                messages.append(Message(group.name, "fitness difference", "pair", n_cores, bits))
        if plan.form == FORM_RESPONSE and plan.group[i, LEARNS]:
            messages.append(Message(group.name, "errors", "sample", plan.n_classes * n_cores, plan.error_bits + 1))
    return messages


def _needs(
    program: Program,
    plan: LearnPlan,
    state: tuple[Part, ...],
    messages: tuple[Message, ...],
    cores: tuple[CoreState, ...],
) -> list[Need]:
    chip, needs = program.chip, []
    beside = [(part.of, part.bits) for part in state if part.owner == "synapse" and part.what != "weight"]
    of, bits = _most(beside)
    needs.append(_need("state beside a weight", of, bits, "bits", chip, "tag_bits"))
    of, bits = _fullest_core(cores)
    needs.append(_need("synapse memory", of, bits, "bits a core", chip, "synapse_memory_bits_per_core"))
    needs.append(_need("spike count", "one window", trace_counter_bits(plan), "bits", chip, "trace_bits"))
    of, bits = _most([(part.of, part.bits) for part in state if part.owner == "row"])
    needs.append(_need("state of a presynaptic neuron", of, bits, "bits", chip, "pre_traces", "trace_bits"))
    of, bits = _most([(part.of, part.bits) for part in state if part.owner == "neuron"])
    needs.append(_need("state of a neuron", of, bits, "bits", chip, "post_traces", "trace_bits"))
    bits = largest_vote(plan).bit_length() + 1
    needs.append(_need("vote of a sample", "one synapse", bits, "bits", chip, "learning_accumulator_bits"))
    if messages:
        widest = max(messages, key=lambda message: message.bits)
        needs.append(
            _need("value of a message", f"{widest.what} to {widest.group}", widest.bits, "bits", chip, "message_bits")
        )
    needs.append(_need("embedded processor", "softmax and division", 1, "processors", chip, "embedded_processors"))
    return needs


def _need(resource: str, of: str, need: int, unit: str, chip: Chip, *limits: str) -> Need:
    """Compare with a limit of the chip, or with the product of two."""
    found = [chip.provenance.get(name) for name in limits]
    values = [getattr(chip, name) for name in limits]
    kinds = ["unknown" if one is None else one.kind for one in found]
    source = " x ".join("this chip file has no such entry" if one is None else one.source for one in found)
    if "unknown" in kinds:
        return Need(resource, of, need, None, unit, None, source, "unknown")
    if "unlimited" in kinds:
        return Need(resource, of, need, None, unit, True, source, "unlimited")
    limit = int(np.prod(values, dtype=np.int64))
    return Need(resource, of, need, limit, unit, need <= limit, source, kinds[-1])


def _summed(parts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    totals: dict[str, int] = {}
    for of, bits in parts:
        totals[of] = totals.get(of, 0) + bits
    return list(totals.items())


def _most(parts: list[tuple[str, int]]) -> tuple[str, int]:
    """Return the owner with the most bits in sum; nothing needs none."""
    return max(_summed(parts), key=lambda item: item[1], default=("nothing", 0))


def _fullest_core(cores: tuple[CoreState, ...]) -> tuple[str, int]:
    """Return the core with the most synapse memory, if each plastic synapse has the bits of the plan beside it."""
    fullest = max(cores, key=lambda core: core.synapse_memory_bits)
    return f"core {fullest.core}", fullest.synapse_memory_bits
