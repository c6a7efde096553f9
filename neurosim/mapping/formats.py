"""Choose how a connection's weights are stored: rows of all targets, or one word for each synapse."""

from __future__ import annotations

#: From how many synapses of a hundred possible on rows are faster: while a core's own cache holds the rows, and beyond it.
#: Measured (`benchmarks/time_formats.py`, docs/benchmarks.md): 1 to 2.7 %, and 10 to 13 %.
CACHE_BYTES = 1 << 20
PERCENT_IN_CACHE, PERCENT_BEYOND = 2, 10
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
