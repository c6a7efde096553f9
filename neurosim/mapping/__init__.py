"""Map a quantised network onto the cores of a chip."""

from neurosim.mapping.recipe import map_network as map_network
from neurosim.mapping.recipe import utilisation_rows as utilisation_rows
