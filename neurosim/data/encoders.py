"""Encoders by name: what turns values, signals, sounds and moving pictures into spikes or events, in integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from neurosim.data.cochlea import cochlea_events
from neurosim.data.crossing import crossing_events
from neurosim.data.encode import latency_code, rate_code
from neurosim.data.poisson import poisson_code
from neurosim.data.population import population_code
from neurosim.data.video import video_events


class Encoding(NamedTuple):
    """An encoder.

    Attributes
    ----------
    function : callable
    takes, gives : str
        In words, for lists.
    """

    function: Callable[..., Any]
    takes: str
    gives: str


VALUES = "values (n_samples, n_inputs) in 0..levels"

#: Every encoder by name.
ENCODERS: dict[str, Encoding] = {
    "rate": Encoding(rate_code, VALUES, "spikes evenly spread, as many as the value's share of the steps"),
    "latency": Encoding(latency_code, VALUES, "one spike, earlier for larger values"),
    "poisson": Encoding(poisson_code, VALUES, "spikes by chance in each step, by hash of seed, sample, step and input"),
    "population": Encoding(population_code, VALUES, "rates of several tuned neurons for each value"),
    "delta": Encoding(
        crossing_events, "signals (n_samples, n_steps, n_channels)", "spikes up and down where a channel crosses levels"
    ),
    "cochlea": Encoding(cochlea_events, "sounds of 16 bits, of any length and rate", "spikes of resonators, 12.5 ms a step"),
    "camera": Encoding(
        video_events, "moving pictures (n, n_frames, height, width) of 8 bits", "events of a sensor, to be binned"
    ),
}  # fmt: skip
