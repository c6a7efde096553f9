"""SANA-FE's networks in chip integers, on SANA-FE's cores, without loss: what has no integer is changed for both sides."""

from __future__ import annotations

from collections.abc import Mapping as Table
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.sanafe_networks import Described, Floats, Ints, Link
from neurosim.chip import Chip
from neurosim.events import Events, events_from_dense
from neurosim.fixedpoint import DECAY_ONE
from neurosim.mapping.layout import CoreUse, Mapping
from neurosim.mapping.pack import pack
from neurosim.mapping.pack_models import pack_models
from neurosim.mapping.reads import synapse_reads
from neurosim.mapping.route import OUTSIDE, route, targets_of
from neurosim.network import LIF, Conv, Dense, Input, IntegerConnection, Network, Probe, Sparse
from neurosim.program import Program

GRID = 64  # SANA-FE cuts v to 1/64 in each step; our v is in units of 1/64 weight
LOW, HIGH = -256, 255  # of a weight register
BIAS_MANTISSA = 4095  # the largest
NO_MEMORY = 4095  # du of a current that lasts one step, as SANA-FE's does by default

Spikes = npt.NDArray[np.bool_]


class Converted(NamedTuple):
    """A network for both sides, and how ours is numbered.

    Attributes
    ----------
    described : Described
        With the changed numbers, for SANA-FE.
    program : Program
    order : dict of str to (n,) int64
        Index in SANA-FE's group of each of our neurons: convolutions number them in another order.
    changes : tuple of str
        What was changed, and how much.
    """

    described: Described
    program: Program
    order: dict[str, Ints]
    changes: tuple[str, ...]

    def events(self, spikes: Table[str, Spikes], n_samples: int, n_steps: int) -> Events:
        """Return input spikes for ours: spikes are (n_samples, n_steps, n) by group in SANA-FE's order."""
        parts = [
            np.asarray(spikes[group.name])[:, :, self.order[group.name]]
            for group in self.program.network.groups
            if isinstance(group, Input)
        ]
        return events_from_dense(
            np.concatenate(parts, axis=2) if parts else np.zeros((n_samples, n_steps, 0), np.bool_)
        )


def convert(described: Described, chip: Chip) -> Converted:
    """Change what has no integer, and load the network on a chip with SANA-FE's cores.

    Raises
    ------
    ValueError
        If a threshold or weight is no integer, or does not fit even after the changes.
    """
    changed, changes = with_integers(described)
    order = orders(changed)
    network = network_of(changed, order)
    mapping = mapping_of(changed, network, order, chip)
    program = Program(
        network, chip, mapping, pack(network, mapping), {}, "lava-0.10", pack_models(network, "lava-0.10")
    )
    return Converted(changed, program, order, tuple(changes))


def with_integers(described: Described) -> tuple[Described, list[str]]:
    """Return the network with numbers that both sides hold exactly, and what was changed."""
    changes: list[str] = []
    if _has_odd_mixed(described) and _fits_doubled(described):
        changes.append("thresholds, biases and weights doubled, because mixed 8-bit weights are even")
        described = _doubled(described)
    groups = []
    rounded: dict[str, None] = {}
    for group in described.groups:
        bias = np.round(group.bias * GRID) / GRID
        leak = np.round(group.leak_decay * DECAY_ONE) / DECAY_ONE
        for key, given, held, grid in (
            ("bias", group.bias, bias, GRID),
            ("leak_decay", group.leak_decay, leak, DECAY_ONE),
        ):
            for i in np.flatnonzero(held != given):
                rounded[f"{key} {given[i]:.15g} is {round(held[i] * grid)}/{grid}"] = None
        if np.any(group.threshold % 1):
            raise ValueError(
                f"group {group.name!r}: threshold {group.threshold[0]} is no integer; multiply the network"
            )
        groups.append(group._replace(bias=bias, leak_decay=leak))
    changes += rounded
    links = [_even(link, changes) for link in described.links]
    return described._replace(groups=tuple(groups), links=tuple(links)), changes


def _is_odd_mixed(link: Link) -> bool:
    weights = link.weights
    return link.form != "conv" and weights.min(initial=0) < 0 < weights.max(initial=0) and bool(np.any(weights % 2))


def _has_odd_mixed(described: Described) -> bool:
    return any(_is_odd_mixed(link) for link in described.links)


def _fits_doubled(described: Described) -> bool:
    return all(2 * np.abs(link.weights).max(initial=0) <= HIGH - 1 for link in described.links)


def _doubled(described: Described) -> Described:
    groups = (group._replace(threshold=2 * group.threshold, bias=2 * group.bias) for group in described.groups)
    links = (link._replace(weights=2 * link.weights) for link in described.links)
    return described._replace(groups=tuple(groups), links=tuple(links))


