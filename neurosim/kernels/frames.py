"""Gather the events of some samples, step by step: as frames of all inputs, or as a list."""

from neurosim.kernels.jit import jit


@jit
def fill_frames(start, neuron, value, samples, n_steps, frames):
    """Write the inputs of each step and sample, as `neurosim.reference.frames.fill_frames` describes.

    Parameters
    ----------
    start, neuron : (n_samples * n_steps + 1,) int64, (n_events,) int32
        As in `neurosim.events.Events`.
    value : (n_events,) or (0,) int32
        Empty: 1 for all.
    samples : (n,) int64
    n_steps : int
        Of the events.
    frames : (n_frames, n, n_inputs), of a type that holds the values
        Written, all of it.
    """
    for t in range(len(frames)):
        for b in range(len(samples)):
            frames[t, b, :] = 0
            if t < n_steps:
                row = samples[b] * n_steps + t
                for e in range(start[row], start[row + 1]):
                    frames[t, b, neuron[e]] = value[e] if len(value) else 1


@jit
def count_events(start, samples, n_steps, gathered_start):
    """Write where the events of each step and sample begin, as `neurosim.reference.frames.gather_events` describes.

    Parameters
    ----------
    start, samples, n_steps
        As in `fill_frames`.
    gathered_start : (n_frames * n + 1,) int64
        Written.

    Returns
    -------
    int
        Their number.
    """
    found = 0
    for row in range(len(gathered_start) - 1):
        gathered_start[row] = found
        t, b = row // len(samples), row % len(samples)
        if t < n_steps:
            at = samples[b] * n_steps + t
            found += start[at + 1] - start[at]
    gathered_start[len(gathered_start) - 1] = found
    return found


@jit
def gather_events(start, neuron, value, samples, n_steps, gathered_start, gathered, gathered_value):
    """Write the events of each step and sample, as `neurosim.reference.frames.gather_events` describes.

    Parameters
    ----------
    start, neuron, value, samples, n_steps
        As in `fill_frames`.
    gathered_start : (n_frames * n + 1,) int64
        As `count_events` wrote it.
    gathered : (n_gathered,) int32
        Written.
    gathered_value : (n_gathered,), of a type that holds the values
        Written; (0,) where all are 1.
    """
    for t in range(min(n_steps, (len(gathered_start) - 1) // max(1, len(samples)))):
        for b in range(len(samples)):
            row = samples[b] * n_steps + t
            first, place = start[row], gathered_start[t * len(samples) + b]
            n = start[row + 1] - first
            for e in range(n):
                gathered[place + e] = neuron[first + e]
            if len(gathered_value):
                for e in range(n):
                    gathered_value[place + e] = value[first + e]
