"""Operation counts by core, and by step and sample where they are kept apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.costs.deliveries import DIRECTIONS
from neurosim.errors import ConfigError
from neurosim.fixedpoint import Int64Array

OUTSIDE = "outside"  # beside cores: where input lines are
SYNAPTIC = "synaptic_operations"

#: What is counted at a core besides synaptic operations, in the order of `CoreCounts.operations`.
COUNTED = (
    "neuron_updates_active",
    "neuron_updates_idle",
    "spikes",
    "messages",
    "messages_local",
    "hops_east",
    "hops_west",
    "hops_north",
    "hops_south",
    "messages_in",
    "synapse_bits_read",
)
COLUMN_OF = {name: i for i, name in enumerate(COUNTED)}


@dataclass(frozen=True, eq=False)
class CoreCounts:
    """What each core did; S samples and T steps, or 1 where they are summed up.

    Parameters
    ----------
    cores : tuple of int
        Numbers of the cores in use.
    tiles : tuple of (int, int)
        Tile of each.
    kinds : tuple of str
        Kinds of connections (`neurosim.program.Program.kinds`).
    operations : (S, T, n_cores + 1, 11) int64
        `COUNTED`; the last row is the world outside, where input lines are. Neuron updates and spikes of the core's
        neurons; packets that they send, to other cores and to their own, and links that those packets cross; packets
        that arrive (from outside and from the own core as well); bits of synapse memory that arriving packets read.
    synaptic : (S, T, n_cores, n_kinds) int64
        Synaptic operations at each core, in the step in which they reach the neurons: one step after the spike.
    pending : (S, n_cores, n_kinds) int64
        Those of the spikes of the last step, which the run did not deliver and no total contains.
    links : (n_links, 3) int64
        x and y of the tile that a link leaves, and its direction (`neurosim.costs.deliveries.DIRECTIONS`).
    loads : (S, T, n_links) int64
        Packets over each link.
    farthest : (S, T, 2) int64
        Most links along x, and along y, that a packet crossed (not summed up: the largest).
    n_samples, steps_per_sample : int
    per_sample, per_step : bool
        Whether samples and steps are kept apart.
    backend, version : str
    """

    cores: tuple[int, ...]
    tiles: tuple[tuple[int, int], ...]
    kinds: tuple[str, ...]
    operations: Int64Array
    synaptic: Int64Array
    pending: Int64Array
    links: Int64Array
    loads: Int64Array
    farthest: Int64Array
    n_samples: int
    steps_per_sample: int
    per_sample: bool
    per_step: bool
    backend: str
    version: str

    @property
    def n_steps(self) -> int:
        """Steps of the chip, over all samples; each ends with a barrier."""
        return self.n_samples * self.steps_per_sample

    @property
    def n_tiles(self) -> int:
        """Tiles with cores in use."""
        return len(set(self.tiles))

    def total(self, name: str) -> int:
        """Sum of one of `COUNTED`, or of "synaptic_operations", over everything."""
        return int(self.synaptic.sum() if name == SYNAPTIC else self._column(name).sum())

    def of(self, core: int | str, name: str) -> int:
        """One of `COUNTED`, or "synaptic_operations", of a core or of "outside"."""
        row = self._row(core)
        if name == SYNAPTIC:
            return 0 if core == OUTSIDE else int(self.synaptic[:, :, row].sum())
        return int(self._column(name)[:, :, row].sum())

    def by_core(self) -> dict[int | str, dict[str, int]]:
        """What each core, and the world outside, did: `COUNTED` and "synaptic_operations", where not 0."""
        owners: Iterable[int | str] = (*self.cores, OUTSIDE)
        names = (SYNAPTIC, *COUNTED)
        return {owner: {name: n for name in names if (n := self.of(owner, name))} for owner in owners}

    def by_kind(self, core: int) -> dict[str, int]:
        """Synaptic operations of a core by kind of connection, those that occur."""
        found = self.synaptic[:, :, self._row(core)].sum(axis=(0, 1)).tolist()
        return {kind: n for kind, n in zip(self.kinds, found, strict=True) if n}

    def by_link(self) -> dict[tuple[int, int, str], int]:
        """Packets over each link, by the tile that it leaves and its direction."""
        loads = self.loads.sum(axis=(0, 1)).tolist()
        return {(x, y, DIRECTIONS[way]): n for (x, y, way), n in zip(self.links.tolist(), loads, strict=True)}

    def to_dict(self) -> dict[str, Any]:
        """Return the sums in types that JSON can hold."""
        return {
            "n_samples": self.n_samples,
            "n_steps": self.n_steps,
            "backend": self.backend,
            "version": self.version,
            "cores": [
                {"core": owner, "tile": None if owner == OUTSIDE else list(self.tiles[self._row(owner)])} | found
                for owner, found in self.by_core().items()
            ],
            "links": [{"x": x, "y": y, "direction": way, "packets": n} for (x, y, way), n in self.by_link().items()],
        }

    def _row(self, core: int | str) -> int:
        if core == OUTSIDE:
            return len(self.cores)
        if core not in self.cores:
            raise ConfigError(f"core {core!r} is not in use; cores are {', '.join(map(str, self.cores))} and 'outside'")
        return self.cores.index(int(core))

    def _column(self, name: str) -> Int64Array:
        if name not in COLUMN_OF:
            raise ConfigError(f"{name!r} is not counted by core; choose one of {', '.join((SYNAPTIC, *COUNTED))}")
        return np.asarray(self.operations[..., COLUMN_OF[name]])
