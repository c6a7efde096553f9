"""How many bits a chip stores for synapses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.learning import RESIDUAL_BITS, LearningNeeds
from neurosim.network import Conv, Dense, IntegerConnection

DELAY_BITS = 6  # of a synapse with a delay (`fixedpoint.RANGES`)


def sharing_of(connection: IntegerConnection, chip: Chip) -> str:
    """Return what a core stores of a connection: an entry of `chip.SHARING`; only convolutions are ever shared."""
    return (chip.shared_synapses or "none") if isinstance(connection, Conv) else "none"


def synapse_bits(connection: IntegerConnection, chip: Chip, learning: LearningNeeds | None = None) -> int:
    """Bits of one stored synapse: weight, target index if not dense, delay if there are any, and what learning keeps.

    A plastic synapse keeps `RESIDUAL_BITS` beside its weight, or what `learning` says. A kernel
    (``shared_synapses = "kernel"``) has no indices.
    """
    bits = _stored_width(connection.num_weight_bits, chip.weight_formats)
    if connection.delays is not None:
        bits += DELAY_BITS
    if not isinstance(connection, Dense) and sharing_of(connection, chip) != "kernel":
        n_targets = connection.shape[0] if chip.compartments_per_core is None else chip.compartments_per_core
        bits += _stored_width((n_targets - 1).bit_length(), chip.index_formats)
    if connection.plastic:
        bits += RESIDUAL_BITS if learning is None else learning.of_synapse(connection.name)
    return bits


def axon_memory(n_synapses: npt.ArrayLike, bits: int, chip: Chip) -> Int64Array:
    """Bits that the synapses of one axon take on one core.

    Full chunks of `synapses_per_chunk` and a rest, each with its header and rounded up to whole words
    (nengo-loihi, block.py, ``bits_per_axon``).
    """
    n = np.asarray(n_synapses, dtype=np.int64)
    full, rest = n // chip.synapses_per_chunk, n % chip.synapses_per_chunk
    return np.asarray(
        full * _chunk(chip.synapses_per_chunk, bits, chip) + np.where(rest > 0, _chunk(rest, bits, chip), 0),
        dtype=np.int64,
    )


def kernel_memory(connection: Conv, n_channels: int, bits: int, chip: Chip) -> int:
    """Bits of a kernel for so many of its output channels, in whole words and without a header."""
    raw = kernel_words(connection, n_channels) * bits
    return -(-raw // chip.synapse_word_bits) * chip.synapse_word_bits


def kernel_words(connection: Conv, n_channels: int) -> int:
    """Return the number of weights of so many output channels."""
    return n_channels * int(np.prod(np.shape(connection.weights)[1:]))


def _stored_width(bits: int, formats: tuple[int, ...] | None) -> int:
    """Smallest width of the chip that holds so many bits; a wider value is refused by `validate`."""
    return bits if formats is None else next((width for width in formats if width >= bits), bits)


def _chunk(n: npt.ArrayLike, bits: int, chip: Chip) -> Int64Array:
    raw = np.asarray(n, dtype=np.int64) * bits + chip.synapse_header_bits
    return np.asarray(-(-raw // chip.synapse_word_bits) * chip.synapse_word_bits, dtype=np.int64)
