"""Loops around the kernels, compiled as well: a call from Python costs more than a small kernel's work."""

# Kernels take what numba infers.
# mypy: disallow-untyped-defs=False, disallow-untyped-decorators=False, disallow-untyped-calls=False

from neurosim.kernels.deliver import sum_csr, sum_dense8, sum_dense16
from neurosim.kernels.jit import jit
from neurosim.kernels.neuron import update_lif


@jit
def repeat_update_lif(times, current, u, v, bias, keep_u, keep_v, threshold, half, fired, near, counts):
    """Advance the neurons `times` steps; add active, corrected, saturated and fired to `counts` (4,)."""
    for _ in range(times):
        active, corrected, saturated, n_fired = update_lif(
            current, u, v, bias, keep_u, keep_v, threshold, half, fired, near
        )
        counts[0] += active
        counts[1] += corrected
        counts[2] += saturated
        counts[3] += n_fired


@jit
def repeat_sum_dense8(times, rows, n_post, lists, total, sum16):
    """Deliver the spikes of each list (n_lists, n_spikes), `times` times."""
    for _ in range(times):
        for i in range(len(lists)):
            sum_dense8(rows, 0, n_post, lists[i], lists.shape[1], total, sum16)


@jit
def repeat_sum_dense16(times, rows, n_post, lists, total):
    """Deliver the spikes of each list (n_lists, n_spikes), `times` times."""
    for _ in range(times):
        for i in range(len(lists)):
            sum_dense16(rows, 0, n_post, lists[i], lists.shape[1], total)


@jit
def repeat_sum_csr(times, start, target, weight, n_post, lists, total):
    """Deliver the spikes of each list (n_lists, n_spikes), `times` times."""
    for _ in range(times):
        for i in range(len(lists)):
            sum_csr(start, target, weight, 0, n_post, lists[i], lists.shape[1], total)
