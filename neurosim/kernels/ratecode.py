"""List the spikes of rate-coded values, in time proportional to their number."""

from neurosim.kernels.jit import jit


@jit
def rate_events(values, count, when, shifts, place, start, neuron):
    """Write the events of `neurosim.data.encode.rate_code`.

    Parameters
    ----------
    values : (n, n_inputs) uint8
        Each a row of `count` and `when`.
    count : (levels,) int64
        Spikes of a value.
    when : (levels, n_steps) int64
        Steps in which a value fires before the rotation; the first `count` are read.
    shifts : (n_inputs,) int64
        Rotation of each input, 0..n_steps - 1.
    place : (n_steps,) int64
        Scratch.
    start : (n * n_steps + 1,) int64
        Written; see `neurosim.events.Events`.
    neuron : (n_events,) int32
        Written.
    """
    n_steps = when.shape[1]
    start[0] = 0
    for i in range(len(values)):
        place[:] = 0
        for j in range(values.shape[1]):
            for s in range(count[values[i, j]]):
                place[rotated(when[values[i, j], s], shifts[j], n_steps)] += 1
        for t in range(n_steps):
            row = i * n_steps + t
            start[row + 1] = start[row] + place[t]
            place[t] = start[row]
        for j in range(values.shape[1]):
            for s in range(count[values[i, j]]):
                t = rotated(when[values[i, j], s], shifts[j], n_steps)
                neuron[place[t]] = j
                place[t] += 1


@jit
def rotated(t, shift, n_steps):
    """Return ``(t + shift) % n_steps`` for both in 0..n_steps - 1."""
    return t + shift if t + shift < n_steps else t + shift - n_steps
