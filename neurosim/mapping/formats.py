"""Choose how a connection's weights are stored: rows of all targets, or one word for each synapse."""

from __future__ import annotations

#: Bytes of rows up to which a cache holds them, and from how many synapses of a hundred possible on rows are then faster.
#: Measured (`benchmarks/time_formats.py`, docs/benchmarks.md): 0.7 to 3 % in a core's own cache, 4 % in a shared one, 10 % beyond.
CACHES = ((1 << 20, 2), (1 << 24, 4))
PERCENT_BEYOND = 10
#: Below so many weights the choice does not matter, and a connection keeps the form of its description.
SMALL = 4096


def rows_pay(shape: tuple[int, int], n_stored: int) -> bool:
    """Whether rows of all targets are the faster format for a connection.

    Parameters
    ----------
    shape : (n_post, n_pre)
    n_stored : int
        Synapses that a list of synapses would hold.

    Examples
    --------
    >>> rows_pay((256, 784), 256 * 784 // 10), rows_pay((10_000, 10_000), 1_000_000)
    (True, False)
    """
    possible = shape[0] * shape[1]
    percent = next((percent for size, percent in CACHES if possible <= size), PERCENT_BEYOND)
    return 100 * n_stored >= percent * possible
