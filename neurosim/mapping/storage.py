"""How many bits a chip stores for synapses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurosim.chip import Chip
from neurosim.fixedpoint import Int64Array
from neurosim.mapping.learning import RESIDUAL_BITS, LearningNeeds
from neurosim.network import Conv, Dense, IntegerConnection

DELAY_BITS = 6  # of a synapse with a delay (`fixedpoint.RANGES`), where a chip does not say


def sharing_of(connection: IntegerConnection, chip: Chip) -> str:
    """Return what a core stores of a connection: an entry of `chip.SHARING`; only convolutions are ever shared."""
    return (chip.shared_synapses or "none") if isinstance(connection, Conv) else "none"


def synapse_bits(connection: IntegerConnection, chip: Chip, learning: LearningNeeds | None = None) -> int:
    """Bits of one stored synapse: weight, target index if not dense, delay if there are any, and what learning keeps.

    A plastic synapse keeps `RESIDUAL_BITS` beside its weight, or what `learning` says. A kernel
    (``shared_synapses = "kernel"``) has no indices. Where all synapses have one size, that is it.
    """
    if chip.bits_per_synapse is not None:
        return chip.bits_per_synapse
    bits = _stored_width(connection.num_weight_bits, chip.weight_formats)
    if connection.delays is not None:
        bits += DELAY_BITS if chip.delay_bits is None else chip.delay_bits
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


def dense_memory(n_pre: int, n_post: int, bits: int, chip: Chip) -> int:
    """Bits of all pairs of so many neurons on one core; with `Chip.address_padding`, a list fills a power of two."""
    if chip.address_padding == "power_of_two":
        return n_pre * bits * power_of_two(n_post)
    return n_pre * int(axon_memory(n_post, bits, chip))


def kernel_memory(connection: Conv, n_channels: int, bits: int, chip: Chip) -> int:
    """Bits of a kernel for so many of its output channels, in whole words and without a header.

    With `Chip.address_padding`, its area and its output channels fill powers of two (sinabs-dynapcnn,
    ``DynapcnnLayer.memory_summary``).
    """
    words = kernel_words(connection, n_channels)
    if chip.address_padding == "power_of_two" and n_channels:
        _, kernel_x, kernel_y, per_group = np.shape(connection.weights)
        words = per_group * power_of_two(kernel_x * kernel_y) * power_of_two(n_channels)
    return -(-words * bits // chip.synapse_word_bits) * chip.synapse_word_bits


def kernel_words(connection: Conv, n_channels: int) -> int:
    """Return the number of weights of so many output channels."""
    return n_channels * int(np.prod(np.shape(connection.weights)[1:]))


def power_of_two(n: int) -> int:
    """Return the smallest power of two that is not below n.

    Examples
    --------
    >>> [power_of_two(n) for n in (1, 2, 3, 9)]
    [1, 2, 4, 16]
    """
    return 1 << max(n - 1, 0).bit_length()


def _stored_width(bits: int, formats: tuple[int, ...] | None) -> int:
    """Smallest width of the chip that holds so many bits; a wider value is refused by `validate`."""
    return bits if formats is None else next((width for width in formats if width >= bits), bits)


def _chunk(n: npt.ArrayLike, bits: int, chip: Chip) -> Int64Array:
    raw = np.asarray(n, dtype=np.int64) * bits + chip.synapse_header_bits
    return np.asarray(-(-raw // chip.synapse_word_bits) * chip.synapse_word_bits, dtype=np.int64)
