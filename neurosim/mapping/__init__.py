"""Map a quantised network onto the cores of a chip."""

from neurosim.mapping.learning import LearningNeeds as LearningNeeds
from neurosim.mapping.links import busiest_link as busiest_link
from neurosim.mapping.links import link_loads as link_loads
from neurosim.mapping.links import packets_per_step as packets_per_step
from neurosim.mapping.rates import rates_of as rates_of
from neurosim.mapping.recipe import map_network as map_network
from neurosim.mapping.utilisation import bottleneck as bottleneck
from neurosim.mapping.utilisation import resource_rows as resource_rows
from neurosim.mapping.utilisation import utilisation_rows as utilisation_rows
