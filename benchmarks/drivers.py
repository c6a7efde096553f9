"""Loops around the kernels, compiled as well: a call from Python costs more than a small kernel's work."""

# Kernels take what numba infers.
# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False, disallow-untyped-calls=False

from neurosim.kernels.jit import jit
from neurosim.kernels.lanes import advance
from neurosim.kernels.rows import add_rows8, add_rows16
from neurosim.kernels.synapses import add_synapses


@jit
def repeat_update_lif(times, acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted, counts):
    """Advance the neurons `times` steps; add over, active, corrected, saturated and fired to `counts` (5,)."""
    for _ in range(times):
        advance(len(u), acc, noise, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counted)
        for i in range(5):
            counts[i] += counted[i]


@jit
def repeat_add_rows8(times, rows, n_post, lists, total):
    """Deliver the spikes of each list (n_lists, n_spikes), `times` times."""
    for _ in range(times):
        for i in range(len(lists)):
            add_rows8(rows, 0, n_post, lists[i], lists.shape[1], 0, 0, total)


@jit
def repeat_add_rows16(times, rows, n_post, lists, total):
    """Deliver the spikes of each list (n_lists, n_spikes), `times` times."""
    for _ in range(times):
        for i in range(len(lists)):
            add_rows16(rows, 0, n_post, lists[i], lists.shape[1], 0, 0, total)


@jit
def repeat_add_synapses(times, start, word, lists, total):
    """Deliver the spikes of each list (n_lists, n_spikes), `times` times."""
    for _ in range(times):
        for i in range(len(lists)):
            add_synapses(start, word, 0, lists[i], lists.shape[1], 0, total)
