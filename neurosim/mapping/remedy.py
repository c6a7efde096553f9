"""The smallest changes that would make a network fit, found by trying them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from neurosim.chip import PRESETS, Chip, load_chip
from neurosim.errors import CapacityError
from neurosim.fixedpoint import lost_weight_bits
from neurosim.mapping.fit import fit
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.shrink import can_shrink, shrunk
from neurosim.network import Connection, Conv, Dense, IntegerConnection, Network

WORK = 20_000_000  # synapses that trials may look at together: some seconds
NO_CHIPS = ("unlimited", "cpu-45nm")  # take everything, but are no chips
MANY_CORES = 1 << 20  # more than any network needs whose cores can be counted
SIXTEENTHS = 16  # in such parts, all groups are made smaller together


#: Kinds of remedies, in the order in which they are told.
KINDS = ("weight_bits", "learning_bits", "group_size", "scale", "n_cores", "chip")


class Remedy(NamedTuple):
    """One change that makes a network fit."""

    kind: str  # of `KINDS`
    of: str  # connection, group or chip; "" for all
    value: int  # bits, neurons, sixteenths or cores; 0 for another chip
    text: str


Case = tuple[Network, Chip, LearningNeeds | None]


def explained(error: CapacityError, network: Network, chip: Chip, learning: LearningNeeds | None) -> CapacityError:
    """Return the error with the remedies behind its text."""
    found = remedies(network, chip, learning, known=True)
    texts = [remedy.text for remedy in found if remedy.kind != "chip"]
    chips = [remedy.of for remedy in found if remedy.kind == "chip"]
    if chips:
        texts.append(f"chip {', '.join(chips)}")
    return CapacityError(f"{error}. What was found to fit: {'; or '.join(texts)}") if texts else error


def remedies(
    network: Network, chip: Chip, learning: LearningNeeds | None = None, *, known: bool = False
) -> tuple[Remedy, ...]:
    """Return the smallest change of each kind after which a network fits on a chip; none where it fits already.

    Parameters as in `map_network`; with `known`, it is taken for granted that the network does not fit. Kinds, in this order: fewer weight
    bits (of one connection if that is enough), fewer bits of learning beside each synapse, a smaller group (or all
    smaller), more cores of the same kind, other presets. What takes too long to find (`WORK`) is left out.
    """
    if not network.is_quantized:
        return ()
    case, trials = (network, chip, learning), _Trials(network)
    if not known and trials.fits(case):
        return ()
    ways: tuple[Callable[[Case, _Trials], Iterator[Remedy]], ...] = (
        _more_cores, _fewer_bits, _less_learning, _smaller_group, _other_chips,
    )  # fmt: skip
    found = [remedy for way in ways for remedy in way(case, trials)]
    return tuple(sorted(found, key=lambda remedy: KINDS.index(remedy.kind)))


def followed(remedy: Remedy, network: Network, chip: Chip, learning: LearningNeeds | None = None) -> Case:
    """Return network, chip and needs after a change."""
    if remedy.kind == "weight_bits":
        return _with_bits(network, remedy.value, remedy.of), chip, learning
    if remedy.kind == "group_size":
        return shrunk(network, {remedy.of: remedy.value}), chip, learning
    if remedy.kind == "scale":
        return shrunk(network, _scaled(network, remedy.value)), chip, learning
    if remedy.kind == "n_cores":
        return network, _with_cores(chip, remedy.value), learning
    if remedy.kind == "learning_bits":
        return network, chip, _with_beside(network, learning, remedy.value)
    return network, load_chip(remedy.of), learning


class _Trials:
    """Tries cases until the work that is allowed is done."""

    def __init__(self, network: Network) -> None:
        self.left = WORK
        self.cost = 1000 + sum(
            sum(c.shape) if isinstance(c, (Dense, Connection)) else len(c.as_sparse().word) for c in network.connections
        )

    @property
    def over(self) -> bool:
        """Whether there is no work left for another trial."""
        return self.left < self.cost

    def n_cores(self, case: Case) -> int | None:
        """Return on how many cores a case fits; None if it does not, or there is no work left."""
        if self.over:
            return None
        self.left -= self.cost
        try:
            return len(fit(*case).blocks)
        except CapacityError:
            return None

    def fits(self, case: Case) -> bool:
        """Whether a case is known to fit."""
        return self.n_cores(case) is not None

    def largest(self, low: int, high: int, case_of: Callable[[int], Case]) -> int | None:
        """Return the largest of low..high that fits, taking it that all smaller ones do; None if there is none or too much work."""
        if low > high or not self.fits(case_of(low)):
            return None
        while low < high:
            if self.over:
                return None
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.fits(case_of(middle)) else (low, middle - 1)
        return low


def _other_chips(case: Case, trials: _Trials) -> Iterator[Remedy]:
    network, chip, learning = case
    names = [name for name in PRESETS if name not in (chip.name, *NO_CHIPS)]
    for name in names:
        if trials.fits((network, load_chip(name), learning)):
            yield Remedy("chip", name, 0, f"chip {name!r}")


def _more_cores(case: Case, trials: _Trials) -> Iterator[Remedy]:
    network, chip, learning = case
    if chip.compartments_by_core is not None or chip.synapse_memory_bits_by_core is not None:
        return  # cores that differ cannot simply be continued
    needed = trials.n_cores((network, _with_cores(chip, MANY_CORES), learning))
    if needed is not None and needed > chip.n_cores and trials.fits((network, _with_cores(chip, needed), learning)):
        yield Remedy("n_cores", chip.name, needed, f"{needed} cores of this kind instead of {chip.n_cores}")


def _fewer_bits(case: Case, trials: _Trials) -> Iterator[Remedy]:
    network, chip, learning = case
    connections = [c for c in network.connections if _narrows(c)]
    widest = max((c.num_weight_bits for c in connections), default=1)
    bits = trials.largest(1, widest - 1, lambda b: (_with_bits(network, b, ""), chip, learning))
    if bits is None:
        return
    wide = sorted((c for c in connections if c.num_weight_bits > bits), key=lambda c: -c.shape[0] * c.shape[1])
    alone = (c for c in wide if len(wide) > 1 and trials.fits((_with_bits(network, bits, c.name), chip, learning)))
    one = next(alone, wide[0] if len(wide) == 1 else None)
    if one is not None:
        text = f"{bits} weight bits in connection {one.name!r} instead of {one.num_weight_bits}"
        yield Remedy("weight_bits", one.name, bits, text)
    else:
        yield Remedy("weight_bits", "", bits, f"{bits} weight bits in all connections")


def _less_learning(case: Case, trials: _Trials) -> Iterator[Remedy]:
    network, chip, learning = case
    kept = [(learning or LearningNeeds()).of_synapse(c.name) for c in network.connections if c.plastic]
    bits = trials.largest(0, max(kept, default=0) - 1, lambda b: (network, chip, _with_beside(network, learning, b)))
    if bits is not None:
        text = f"{bits} bits of learning beside each weight instead of {max(kept)}"
        yield Remedy("learning_bits", "", bits, text)


def _smaller_group(case: Case, trials: _Trials) -> Iterator[Remedy]:
    network, chip, learning = case
    found: list[tuple[float, str, int]] = []
    for group in sorted(network.groups, key=lambda group: -group.n):
        if can_shrink(network, group.name):
            name = group.name
            n = trials.largest(1, group.n - 1, lambda n, name=name: (shrunk(network, {name: n}), chip, learning))  # type: ignore[misc]
            if n is not None:
                found.append((n / group.n, name, n))
    if found:
        _, name, n = max(found, key=lambda item: item[0])
        yield Remedy("group_size", name, n, f"{n} neurons in group {name!r} instead of {network.group(name).n}")
    elif all(can_shrink(network, group.name) for group in network.groups):
        parts = trials.largest(1, SIXTEENTHS - 1, lambda k: (shrunk(network, _scaled(network, k)), chip, learning))
        if parts is not None:
            yield Remedy("scale", "", parts, f"{parts}/{SIXTEENTHS} of the neurons of every group")


def _narrows(connection: object) -> bool:
    """Whether a connection has weight bits to choose: convolutions that do not learn have none."""
    return not isinstance(connection, (Conv, Connection)) or (isinstance(connection, Conv) and connection.plastic)


def _with_bits(network: Network, bits: int, only: str) -> Network:
    """Return the network with at most so many weight bits in one connection, or in all."""
    chosen = []
    for c in network.connections:
        if _narrows(c) and c.num_weight_bits > bits and only in ("", c.name):
            c = _narrowed(c, bits)  # type: ignore[arg-type]
        chosen.append(c)
    return replace(network, connections=tuple(chosen))


def _narrowed(c: IntegerConnection, bits: int) -> IntegerConnection:
    if isinstance(c, Conv):  # its weights must be multiples of the format's step
        weights = np.asarray(c.weights)
        return replace(c, num_weight_bits=bits, weights=weights - weights % (1 << lost_weight_bits(bits, "mixed")))
    return replace(c, num_weight_bits=bits)


def _with_cores(chip: Chip, n_cores: int) -> Chip:
    """Return the chip with more cores, the mesh continued to the north."""
    tiles = -(-n_cores // chip.cores_per_tile)
    return replace(chip, n_cores=n_cores, mesh=(chip.mesh[0], max(chip.mesh[1], -(-tiles // chip.mesh[0]))))


def _with_beside(network: Network, learning: LearningNeeds | None, bits: int) -> LearningNeeds:
    """Return needs with at most so many bits beside each plastic synapse."""
    learning = learning or LearningNeeds()
    beside = {c.name: min(bits, learning.of_synapse(c.name)) for c in network.connections if c.plastic}
    return replace(learning, synapse=beside)


def _scaled(network: Network, sixteenths: int) -> dict[str, int]:
    return {group.name: max(1, group.n * sixteenths // SIXTEENTHS) for group in network.groups}
