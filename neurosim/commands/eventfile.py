"""Input spikes, binary or with values, in .npz files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurosim.events import Events


def load_events(path: Path) -> Events:
    """Read events from a .npz file with an array "spikes": (n_samples, n_steps, n_inputs).

    Zeros and ones are spikes; other integers are messages with values. Limits as in `neurosim.data.npzspikes.read_spikes`.
    """
    from neurosim.data.npzspikes import read_spikes
    from neurosim.errors import DataError

    events, shape = read_spikes(path)
    if len(shape) != 3:
        raise DataError(
            f"file {str(path)!r}: spikes have shape {shape}, need (n_samples, n_steps, n_inputs); join the axes of the inputs"
        )
    return events
