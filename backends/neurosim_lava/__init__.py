"""Lava 0.10.0 (fixed-point CPU models) as a neurosim backend; see README.md in this folder."""

from neurosim_lava.backend import LavaBackend as LavaBackend
from neurosim_lava.backend import LavaLoihiBackend as LavaLoihiBackend
from neurosim_lava.engine import update as update
from neurosim_lava.export import export as export
from neurosim_lava.place import install as install
