"""Gather the events of some samples in plain numpy; twin of `neurosim.kernels.frames`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.events import Events


def fill_frames(events: Events, samples: npt.NDArray[np.int64], n_frames: int) -> npt.NDArray[np.int32]:
    """Return what each input sends, (n_frames, n, n_inputs) int32: step first, then sample.

    Entry ``[t, b, i]`` is the value of the event of input i in step t of sample ``samples[b]``, and 0 where there is none and
    after the last step of the events.

    Parameters
    ----------
    events : Events
    samples : (n,) int64
        0..n_samples - 1, in any order.
    n_frames : int
    """
    frames = np.zeros((n_frames, len(samples), events.n_inputs), np.int32)
    known = min(n_frames, events.n_steps)
    frames[:known] = events.to_values()[samples].transpose(1, 0, 2)[:known]
    return frames


def gather_events(
    events: Events, samples: npt.NDArray[np.int64], n_frames: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the same as a list: start (n_frames * n + 1,) int64, neuron and value (n_events,) int32.

    Events of step t of sample ``samples[b]`` are numbers ``start[t * n + b]`` to ``start[t * n + b + 1]``, in the order of their
    inputs. Parameters as in `fill_frames`.
    """
    rows = fill_frames(events, samples, n_frames).reshape(n_frames * len(samples), events.n_inputs)
    row, neuron = np.nonzero(rows)
    start = np.searchsorted(row, np.arange(len(rows) + 1)).astype(np.int64)
    return start, neuron.astype(np.int32), rows[row, neuron]
