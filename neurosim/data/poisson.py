"""Turn integer values into spikes by chance: independent draws in every step, each a hash of what it is for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.data.collect import EventCollector
from neurosim.data.draws import STREAM_POISSON, below, stream_key
from neurosim.data.encode import MAX_CELLS, check_values
from neurosim.errors import DataError
from neurosim.events import Events

INPUT_BITS = 32  # of a draw's place in its sample's stream; above them stands the step


def poisson_code(values: npt.ArrayLike, n_steps: int, levels: int, *, seed: int = 0, first: int = 0) -> Events:
    """Encode values as spikes by chance: value x fires in each step with probability ``x / levels``, independently.

    Input i of sample s fires in step t where ``draw < x``. The draw is uniform in 0..levels - 1: the upper 32 bits of word
    ``t * 2**32 + i`` of the stream named by (seed, s), times levels, over 2**32. So probabilities are exact to 2**-32, 0 never
    fires and `levels` always, and a spike does not depend on how many steps, inputs or samples there are beside it.

    Parameters
    ----------
    values : (n_samples, n_inputs) int
        0..levels.
    n_steps : int
    levels : int
        The value that fires in each step. For a rate in Hz, ``levels = 1 / dt`` with values in Hz.
    seed : int
        0..2**63 - 1.
    first : int
        Number of the first sample, so that blocks of samples get the spikes that they have in the whole.

    Examples
    --------
    >>> events = poisson_code([[0, 25, 100]], n_steps=1000, levels=100)
    >>> events.to_dense()[0].sum(axis=0).tolist()
    [0, 260, 1000]
    """
    table = check_values(values, n_steps, levels)
    for name, number in (("seed", seed), ("first", first)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 0 <= number < 1 << 63:
            raise DataError(f"encoder: {name} {number!r} is not a whole number in 0..2**63 - 1; choose another")
    n_samples, n_inputs = table.shape
    collected = EventCollector(n_steps, n_inputs)
    inputs = np.arange(n_inputs, dtype=np.uint64)
    block = max(1, MAX_CELLS // max(1, n_inputs))  # of steps
    for sample in range(n_samples):
        key, x = stream_key(int(seed), STREAM_POISSON, int(first) + sample), table[sample].astype(np.int64)
        fired = np.zeros((1, n_steps, n_inputs), np.bool_)
        for begin in range(0, n_steps, block):
            steps = np.arange(begin, min(begin + block, n_steps), dtype=np.uint64)
            fired[0, begin : begin + block] = below(key, (steps[:, None] << np.uint64(INPUT_BITS)) + inputs, levels) < x
        collected.add(fired)
    return collected.events()
