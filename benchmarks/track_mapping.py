"""How long does mapping take, how many links do packets cross by placement, and how full do networks make chips?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from time import perf_counter

import numpy as np

from benchmarks.mapped_networks import (
    convolutions,
    dense_layers,
    near_graph,
    networks_of_others,
    random_graph,
    sparse_layers,
)
from benchmarks.measure import Cell, Options, Table
from neurosim.chip import PRESETS, Chip, load_chip
from neurosim.data.folder import data_roots
from neurosim.errors import CapacityError
from neurosim.mapping import bottleneck, busiest_link, link_loads, map_network, packets_per_step
from neurosim.mapping.layout import Mapping
from neurosim.network import Connection, Dense, Network

COLUMNS = (
    "network", "neurons", "synapses", "cores", "seconds", "hops", "against rows", "against snake", "against random",
    "busiest link", "fullest",
)  # fmt: skip
RANDOM_SEEDS = (1, 2, 3)
#: Activity that falls by half from layer to layer, as a second expectation beside equal rates.
FALLING = 0.5


def tables(options: Options) -> list[Table]:
    """Map made networks with every placement, and the networks of others on every chip."""
    return [_made(options), _of_others(options)]


def large_loihi(n_cores: int) -> Chip:
    """Return cores of Loihi 1 on a square mesh without a limit of axons, for networks beyond a chip."""
    side = 1 << (max(n_cores // 4, 1).bit_length() // 2)
    return replace(
        load_chip("loihi1"), name="many cores", n_cores=n_cores, mesh=(side, -(-n_cores // 4 // side)),
        axons_in_per_core=None, axons_out_per_core=None,
    )  # fmt: skip


def _made(options: Options) -> Table:
    seed, loihi = options.seed, load_chip("loihi1")
    cases: dict[str, tuple[Callable[[], Network], Chip]] = {
        "784-256-10, dense": (lambda: dense_layers((784, 256, 10), seed), loihi),
        "16 x 16 x 2, convolutions 8-16": (lambda: convolutions((16, 16, 2), (8, 16), (1, 2), 3, seed), loihi),
    }
    if not options.quick:
        many, four = large_loihi(1024), large_loihi(4096)
        cases |= {
            "784-1024-1024-10, dense": (lambda: dense_layers((784, 1024, 1024, 10), seed), loihi),
            "500-2000-2000-2000-100, dense": (lambda: dense_layers((500, 2000, 2000, 2000, 100), seed), loihi),
            "nine layers of 500, dense": (lambda: dense_layers((500,) * 9, seed), loihi),
            "32 x 32 x 2, convolutions 16-32-64": (lambda: convolutions((32, 32, 2), (16, 32, 64), (1, 2, 2), 3, seed), loihi),
            "64 x 64 x 2, convolutions 8-8-8": (lambda: convolutions((64, 64, 2), (8, 8, 8), (1, 1, 1), 5, seed), many),
            "100,000 in ten sparse layers": (lambda: sparse_layers((1000, *(10_000,) * 10), 100, seed), many),
            "100,000 near their neighbours": (lambda: near_graph(100_000, 100, 1000, seed), many),
            "100,000 anywhere": (lambda: random_graph(100_000, 100, seed), many),
            "400,000 in ten sparse layers": (lambda: sparse_layers((1000, *(40_000,) * 10), 25, seed), four),
        }  # fmt: skip
    rows = [_row(name, make(), chip) for name, (make, chip) in cases.items()]
    note = (
        "Hops in a step in which every neuron and input line fires once, with the placement by traffic, and as a part of those with "
        "other placements of the same cores: rows (core i on physical core i, which fill a tile, tiles row by row), snake, and the mean "
        f"of {len(RANDOM_SEEDS)} random ones on the physical cores that rows takes. Seconds: `map_network`, one thread. Beyond Loihi 1 "
        "(128 cores): its cores on larger meshes, axons not limited. Fullest: the limit with the largest share on any core."
    )
    return Table("Mapping: seconds, and hops by placement", COLUMNS, rows, note)


def _row(name: str, network: Network, chip: Chip) -> list[Cell]:
    start = perf_counter()
    mapping = map_network(network, chip)
    seconds = perf_counter() - start
    hops = packets_per_step(network, mapping)["hops"]
    others: dict[str, float] = {}
    for way in ("rows", "snake"):
        others[way] = packets_per_step(network, map_network(network, chip, placement=way))["hops"]
    seeds = RANDOM_SEEDS if network.n_neurons < 50_000 else RANDOM_SEEDS[:1]
    random = [packets_per_step(network, map_network(network, chip, placement=f"random:{i}"))["hops"] for i in seeds]
    others["random"] = float(np.mean(random))
    busiest = busiest_link(link_loads(network, mapping))
    return [
        name, network.n_neurons, n_synapses(network), len(mapping.cores), seconds, hops,
        *(hops / other if other else None for other in others.values()),
        None if busiest is None else busiest.packets, _fullest(mapping),
    ]  # fmt: skip


def n_synapses(network: Network) -> int:
    """Return how many synapses a network has, those of zero weight in dense connections included."""
    return sum(
        c.shape[0] * c.shape[1] if isinstance(c, (Dense, Connection)) else len(c.as_sparse().word)
        for c in network.connections
    )


def _fullest(mapping: Mapping) -> str:
    found = bottleneck(mapping)
    return "no known limit" if found is None else f"{found.resource.replace('_', ' ')}, {found.share:.0%}"


def _of_others(options: Options) -> Table:
    home = next((folder for folder in data_roots() if (folder / "lava-models").is_dir()), None)
    chips = [name for name in PRESETS if name != "unlimited"]
    rows: list[list[Cell]] = []
    note = (
        "Cores, and the limit with the largest share on any of them; otherwise why the network does not fit. Weights as stored, "
        "few beyond 9 bits clipped; neurons without a leak where the source gives none; SANA-FE's YAML forms are not read (no YAML reader is needed elsewhere): dvs gesture comes from "
        "its stored weights; dendrite.net needs dendrites, which no model here has."
    )
    if home is None or find_spec("h5py") is None:
        note += " Not measured: " + ("the data are absent." if home is None else "h5py is not installed.")
    else:
        found = networks_of_others(home)
        for name in ["oxford"] if options.quick else found:
            network = found[name]()
            rows.append([name, network.n_neurons, n_synapses(network), *(_on(network, load_chip(c)) for c in chips)])
    return Table("Networks of others on chips", ("network", "neurons", "synapses", *chips), rows, note)


def _on(network: Network, chip: Chip) -> str:
    """Return how a network lies on a chip, or why it cannot."""
    try:
        mapping = map_network(network, chip)
    except CapacityError as error:
        return f"no: {str(error).split(';')[0]}"
    return f"{len(mapping.cores)}; {_fullest(mapping)}"