def _even(link: Link, changes: list[str]) -> Link:
    """Clip the weights of a link into their register, and make mixed ones even unless they are shared."""
    if np.any(link.weights % 1):
        raise ValueError(f"link {link.source}->{link.target}: weight {link.weights.flat[0]} is no integer")
    weights = np.clip(link.weights, LOW, HIGH)
    if _is_odd_mixed(link):
        weights = 2 * np.floor(weights / 2)
    different = link.weights != weights
    if np.any(different):
        what = "cut to even ones" if _is_odd_mixed(link) else f"clipped into {LOW}..{HIGH}"
        changes.append(f"{link.source}->{link.target}: {int(different.sum())} of {different.size} weights {what}")
    return link._replace(weights=weights)


def orders(described: Described) -> dict[str, Ints]:
    """Return the index in SANA-FE's group of each of our neurons.

    Images lie in the order (channel, y, x) there and (x, y, channel) in our convolutions.
    """
    images: dict[str, tuple[int, int, int]] = {}
    for link in described.links:
        if link.form == "conv":
            width, height, _ = link.image
            k_y, k_x, _, n_out = link.weights.shape
            out = ((width - k_x) // link.stride[0] + 1, (height - k_y) // link.stride[1] + 1, n_out)
            for name, image in ((link.source, link.image), (link.target, out)):
                if images.setdefault(name, image) != image:
                    raise ValueError(f"group {name!r}: is an image of {images[name]} and of {image}; give it one shape")
    found = {}
    for group in described.groups:
        width, height, channels = images.get(group.name, (1, 1, group.n))
        theirs = np.arange(group.n).reshape(channels, height, width)
        found[group.name] = np.ascontiguousarray(theirs.transpose(2, 1, 0)).ravel()
    return found


def network_of(described: Described, order: Table[str, Ints]) -> Network:
    """Return the network in chip integers, its neurons in our order, everything probed."""
    groups: list[Input | LIF] = []
    for group in described.groups:
        if group.is_input:
            groups.append(Input(group.name, group.n))
            continue
        mine = order[group.name]
        bias = np.round(group.bias * GRID).astype(np.int64)[mine]  # our bias is in units of v
        shift = 0 if np.abs(bias).max() <= BIAS_MANTISSA else int(np.log2(GRID))
        if np.any(bias % (1 << shift)):
            raise ValueError(f"group {group.name!r}: bias {bias.max()}/{GRID} needs more bits than a mantissa has")
        dv = _one(DECAY_ONE * (1 - group.leak_decay), mine)
        vth = _one(group.threshold, mine)
        groups.append(LIF(group.name, group.n, NO_MEMORY, dv, vth, bias_mant=bias >> shift, bias_exp=shift))
    names = [group.name for group in groups if isinstance(group, LIF)]
    probes = [Probe(name, what) for what in ("spikes", "u", "v") for name in names]
    return Network(
        groups, [_connection(link, described, order) for link in described.links], probes, name=described.name
    )


def _one(values: Floats, order: Ints) -> int | Ints:
    """Return one register for the group where all neurons have the same."""
    held = values[order].astype(np.int64)
    return int(held[0]) if np.all(held == held[0]) else held


def _connection(link: Link, described: Described, order: Table[str, Ints]) -> IntegerConnection:
    pre, post = order[link.source], order[link.target]
    weights = link.weights.astype(np.int64)
    if link.form == "dense":
        return Dense(link.source, link.target, weights[np.ix_(pre, post)].T)
    if link.form == "conv":  # [y, x, in, out] to [out, x, y, in], both axes of the image flipped
        return Conv(link.source, link.target, weights.transpose(3, 1, 0, 2)[:, ::-1, ::-1], link.image, link.stride)
    place = {name: np.argsort(index) for name, index in ((link.source, pre), (link.target, post))}
    col, row = place[link.source][link.pairs[:, 0]], place[link.target][link.pairs[:, 1]]
    shape = (described.group(link.target).n, described.group(link.source).n)
    return Sparse(link.source, link.target, shape, row, col, weights)


def mapping_of(described: Described, network: Network, order: Table[str, Ints], chip: Chip) -> Mapping:
    """Return the mapping that puts every neuron on SANA-FE's core; input lines stay outside of the chip."""
    groups = {group.name: group for group in described.groups}
    places = np.concatenate([groups[group.name].place[order[group.name]] for group in network.ordered_groups])
    own = places[network.n_inputs :]
    used, index = np.unique(own, axis=0, return_inverse=True)
    core = np.full(network.n_neurons, OUTSIDE, np.int32)
    core[network.n_inputs :] = index.reshape(-1)
    height = chip.mesh[1]
    tiles = np.column_stack([used[:, 0] // height, used[:, 0] % height]).astype(np.int64)
    routes = [route(network, core, tiles, targets_of(network, core)), synapse_reads(network, core, chip)]
    names = np.repeat([group.name for group in network.ordered_groups], [group.n for group in network.ordered_groups])
    uses = tuple(
        CoreUse(
            i, (int(x), int(y)), tuple(dict.fromkeys(names[core == i])), {"compartments": int((core == i).sum())}, {}
        )
        for i, (x, y) in enumerate(tiles)
    )
    return Mapping(core, uses, np.column_stack(routes).astype(np.int32))
