"""What a learning rule keeps on a core beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from neurosim.errors import NetworkError
from neurosim.network import Network

RESIDUAL_BITS = (
    8  # beside a weight that is learned, where nothing else is said: its low bits below one unit (docs/learning.md)
)


@dataclass(frozen=True)
class LearningNeeds:
    """Bits that learning keeps, by where they lie.

    Parameters
    ----------
    synapse : dict of str to int
        By connection: bits beside each stored synapse (residual, tag, momentum). They lie in the synapse memory. A plastic
        connection that is not named keeps `RESIDUAL_BITS`.
    row : dict of str to int
        By connection: bits for each presynaptic neuron (traces), on every core that it sends to.
    neuron : dict of str to int
        By group: bits for each neuron (local votes, accumulators).
    core : int
        Bits on every core that holds a group named in `neuron` (the key of its noise).

    Examples
    --------
    >>> LearningNeeds({"in->out": 8}, {"in->out": 3}, {"out": 13}, 64).of_synapse("in->out")
    8
    """

    synapse: Mapping[str, int] = field(default_factory=dict)
    row: Mapping[str, int] = field(default_factory=dict)
    neuron: Mapping[str, int] = field(default_factory=dict)
    core: int = 0

    def __post_init__(self) -> None:
        parts = [*self.synapse.items(), *self.row.items(), *self.neuron.items(), ("core", self.core)]
        for of, bits in parts:
            if isinstance(bits, bool) or not isinstance(bits, int) or bits < 0:
                raise NetworkError(f"learning needs of {of!r}: {bits!r} is not a number of bits; give 0 or more")

    def of_synapse(self, connection: str) -> int:
        """Return the bits beside each synapse of a plastic connection."""
        return self.synapse.get(connection, RESIDUAL_BITS)

    def check(self, network: Network) -> None:
        """Refuse names that the network does not have, and bits beside synapses that do not learn."""
        for name in (*self.synapse, *self.row):
            connection = network.connection(name)
            if not connection.plastic:
                raise NetworkError(
                    f"learning needs of connection {name!r}: it is not plastic; make it plastic=True or leave it out"
                )
        for name in self.neuron:
            network.group(name)
