"""Filters of sensor events by what came before: background activity, and pixels that fire again too soon."""

from neurosim.kernels.jit import jit

NEVER = -(1 << 63)  # time of the last event of a pixel that had none


@jit
def supported(t, x, y, span, last, keep):
    """Write which events have company to `keep`, as `neurosim.reference.eventfilter.supported` describes.

    Parameters
    ----------
    t, x, y : (n,) int64
        A chunk, in order of time; t in 0..2**62.
    span : int
        0..2**62.
    last : (height + 2, width + 2) int64
        Time of the last event of each pixel, within a margin of pixels that have none; `NEVER` at the start. Written.
    keep : (n,) bool
        Written.
    """
    for i in range(len(t)):
        column, row, oldest = x[i] + 1, y[i] + 1, t[i] - span
        found = False
        for r in range(row - 1, row + 2):
            for c in range(column - 1, column + 2):
                if (r != row or c != column) and last[r, c] >= oldest and last[r, c] != NEVER:
                    found = True
        keep[i] = found
        last[row, column] = t[i]


@jit
def rested(t, x, y, span, last, keep):
    """Write which events come from rested pixels to `keep`, as `neurosim.reference.eventfilter.rested` describes.

    Parameters
    ----------
    t, x, y, span, keep
        As in `supported`.
    last : (height, width) int64
        Time of the last kept event of each pixel; `NEVER` at the start. Written.
    """
    for i in range(len(t)):
        before = last[y[i], x[i]]
        keep[i] = before == NEVER or t[i] - before >= span
        if keep[i]:
            last[y[i], x[i]] = t[i]
