"""Choose how a connection's weights are stored: rows of all targets, or one word for each synapse."""

from __future__ import annotations

#: From how many synapses on, of a hundred possible, rows are faster; the step is the bytes of rows that a cache holds.
#: Measured (`benchmarks/time_formats.py`, docs/benchmarks.md); synapses from memory are fetched ahead, rows need it less.
CACHE_BYTES = 1 << 20
PERCENT_IN_CACHE, PERCENT_BEYOND = 4, 8
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
    percent = PERCENT_IN_CACHE if possible <= CACHE_BYTES else PERCENT_BEYOND
    return 100 * n_stored >= percent * possible
