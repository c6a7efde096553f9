"""Make more sounds to learn from of the ones there are: later or earlier, faster or slower, higher or lower, with gaps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Distortion(NamedTuple):
    """How far `distorted` may change a sound; each change is uniform between its limits.

    Attributes
    ----------
    early, late : int
        Of the whole sound, in 1/256 step.
    fast : int
        Faster or slower, in 1/256.
    high : int
        All channels up or down, in 1/256 channel.
    wide : int
        Channels stretched or squeezed about their middle, in 1/256.
    n_pauses, longest : int
        Silences, and the most steps of one.
    n_bands, broadest : int
        Bands that are not heard, and the most channels of one.
    """

    early: int = 0
    late: int = 0
    fast: int = 0
    high: int = 0
    wide: int = 0
    n_pauses: int = 0
    longest: int = 0
    n_bands: int = 0
    broadest: int = 0


def distorted(loud: npt.NDArray[Any], limits: Distortion, key: int, first: int = 0) -> npt.NDArray[np.int64]:
    """Return each sound changed at random, (n, n_steps, n_channels) int64; `neurosim.reference.distort`.

    Parameters
    ----------
    loud : (n, n_steps, n_channels) of integers
        0..2**31 - 1.
    limits : Distortion
    key : int
        64 bits; names the random numbers, so that another key gives other copies.
    first : int
        Number of the first sound: sound i is changed in the same way in any block of sounds.

    Examples
    --------
    >>> click = np.zeros((1, 4, 1), int)
    >>> click[0, 1] = 100
    >>> distorted(click, Distortion(late=512), key=1)[0, :, 0].tolist()
    [0, 33, 66, 0]
    """
    from neurosim.kernels.distort import distort

    copies = np.empty(loud.shape, np.int64)
    with np.errstate(over="ignore"):
        distort(np.ascontiguousarray(loud, np.int64), np.uint64(key), first, np.array(limits, np.int64), copies)
    return copies
