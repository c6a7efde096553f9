"""Run a network in floats, in the chip's timing: what quantising is measured against."""

from neurosim.floatsim.run import FloatResult as FloatResult
from neurosim.floatsim.run import FloatSimulator as FloatSimulator
from neurosim.floatsim.run import simulate as simulate
