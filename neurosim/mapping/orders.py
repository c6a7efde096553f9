"""Choose in which order the neurons of convolutions are cut into blocks."""

from __future__ import annotations

from itertools import islice

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.errors import CapacityError
from neurosim.mapping.demand import Block, Demand, Fan, core_limits
from neurosim.mapping.fans import reordered
from neurosim.mapping.learning import LearningNeeds
from neurosim.mapping.partition import Cuts, Orders, blocks_of
from neurosim.network import Conv, Input, Network

BANDS = (1, 2, 4, 8)  # into so many bands of x an image is cut before its channels are


def choose_orders(
    network: Network, chip: Chip, fans: dict[str, list[Fan]], learning: LearningNeeds | None = None
) -> tuple[Orders, dict[str, list[Fan]], Cuts]:
    """Return the orders of groups that are better cut by output channels than by pixels, all fans in these orders, and what was cut.

    Neurons of a convolution are numbered pixel by pixel, and a stretch of that order holds all channels of some pixels:
    few sources talk to it. Where cores share what they store, a stretch of channels of the whole image, or of a band of it, needs less
    memory. The order that needs fewest blocks is taken, that of the numbering if none needs fewer.
    """
    alike = chip.compartments_by_core is None and chip.synapse_memory_bits_by_core is None
    if chip.shared_synapses not in ("shifted", "kernel") or not alike or chip.cores_per_group is not None:
        return {}, fans, {}
    orders: Orders = {}
    chosen, cuts = dict(fans), dict[str, list[tuple[Block, Demand, bool]]]()
    for group in network.ordered_groups:
        maps = [fan.connection.output_shape for fan in fans[group.name] if isinstance(fan.connection, Conv)]
        if isinstance(group, Input) or len(set(maps)) != 1 or maps[0][2] == 1:
            continue
        cut = _cut(group.name, group.n, fans[group.name], chip, learning, None)
        if cut is None:
            continue  # a neuron fits nowhere: partition says so
        cuts[group.name] = cut
        least = 1 if chip.compartments_per_core is None else -(-group.n // chip.compartments_per_core)
        for n_bands in BANDS:
            if len(cuts[group.name]) > least and n_bands <= maps[0][0]:
                order = by_channel(maps[0], n_bands)
                other = [reordered(fan, order) for fan in fans[group.name]]
                found = _cut(group.name, group.n, other, chip, learning, len(cuts[group.name]))
                if found is not None:
                    orders[group.name], chosen[group.name], cuts[group.name] = order, other, found
    return orders, chosen, cuts


def by_channel(shape: tuple[int, int, int], n_bands: int) -> npt.NDArray[np.int64]:
    """Return the neurons (x * height + y) * channels + c of a map, band of x by band, in a band channel by channel.

    Examples
    --------
    >>> by_channel((2, 1, 3), 1).tolist(), by_channel((2, 1, 3), 2).tolist()
    ([0, 3, 1, 4, 2, 5], [0, 1, 2, 3, 4, 5])
    """
    x, _, channel = np.indices(shape).reshape(3, -1)
    return np.lexsort((channel, x * n_bands // shape[0])).astype(np.int64)


def _cut(
    group: str, n: int, fans: list[Fan], chip: Chip, learning: LearningNeeds | None, fewer_than: int | None
) -> list[tuple[Block, Demand, bool]] | None:
    """Return the blocks of a group on the chip's cores; None if it takes too many, or a neuron fits nowhere."""
    limits = core_limits(chip)
    try:
        found = list(islice(blocks_of(group, n, fans, chip, learning, lambda: limits), fewer_than))
    except CapacityError:
        return None
    return found if fewer_than is None or (found[-1][2] and len(found) < fewer_than) else None
