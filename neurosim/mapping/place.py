"""Give each used core a tile of the chip's mesh."""

from __future__ import annotations

import numpy as np

from neurosim.chip import Chip
from neurosim.errors import CapacityError
from neurosim.fixedpoint import Int64Array


def place(n_cores: int, chip: Chip, owner: str = "network") -> Int64Array:
    """Return the tile (x, y) of each core: (n_cores, 2) int64.

    Notes
    -----
    Core 0 lies in tile (0, 0). Cores fill a tile, then the next one along a snake (even rows eastward, odd rows
    westward), so cores with neighbouring numbers lie in the same tile or in neighbouring ones.
    """
    if n_cores > chip.n_cores:
        raise CapacityError(
            f"{owner} needs {n_cores} cores, chip {chip.name!r} has {chip.n_cores}; "
            "use fewer weight bits, fewer neurons or synapses, or a larger chip"
        )
    width = chip.mesh[0]
    tile = np.arange(n_cores, dtype=np.int64) // chip.cores_per_tile
    y, along = tile // width, tile % width
    x = np.where(y % 2 == 0, along, width - 1 - along)
    return np.stack([x, y], axis=1)
