"""Compile a network for a chip: quantise, map, pack."""

from __future__ import annotations

from neurosim.chip import Chip, load_chip
from neurosim.mapping import LearningNeeds, map_network
from neurosim.mapping.pack import pack
from neurosim.mapping.pack_models import check_arithmetic, pack_models
from neurosim.mapping.rates import Rates
from neurosim.network import Network
from neurosim.program import Program
from neurosim.quantize import quantize


def compile(
    network: Network, chip: str | Chip = "loihi1", arithmetic: str = "lava-0.10", *, rates: Rates | None = None,
    learning: LearningNeeds | None = None, placement: str = "traffic",
) -> Program:  # fmt: skip
    """Return the program of a network on a chip.

    Parameters
    ----------
    network : Network
        In floats, chip integers or both; integers pass unchanged.
    chip : str or Chip
        Name of a preset, path of a chip file, or a chip.
    arithmetic : {"lava-0.10", "loihi1", "lava-dl"}
        Whose arithmetic to follow where Lava's CPU models, the Loihi 1 chip and lava-dl differ (`docs/arithmetic.md`).
    rates, learning, placement
        Where the network lies on the chip: as in `neurosim.mapping.map_network`. Results do not depend on them.

    Raises
    ------
    QuantizationError, CapacityError, ChipError
        If a value cannot be held, the network does not fit, or the chip is unknown.
    """
    quantized = quantize(network)
    chip = chip if isinstance(chip, Chip) else load_chip(chip)
    check_arithmetic(quantized.network, arithmetic)
    mapping = map_network(quantized.network, chip, rates, learning=learning, placement=placement)
    arrays = pack(quantized.network, mapping, arithmetic)
    models = pack_models(quantized.network, arithmetic)
    return Program(quantized.network, chip, mapping, arrays, dict(quantized.scales), arithmetic, models)
