"""What quantising gives: a network in chip integers, the units of its numbers, and notes on what changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim.errors import QuantizationError
from neurosim.fixedpoint import DECAY_ONE
from neurosim.network import LIF, Connection, Network
from neurosim.neurons import ATRLIF


@dataclass(frozen=True)
class QuantNote:
    """One fact about what quantising did.

    Parameters
    ----------
    owner : str
        "group/NAME" or "connection/SOURCE->TARGET".
    quantity : str
        Of a connection: "weight_sqnr_db", "weights_clipped", "weights_truncated", "weights_rounded_to_zero" (numbers of
        weights), "weight_error" (largest, in units of v_threshold), "conv_bound".
        Of a group: "threshold_error" (largest, relative), "bias_error" (largest, in units of v_threshold), "tau_mem",
        "tau_syn" (seconds that the registers give), "tau_mem_error", "tau_syn_error" (largest, relative),
        "predicted_v_error" (in units of v_threshold), and bounds of what may happen at worst, each over the limit, so that up
        to 1 proves that it cannot: "input_bound" (current over 2**23), "v_bound" (voltage over 2**23), "sum_bound" (input
        of one step in 32 bits), "loihi1_sum_bound" (the same in Loihi 1's 21 bits and sign).
        `docs/arithmetic.md`, section 9, has the formulas.
    value : float or None
        None where the quantity has no number: an exact match has no noise, a voltage without leak no bound.
    text : str
        The same in words.
    """

    owner: str
    quantity: str
    value: float | None
    text: str

    def __str__(self) -> str:
        return f"{self.owner}: {self.text}"


@dataclass(frozen=True, eq=False)
class Quantized:
    """A network in chip integers, with the units of its numbers.

    Parameters
    ----------
    network : Network
        Holds chip integers only.
    scales : dict of str to float
        "group/NAME": chip weight units per float unit (S); "connection/NAME": stored weight per float weight
        (``S f / 2**weight_exp``), where it is one number: `weight_scale` gives it where neurons differ. Only what was in
        floats is listed.
    notes : tuple of QuantNote
    """

    network: Network
    scales: dict[str, float]
    notes: tuple[QuantNote, ...]


def weight_scale(quantized: Quantized, connection: str) -> float | npt.NDArray[np.float64]:
    """Return how many units of stored weight a float weight of 1 became.

    Parameters
    ----------
    quantized : Quantized
    connection : str
        "SOURCE->TARGET" of a connection that was in floats.

    Returns
    -------
    float or (n_post,) float64
        ``S f / 2**weight_exp``; one number where the decays of the target's currents are one. Divide the stored weights
        by it (`Connection.over_weights` brings it into their shape) to have them in floats.

    Raises
    ------
    QuantizationError
        If the connection was in integers before.

    Examples
    --------
    >>> from neurosim import Connection, CubaLIF, Input, Network, quantize
    >>> net = Network([Input("in", 2), CubaLIF("out", 1)], [Connection("in", "out", [[0.5, -0.25]])])
    >>> weight_scale(quantize(net), "in->out")
    508.0
    """
    found = quantized.network.connection(connection)
    assert not isinstance(found, Connection)  # integers: what `quantize` gives
    if (known := quantized.scales.get(f"connection/{connection}")) is not None:
        return known
    scale, group = quantized.scales.get(f"group/{found.target}"), quantized.network.group(found.target)
    if scale is None:
        raise QuantizationError(
            f"connection {connection!r}: its weights were integers before, they have no scale; ask for one that was in floats"
        )
    assert isinstance(group, (LIF, ATRLIF))  # one number for all other models
    du = group.delta_i if isinstance(group, ATRLIF) else group.du
    return scale * ((np.asarray(du) + 1) / DECAY_ONE) / 2.0**found.weight_exp
