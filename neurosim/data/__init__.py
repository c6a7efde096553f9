"""Data files that come with neurosim: chips, energy tables, the digits."""
